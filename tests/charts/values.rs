//! A wrong value is answered with its name, before anything is installed.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use crate::generated;
use crate::helm::template;

/// Refused, with what each of these says.
async fn refused(values: Value, words: &[&str]) {
    let error = template(&[], &values).await.expect_err("it is refused").to_string();
    for word in words {
        assert!(error.contains(word), "{values} isn't answered with {word:?}:\n{error}");
    }
}

#[rstest]
#[case::a_typo(json!({"replcas": 3}), &["replcas"])]
#[case::a_typo_within(json!({"image": {"digst": ""}}), &["/image", "digst"])]
#[case::a_typo_far_within(json!({"metrics": {"serviceMonitor": {"enable": true}}}), &["/metrics/serviceMonitor", "enable"])]
#[case::a_text_for_a_number(json!({"replicas": "two"}), &["/replicas", "string"])]
#[case::a_text_for_yes_or_no(json!({"watchSecrets": "yes"}), &["/watchSecrets", "string"])]
#[case::a_text_for_a_list(json!({"namespaces": "identity"}), &["/namespaces", "string"])]
#[case::a_map_for_a_list(json!({"tolerations": {"key": "a"}}), &["/tolerations", "object"])]
#[case::a_number_for_a_label(json!({"commonLabels": {"cost-centre": 42}}), &["/commonLabels/cost-centre", "number"])]
#[case::too_few(json!({"replicas": -1}), &["/replicas"])]
#[case::too_many(json!({"concurrency": 1025}), &["/concurrency", "1,024"])]
#[case::no_port(json!({"metrics": {"port": 70000}}), &["/metrics/port"])]
#[case::no_digest(json!({"image": {"digest": "sha256:abc"}}), &["/image/digest", "sha256:abc"])]
#[case::a_tag_for_a_digest(json!({"image": {"digest": "v1.0.0"}}), &["/image/digest", "v1.0.0"])]
#[case::an_image_with_a_tag(json!({"image": {"repository": "a/b:c"}}), &["/image/repository", "a/b:c"])]
#[case::no_policy(json!({"image": {"pullPolicy": "Sometimes"}}), &["/image/pullPolicy"])]
#[case::neither_yes_no_nor_auto(json!({"admissionPolicy": {"enabled": "maybe"}}), &["/admissionPolicy/enabled"])]
#[case::no_place(json!({"defaultInstance": "default"}), &["/defaultInstance", "default"])]
#[case::no_namespace(json!({"instanceNamespaces": ["Identity"]}), &["/instanceNamespaces/0", "Identity"])]
#[case::no_interval(json!({"metrics": {"podMonitor": {"interval": "often"}}}), &["/metrics/podMonitor/interval", "often"])]
#[case::a_shard_without_a_name(json!({"shards": [{"selector": {"matchLabels": {"a": "b"}}}]}), &["/shards/0", "name"])]
#[case::a_selector_as_a_text(json!({"shards": [{"name": "a", "selector": "shard=a"}]}), &["/shards/0/selector", "string"])]
#[case::no_operator(
    json!({"shards": [{"name": "a", "selector": {"matchExpressions": [{"key": "shard", "operator": "Is"}]}}]}),
    &["/shards/0/selector/matchExpressions/0/operator"],
)]
#[case::one_of_nothing(
    json!({"shards": [{"name": "a", "selector": {"matchExpressions": [{"key": "shard", "operator": "In"}]}}]}),
    &["/shards/0/selector/matchExpressions/0", "values"],
)]
#[case::no_registry(json!({"global": {"imageRegistry": 5}}), &["/global/imageRegistry"])]
#[tokio::test]
async fn a_value_that_is_none_is_named(#[case] values: Value, #[case] words: &[&str]) {
    refused(values, words).await;
}

#[rstest]
#[case::no_id(json!({"namespaces": ["a"], "instanceNamespaces": ["a"]}), &["clusterID: ", "kube-system"])]
#[case::no_instance(json!({"namespaces": ["a"], "clusterID": "an-id"}), &["instanceNamespaces: "])]
#[case::an_instance_elsewhere(
    json!({"namespaces": ["a"], "instanceNamespaces": ["b"], "clusterID": "an-id"}),
    &["namespaces: b ", "instanceNamespaces"],
)]
#[case::the_default_elsewhere(
    json!({"namespaces": ["a"], "defaultInstance": "b/main", "clusterID": "an-id"}),
    &["namespaces: b ", "defaultInstance"],
)]
#[case::two_leaders(json!({"leaderElection": {"enabled": false}}), &["leaderElection.enabled: "])]
#[case::leaders_of_an_autoscaler(json!({"leaderElection": {"enabled": false}, "replicas": null}), &["leaderElection.enabled: "])]
#[case::two_during_an_update(json!({"leaderElection": {"enabled": false}, "replicas": 1}), &["leaderElection.enabled: ", "Recreate"])]
#[case::shards_of_one_name(
    json!({"shards": [{"name": "a", "selector": {"matchLabels": {"s": "a"}}}, {"name": "a", "selector": {"matchLabels": {"s": "b"}}}]}),
    &["shards: two are called a"],
)]
#[case::a_shard_of_everything(json!({"shards": [{"name": "a", "selector": {}}]}), &["shards: ", "selects everything"])]
#[case::nobodys_account(json!({"serviceAccount": {"create": false}}), &["serviceAccount.name: "])]
#[tokio::test]
async fn values_that_contradict_each_other_are_named(#[case] values: Value, #[case] words: &[&str]) {
    refused(values, words).await;
}

#[tokio::test]
async fn what_an_umbrella_shares_is_free() {
    let values =
        json!({"enabled": true, "global": {"anything": {"of": "others"}, "imageRegistry": "registry.example"}});
    let text = template(&[], &values).await.expect("it is accepted");
    assert!(text.contains("image: registry.example/kratos-operator/kratos-operator:"), "{text}");
}

/// The properties of a schema, with all that is below them, as paths. What isn't strict ends there.
fn properties(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        found.insert(path.clone());
        properties(inner, &path, found);
    }
}

fn keys(values: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, inner) in values.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        found.insert(path.clone());
        keys(inner, &path, found);
    }
}

#[test]
fn each_value_is_in_the_schema_and_the_other_way_round() {
    let schema: Value =
        serde_json::from_str(&generated::there("charts/kratos-operator/values.schema.json")).expect("JSON");
    let values: Value = serde_saphyr::from_str(&generated::there("charts/kratos-operator/values.yaml")).expect("YAML");
    let (mut allowed, mut there) = (BTreeSet::new(), BTreeSet::new());
    properties(&schema, "", &mut allowed);
    keys(&values, "", &mut there);
    // What Kubernetes defines has defaults of its own.
    let kubernetes = ["/strategy", "/resources", "/livenessProbe", "/readinessProbe", "/affinity", "/dnsConfig"];
    let is_own = |path: &&String| !kubernetes.iter().any(|prefix| path.starts_with(&format!("{prefix}/")));
    let lacking: Vec<_> =
        allowed.iter().filter(is_own).filter(|path| !there.contains(*path) && *path != "/enabled").collect();
    assert!(lacking.is_empty(), "values.yaml lacks {lacking:?}");
    // Whose schema is strict, has all its keys there; of maps that are free, a key is a default.
    let is_strict = |path: &String| {
        let parent = path.rsplit_once('/').expect("a path").0;
        schema.pointer(&schema_pointer(parent)).is_some_and(|schema| schema["additionalProperties"] == false)
    };
    let unknown: Vec<_> = there.iter().filter(|path| is_strict(path) && !allowed.contains(*path)).collect();
    assert!(unknown.is_empty(), "values.schema.json lacks {unknown:?}");
}

/// Where in the schema the value of that path stands.
fn schema_pointer(path: &str) -> String {
    path.replace('/', "/properties/")
}
