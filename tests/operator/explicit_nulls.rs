//! A template leaves a field empty, and the manifest says `state:` or `policy: null`. The real API server takes that as if the key
//! weren't there, for each field of each kind, whoever writes it and however.

use std::collections::BTreeSet;

use kratos_operator::api::definitions;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::scene::Scene;

/// Specs that the server accepts, and that have every field between them.
fn samples() -> Vec<(&'static str, Value)> {
    let selector = json!({
        "matchLabels": {"team": "a"}, "matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}],
    });
    let secret = json!({"name": "ada", "key": "value"});
    vec![
        (
            "KratosIdentity",
            json!({
                "instanceRef": {"name": "default", "namespace": "identity"}, "schemaID": "customer", "state": "Active",
                "traits": {"email": "ada@example.com"}, "traitsFrom": [{"path": "/phone", "secretKeyRef": secret}],
                "traitsPolicy": "Merge", "metadataPublic": {"a": 1}, "metadataAdmin": {"b": 2}, "externalID": "crm-1",
                "organizationID": "00000000-0000-4000-8000-000000000001", "verifiedAddresses": ["ada@example.com"],
                "credentials": {
                    "password": {
                        "secretKeyRef": secret, "format": "Cleartext", "updatePolicy": "CreateOnly", "revokeSessions": false,
                    },
                    "oidc": [{"provider": "google", "subject": "1"}], "saml": [{"provider": "corp", "subject": "1"}],
                    "absent": ["TOTP"], "revokeSessions": false,
                },
                "recovery": {"type": "Link", "expiresIn": "1h", "secretName": "ada-recovery"},
                "deletion": {"policy": "Delete", "gracePeriod": "1h"}, "mode": "Observe", "suspend": true,
                "actions": {
                    "revokeSessions": {"token": "1"}, "resetSecondFactors": {"token": "1", "types": ["TOTP"]},
                    "recovery": {"token": "1"}, "setPassword": {"token": "1"},
                },
            }),
        ),
        (
            "KratosIdentity",
            json!({
                "schemaID": "customer", "adoption": {"policy": "IfUnowned", "identifier": "ada@example.com"},
                "validity": {"notBefore": "2026-12-01T00:00:00Z", "notAfter": "2027-12-01T00:00:00Z"},
            }),
        ),
        (
            "KratosIdentity",
            json!({
                "schemaID": "customer",
                "adoption": {"policy": "IfUnowned", "identityID": "00000000-0000-4000-8000-000000000001"},
            }),
        ),
        (
            "KratosInstance",
            json!({
                "adminURL": "https://kratos.example.com", "publicURL": "https://kratos.example.com", "ownerName": "a",
                "auth": {"bearerToken": {"secretKeyRef": secret, "prefix": "Bearer"}}, "tls": {"ca": {"secretKeyRef": secret}},
                "requestTimeout": "30s", "rateLimit": {"requestsPerSecond": 5, "burst": 5}, "resyncInterval": "5m",
                "fullScanInterval": "24h", "mode": "Observe", "reclaimFrom": ["a"],
                "allowedNamespaces": {"from": "Selector", "selector": selector}, "adoptionFrom": "Same",
                "trustClientAddress": false, "rules": [{"expression": "true", "message": "no"}],
                "protection": {"maxDeletions": 5, "maxDeletionsTotal": 50, "window": "1m", "maxMissing": 5},
            }),
        ),
        (
            "KratosInstance",
            json!({
                "adminURL": "https://kratos.example.com", "ownerName": "a", "tls": {"ca": {"configMapKeyRef": secret}},
            }),
        ),
        (
            "KratosSessionPolicy",
            json!({
                "instanceRef": {"name": "default", "namespace": "identity"},
                "identities": {
                    "all": false, "selector": selector, "namespaceSelector": selector, "schemaIDs": ["customer"],
                    "expression": "true",
                },
                "rules": [
                    {
                        "name": "a", "maxAge": "1h", "maxConcurrent": 1, "minimumAssurance": "AAL2", "gracePeriod": "1h",
                        "unenrolled": "Ignore", "allowedNetworks": ["203.0.113.0/24"], "expression": "true", "action": "Revoke",
                    },
                    {"name": "b", "expiresWithin": "1h", "maxAge": "2h", "action": "Extend"},
                ],
                "interval": "5m", "mode": "Observe", "suspend": true, "limit": {"maxRevocations": 5},
                "actions": {"revokeAll": {"token": "1", "reason": "leak"}},
            }),
        ),
    ]
}

/// Where a field that may be left out stands in a spec, as JSON pointers, and by the names alone.
fn optional(schema: &Value, spec: &Value, pointer: &str, name: &str, found: &mut Vec<(String, String)>) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let (pointer, name) = (format!("{pointer}/{key}"), format!("{name}.{key}"));
        let Some(value) = spec.get(key) else { continue };
        if !required.iter().any(|required| *required == key) {
            found.push((pointer.clone(), name.clone()));
        }
        optional(field, value, &pointer, &name, found);
        for (at, item) in value.as_array().into_iter().flatten().enumerate() {
            optional(&field["items"], item, &format!("{pointer}/{at}"), &format!("{name}[]"), found);
        }
    }
}

/// The names of all fields of a schema that may be left out.
fn all_optional(schema: &Value, name: &str, found: &mut BTreeSet<String>) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{name}.{key}");
        if !required.iter().any(|required| *required == key) {
            found.insert(name.clone());
        }
        all_optional(field, &name, found);
        all_optional(&field["items"], &format!("{name}[]"), found);
    }
}

fn schema(kind: &str) -> Value {
    let mut crds = definitions::all().into_iter().map(|crd| serde_json::to_value(crd).expect("a definition is JSON"));
    let crd = crds.find(|crd| crd["spec"]["names"]["kind"] == kind).expect("a definition");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

fn without(spec: &Value, pointer: &str) -> Value {
    let mut spec = spec.clone();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    spec.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(key);
    spec
}

fn with_null(spec: &Value, pointer: &str) -> Value {
    let mut spec = spec.clone();
    *spec.pointer_mut(pointer).expect("it is there") = Value::Null;
    spec
}

fn api(scene: &Scene, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("kratos-operator.dev", "v1alpha1", kind);
    let resource = definitions::all().into_iter().find(|crd| crd.spec.names.kind == kind.kind).expect("a definition");
    let resource = ApiResource::from_gvk_with_plural(&kind, &resource.spec.names.plural);
    Api::namespaced_with(scene.client.clone(), namespace, &resource)
}

fn object(kind: &str, name: &str, spec: &Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).expect("an object")
}

/// What is stored, or what the server says.
async fn created(api: &Api<DynamicObject>, kind: &str, spec: &Value) -> Result<Value, String> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&params, &object(kind, "nulls", spec)).await {
        Ok(created) => Ok(created.data["spec"].clone()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

async fn applied(api: &Api<DynamicObject>, kind: &str, spec: &Value) -> Result<Value, String> {
    let params = PatchParams { dry_run: true, ..PatchParams::apply("nulls").force() };
    match api.patch("nulls", &params, &Patch::Apply(&object(kind, "nulls", spec))).await {
        Ok(applied) => Ok(applied.data["spec"].clone()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_null_counts_as_if_the_key_were_not_there() {
    let scene = Scene::shared().await;
    let namespace = scene.other_namespace("stored", &[]).await;
    let mut tried = BTreeSet::new();
    for (kind, spec) in samples() {
        let api = api(&scene, &namespace, kind);
        let whole = created(&api, kind, &spec).await;
        assert_eq!(whole.as_ref(), Ok(&spec), "{kind}: the sample is accepted, and stored as it is");
        let mut places = Vec::new();
        optional(&schema(kind), &spec, "", kind, &mut places);
        for (pointer, name) in places {
            let (left_out, null) = (without(&spec, &pointer), with_null(&spec, &pointer));
            let expected = created(&api, kind, &left_out).await;
            assert_eq!(created(&api, kind, &null).await, expected, "{name}");
            assert_eq!(applied(&api, kind, &null).await, expected, "{name}, applied by the server");
            tried.insert(name);
        }
    }
    let mut all = BTreeSet::new();
    for kind in ["KratosIdentity", "KratosInstance", "KratosSessionPolicy"] {
        all_optional(&schema(kind), kind, &mut all);
    }
    let untried: Vec<_> = all.difference(&tried).collect();
    assert!(untried.is_empty(), "add these to the samples: {untried:?}");
}

/// The same by kubectl, as people write it.
#[tokio::test]
async fn a_template_that_leaves_words_empty_makes_an_identity() {
    let scene = Scene::shared().await.with_instance().await;
    let manifest = format!(
        "apiVersion: kratos-operator.dev/v1alpha1\nkind: KratosIdentity\nmetadata: {{name: ada, namespace: {}}}\nspec:\n  \
         schemaID: plain\n  instanceRef: {{name: default}}\n  state:\n  mode:\n  traitsPolicy:\n  traits:\n  metadataPublic:\n  \
         deletion:\n    policy:\n    gracePeriod:\n  credentials:\n  validity:\n",
        scene.namespace
    );
    scene.cluster.plane.kubectl().apply(&manifest).await.expect("it is accepted");
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits, json!({}));
}
