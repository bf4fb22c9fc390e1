//! What is said of an identity that can't be read as a whole. Pure.
//!
//! People choose the names of keys, so that only such are shown as the schema or the manifest names too.

use super::pointer;
use super::schema::shape::Shape;
use crate::api::words::shown;
use crate::api::{Reason, Verdict};
use crate::kratos::Opaque;

/// How much of a place is shown, in characters.
const PLACE: usize = 24;

/// The verdict on an identity of which something can't be read. `root`: the pointer of what holds it. `owned`: pointers of
/// what the manifest owns. `shape`: what the schema says of traits.
pub fn verdict((root, opaque): (&str, &Opaque), owned: &[String], shape: Option<&Shape>) -> Verdict {
    let place = nearest(root, opaque.place(), owned, shape);
    let message = format!(
        "{} at {} can't be read: replace the identity in Kratos without it; until then only what takes away is done, and \
         nobody is activated",
        opaque.cause().as_str(),
        shown(&place, PLACE)
    );
    Verdict::new(Reason::KratosRejected, message)
}

/// The pointer of the nearest place that the manifest or the schema names.
fn nearest(root: &str, place: &[String], owned: &[String], shape: Option<&Shape>) -> String {
    let pointers =
        (0..=place.len()).map(|depth| place[..depth].iter().fold(root.to_owned(), |at, key| pointer::join(&at, key)));
    let pointers: Vec<_> = pointers.collect();
    let by_manifest = pointers.iter().rposition(|at| owned.iter().any(|owned| pointer::is_within(owned, at)));
    let by_schema = shape.filter(|_| root == "/traits").map(|shape| shape.named(place));
    let depth = by_manifest.max(by_schema).unwrap_or_default();
    pointers.into_iter().nth(depth).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::kratos::{Content, Identity};

    fn shape() -> Shape {
        Shape::of(&json!({
            "properties": {"traits": {"allOf": [{"$ref": "#/definitions/person"}]}},
            "definitions": {"person": {
                "properties": {"name": {"properties": {"first": {}}}, "friend": {"$ref": "#/definitions/person"}},
                "anyOf": [{"$ref": "#/definitions/person"}],
            }},
        }))
    }

    #[rstest]
    #[case::what_the_schema_names(&["name", "first"], &[], "/traits/name/first")]
    #[case::not_what_a_person_named(&["name", "secret"], &[], "/traits/name")]
    #[case::nor_what_is_below_it(&["secret", "name"], &[], "/traits")]
    #[case::through_a_schema_that_refers_to_itself(&["friend", "friend", "name", "x"], &[], "/traits/friend/friend/name")]
    #[case::what_the_manifest_names(&["secret", "x"], &["/traits/secret/y"], "/traits/secret")]
    #[case::escaped(&["a/b", "x"], &["/traits/a~1b"], "/traits/a~1b")]
    #[case::the_nearer_of_both(&["name", "first"], &["/traits/name/last"], "/traits/name/first")]
    #[case::not_an_item_of_a_list(&["name", "0"], &[], "/traits/name")]
    #[case::all_of_it(&[], &[], "/traits")]
    fn the_nearest_place_is_one_that_no_person_named(
        #[case] place: &[&str],
        #[case] owned: &[&str],
        #[case] shown: &str,
    ) {
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(nearest("/traits", &strings(place), &strings(owned), Some(&shape())), shown);
    }

    #[test]
    fn metadata_has_no_schema_and_no_value_is_shown() {
        let identity = r#"{"id": "1", "metadata_public": {"plan": {"hush": 1e400}}}"#;
        let identity: Identity = serde_json::from_str(identity).unwrap();
        let unreadable = identity.readable().unwrap_err();
        let message = verdict(unreadable, &["/metadata_public/plan".to_owned()], Some(&shape())).message;
        assert!(message.contains(" at /metadata_public/plan can't"), "{message}");
        assert!(!message.contains("hush") && !message.contains("1e400"), "{message}");
        assert!(matches!(identity.metadata_public, Content::Opaque(_)));
    }
}
