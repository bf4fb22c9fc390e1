//! Makes words that others chose (keys, ids, names) safe for messages: bounded, and without characters that move the cursor,
//! break a line or change the text's direction.

/// The longest sentence of a message, in characters: what is wrong, where, and what to do.
pub const LONGEST_STATEMENT: usize = 200;

/// The longest shown form of a name, in characters: a Secret's, a schema's, a resource's.
pub const NAME: usize = 56;

const LEFT_OUT: char = '…';
/// Replaces a character that isn't shown.
const UNSHOWN: char = '\u{fffd}';
/// Only this many items of a list are considered.
const MOST_LISTED: usize = 20;

/// A text as it may be shown, with at most `most` characters.
pub fn shown(text: &str, most: usize) -> String {
    let mut characters = text.chars().map(|character| if is_odd(character) { UNSHOWN } else { character });
    let shown: String = characters.by_ref().take(most).collect();
    if characters.next().is_none() {
        return shown;
    }
    shown.chars().take(most.saturating_sub(1)).chain([LEFT_OUT]).collect()
}

/// As many items as fit into `room` characters, at least one, and the number of the others.
pub fn listed(items: &[String], room: usize) -> String {
    let listed = |count: usize| {
        let more = match items.len() - count {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (items[..count].join(", "), more)
    };
    let fits = |(names, more): &(String, String)| names.chars().count() + more.chars().count() <= room;
    let most = items.len().min(MOST_LISTED);
    let (names, more) = (1..=most).rev().map(listed).find(fits).unwrap_or_else(|| {
        let (name, more) = listed(most.min(1));
        (shown(&name, room.saturating_sub(more.chars().count())), more)
    });
    names + &more
}

/// Whether a character is a control character, or changes the text around it invisibly.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_others_chose_is_bounded_and_moves_no_cursor() {
        assert_eq!(shown("emial", 5), "emial");
        assert_eq!(shown("emials", 5), "emia…");
        assert_eq!(shown("ä".repeat(9).as_str(), 3), "ää…", "characters, not bytes");
        assert_eq!(shown("a\n\u{1b}[2Jb\u{202e}c\u{200b}", 20), "a\u{fffd}\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(shown("", 0), "");
    }

    #[test]
    fn a_list_says_what_it_leaves_out() {
        let all = strings(&["/a", "/bb", "/ccc"]);
        assert_eq!(listed(&all, 100), "/a, /bb, /ccc");
        assert_eq!(listed(&all, 13), "/a, /bb, /ccc");
        assert_eq!(listed(&all, 12), "… and 2 more", "not even one fits");
        let longer = strings(&["/a", "/bb", &"/c".repeat(20)]);
        assert_eq!(listed(&longer, 20), "/a, /bb and 1 more");
        let long = vec!["/x".repeat(50); 30];
        let text = listed(&long, 60);
        assert!(text.ends_with("… and 29 more") && text.chars().count() == 60, "{text}");
        assert_eq!(listed(&[], 10), "");
        assert!(listed(&strings(&["/a"; 100]), 1000).ends_with(" and 80 more"));
    }
}
