//! A way into an account for the person it is for: issued once, into a Secret of its own, which goes when it is of no use.

mod again;
mod ways_in;
mod withheld;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::{KratosIdentity, condition};
use kratos_operator::kratos::Identity;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::actions;
use crate::scene::{Scene, WITHIN, merge};
use crate::testenv::process::eventually;

const LINK: &str = "POST /admin/recovery/link";
const CODE: &str = "POST /admin/recovery/code";
const NOTE: &str = "PATCH /admin/identities/{id}";
const OWN: &str = "chosen-by-ada-herself-4713";

fn customer(email: &str, changes: Value) -> Value {
    let mut spec = json!({
        "schemaID": "customer", "traits": {"email": email},
        "recovery": {"type": "Link", "secretName": "way-in"}, "deletion": {"policy": "Orphan"},
    });
    merge(&mut spec, changes);
    spec
}

fn asked(token: &str) -> Value {
    json!({"actions": {"recovery": {"token": token}}})
}

fn secrets(scene: &Scene) -> Api<Secret> {
    Api::namespaced(scene.client.clone(), &scene.namespace)
}

async fn secret(scene: &Scene, name: &str) -> Option<Secret> {
    secrets(scene).get_opt(name).await.expect("Secrets can be read")
}

/// What a Secret holds.
pub async fn content(scene: &Scene, name: &str) -> BTreeMap<String, String> {
    let found = secret(scene, name).await.unwrap_or_else(|| panic!("no Secret {name}: {}", scene.whole_log()));
    let texts = found.data.unwrap_or_default().into_iter();
    texts.map(|(key, value)| (key, String::from_utf8(value.0).expect("text"))).collect()
}

async fn put_secret(scene: &Scene, name: &str) -> Secret {
    let object =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"link": "theirs"}});
    let params = PatchParams::apply("test").force();
    secrets(scene).patch(name, &params, &Patch::Apply(&object)).await.expect("the Secret is accepted")
}

async fn delete_secret(scene: &Scene, name: &str) {
    secrets(scene).delete(name, &DeleteParams::default()).await.expect("it is deleted");
}

async fn secret_goes(scene: &Scene, name: &str) {
    let gone = eventually("the Secret goes", WITHIN * 2, async || secret(scene, name).await.is_none().then_some(()));
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log()));
}

/// Waits until the condition has this reason, for the resource's generation. Returns the resource.
async fn stands(scene: &Scene, name: &str, reason: &str) -> KratosIdentity {
    let is_so = |resource: &KratosIdentity| {
        let status = resource.status.as_ref()?;
        let is_current = status.observed_generation == resource.metadata.generation;
        let found = condition::find(&status.conditions, "RecoveryIssued")?;
        let is_true = found.status == "True";
        (is_current && found.reason == reason && is_true == (reason == "RecoveryIssued")).then_some(())
    };
    scene.until(name, reason, is_so).await
}

/// Waits until an action is noted as done with this token.
pub async fn done(scene: &Scene, name: &str, token: &str) -> KratosIdentity {
    actions::done(scene, name, "recovery", token).await
}

fn noted(identity: &Identity) -> Value {
    identity.metadata_admin.read().unwrap()["kratos-operator.dev"]["recovery"].clone()
}

async fn logs_in(scene: &Scene, email: &str, password: &str) -> bool {
    scene.kratos.login(email, password).await.expect("Kratos answers").is_some()
}
