//! Which paths in an identity may be shown. Pure.
//!
//! People choose the names of keys in Kratos. A key is shown only if the manifest or the schema names it too. Any other path is
//! shown as its nearest parent that may be shown.

use std::collections::HashSet;

use super::pointer;
use super::schema::shape::Shape;

const TRAITS: &str = "/traits";
/// Where people, or services for them, choose keys.
const SHAPED: [&str; 3] = [TRAITS, "/metadata_public", "/metadata_admin"];

/// The pointer of the nearest place that the manifest or the schema names. `in_manifest`: whether the manifest names one.
/// `shape`: what the schema says of traits.
pub fn nearest(place: &str, in_manifest: impl Fn(&str) -> bool, shape: Option<&Shape>) -> String {
    let keys = pointer::split(place);
    let Some((root, below)) = keys.split_first() else { return place.to_owned() };
    let root = pointer::join("", root);
    let by_schema = shape.filter(|_| root == TRAITS).map_or(0, |shape| shape.named(below));
    let mut pointers = vec![root];
    for key in below {
        pointers.push(pointer::join(&pointers[pointers.len() - 1], key));
    }
    let by_manifest = pointers.iter().rposition(|at| in_manifest(at)).unwrap_or_default();
    pointers.swap_remove(by_manifest.max(by_schema))
}

/// The places that a manifest names that owns these.
pub fn by_manifest<'p>(owned: impl IntoIterator<Item = &'p String>) -> HashSet<&'p str> {
    let through = |path: &'p String| path.match_indices('/').map(|(end, _)| &path[..end]).chain([path.as_str()]);
    owned.into_iter().flat_map(through).collect()
}

/// What is changed, as it may be shown, each place once. `owned`: what the manifest owns, or owned before.
pub fn changes<'p>(
    changes: Vec<String>,
    owned: impl IntoIterator<Item = &'p String>,
    shape: Option<&Shape>,
) -> Vec<String> {
    let named = by_manifest(owned);
    let is_shaped = |path: &str| SHAPED.iter().any(|root| pointer::is_within(path, root));
    let mut seen = HashSet::new();
    let mut shown = Vec::new();
    for path in changes {
        let path = if is_shaped(&path) { nearest(&path, |at| named.contains(at), shape) } else { path };
        if seen.insert(path.clone()) {
            shown.push(path);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn shape() -> Shape {
        Shape::of(&json!({
            "properties": {"traits": {"allOf": [{"$ref": "#/definitions/person"}]}},
            "definitions": {"person": {
                "properties": {"name": {"properties": {"first": {}}}, "friend": {"$ref": "#/definitions/person"}},
                "anyOf": [{"$ref": "#/definitions/person"}],
            }},
        }))
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[rstest]
    #[case::what_the_schema_names("/traits/name/first", &[], "/traits/name/first")]
    #[case::not_what_a_person_named("/traits/name/secret", &[], "/traits/name")]
    #[case::nor_what_is_below_it("/traits/secret/name", &[], "/traits")]
    #[case::through_a_schema_that_refers_to_itself("/traits/friend/friend/name/x", &[], "/traits/friend/friend/name")]
    #[case::what_the_manifest_names("/traits/secret/x", &["/traits/secret/y"], "/traits/secret")]
    #[case::escaped("/traits/a~1b/x", &["/traits/a~1b"], "/traits/a~1b")]
    #[case::not_what_begins_alike("/traits/secrets", &["/traits/secret"], "/traits")]
    #[case::the_nearer_of_both("/traits/name/first", &["/traits/name/last"], "/traits/name/first")]
    #[case::not_an_item_of_a_list("/traits/name/0", &[], "/traits/name")]
    #[case::all_of_it("/traits", &[], "/traits")]
    #[case::metadata_has_no_schema("/metadata_public/name/first", &["/metadata_public/plan"], "/metadata_public")]
    fn the_nearest_place_is_one_that_no_person_named(#[case] place: &str, #[case] owned: &[&str], #[case] shown: &str) {
        let owned = strings(owned);
        let named = by_manifest(&owned);
        assert_eq!(nearest(place, |at| named.contains(at), Some(&shape())), shown);
    }

    #[test]
    fn of_what_is_changed_each_place_is_shown_once_and_what_no_person_names_as_it_is() {
        let all =
            ["/state", "/traits/ada", "/traits/name/first", "/traits/bob", "/credentials/oidc/a", "/metadata_admin/x"];
        let owned = strings(&["/metadata_admin/x"]);
        let shown = changes(strings(&all), &owned, Some(&shape()));
        assert_eq!(shown, ["/state", "/traits", "/traits/name/first", "/credentials/oidc/a", "/metadata_admin/x"]);
    }
}
