//! JSON pointers (RFC 6901): joining and splitting. Pure.
//!
//! `jsonptr` would do it too, and refuse what isn't one: but marks and answers hold pointers that others may have written,
//! and there is nothing better to do with an odd one than to find nothing there.

/// The pointer of `key` below `parent`, escaped.
pub fn join(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The keys of a pointer, unescaped. The pointer of the whole document has none.
pub fn split(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect()
}

/// Whether `pointer` lies at or below `ancestor`.
pub fn is_within(pointer: &str, ancestor: &str) -> bool {
    pointer.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_slash_tilde_and_nothing_survive_a_round_trip() {
        for key in ["a/b", "~", "~1", "", "0", "naïve", "/", "~01"] {
            let pointer = join("/traits", key);
            assert_eq!(split(&pointer), ["traits", key]);
        }
    }

    #[test]
    fn a_longer_name_is_not_within_a_shorter_one() {
        assert!(is_within("/traits/name/first", "/traits/name"));
        assert!(is_within("/traits/name", "/traits/name"));
        assert!(!is_within("/traits/names", "/traits/name"));
    }
}
