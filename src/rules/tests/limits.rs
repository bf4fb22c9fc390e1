//! Whatever expressions and their input are, evaluation ends: soon, without a panic, and on the stack that there is.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::{Budget, Invalid, MAX_LENGTH, Problem};
use super::{ask_about, parse};

fn repeated(what: &str, times: usize) -> String {
    what.repeat(times)
}

#[rstest]
#[case::brackets(repeated("(", 2000) + "1" + &repeated(")", 2000), Invalid::TooDeep)]
#[case::ten_thousand_brackets(repeated("(", 10_000), Invalid::TooLong)]
#[case::unclosed_brackets(repeated("[", 4000), Invalid::TooDeep)]
#[case::choices(repeated("true?", 800) + "true", Invalid::TooDeep)]
#[case::a_sum("1".to_owned() + &repeated("+1", 2000) + "==1", Invalid::TooDeep)]
#[case::a_path("identity".to_owned() + &repeated(".a", 2000), Invalid::TooDeep)]
#[case::calls("'a'".to_owned() + &repeated(".trim()", 500) + "=='a'", Invalid::TooDeep)]
#[case::indices("identity".to_owned() + &repeated("[0]", 1300), Invalid::TooDeep)]
#[case::a_wide_list("[".to_owned() + &repeated("1,", 2020) + "1] == []", Invalid::TooManyNodes)]
#[case::a_long_text("'".to_owned() + &repeated("a", MAX_LENGTH) + "' == 'a'", Invalid::TooLong)]
#[case::three_loops("identifiers.all(a, identifiers.all(b, identifiers.all(c, true)))".to_owned(), Invalid::TooManyLoops)]
fn what_is_too_much_is_refused_beforehand(#[case] text: String, #[case] expected: Invalid) {
    let began = Instant::now();
    assert_eq!(parse(&text).err(), Some(expected));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[rstest]
#[case::nots(repeated("!", 4000) + "true")]
#[case::minus(repeated("-", 4000) + "1 == 1")]
#[case::alternatives("true".to_owned() + &repeated("||true", 600))]
#[case::comparisons("1".to_owned() + &repeated("<1", 2000))]
#[case::else_branches(repeated("true?1:", 500) + "1")]
#[case::quotes(repeated("'", 4001))]
#[case::loops_in_ranges("identifiers".to_owned() + &repeated(".map(a,a)", 400))]
#[case::has(repeated("has(", 30) + "a" + &repeated(")", 30))]
fn the_odd_ones_end_too(#[case] text: String) {
    let began = Instant::now();
    if let Ok(expression) = parse(&text) {
        let _ = expression.holds(&[json!({}), json!([])], &mut Budget::new(1_000_000));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// The worst cases known. Measured on two busy cores, unoptimised: all of them together take less than three seconds.
#[rstest]
#[case::pairs("identifiers.all(a, identifiers.all(b, a == b || a != b))")]
#[case::lists_of_lists("identifiers.map(a, identifiers).all(b, b.all(c, c.contains('zzzz')))")]
#[case::a_list_that_grows("identifiers.map(a, identifiers.map(b, a + b)).size() == 0")]
#[case::long_texts("identifiers.all(a, identity.long.contains(identity.long + a) || true)")]
#[case::regular_expressions(r"identifiers.all(a, identity.long.matches('(a?){40}(a*)*b$') || true)")]
#[case::equality("identifiers.all(a, identifiers.all(b, identity == identity))")]
#[case::splitting("identifiers.all(a, identity.long.split('a').size() > 0)")]
fn what_is_slow_is_cut_short(#[case] text: &str) {
    let identifiers: Vec<_> = (0..4000).map(|number| format!("person-{number}@team-a.example.com")).collect();
    let identity = json!({"long": "a".repeat(100_000), "more": identifiers});
    let began = Instant::now();
    assert_eq!(ask_about(text, identity, json!(identifiers)), Err(Problem::Exhausted));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn an_exhausted_budget_is_made_up_for_by_nothing() {
    let identifiers: Vec<_> = (0..4000).collect();
    let slow = "identifiers.all(a, identifiers.all(b, a + b >= 0))";
    for text in [format!("{slow} || true"), format!("!({slow} && false)"), format!("[1].exists(x, {slow} || true)")] {
        let found = parse(&text)
            .map(|expression| expression.holds(&[json!({}), json!(identifiers)], &mut Budget::new(100_000)));
        assert!(!matches!(found, Ok(Ok(_))), "{text}: {found:?}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "identity",
        "identifiers",
        ".",
        "traits",
        "(",
        ")",
        "[",
        "]",
        "'a'",
        "1",
        "0",
        "-",
        "!",
        "&&",
        "||",
        "==",
        "?",
        ":",
        ".all(x,",
        ".map(x,",
        ".exists(x,",
        "x",
        "+",
        "/",
        "%",
        "has(",
        ".size()",
        ".matches('a*')",
        " in ",
        "{",
        "}",
        ",",
        "null",
        "9223372036854775807",
        "1e308",
        "ß",
        "\\",
        "\"",
        "b'",
        "//",
        "\n",
        "string(",
        ".split('')",
        "0u",
        "@result",
    ]);
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

pub(super) fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("traits|email|a|ß", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_expression_panics_on_any_json(text in texts(), identity in json_values(), identifiers in json_values()) {
        if let Ok(expression) = parse(&text) {
            let _ = expression.holds(&[identity, identifiers], &mut Budget::new(100_000));
        }
    }

    #[test]
    fn no_json_panics_a_rule(identity in json_values(), identifiers in json_values()) {
        for text in [
            "identifiers.all(i, i.endsWith('@a')) && identity.traits.email == identifiers[0]",
            "identity.traits.exists(k, k in identifiers) || identity == identifiers",
            "identity.a + identity.traits > identifiers[0] / identifiers[1]",
            "identity.map(k, identity[k]).filter(v, v != null).size() % size(identifiers) == int(identity.a)",
        ] {
            let _ = parse(text).unwrap().holds(&[identity.clone(), identifiers.clone()], &mut Budget::new(100_000));
        }
    }
}
