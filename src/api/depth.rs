//! How deeply JSON is nested, measured without recursion: no depth exhausts a stack. Pure.

/// The most levels of an object that a user shapes. Far below the limits of JSON parsers (128 levels is common), since it is
/// sent within other documents.
pub const MAX_DEPTH: usize = 64;

/// The levels of a JSON text: 0 for a scalar, 1 for an object or array of scalars.
pub fn of(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// Skips to the end of a string. No byte of a longer UTF-8 sequence is a quote or a backslash.
fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case("1", 0)]
    #[case("{}", 1)]
    #[case(r#"[[],{"a":[1,{"b":2}]}]"#, 4)]
    #[case(r#"{"[{\"[":"[[{\\"}"#, 1)]
    #[case(r#"{"é\\\"{":["{"]}"#, 2)]
    fn levels_are_counted_outside_of_strings(#[case] json: &str, #[case] levels: usize) {
        assert_eq!(of(json), levels);
    }

    #[test]
    fn a_million_levels_are_counted_too() {
        let levels = 1_000_000;
        assert_eq!(of(&(r#"{"a":"#.repeat(levels) + "1" + &"}".repeat(levels))), levels);
    }

    fn recursive(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(recursive).max().unwrap_or_default(),
            Value::Object(members) => 1 + members.values().map(recursive).max().unwrap_or_default(),
            _ => 0,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let scalar =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), any::<String>().prop_map(Value::from)];
        scalar.prop_recursive(8, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_descending_tells(value in any_json()) {
            prop_assert_eq!(of(&value.to_string()), recursive(&value));
        }
    }
}
