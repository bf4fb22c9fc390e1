//! Every state of a `KratosInstance`, and what tools make of it.

use kratos_operator::api::{KratosInstance, condition};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{Recorded, State};
use crate::protection::release;
use crate::scene::{Scene, WITHIN, merge};
use crate::testenv::process::eventually;

const WRONG: &str = "11111111-2222-4333-8444-555555555555";

/// For this reason it stands as it does, in a condition that is True, or else not Ready.
fn says<'a>(type_: &'a str, reason: &'a str) -> impl Fn(&KratosInstance) -> Option<()> {
    move |instance| {
        let status = instance.status.as_ref()?;
        let found = condition::find(&status.conditions, type_)?;
        let is_current = status.observed_generation == instance.metadata.generation;
        (is_current && found.status == "True" && found.reason == reason).then_some(())
    }
}

struct Run {
    scene: Scene,
    recorded: Recorded,
}

impl Run {
    /// Waits until the instance says so, and takes it down.
    async fn until(&mut self, name: &str, state: State, reason: &str) {
        let type_ = match state {
            State::Stalled => "Stalled",
            State::Suspended | State::SuspendedInTheMiddle | State::SuspendedWhileStalled => "Suspended",
            State::Retrying | State::Deleting => "Reconciling",
            _ => "Ready",
        };
        self.scene.instance_until(name, reason, says(type_, reason)).await;
        self.note(name, state, reason).await;
    }

    async fn note(&mut self, name: &str, state: State, reason: &str) {
        let namespace = self.scene.namespace.clone();
        self.recorded.note(&self.scene, "KratosInstance", (&namespace, name), state, reason).await;
    }

    /// One that says so by its spec alone.
    async fn stands(&mut self, name: &str, changes: Value, state: State, reason: &str) {
        let mut spec = self.scene.instance_spec(json!({ "ownerName": name }));
        merge(&mut spec, changes);
        self.scene.apply_instance(&self.scene.namespace, name, spec).await;
        self.until(name, state, reason).await;
    }
}

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

async fn by_their_specs(run: &mut Run) {
    run.stands("observing", json!({"mode": "Observe"}), State::Done, "Observed").await;
    let nobody = json!({"adminURL": "http://127.0.0.1:1"});
    run.stands("away", nobody, State::Retrying, "KratosUnavailable").await;
    let late = json!({"auth": {"bearerToken": {"secretKeyRef": {"name": "late", "key": "token"}}}});
    run.stands("late", late, State::Retrying, "SecretNotReady").await;
    let invalid = json!({"rules": [{"expression": "identifiers.all(", "message": "no"}]});
    run.stands("invalid", invalid, State::Stalled, "InvalidSpec").await;

    let suspend = json!({"suspend": true});
    run.stands("born-suspended", suspend.clone(), State::Suspended, "Suspended").await;
    for (name, state) in [
        ("observing", State::Suspended),
        ("away", State::SuspendedInTheMiddle),
        ("invalid", State::SuspendedWhileStalled),
    ] {
        let patch = Patch::Merge(json!({ "spec": suspend }));
        run.scene.instances().patch(name, &PatchParams::default(), &patch).await.expect("the patch is accepted");
        run.until(name, state, "Suspended").await;
    }

    let tenant = run.scene.other_namespace("tenant", &[]).await;
    run.scene.apply_instance(&tenant, "theirs", run.scene.instance_spec(json!({}))).await;
    let api = kube::Api::<KratosInstance>::namespaced(run.scene.client.clone(), &tenant);
    let refused =
        eventually("it is refused", WITHIN, async || says("Stalled", "NotPermitted")(&api.get("theirs").await.ok()?));
    refused.await.expect("it is refused");
    run.recorded.note(&run.scene, "KratosInstance", (&tenant, "theirs"), State::Stalled, "NotPermitted").await;
}

async fn protected(run: &mut Run) {
    run.scene.instance(json!({"resyncInterval": "1s", "protection": {"maxDeletions": 1, "maxMissing": 1}})).await;
    let names = ["one", "two", "three"];
    for name in names {
        run.scene.identity(name, plain(name)).await;
    }
    for name in names {
        run.scene.ready(name).await;
    }
    run.scene.kratos.exchange_database().await.expect("it starts with an empty one");
    run.until("default", State::Stalled, "IdentitiesMissing").await;
    release(&run.scene, "again").await;
    run.until("default", State::Done, "Reconciled").await;
    for name in names {
        run.scene.ready(name).await;
        run.scene.delete(name).await;
    }
    run.until("default", State::Stalled, "DeletionHeld").await;
    release(&run.scene, "these too").await;
    for name in names {
        run.scene.gone(name).await;
    }
}

#[tokio::test]
async fn tools_judge_an_instance_rightly_in_every_state() {
    let scene = Scene::own().await;
    let mut run = Run { scene, recorded: Recorded::default() };
    run.scene.operator().pause();
    run.scene.apply_instance(&run.scene.namespace, "default", run.scene.instance_spec(json!({}))).await;
    run.note("default", State::Unseen, "").await;
    run.scene.operator().go_on();
    run.until("default", State::Done, "Reconciled").await;
    by_their_specs(&mut run).await;

    // Kept, while it is being deleted, for whoever refers to it.
    run.stands("kept", json!({}), State::Done, "Reconciled").await;
    let refers = json!({"schemaID": "plain", "traits": {"label": "x"}, "instanceRef": {"name": "kept", "namespace": run.scene.namespace}});
    run.scene.identity("refers", refers).await;
    run.scene.ready("refers").await;
    run.scene.instances().delete("kept", &DeleteParams::default()).await.expect("it can be deleted");
    run.until("kept", State::Deleting, "Progressing").await;

    protected(&mut run).await;
    run.scene.instance(json!({})).await;
    let id = ["--cluster-id", WRONG].map(str::to_owned);
    run.scene.operator().restart_with(|settings| settings.arguments.extend(id)).expect("it starts");
    run.until("default", State::Stalled, "ClusterMismatch").await;
    run.recorded.judge();
    let expected = [
        "Reconciled",
        "Observed",
        "KratosUnavailable",
        "SecretNotReady",
        "Progressing",
        "InvalidSpec",
        "NotPermitted",
        "DeletionHeld",
        "IdentitiesMissing",
        "ClusterMismatch",
        "Suspended",
    ];
    assert_eq!(run.recorded.reasons(), expected.into(), "each reason was met");
}
