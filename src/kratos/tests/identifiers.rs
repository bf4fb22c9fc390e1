//! How Kratos stores login identifiers, as observed with the real one (`tests/conformance/identifiers.rs`).

use rstest::rstest;
use serde_json::{Value, json};

use super::super::identifier::{Taken, forms, is_address, is_same, lower_case, normalised};

const PASSWORD: Taken<'static> = Taken::Identifier { kind: "password", via: None };
const BY_SMS: Taken<'static> = Taken::Identifier { kind: "code", via: Some("sms") };
const BY_MAIL: Taken<'static> = Taken::Identifier { kind: "code", via: Some("email") };

#[rstest]
#[case::trimmed_and_lower(PASSWORD, json!(" Ada@A.example\u{a0}"), Some("ada@a.example"))]
#[case::letter_by_letter(PASSWORD, json!("İΣΑΣ\u{212a}ẞ"), Some("iσασkß"))]
#[case::a_phone_number_as_it_is(PASSWORD, json!("+1 (415) 555-2671"), Some("+1 (415) 555-2671"))]
#[case::a_phone_number_for_keys(Taken::Identifier { kind: "webauthn", via: Some("sms") }, json!("+1 415"), Some("+1 415"))]
#[case::a_number(PASSWORD, json!(4711), Some("4711"))]
#[case::a_fraction(PASSWORD, json!(1.5), Some("1.5"))]
#[case::nothing(PASSWORD, Value::Null, Some("%!s(<nil>)"))]
#[case::a_boolean(PASSWORD, json!(true), Some("%!s(bool=true)"))]
#[case::a_list(PASSWORD, json!(["a"]), None)]
#[case::blank(PASSWORD, json!(" \t"), None)]
#[case::a_code_by_mail(BY_MAIL, json!(" Ada@A.example"), Some("ada@a.example"))]
#[case::a_code_by_sms(BY_SMS, json!(" +1 (415) 555-2671 "), Some("+14155552671"))]
#[case::with_a_trunk_prefix(BY_SMS, json!("+44 (0) 20 7031 3000"), Some("+442070313000"))]
#[case::with_brackets_anywhere(BY_SMS, json!("+1 4(15 555.2671"), Some("+14155552671"))]
#[case::that_keeps_its_zero(BY_SMS, json!("+39 06 6982 0000"), Some("+390669820000"))]
#[case::with_an_extension(BY_SMS, json!("+1 415 555 2671 ext. 12"), Some("+14155552671"))]
#[case::of_no_country(BY_SMS, json!("030 901820"), None)]
#[case::of_no_number(BY_SMS, json!("+1 23"), None)]
#[case::longer_than_any(BY_SMS, json!(format!("+1415555{}2671", " ".repeat(250))), None)]
#[case::an_address_by_mail(Taken::Address { via: "email" }, json!(" İda@A.example"), Some("ida@a.example"))]
#[case::an_address_by_sms(Taken::Address { via: "sms" }, json!(" +1 (415) 555-ABCD "), Some("+1 (415) 555-ABCD"))]
fn a_value_is_written_down_as_its_use_wants_it(
    #[case] taken: Taken<'_>,
    #[case] value: Value,
    #[case] expected: Option<&str>,
) {
    assert_eq!(normalised(&value, taken).as_deref(), expected);
}

#[rstest]
#[case::an_address("ada@a.example", &["ada@a.example"])]
#[case::as_it_was_written(" google:AbC ", &["google:AbC", "google:abc"])]
#[case::a_phone_number("+1 (415) 555-2671", &["+1 (415) 555-2671", "+14155552671"])]
#[case::the_same_in_e164("+14155552671", &["+14155552671"])]
fn a_name_is_looked_up_in_all_its_forms(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(forms(text), expected);
}

#[test]
fn two_names_are_the_same_in_some_form() {
    assert!(is_same("+14155552671", " +1 (415) 555-2671"));
    assert!(is_same("Ada", "aDA "));
    assert!(!is_same("+14155552671", "+14155552672"));
    assert!(!is_same("ada", "ad"));
}

#[test]
fn an_address_is_told_from_a_name() {
    assert!(["ada@a.example", "+1 415 555 2671", "@"].into_iter().all(is_address));
    assert!(!["ada", "4711", "google:4711", ""].into_iter().any(is_address));
}

#[test]
fn no_letter_becomes_two() {
    let all: String = (char::MIN..=char::MAX).collect();
    assert_eq!(lower_case(&all).chars().count(), all.chars().count());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,40}", number in "[+＋]?[0-9٤２().x;=,# -]{0,30}(;ext=|tel:|;phone-context=)?[0-9+]{0,9}") {
        let _ = forms(&text);
        let _ = forms(&number);
    }
}
