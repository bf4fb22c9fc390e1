//! Which resources were born to this process.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use rstest::rstest;
use serde_json::json;

use crate::base::resource_version::ResourceVersion;
use crate::identity::birth::{Arrival, Leading, is_born};

const NEW: Arrival = Arrival::Watched { is_stored: false, is_reported: false };
const KNOWN: Arrival = Arrival::Watched { is_stored: true, is_reported: false };
const REPORTED: Arrival = Arrival::Watched { is_stored: false, is_reported: true };

fn version(text: &str) -> Option<ResourceVersion<ConfigMap>> {
    ResourceVersion::of_list(&ListMeta { resource_version: Some(text.to_owned()), ..ListMeta::default() })
}

#[rstest]
#[case::created_since_it_leads(NEW, 1, "101", "100", true)]
#[case::a_number_is_no_text(NEW, 1, "1000", "999", true)]
#[case::created_by_what_the_list_was_read_at(NEW, 1, "100", "100", false)]
#[case::created_before_it_led(NEW, 1, "99", "100", false)]
#[case::shown_by_a_list(Arrival::Listed, 1, "101", "100", false)]
#[case::changed_since_it_was_seen(KNOWN, 1, "101", "100", false)]
#[case::with_a_status(REPORTED, 1, "101", "100", false)]
#[case::another_generation(NEW, 2, "101", "100", false)]
#[case::before_it_leads(NEW, 1, "101", "", false)]
#[case::a_list_of_no_version(NEW, 1, "101", "opaque", false)]
#[case::an_object_of_no_version(NEW, 1, "opaque", "100", false)]
#[case::an_object_without_a_version(NEW, 1, "", "100", false)]
#[case::as_text_it_would_be_later(NEW, 1, "99", "100000", false)]
fn a_resource_is_born_to_this_process(
    #[case] arrival: Arrival,
    #[case] generation: i64,
    #[case] created: &str,
    #[case] since: &str,
    #[case] expected: bool,
) {
    let metadata = json!({"uid": "u", "resourceVersion": created, "generation": generation});
    let object: ConfigMap = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    assert_eq!(is_born(&object, arrival, version(since)), expected);
}

#[test]
fn an_object_without_a_generation_is_at_no_first_one() {
    let object: ConfigMap = serde_json::from_value(json!({"metadata": {"resourceVersion": "101"}})).unwrap();
    assert!(!is_born(&object, NEW, version("100")));
}

#[test]
fn what_counts_is_the_first_list_since_it_leads() {
    let leading = Leading::default();
    assert_eq!(leading.since(), None);
    leading.begin(version("100").unwrap());
    leading.begin(version("50").unwrap());
    assert_eq!(leading.since(), version("100"));
}

#[test]
fn only_a_watch_that_is_whole_since_its_list_brings_births() {
    let leading = Leading::<ConfigMap>::default();
    let arrival = |is_stored, is_reported| leading.arrival("a", is_stored, is_reported);
    assert_eq!(arrival(false, false), Arrival::Listed, "there is no list yet");
    leading.watch_is_whole(None, true);
    assert_eq!(arrival(false, false), NEW);
    assert_eq!((arrival(true, false), arrival(false, true)), (KNOWN, REPORTED));
    leading.watch_is_whole(None, false);
    assert_eq!(arrival(false, false), Arrival::Listed);
    // Each namespace's watch has gaps of its own.
    leading.watch_is_whole(Some("b"), true);
    assert_eq!(arrival(false, false), Arrival::Listed);
    leading.watch_is_whole(Some("a"), true);
    leading.watch_is_whole(Some("b"), false);
    assert_eq!((arrival(false, false), leading.arrival("b", false, false)), (NEW, Arrival::Listed));
}
