//! Every state of a `KratosSessionPolicy`, and what tools make of it.

use serde_json::{Value, json};

use super::{Recorded, State};
use crate::policing::{about_all, condition_of, everything};
use crate::scene::{Scene, merge};

struct Run {
    scene: Scene,
    recorded: Recorded,
}

impl Run {
    /// Applies a policy, waits until it says so, and takes it down.
    async fn stands(&mut self, name: &str, changes: Value, state: State, reason: &str) {
        self.stands_in(&self.scene.namespace.clone(), name, changes, state, reason).await;
    }

    async fn stands_in(&mut self, namespace: &str, name: &str, changes: Value, state: State, reason: &str) {
        let mut spec = about_all(everything());
        merge(&mut spec, changes);
        self.scene.try_policy_in(namespace, name, spec).await.expect("the policy is accepted");
        let type_ = match state {
            State::Stalled => "Stalled",
            State::Retrying => "Reconciling",
            State::Suspended => "Suspended",
            _ => "Ready",
        };
        let policy = self.scene.policy_until(namespace, name, reason, |policy| {
            let is_current = policy.status.as_ref()?.observed_generation == policy.metadata.generation;
            condition_of(policy, type_).filter(|(found, _)| is_current && found == reason)
        });
        policy.await;
        self.note(namespace, name, state, reason).await;
    }

    async fn note(&mut self, namespace: &str, name: &str, state: State, reason: &str) {
        self.recorded.note(&self.scene, "KratosSessionPolicy", (namespace, name), state, reason).await;
    }
}

#[tokio::test]
async fn tools_judge_a_session_policy_rightly_in_every_state() {
    let scene = Scene::own().await;
    scene.instance(json!({})).await;
    let mut run = Run { scene, recorded: Recorded::default() };
    let namespace = run.scene.namespace.clone();
    run.scene.person("ada@gitops.example").await;
    for _ in 0..2 {
        run.scene.log_in("ada@gitops.example").await;
    }
    run.stands("held", json!({"limit": {"maxRevocations": 1}}), State::Stalled, "RevocationsHeld").await;
    run.stands("observing", json!({"mode": "Observe"}), State::Done, "Observed").await;
    run.stands("all", json!({}), State::Done, "Reconciled").await;
    run.stands("all", json!({"suspend": true}), State::Suspended, "Suspended").await;
    run.stands("from-birth", json!({"suspend": true}), State::Suspended, "Suspended").await;
    let odd = json!([{"name": "odd", "expression": "session.devices.exists(", "action": "Revoke"}]);
    run.stands("invalid", json!({"rules": odd}), State::Stalled, "InvalidSpec").await;
    let networks = json!([{"name": "office", "allowedNetworks": ["203.0.113.0/24"], "action": "Revoke"}]);
    run.stands("addresses", json!({"rules": networks}), State::Stalled, "NotPermitted").await;
    let none = json!({"instanceRef": {"name": "none", "namespace": namespace}});
    run.stands("early", none, State::Retrying, "InstanceNotReady").await;

    // An instance that was never reconciled, since its listing is held.
    let listing = run.scene.proxy.on_without("GET /admin/identities", "ids").hold();
    let unlisted = run.scene.instance_spec(json!({"ownerName": "unlisted"}));
    run.scene.apply_instance(&namespace, "unlisted", unlisted).await;
    let by_label = json!({
        "instanceRef": {"name": "unlisted", "namespace": namespace},
        "identities": {"all": null, "selector": {"matchLabels": {"team": "ops"}}},
    });
    run.stands("unlisted", by_label, State::Retrying, "InstanceNotReady").await;
    listing.release();

    run.scene.operator().pause();
    run.scene.try_policy_in(&namespace, "new", about_all(everything())).await.expect("it is accepted");
    run.note(&namespace, "new", State::Unseen, "").await;
    run.scene.operator().go_on();
    run.stands("new", json!({}), State::Done, "Reconciled").await;

    run.scene.proxy.down();
    run.stands("down", json!({}), State::Retrying, "KratosUnavailable").await;
    run.note(&namespace, "new", State::Done, "Reconciled").await;
    run.recorded.judge();
    let expected = [
        "Reconciled",
        "Observed",
        "KratosUnavailable",
        "InstanceNotReady",
        "InvalidSpec",
        "NotPermitted",
        "RevocationsHeld",
        "Suspended",
    ];
    assert_eq!(run.recorded.reasons(), expected.into(), "each reason was met");
}
