//! An invalid expression's message says where: a column, a field.

use rstest::rstest;

use super::super::{Expression, Invalid, Known, Variable};

const SESSION: Known = Known::Fields(&[
    ("id", Known::Plain),
    ("traits", Known::Any),
    ("devices", Known::List(&Known::Fields(&[("agent", Known::Plain), ("more", Known::Any)]))),
]);
const VARIABLES: &[Variable] =
    &[Variable { name: "session", known: SESSION }, Variable { name: "now", known: Known::Plain }];

fn parse(text: &str) -> Option<Invalid> {
    Expression::parse(text, VARIABLES).err()
}

#[rstest]
#[case::known("session.id == 'a' && now > 0")]
#[case::whatever_people_shape("session.traits.a.b[0].c == 1 && has(session.traits.x)")]
#[case::of_an_item("session.devices.exists(d, d.agent == 'a' && d.more.what == 1)")]
#[case::of_a_place("session.devices[0].agent == 'a'")]
#[case::by_its_name("session['id'] == 'a' && session[session.id] == 1")]
#[case::of_what_is_made("session.devices.map(d, d.agent)[0].whatever == 'a'")]
#[case::of_a_choice("(session.id == 'a' ? session : session.traits).whatever == 1")]
#[case::of_what_only_the_run_knows("[session][0].whatever == 1")]
#[case::asked_for("!has(session.idd)")]
#[case::asked_for_before("has(session.level) && session.level == 'aal2'")]
#[case::asked_for_after("session.level == 'aal2' || !has(session.level)")]
#[case::asked_for_and_gone_through("!has(session.mails) || session['mails'].all(m, m.value != '')")]
#[case::asked_for_of_an_item("session.devices.all(d, !has(d.place) || d.place == 'here')")]
fn fields_that_may_be_there_are_let_be(#[case] text: &str) {
    assert_eq!(parse(text), None);
}

#[rstest]
#[case::misspelt("session.idd == 'a'", "session.idd")]
#[case::below_what_is_asked_for("!has(session.idd.more)", "session.idd")]
#[case::beside_what_is_asked_for("has(session.level) && session.levle == 'aal2'", "session.levle")]
#[case::asked_for_elsewhere(
    "has(session.agnet) && session.devices.exists(d, d.agnet == 'a')",
    "session.devices[].agnet"
)]
#[case::by_its_name("session['idd'] == 'a'", "session.idd")]
#[case::of_a_text("session.id.length == 1", "session.id.length")]
#[case::of_a_number("now.year == 2026", "now.year")]
#[case::of_a_list("session.devices.agent == 'a'", "session.devices.agent")]
#[case::of_an_item("session.devices.exists(d, d.agnet == 'a')", "session.devices[].agnet")]
#[case::of_a_place("session.devices[0].agnet == 'a'", "session.devices[].agnet")]
#[case::deep_within("true || (now > 0 ? [session.id].exists(x, x == session.idd) : false)", "session.idd")]
fn a_field_that_there_cannot_be_is_named(#[case] text: &str, #[case] path: &str) {
    assert_eq!(parse(text), Some(Invalid::UnknownField(path.to_owned())));
}

#[rstest]
#[case::at_its_end("session.", "isn't valid CEL at column 9")]
#[case::within("session.id == == 'a'", "isn't valid CEL at column 15")]
#[case::on_another_line("session.id == 'a' &&\n  ==", "isn't valid CEL at line 2, column 3")]
fn what_is_no_cel_says_from_where_on(#[case] text: &str, #[case] said: &str) {
    assert_eq!(parse(text).expect("it is invalid").to_string(), said);
}

#[test]
fn names_that_somebody_chose_are_bounded() {
    let long = "x".repeat(3000);
    for text in [format!("session.{long} == 1"), format!("{long} == 1"), format!("{long}(1)")] {
        let said = parse(&text).expect("it is invalid").to_string();
        assert!(said.chars().count() < 110 && said.contains("xxx"), "{said}");
    }
}
