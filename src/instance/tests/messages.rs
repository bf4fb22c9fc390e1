//! What a `KratosInstance` is told, with the worst that people may have written into it.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::decode::Lacking;
use crate::api::instance::{AdmissionRule, KeyRef, KratosInstanceStatus};
use crate::api::messages::{VALUE, hold, hostile};
use crate::api::protection::{Held, ProtectionStatus};
use crate::api::words::NAME;
use crate::api::{ReadyCondition, Reason, condition};
use crate::base::kube_error::Right;
use crate::base::namespaced_name::NamespacedName;
use crate::instance::status::{Cluster, mistaken, note_lacking};
use crate::instance::{credentials, readiness, rules, settings};

fn refused(changes: &Value) -> ReadyCondition {
    let mut spec = json!({"adminURL": "http://admin.example:4434", "ownerName": hostile()});
    json_patch::merge(&mut spec, changes);
    settings::parse(&serde_json::from_value(spec).expect("a spec")).expect_err("it can't be used")
}

fn header(name: &str, more: &Value) -> ReadyCondition {
    let mut header = json!({ "name": name });
    json_patch::merge(&mut header, more);
    refused(&json!({ "headers": [header.clone(), header] }))
}

#[test]
fn every_message_about_a_spec_is_short_and_of_use_and_shows_no_value() {
    let (secret, value) = (json!({"secretKeyRef": {"name": hostile(), "key": hostile()}}), json!({ "value": VALUE }));
    let rule = |expression: &str| {
        let rules: Vec<AdmissionRule> =
            serde_json::from_value(json!([{"expression": expression, "message": VALUE}])).expect("a rule");
        rules::parse(&rules).expect_err("it can't be asked")
    };
    let table = [
        ("no URL", refused(&json!({"adminURL": format!("http://u:{VALUE}@admin.example")}))),
        ("no public URL", refused(&json!({ "publicURL": hostile() }))),
        ("no proxy", refused(&json!({ "proxyURL": VALUE }))),
        ("a proxy with a password", refused(&json!({"proxyURL": format!("http://u:{VALUE}@proxy.example")}))),
        (
            "a proxy that reads along",
            refused(
                &json!({"proxyURL": "http://proxy.example", "headers": [{"name": "X-Key", "secretKeyRef": {"name": "a", "key": "b"}}]}),
            ),
        ),
        ("an authority of nowhere", refused(&json!({"tls": {"ca": {}}}))),
        ("no name of a header", header(&hostile(), &value)),
        ("a long name of a header", header(&"x".repeat(NAME * 20), &value)),
        ("a header twice", header("X-Key", &secret)),
        ("a header of nothing", header("X-Key", &json!({}))),
        ("a header with two lines", header("X-Key", &json!({"value": format!("{VALUE}\nb")}))),
        ("the token", header("Authorization", &value)),
        ("the operator's own", header("User-Agent", &value)),
        ("the connection's own", header("Proxy-Authorization", &value)),
        ("a rule that is no CEL", rule(&format!("identity.id == '{VALUE}' &&"))),
        ("a rule that looks at nothing", rule(&format!("identity.{} == 1", "f".repeat(3000)))),
        ("suspended", readiness::suspended()),
    ];
    hold(&table, &[Reason::InvalidSpec, Reason::Suspended]);
}

/// With the longest names that the API server takes.
fn key() -> NamespacedName {
    NamespacedName::new("n".repeat(63), "i".repeat(253))
}

/// With commands to type.
fn of_protection() -> Vec<(&'static str, ReadyCondition)> {
    let (key, namespace) = (key(), "t".repeat(63));
    let crowd = |number: u32| Held { namespace: format!("{number:0>63}"), count: u32::MAX - number };
    let held =
        ProtectionStatus { held: u32::MAX, holding: (0..256).map(crowd).collect(), ..ProtectionStatus::default() };
    let all = ProtectionStatus { held: 3, ..ProtectionStatus::default() };
    let missing = ProtectionStatus { missing: u32::MAX, ..ProtectionStatus::default() };
    let holding = |status: &ProtectionStatus| readiness::holding(&key, status).expect("something is held");
    vec![
        ("many namespaces are held", holding(&held)),
        ("all namespaces are held", holding(&all)),
        ("identities are missing", holding(&missing)),
        ("what is kept can't be read", readiness::odd(&key, &"u".repeat(36))),
        ("a resource is held", readiness::held(&key, &namespace)),
        ("a resource that nobody can count", readiness::uncountable(&key)),
    ]
}

fn of_looks() -> Vec<(&'static str, ReadyCondition)> {
    let status = KratosInstanceStatus { cluster_id: Some(hostile()), ..KratosInstanceStatus::default() };
    let cluster = format!("another {}", hostile());
    let cluster = Cluster { id: &cluster, is_claimed: true };
    let failure = "list_identities: HTTP 503";
    vec![
        ("another cluster", mistaken(Some(&status), cluster, &key()).expect("it is another one")),
        ("it is being deleted", readiness::leaving(&key(), 9_999_999)),
        ("none counts there", readiness::not_permitted(&"n".repeat(63))),
        ("it can't be read", readiness::unreadable(&hostile())),
        ("it is probed", readiness::failing(failure)),
        ("its identities can't be listed", readiness::unlisted("HTTP 503")),
        ("its schemas can't be read", readiness::without_schemas("identity schemas can't be read: HTTP 503", false)),
        ("a public URL of no use", readiness::without_schemas("identity schemas can't be read: HTTP 503", true)),
        ("a namespace that is there", readiness::alive_after_all(&hostile())),
    ]
}

fn of_credentials() -> Vec<(&'static str, ReadyCondition)> {
    let key = KeyRef { name: hostile(), key: hostile() };
    let lacks = |what: &str| credentials::lacking("ConfigMap", &key, what);
    vec![
        ("an object that isn't there", lacks("it doesn't exist")),
        ("a key that isn't there", lacks(Lacking::Key.words())),
        ("an object that can't be read", lacks(Lacking::Readable.words())),
        ("a Secret without the label", lacks(&credentials::unlabelled())),
        ("a header that can't be sent", credentials::bad_header(&key.name, &key.key, "has no value")),
        (
            "a certificate that can't be shown",
            credentials::bad_certificate(&key.name, "tls.crt holds no readable PEM certificate"),
        ),
    ]
}

fn of_rights() -> Vec<(&'static str, ReadyCondition)> {
    let right = Right {
        namespace: Some("n".repeat(63)),
        group: "kratos-operator.dev".to_owned(),
        resource: "kratosidentities".to_owned(),
        verb: "list".to_owned(),
    };
    let mut status = KratosInstanceStatus::default();
    note_lacking(&mut status, &[right], &[].into(), 1, Timestamp::UNIX_EPOCH);
    let lacks = condition::find(&status.conditions, condition::PERMISSIONS_MISSING).expect("it lacks").message.clone();
    vec![("a right lacks", ReadyCondition::new(Reason::Forbidden, lacks))]
}

#[test]
fn so_is_every_other_message_but_for_what_is_to_be_typed() {
    let table = [of_protection(), of_looks(), of_credentials(), of_rights()].concat();
    let reasons = [
        Reason::DeletionHeld,
        Reason::IdentitiesMissing,
        Reason::ClusterMismatch,
        Reason::Progressing,
        Reason::NotPermitted,
        Reason::InvalidSpec,
        Reason::KratosUnavailable,
        Reason::SecretNotReady,
        Reason::Forbidden,
    ];
    hold(&table, &reasons);
}
