//! A release has the admission policy that `kratos-operator admission-policy` prints for an operator that is started as the
//! release starts it, where the cluster has such policies.

use clap::Parser;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kratos_operator::commands::admission_policy;
use kratos_operator::commands::cli::{Cli, Command};
use kube::core::Selector;
use rstest::rstest;
use serde_json::{Value, json};

use crate::helm::{POLICIES, objects, of_kind, rendered, rendered_with};

/// What the command prints with these arguments: the policy's spec, and the binding's.
fn printed(name: &str, arguments: &[String]) -> (Value, Value) {
    let own = ["kratos-operator", "admission-policy", "--name", name].map(str::to_owned);
    let Command::AdmissionPolicy(args) =
        Cli::try_parse_from(own.iter().chain(arguments)).expect("a command line").command
    else {
        panic!("another command")
    };
    let objects = objects(&admission_policy::text(args.scope()).expect("YAML"));
    (objects[0]["spec"].clone(), selecting(&objects[1]["spec"]))
}

/// A binding's spec with the selector of objects in one form: it can be written in several.
fn selecting(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(selector) = spec.pointer_mut("/matchResources/objectSelector") {
        let mut labels: LabelSelector = serde_json::from_value(selector.clone()).expect("a selector");
        let equal = labels.match_labels.take().into_iter().flatten().map(|(key, value)| LabelSelectorRequirement {
            key,
            operator: "In".to_owned(),
            values: Some(vec![value]),
        });
        labels.match_expressions.get_or_insert_default().extend(equal.collect::<Vec<_>>());
        *selector = json!(Selector::try_from(labels).expect("a selector").to_string());
    }
    spec
}

#[rstest]
#[case::everywhere(json!({}), 1)]
#[case::in_namespaces(
    json!({"namespaces": ["kratos-operator", "b", "a"], "clusterID": "an-id", "admissionPolicy": {"enabled": true}}), 1,
)]
#[case::in_namespaces_only_if_asked_for(json!({"namespaces": ["kratos-operator"], "clusterID": "an-id"}), 0)]
#[case::not_wanted(json!({"admissionPolicy": {"enabled": false}}), 0)]
#[case::of_shards(json!({"shards": [
    {"name": "a", "selector": {"matchLabels": {"shard": "a"}}},
    {"name": "rest", "selector": {"matchExpressions": [{"key": "shard", "operator": "NotIn", "values": ["a"]}]}},
]}), 2)]
#[tokio::test]
async fn it_is_the_one_that_the_command_prints(#[case] values: Value, #[case] count: usize) {
    assert!(of_kind(&rendered(&values).await, "MutatingAdmissionPolicy").is_empty(), "the cluster doesn't have it");
    let objects = rendered_with(&["--api-versions", POLICIES], &values).await;
    let (policies, bindings) =
        (of_kind(&objects, "MutatingAdmissionPolicy"), of_kind(&objects, "MutatingAdmissionPolicyBinding"));
    assert_eq!((policies.len(), bindings.len()), (count, count));
    let deployments = of_kind(&objects, "Deployment");
    for ((policy, binding), deployment) in policies.iter().zip(&bindings).zip(deployments) {
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments = arguments.as_array().expect("a list").iter().map(|it| it.as_str().expect("a text").to_owned());
        let selects = |it: &String| it.starts_with("--namespaces=") || it.starts_with("--watch-selector=");
        let name = policy["metadata"]["name"].as_str().expect("a name");
        assert_eq!(binding["metadata"]["name"], name);
        let (spec, bound) = printed(name, &arguments.filter(selects).collect::<Vec<_>>());
        assert_eq!((&policy["spec"], &selecting(&binding["spec"])), (&spec, &bound));
    }
}
