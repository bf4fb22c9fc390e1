//! What the definitions say of themselves: words on everything, limits on everything, and no defaults that would
//! change what people wrote.

use kratos_operator::api::definitions;
use kratos_operator::api::depth::MAX_DEPTH;
use rstest::rstest;
use serde_json::{Value, json};

/// Every schema node below `root`, the root included, as (path, is it what an array or a map holds, node).
fn nodes(path: &str, is_item: bool, node: &Value) -> Vec<(String, bool, Value)> {
    let mut found = vec![(path.to_owned(), is_item, node.clone())];
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        found.extend(nodes(&format!("{path}.{name}"), false, property));
    }
    for (word, sign) in [("items", "[]"), ("additionalProperties", "{}")] {
        if node[word].is_object() {
            found.extend(nodes(&format!("{path}{sign}"), true, &node[word]));
        }
    }
    found
}

/// The nodes of all definitions, below a part of the resource.
fn all(part: &str) -> Vec<(String, bool, Value)> {
    let crds = definitions::all().into_iter().map(|crd| serde_json::to_value(crd).unwrap());
    crds.flat_map(|crd| {
        let (kind, version) = (crd["spec"]["names"]["kind"].as_str().unwrap(), &crd["spec"]["versions"][0]);
        nodes(&format!("{kind}.{part}"), false, &version["schema"]["openAPIV3Schema"]["properties"][part])
    })
    .collect()
}

/// The paths of the nodes that don't do as they should.
fn offenders(part: &str, offends: impl Fn(bool, &Value) -> bool) -> Vec<String> {
    let all = all(part);
    assert!(all.len() > 5, "there is something to look at");
    all.into_iter().filter(|(_, is_item, node)| offends(*is_item, node)).map(|(path, ..)| path).collect()
}

#[rstest]
fn everything_is_described_in_a_sentence(#[values("spec", "status")] part: &str) {
    let is_mute = |is_item: bool, node: &Value| {
        let words = node["description"].as_str().unwrap_or_default();
        !is_item && (words.len() < 10 || !words.ends_with('.'))
    };
    assert_eq!(offenders(part, is_mute), Vec::<String>::new());
}

#[test]
fn whatever_users_shape_says_how_deep_it_may_be() {
    let words = format!("At most {MAX_DEPTH} levels deep.");
    let is_shaped = |node: &Value| node["x-kubernetes-preserve-unknown-fields"] == true;
    let is_mute = |node: &Value| !node["description"].as_str().unwrap_or_default().contains(&words);
    assert_eq!(offenders("spec", |_, node| is_shaped(node)).len(), 3, "traits and both metadata");
    assert_eq!(offenders("spec", |_, node| is_shaped(node) && is_mute(node)), Vec::<String>::new());
}

#[rstest]
fn no_description_is_written_for_programmers(#[values("spec", "status")] part: &str) {
    let is_code = |_: bool, node: &Value| {
        let words = node["description"].as_str().unwrap_or_default();
        ["`", "::", "[`", "Option<", "serde"].iter().any(|code| words.contains(code))
    };
    assert_eq!(offenders(part, is_code), Vec::<String>::new());
}

#[rstest]
fn a_description_is_broken_into_lines_by_whoever_shows_it(#[values("spec", "status")] part: &str) {
    let is_broken = |_: bool, node: &Value| node["description"].as_str().unwrap_or_default().contains('\n');
    assert_eq!(offenders(part, is_broken), Vec::<String>::new());
}

#[rstest]
fn every_list_says_how_it_is_merged_and_how_long_it_may_be(#[values("spec", "status")] part: &str) {
    let is_loose = |_: bool, node: &Value| {
        node["type"] == "array" && (node["x-kubernetes-list-type"].is_null() || node["maxItems"].is_null())
    };
    assert_eq!(offenders(part, is_loose), Vec::<String>::new());
}

#[test]
fn every_text_in_a_spec_is_bounded() {
    let is_loose = |_: bool, node: &Value| {
        let bounds = ["maxLength", "enum"];
        node["type"] == "string" && bounds.iter().all(|bound| node[bound].is_null())
    };
    assert_eq!(offenders("spec", is_loose), Vec::<String>::new());
}

#[test]
fn every_number_in_a_spec_is_bounded_and_of_a_format_that_kubernetes_knows() {
    let is_loose = |_: bool, node: &Value| {
        let is_known = ["int32", "int64"].iter().any(|known| node["format"] == *known);
        node["type"] == "integer" && (node["minimum"].is_null() || node["maximum"].is_null() || !is_known)
    };
    assert_eq!(offenders("spec", is_loose), Vec::<String>::new());
}

#[test]
fn only_what_hangs_on_nothing_else_is_filled_in_for_people() {
    let filled: Vec<_> = all("spec").into_iter().filter(|(.., node)| !node["default"].is_null()).collect();
    let filled: Vec<_> =
        filled.iter().map(|(path, _, node)| (path.as_str(), node["default"].as_str().unwrap())).collect();
    let expected = [
        ("KratosInstance.spec.adoptionFrom", "Same"),
        ("KratosInstance.spec.mode", "Enforce"),
        ("KratosInstance.spec.requestTimeout", "30s"),
        ("KratosIdentity.spec.adoption.policy", "Never"),
        ("KratosIdentity.spec.credentials.password.format", "Cleartext"),
        ("KratosIdentity.spec.credentials.password.updatePolicy", "OnSecretChange"),
        ("KratosIdentity.spec.mode", "Enforce"),
        ("KratosIdentity.spec.recovery.expiresIn", "1h"),
        ("KratosIdentity.spec.traitsPolicy", "Merge"),
        ("KratosSessionPolicy.spec.interval", "5m"),
        ("KratosSessionPolicy.spec.mode", "Enforce"),
    ];
    assert_eq!(filled, expected);
}

#[test]
fn what_is_filled_in_is_one_of_the_words_that_may_be_said() {
    let is_odd = |_: bool, node: &Value| {
        let words = node["enum"].as_array();
        !node["default"].is_null() && words.is_some_and(|words| !words.contains(&node["default"]))
    };
    assert_eq!(offenders("spec", is_odd), Vec::<String>::new());
}

#[test]
fn a_resource_that_nobody_has_looked_at_says_so_and_nothing_else() {
    for (path, _, node) in all("status") {
        let is_whole = path.matches('.').count() == 1;
        let expected = if is_whole { json!({"observedGeneration": -1}) } else { Value::Null };
        assert_eq!(node["default"], expected, "{path}");
    }
}

#[rstest]
#[case("KratosIdentity", "kratosidentities", "kid", &["Ready", "Reason", "Schema", "State", "Identity", "Drift", "Age"], &["Instance", "Message"])]
#[case("KratosInstance", "kratosinstances", "kinst", &["Ready", "Reason", "Owner", "Managed", "Drifted", "Age"], &["Orphaned", "Unmanaged", "Pending deletions", "Mode", "Admin URL", "Message"])]
#[case("KratosSessionPolicy", "kratossessionpolicies", "ksp", &["Ready", "Reason", "Mode", "Matched", "Failed", "Revoked", "Last run", "Age"], &["Message"])]
fn a_kind_is_found_by_its_names_and_shown_in_columns(
    #[case] kind: &str,
    #[case] plural: &str,
    #[case] short: &str,
    #[case] columns: &[&str],
    #[case] wide_columns: &[&str],
) {
    let crds = definitions::all().into_iter().map(|crd| serde_json::to_value(crd).unwrap());
    let crd = crds.into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind).expect("a definition");
    let (names, version) = (&crd["spec"]["names"], &crd["spec"]["versions"][0]);
    assert_eq!(crd["spec"]["group"], "kratos-operator.dev");
    assert_eq!(crd["spec"]["scope"], "Namespaced");
    assert_eq!((&names["plural"], &names["shortNames"]), (&json!(plural), &json!([short])));
    assert_eq!(names["categories"], json!(["kratos"]));
    assert_eq!((&version["name"], &version["subresources"]), (&json!("v1alpha1"), &json!({"status": {}})));
    let shown = |wide: bool| -> Vec<&str> {
        let columns = version["additionalPrinterColumns"].as_array().unwrap().iter();
        let columns = columns.filter(|column| (column["priority"] == 1) == wide);
        columns.map(|column| column["name"].as_str().unwrap()).collect()
    };
    assert_eq!((shown(false), shown(true)), (columns.to_vec(), wide_columns.to_vec()));
}
