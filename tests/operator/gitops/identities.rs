//! Every state of a `KratosIdentity`, and what tools make of it.

use kratos_operator::api::KratosIdentity;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{Recorded, State, reasons_but};
use crate::scene::{Scene, id_of, merge, reason_of};
use crate::testenv::faults::Answer;

const CHANGE: &str = "PATCH /admin/identities/{id}";
/// Other kinds' alone.
const OF_OTHERS: [&str; 4] = ["Forbidden", "RevocationsHeld", "IdentitiesMissing", "ClusterMismatch"];

fn customer(name: &str, changes: Value) -> Value {
    let mut spec = json!({"schemaID": "customer", "traits": {"email": format!("{name}@gitops.example")}});
    merge(&mut spec, changes);
    spec
}

fn refusal(code: u16) -> Answer {
    Answer::status(code).json(&json!({"error": {"code": code, "status": "No", "message": "as the test asked for"}}))
}

fn status_object(code: u16, reason: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "as the test asked for",
        "reason": reason, "code": code,
    });
    Answer::status(code).json(&status)
}

/// A scene and what was taken down in it.
struct Run {
    scene: Scene,
    recorded: Recorded,
}

impl Run {
    async fn note(&mut self, name: &str, state: State, reason: &str) {
        let namespace = self.scene.namespace.clone();
        self.recorded.note(&self.scene, "KratosIdentity", (&namespace, name), state, reason).await;
    }

    async fn ready(&mut self, name: &str, spec: Value, reason: &str) -> KratosIdentity {
        self.scene.identity(name, spec).await;
        let ready = self.scene.ready(name).await;
        self.note(name, State::Done, reason).await;
        ready
    }

    async fn stalled(&mut self, name: &str, spec: Value, reason: &str) {
        self.scene.identity(name, spec).await;
        self.scene.stalled(name, reason).await;
        self.note(name, State::Stalled, reason).await;
    }

    async fn retried(&mut self, name: &str, spec: Value, reason: &str) {
        self.scene.identity(name, spec).await;
        self.scene.retrying(name, reason).await;
        self.note(name, State::Retrying, reason).await;
    }

    async fn suspended(&mut self, name: &str, state: State) {
        self.scene.patch(name, json!({"spec": {"suspend": true}})).await;
        self.scene.until(name, "suspended", |found| reason_of(found, "Suspended", "True")).await;
        self.note(name, state, "Suspended").await;
    }
}

/// Ready and Done; then what somebody has to mend.
async fn refused(run: &mut Run) {
    run.stalled("invalid", customer("invalid", json!({"metadataPublic": too_deep()})), "InvalidSpec").await;
    run.stalled("traits", customer("traits", json!({"traits": {"age": -1}})), "TraitsRejected").await;
    run.stalled("schema", customer("schema", json!({"schemaID": "custmer"})), "SchemaNotFound").await;
    let adoption = json!({"adoption": {"policy": "IfUnowned", "identifier": "nobody@gitops.example"}});
    run.stalled("adopts", customer("adopts", adoption), "AdoptionRefused").await;
    run.stalled("newer", customer("newer", json!({"externalID": "crm-4711"})), "UnsupportedByServer").await;
    let taken = json!({"schema_id": "customer", "traits": {"email": "taken@gitops.example"}});
    run.scene.kratos.raw(reqwest::Method::POST, "admin/identities", &taken).await.expect("it is made");
    run.stalled("conflict", customer("taken", json!({})), "IdentityConflict").await;
    run.scene.identity("renamed", customer("renamed", json!({}))).await;
    run.scene.ready("renamed").await;
    run.scene.identity("successor", customer("renamed", json!({"replaces": {"name": "renamed"}}))).await;
    run.scene.ready("successor").await;
    run.scene.stalled("renamed", "Replaced").await;
    run.note("renamed", State::Stalled, "Replaced").await;

    let tenant = run.scene.other_namespace("tenant", &[]).await;
    run.scene.identity_in(&tenant, "ada", customer("tenant", json!({}))).await;
    run.scene.stalled_in(&tenant, "ada", "NotPermitted").await;
    run.recorded.note(&run.scene, "KratosIdentity", (&tenant, "ada"), State::Stalled, "NotPermitted").await;

    fails(run, "rejected", refusal(400)).await;
    run.scene.stalled("rejected", "KratosRejected").await;
    run.note("rejected", State::Stalled, "KratosRejected").await;
}

/// More levels than are read.
fn too_deep() -> Value {
    (0..70).fold(json!({}), |inner, _| json!({ "in": inner }))
}

/// One that is Ready and is changed, which Kratos answers so.
async fn fails(run: &mut Run, name: &str, answer: Answer) {
    run.scene.identity(name, customer(name, json!({}))).await;
    let id = id_of(&run.scene.ready(name).await);
    run.scene.proxy.on_where(move |label, path| label == CHANGE && path.ends_with(&id)).answer(answer);
    run.scene.patch(name, json!({"spec": {"traits": {"age": 36}}})).await;
}

/// What is tried again by itself, and never Degraded.
async fn retried(run: &mut Run) {
    let elsewhere = json!({"instanceRef": {"name": "none", "namespace": run.scene.namespace}});
    run.retried("instance", customer("instance", elsewhere), "InstanceNotReady").await;
    let secret =
        |name: &str| json!({"traitsFrom": [{"path": "/name/first", "secretKeyRef": {"name": name, "key": "first"}}]});
    run.retried("secret", customer("secret", secret("late")), "SecretNotReady").await;
    let forbidden = |label: &str, path: &str| label == "GET secrets" && path.ends_with("/secrets/forbidden");
    run.scene.cluster.proxy.on_where(forbidden).answer(status_object(403, "Forbidden"));
    run.retried("forbidden", customer("forbidden", secret("forbidden")), "SecretNotReady").await;

    fails(run, "throttled", refusal(429).header("Retry-After", "600")).await;
    run.scene.retrying("throttled", "Throttled").await;
    run.note("throttled", State::Retrying, "Throttled").await;

    let unheld =
        |label: &str, path: &str| label == "PATCH kratosinstances" && path.ends_with("/kratosinstances/unheld");
    run.scene.cluster.proxy.on_where(unheld).answer(status_object(409, "Conflict"));
    let spec = run.scene.instance_spec(json!({"ownerName": "unheld"}));
    run.scene.apply_instance(&run.scene.namespace, "unheld", spec).await;
    run.scene.instance_ready("unheld").await;
    let unheld = json!({"instanceRef": {"name": "unheld", "namespace": run.scene.namespace}});
    run.retried("progressing", customer("progressing", unheld), "Progressing").await;
}

async fn suspended(run: &mut Run) {
    run.scene.identity("from-birth", customer("from-birth", json!({"suspend": true}))).await;
    run.suspended("from-birth", State::Suspended).await;
    run.suspended("done", State::Suspended).await;
    run.suspended("secret", State::SuspendedInTheMiddle).await;
    run.suspended("traits", State::SuspendedWhileStalled).await;
}

/// Nothing is reconciled while the operator is paused.
async fn unseen(run: &mut Run) {
    run.scene.operator().pause();
    run.scene.identity("new", customer("new", json!({}))).await;
    run.note("new", State::Unseen, "").await;
    run.scene.patch("kept", json!({"spec": {"traits": {"age": 36}}})).await;
    run.note("kept", State::Unseen, "Reconciled").await;
    run.scene.patch("schema", json!({"spec": {"schemaID": "customer"}})).await;
    run.note("schema", State::Unseen, "SchemaNotFound").await;
    run.scene.operator().go_on();
    run.scene.ready("new").await;
    run.scene.ready("kept").await;
    run.scene.ready("schema").await;
    run.note("schema", State::Done, "Reconciled").await;
}

async fn deleted(run: &mut Run) {
    for name in ["held-1", "held-2", "held-3"] {
        run.scene.identity(name, customer(name, json!({}))).await;
        run.scene.ready(name).await;
    }
    for name in ["held-1", "held-2", "held-3"] {
        run.scene.identities().delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    }
    // Two seconds are waited for others; more than one together, and none of them goes.
    run.scene.stalled("held-3", "DeletionHeld").await;
    run.note("held-3", State::Deleting, "DeletionHeld").await;
}

async fn in_an_outage(run: &mut Run) {
    run.scene.proxy.down();
    run.retried("unavailable", customer("unavailable", json!({})), "KratosUnavailable").await;
    // Those that were Ready aren't rewritten, whatever becomes of Kratos.
    run.note("kept", State::Done, "Reconciled").await;
    run.scene.delete("kept").await;
    run.scene.retrying("kept", "KratosUnavailable").await;
    run.note("kept", State::Deleting, "KratosUnavailable").await;
    run.scene.proxy.up().expect("it is up");
    run.scene.ready("unavailable").await;
    run.note("unavailable", State::Done, "Reconciled").await;
}

#[tokio::test]
async fn tools_judge_an_identity_rightly_in_every_state() {
    let scene = Scene::own().await;
    scene.instance(json!({"protection": {"maxDeletions": 1}})).await;
    let mut run = Run { scene, recorded: Recorded::default() };
    run.ready("done", customer("done", json!({})), "Reconciled").await;
    run.ready("kept", customer("kept", json!({})), "Reconciled").await;
    run.ready("observed", customer("observed", json!({"mode": "Observe"})), "Observed").await;
    // A recovery that can't be issued doesn't keep the identity from being Ready.
    let recovery = json!({"recovery": {"type": "Link", "expiresIn": "1h", "secretName": "recovery"}});
    run.ready("recovery", customer("recovery", recovery), "Reconciled").await;
    refused(&mut run).await;
    retried(&mut run).await;
    suspended(&mut run).await;
    unseen(&mut run).await;
    in_an_outage(&mut run).await;
    deleted(&mut run).await;
    run.recorded.judge();
    assert_eq!(run.recorded.reasons(), reasons_but(&OF_OTHERS), "each reason was met");
}
