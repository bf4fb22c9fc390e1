//! The chart of one instance: its values are those of the definition, and what is wrong is named before anything is sent.

use rstest::rstest;
use serde_json::{Value, json};

use crate::generated;
use crate::helm::{Helm, chart, objects};

async fn template(values: &Value) -> crate::testenv::Result<String> {
    let chart = chart("kratos-instance");
    Helm::offline().run(["template", "main", chart.as_str(), "--namespace", "identity"], values).await
}

fn smallest() -> Value {
    json!({"adminURL": "http://kratos-admin.identity.svc:4434", "ownerName": "production"})
}

#[tokio::test]
async fn the_instance_is_what_the_values_say() {
    let example = generated::there("examples/instance.yaml");
    let example = objects(&example).remove(0);
    let values = json!({"spec": example["spec"], "labels": {"a": "b"}, "annotations": {"c": "d"}, "global": {}, "enabled": true});
    let rendered = objects(&template(&values).await.expect("it renders")).remove(0);
    assert_eq!((&rendered["kind"], &rendered["apiVersion"]), (&example["kind"], &example["apiVersion"]));
    assert_eq!(rendered["spec"], example["spec"]);
    assert_eq!(
        (&rendered["metadata"]["name"], &rendered["metadata"]["namespace"]),
        (&json!("default"), &json!("identity"))
    );
    assert_eq!(
        (&rendered["metadata"]["labels"]["a"], &rendered["metadata"]["annotations"]),
        (&json!("b"), &json!({"c": "d"}))
    );
}

#[tokio::test]
async fn the_way_to_kratos_and_a_suspension_are_said_by_values() {
    let mut spec = smallest();
    let more = json!({
        "adminURL": "https://kratos.example", "proxyURL": "socks5h://proxy.example:1080", "suspend": true,
        "tls": {"clientCertificate": {"secretRef": {"name": "operator-tls"}}},
        "headers": [
            {"name": "X-Gateway", "value": "a"},
            {"name": "X-Key", "secretKeyRef": {"name": "gateway", "key": "key"}},
        ],
    });
    spec.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    let rendered = objects(&template(&json!({ "spec": spec })).await.expect("it renders")).remove(0);
    assert_eq!(rendered["spec"], spec);
}

#[rstest]
#[case::nothing(Value::Null, &["/spec", "adminURL", "ownerName"])]
#[case::a_typo(json!({"spec": {"adminUrl": "http://a"}}), &["/spec", "adminUrl"])]
#[case::a_typo_within(json!({"spec": {"protection": {"maxDeletion": 1}}}), &["/spec/protection", "maxDeletion"])]
#[case::a_wrong_type(json!({"spec": {"trustClientAddress": "no"}}), &["/spec/trustClientAddress", "string"])]
#[case::a_typo_in_a_list(json!({"spec": {"headers": [{"name": "X-A", "valeu": "a"}]}}), &["/spec/headers/0", "valeu"])]
#[case::a_word_for_a_switch(json!({"spec": {"suspend": "yes"}}), &["/spec/suspend", "string"])]
#[case::no_such_word(json!({"spec": {"allowedNamespaces": {"from": "Some"}}}), &["/spec/allowedNamespaces/from"])]
#[case::beside_the_spec(json!({"adminURL": "http://a"}), &["adminURL"])]
#[case::no_name(json!({"name": "A b", "spec": {}}), &["/name", "A b"])]
#[tokio::test]
async fn a_value_that_is_none_is_named(#[case] mut values: Value, #[case] words: &[&str]) {
    if let Some(spec) = values.get_mut("spec").and_then(Value::as_object_mut) {
        for (key, value) in smallest().as_object().expect("a map") {
            spec.entry(key).or_insert_with(|| value.clone());
        }
    }
    let error = template(&values).await.expect_err("it is refused").to_string();
    for word in words {
        assert!(error.contains(word), "{values} isn't answered with {word:?}:\n{error}");
    }
}

#[tokio::test]
async fn helm_finds_nothing_to_complain_of() {
    let (path, example) = (chart("kratos-instance"), chart("kratos-instance/ci/example-values.yaml"));
    let arguments = ["lint", "--strict", path.as_str(), "--values", example.as_str()];
    let output = Helm::offline().output(arguments, &Value::Null).await.expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !said.contains("[WARNING]") && !said.contains("[ERROR]"), "{said}");
}
