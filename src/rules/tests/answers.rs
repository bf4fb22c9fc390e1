//! The results of expressions.

use rstest::rstest;

use super::super::Problem::{Failed, NotBool};
use super::super::{Invalid, Known, Problem, Variable};
use super::{ask, parse};

#[rstest]
#[case::all("identifiers.all(i, i.endsWith('@team-a.example.com'))", false)]
#[case::exists("identifiers.exists(i, i.endsWith('@team-a.example.com'))", true)]
#[case::exists_one("identifiers.exists_one(i, i == 'ada')", true)]
#[case::all_of_nothing("[].all(i, false)", true)]
#[case::filter("identity.addresses.filter(a, a.verified).size() == 1", true)]
#[case::map("identifiers.map(i, size(i)) == [22, 3]", true)]
#[case::map_with_a_condition("identifiers.map(i, size(i) < 5, i + '!') == ['ada!']", true)]
#[case::nested("identity.groups.all(g, identifiers.exists(i, i != g))", true)]
#[case::inner_names_hide_outer_ones("[1].all(x, [2].all(x, x == 2) && x == 1)", true)]
#[case::keys_of_an_object("identity.traits.exists(key, key == 'email')", true)]
#[case::has("has(identity.traits.email) && !has(identity.traits.phone)", true)]
#[case::index("identity.groups[1] == 'dev' && identity['state'] == 'active'", true)]
#[case::is_in("'ops' in identity.groups && !('x' in identity.groups) && 'email' in identity.traits", true)]
#[case::text("identity.traits.email.lowerAscii().startsWith('ada@') && 'a'.upperAscii() == 'A'", true)]
#[case::contains("identity.traits.email.contains('Example')", true)]
#[case::split("identity.traits.email.split('@')[1] == 'Example.com'", true)]
#[case::trim("' a '.trim() == 'a'", true)]
#[case::regex(r"identity.traits.email.matches('^[A-Z][a-z]+@')", true)]
#[case::unicode("identity.traits['größe'] == 'ß' && size('日本') == 2", true)]
#[case::numbers("identity.traits.age + 1 == 37 && identity.traits.age > 35.5 && 7 % 4 == 3 && -1 < 0", true)]
#[case::fractions("identity.traits.ratio * 2.0 == 1 && int(2.9) == 2 && double('0.5') == 0.5", true)]
#[case::conversions("string(36) == '36' && int('7') == 7", true)]
#[case::choice("identity.state == 'active' ? true : 1 / 0 == 0", true)]
#[case::kinds_that_differ("identity.traits.age != '36' && identity.traits.nothing == null", true)]
#[case::deep_equality(
    "identity.addresses[0] == identity.addresses[0] && identity.addresses[0] != identity.addresses[1]",
    true
)]
#[case::one_side_decides("identity.missing == 1 || true", true)]
#[case::one_side_decides_against("identity.missing == 1 && false", false)]
#[case::times("timestamp('2026-11-24T12:00:00Z') - timestamp('2026-11-24T13:30:00+02:00') == duration('30m')", true)]
#[case::seconds("timestamp('1970-01-01T00:01:00.5Z') == 60.5 && timestamp(60) < timestamp(61.5)", true)]
#[case::durations("duration('1h30m') > duration('89m') && duration('-1s') < duration('0s')", true)]
#[case::order("'a' < 'b' && false < true && 'b' >= 'a' && 2 <= 2", true)]
fn expressions_answer(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(ask(text), Ok(expected), "{text}");
}

#[rstest]
#[case::a_missing_field("identity.traits.phone == 'x'", Failed)]
#[case::a_field_of_a_text("!identity.state.email", Failed)]
#[case::a_test_of_a_text("!has(identity.state.email)", Failed)]
#[case::a_division_by_zero("1 / 0 == 1", Failed)]
#[case::a_remainder_by_zero("1 % 0 == 1", Failed)]
#[case::an_overflow("9223372036854775807 + 1 > 0", Failed)]
#[case::the_smallest_number("-9223372036854775808 / -1 > 0", Failed)]
#[case::out_of_bounds("identity.groups[2] == 'x'", Failed)]
#[case::before_the_first("identity.groups[-1] == 'x'", Failed)]
#[case::kinds_without_order("1 < 'a'", Failed)]
#[case::no_number("'1e' == 'x' || double('x') > 1.0", Failed)]
#[case::an_empty_separator("'ab'.split('').size() > 0", Failed)]
#[case::a_turn_that_fails("identity.groups.exists(g, g.name == 'ops')", Failed)]
#[case::a_range_that_is_none("identity.state.all(s, true)", Failed)]
#[case::no_time("timestamp('yesterday') > timestamp(0)", Failed)]
#[case::no_duration("duration('a while') > duration('1s')", Failed)]
#[case::a_backward_duration("duration('1h-2h') < duration('1s')", Failed)]
#[case::a_duration_beyond_all_measure("duration('99999999999999999999h') > duration('1s')", Failed)]
#[case::a_text("identity.state", NotBool)]
#[case::null("identity.traits.nothing", NotBool)]
#[case::the_opposite_of_a_text("!identity.state", NotBool)]
#[case::a_text_on_one_side("true && identity.state", NotBool)]
#[case::a_text_on_the_other("identity.state || false", NotBool)]
#[case::a_text_for_each("identifiers.all(i, i)", NotBool)]
#[case::a_text_as_a_condition("identity.state ? true : false", NotBool)]
fn what_gives_no_answer_says_so(#[case] text: &str, #[case] expected: Problem) {
    assert_eq!(ask(text), Err(expected), "{text}");
}

#[rstest]
#[case::nothing("")]
#[case::half("identity.")]
#[case::an_unclosed_text("'a")]
#[case::another_language("if a { b }")]
fn what_is_no_cel_is_refused_beforehand(#[case] text: &str) {
    assert!(matches!(parse(text), Err(Invalid::Syntax(_))), "{text}");
}

#[rstest]
#[case::a_variable("spec.traits == 1", Invalid::UnknownVariable("spec".into()))]
#[case::a_variable_out_of_its_scope("[1].all(x, true) && x == 1", Invalid::UnknownVariable("x".into()))]
#[case::a_function("identity.frobnicate()", Invalid::UnknownFunction("frobnicate".into(), 0))]
#[case::too_many_arguments("'a'.startsWith('b', 'c')", Invalid::UnknownFunction("startsWith".into(), 2))]
#[case::a_method_without_a_target("endsWith('a', 'b')", Invalid::UnknownFunction("endsWith".into(), 2))]
#[case::a_map("{'a': 1} == {'a': 1}", Invalid::Unsupported("a map literal"))]
#[case::a_message("Account{id: 1} == null", Invalid::Unsupported("a message literal"))]
#[case::bytes("b'a' == b'a'", Invalid::Unsupported("a bytes literal"))]
#[case::a_regex("'a'.matches('(')", Invalid::Regex)]
#[case::a_big_regex(r"'a'.matches('(\\w{100}){100}')", Invalid::Regex)]
#[case::a_computed_regex(
    "'a'.matches(identity.state)",
    Invalid::Unsupported("a regular expression that is no string literal")
)]
fn what_cant_be_asked_is_refused_beforehand(#[case] text: &str, #[case] expected: Invalid) {
    assert_eq!(parse(text).err(), Some(expected), "{text}");
}

#[rstest]
#[case::a_number("1")]
#[case::a_text("'active'")]
#[case::null("null")]
#[case::a_list("[true]")]
#[case::a_sum("identity.a + identity.b")]
#[case::a_size("identity.groups.size()")]
#[case::a_text_made("identity.state.trim()")]
#[case::a_negated_number("-identity.a")]
#[case::a_time("timestamp(identity.created_at)")]
#[case::either_way("identity.a ? 'yes' : 'no'")]
#[case::a_filter("identity.groups.filter(g, g == 'ops')")]
#[case::a_map("identity.groups.map(g, true)")]
#[case::on_one_side("identity.a && 'b'")]
#[case::on_the_other("1 || identity.a")]
#[case::negated("!identity.groups.size()")]
#[case::a_condition("size(identifiers) ? true : false")]
#[case::for_each("identifiers.all(i, i + 'x')")]
#[case::deep_within("identity.a == [identifiers.exists(i, i.trim())]")]
fn what_is_plainly_neither_true_nor_false_is_refused_beforehand(#[case] text: &str) {
    assert_eq!(parse(text).err(), Some(Invalid::NotBool), "{text}");
}

#[rstest]
#[case::a_field("identity.a")]
#[case::a_variable("adopts")]
#[case::an_item("identity.flags[0]")]
#[case::one_way("identity.a ? true : identity.b")]
#[case::exactly_one("identifiers.exists_one(i, i == 'a')")]
#[case::an_item_of_a_filter("identity.flags.filter(f, f)[0]")]
fn what_may_be_true_or_false_is_not(#[case] text: &str) {
    const WITH_A_TRUTH: &[Variable] = &[
        Variable { name: "identity", known: Known::Any },
        Variable { name: "identifiers", known: Known::Any },
        Variable { name: "adopts", known: Known::Plain },
    ];
    assert_eq!(super::Expression::parse(text, WITH_A_TRUTH).err(), None, "{text}");
}

#[rstest]
#[case::nothing("true", false, false)]
#[case::a_field("identity.traits.email == 'x'", true, false)]
#[case::that_field("identity.state == 'x'", true, true)]
#[case::a_test("has(identity.state)", true, true)]
#[case::as_a_whole("identity == null", true, true)]
#[case::by_index("identity['traits'] == 1", true, true)]
#[case::in_a_loop("identifiers.exists(i, i == identity.state)", true, true)]
#[case::in_a_range("identity.groups.exists(g, g.state == 'x')", true, false)]
#[case::another_variable("identifiers.exists(i, i == 'state')", false, false)]
fn what_an_expression_looks_at_is_known(#[case] text: &str, #[case] at_all: bool, #[case] at_the_state: bool) {
    let expression = parse(text).unwrap();
    assert_eq!((expression.looks_at(0, None), expression.looks_at(0, Some("state"))), (at_all, at_the_state), "{text}");
}
