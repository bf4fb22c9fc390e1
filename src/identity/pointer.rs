//! JSON pointers (RFC 6901): joining, splitting, finding. Pure.
//!
//! `jsonptr` would do it too, and refuse what isn't one: but marks and answers hold pointers that others may have written,
//! and there is nothing better to do with an odd one than to find nothing there.

use serde_json::Value;

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

/// The pointer of a part of a document. `None`: it is no part of it.
pub fn of(part: &Value, document: &Value) -> Option<String> {
    if std::ptr::eq(part, document) {
        return Some(String::new());
    }
    let below = |key: &str, inner: &Value| of(part, inner).map(|rest| join("", key) + &rest);
    match document {
        Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| below(&at.to_string(), item)),
        Value::Object(members) => members.iter().find_map(|(key, member)| below(key, member)),
        _ => None,
    }
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
    fn a_part_is_found_where_it_stands_not_where_its_like_does() {
        let document = serde_json::json!({"a/b": ["x", {"c": "x"}], "d": "x"});
        for pointer in ["", "/a~1b/0", "/a~1b/1/c", "/d"] {
            let part = document.pointer(pointer).expect("it is there");
            assert_eq!(of(part, &document).as_deref(), Some(pointer));
        }
        assert_eq!(of(&Value::from("x"), &document), None);
    }

    #[test]
    fn a_longer_name_is_not_within_a_shorter_one() {
        assert!(is_within("/traits/name/first", "/traits/name"));
        assert!(is_within("/traits/name", "/traits/name"));
        assert!(!is_within("/traits/names", "/traits/name"));
    }
}
