//! Whatever CEL's grammar allows, with the oddest values, is refused beforehand or gives a result: nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Budget, Invalid, Problem};
use super::limits::json_values;
use super::parse;

fn leaves() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "identity",
        "identifiers",
        "identity.traits",
        "identity.traits.email",
        "identity.a",
        "identifiers[0]",
        "true",
        "false",
        "null",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615u",
        "0.0",
        "-0.5",
        "1e308",
        "1e-320",
        "''",
        "'ß'",
        "'9223372036854775808'",
        "'1e999'",
        "'NaN'",
        "'2026-11-24T12:00:00Z'",
        "'-009999-01-02T00:00:00Z'",
        "'9999-12-31T23:59:60.999999999+23:59'",
        "[]",
        "[1, 'a', null, [true]]",
    ])
    .prop_map(str::to_owned);
    let duration = "-?([0-9]{0,22}(\\.[0-9]{0,22})?(h|m|s|ms|us|ns|-)){0,3}".prop_map(|text| format!("'{text}'"));
    let number = any::<i64>().prop_map(|number| number.to_string());
    let fraction = any::<f64>().prop_filter("CEL has no literal", |it| it.is_finite()).prop_map(|it| format!("{it:?}"));
    prop_oneof![6 => plain, 2 => duration, 1 => number, 1 => fraction]
}

/// Expressions of any kind.
fn expressions() -> impl Strategy<Value = String> {
    leaves().prop_recursive(5, 48, 3, |inner| {
        let operators = vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"];
        let functions = vec!["size", "string", "int", "double", "timestamp", "duration", "!", "-"];
        let methods = vec![
            "size()",
            "lowerAscii()",
            "upperAscii()",
            "trim()",
            "contains('a')",
            "startsWith('')",
            "endsWith('ß')",
            "split('a')",
            "split('')",
            "matches('(a|b)*c?$')",
        ];
        let macros = vec!["all", "exists", "exists_one", "filter", "map"];
        prop_oneof![
            (inner.clone(), prop::sample::select(operators), inner.clone())
                .prop_map(|(one, operator, two)| format!("({one} {operator} {two})")),
            (prop::sample::select(functions), inner.clone()).prop_map(|(name, of)| format!("{name}({of})")),
            (inner.clone(), prop::sample::select(methods)).prop_map(|(of, method)| format!("({of}).{method}")),
            (inner.clone(), prop::sample::select(macros), inner.clone())
                .prop_map(|(of, name, body)| format!("({of}).{name}(x, ({body}) == x || x == {body})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(one, two, three)| format!("({one} ? {two} : {three})")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one})[{two}]")),
            inner.clone().prop_map(|of| format!("has(({of}).email)")),
            (inner.clone(), inner).prop_map(|(one, two)| format!("[{one}, {two}]")),
        ]
    })
}

fn ask(text: &str, values: &[Value]) -> Result<Result<bool, Problem>, Invalid> {
    Ok(parse(text)?.holds(values, &mut Budget::new(100_000)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_that_the_grammar_makes_panics(text in expressions(), identity in json_values(), identifiers in json_values()) {
        let _ = ask(&text, &[identity, identifiers]);
    }

    /// A refused expression gives no boolean for any input. (Items of lists may be anything.)
    #[test]
    fn nothing_is_refused_that_may_be_true_or_false(text in expressions(), identity in json_values()) {
        if let Ok(Ok(_)) = ask(&format!("[{text}][0]"), &[identity, json!(["ada@example.com"])]) {
            prop_assert_eq!(parse(&text).err(), None, "{}", text);
        }
    }
}
