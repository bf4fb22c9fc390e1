//! What values of the release annotation are about, and that each is served once.

use rstest::rstest;

use crate::api::protection::LastRelease;
use crate::instance::release_value::{Release, is_served, read, serve};

#[rstest]
#[case::a_namespace("team-a=cleanup", Release::Namespace("team-a"))]
#[case::split_at_the_first("team-a=b=c", Release::Namespace("team-a"))]
#[case::nothing_after_it("team-a=", Release::Namespace("team-a"))]
#[case::digits_alone("7=1", Release::Namespace("7"))]
#[case::anything("1764410000", Release::Everything)]
#[case::nothing("", Release::Everything)]
#[case::nothing_before_it("=1", Release::Everything)]
#[case::a_capital("Team=1", Release::Everything)]
#[case::a_dot("team.a=1", Release::Everything)]
#[case::a_blank("team a=1", Release::Everything)]
#[case::begins_with_a_hyphen("-a=1", Release::Everything)]
#[case::ends_with_a_hyphen("a-=1", Release::Everything)]
fn a_value_is_about_a_namespace_where_one_could_be_called_what_stands_before_the_first_equals_sign(
    #[case] value: &str,
    #[case] expected: Release<'_>,
) {
    assert_eq!(read(value), expected);
}

#[test]
fn no_namespace_has_a_longer_name_than_63_characters() {
    let longest = format!("{}=1", "a".repeat(63));
    assert_eq!(read(&longest), Release::Namespace(&longest[..63]));
    assert_eq!(read(&format!("a{longest}")), Release::Everything);
}

#[test]
fn the_last_sixteen_values_stay_served() {
    let mut last = LastRelease::default();
    for number in 0..20 {
        assert!(!is_served(&number.to_string(), Some(&last)), "{number}");
        serve(&number.to_string(), &mut last);
    }
    let served = |value: usize| is_served(&value.to_string(), Some(&last));
    assert_eq!((0..25).filter(|value| served(*value)).collect::<Vec<_>>(), (4..20).collect::<Vec<_>>());
    assert_eq!((last.token.as_deref(), last.earlier.len()), (Some("19"), 15));
    // One that comes back is the last one again, and takes nobody's place.
    serve("4", &mut last);
    assert_eq!((last.token.as_deref(), last.earlier.len()), (Some("4"), 15));
    assert!((4..20).all(|value| is_served(&value.to_string(), Some(&last))));
}

#[test]
fn long_values_are_told_apart_by_what_is_kept_of_them() {
    let mut last = LastRelease { token: Some("ü".repeat(100_000)), ..LastRelease::default() };
    assert!(is_served(&"ü".repeat(100_000), Some(&last)), "an earlier version kept all of it");
    serve(&"x".repeat(100_000), &mut last);
    assert_eq!(last.token.as_ref().map(String::len), Some(256));
    assert!(is_served(&"x".repeat(100_000), Some(&last)));
    assert!(!is_served(&"x".repeat(255), Some(&last)));
}
