//! `KratosIdentity` resources of a scene: applied, changed, deleted, and waited for. Asserts nothing but that it comes.

use kratos_operator::api::KratosIdentity;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, message_of, pretty, reason_of};
use crate::testenv::process::eventually;
use crate::traces;

impl Scene {
    pub fn identities(&self) -> Api<KratosIdentity> {
        self.identities_in(&self.namespace)
    }

    pub fn identities_in(&self, namespace: &str) -> Api<KratosIdentity> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Applies a `KratosIdentity` that refers to the instance `default` (unless the spec says otherwise).
    pub async fn identity(&self, name: &str, spec: Value) -> KratosIdentity {
        self.identity_in(&self.namespace, name, spec).await
    }

    pub async fn identity_in(&self, namespace: &str, name: &str, spec: Value) -> KratosIdentity {
        self.try_identity_in(namespace, name, spec).await.expect("the identity is accepted")
    }

    pub async fn try_identity_in(
        &self,
        namespace: &str,
        name: &str,
        mut spec: Value,
    ) -> Result<KratosIdentity, kube::Error> {
        traces::of_this_run().uses_manifest(&spec);
        if spec.get("instanceRef").is_none() {
            spec["instanceRef"] = json!({"name": "default", "namespace": self.namespace});
        }
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        self.identities_in(namespace).patch(name, &params, &Patch::Apply(&object)).await
    }

    /// Merge-patches a resource.
    pub async fn patch(&self, name: &str, patch: Value) -> KratosIdentity {
        let params = PatchParams::default();
        self.identities().patch(name, &params, &Patch::Merge(&patch)).await.expect("the patch is accepted")
    }

    pub async fn delete(&self, name: &str) {
        self.identities().delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    }

    /// Waits until a resource is Ready for its generation and nothing is under way. Returns it.
    pub async fn ready(&self, name: &str) -> KratosIdentity {
        self.ready_in(&self.namespace, name).await
    }

    pub async fn ready_in(&self, namespace: &str, name: &str) -> KratosIdentity {
        self.until_in(namespace, name, "Ready", |identity| reason_of(identity, "Ready", "True")).await
    }

    /// Waits until a resource is Stalled with this reason, for its generation. Returns the condition's message.
    pub async fn stalled(&self, name: &str, reason: &str) -> String {
        self.stalled_in(&self.namespace, name, reason).await
    }

    pub async fn stalled_in(&self, namespace: &str, name: &str, reason: &str) -> String {
        let found = self.until_in(namespace, name, reason, |identity| {
            reason_of(identity, "Stalled", "True").filter(|found| found == reason)
        });
        message_of(&found.await, "Stalled")
    }

    /// Waits until a resource is Reconciling with this reason, for its generation. Returns the condition's message.
    pub async fn retrying(&self, name: &str, reason: &str) -> String {
        let found = self
            .until(name, reason, |identity| reason_of(identity, "Reconciling", "True").filter(|found| found == reason));
        message_of(&found.await, "Reconciling")
    }

    pub async fn until<T>(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&KratosIdentity) -> Option<T>,
    ) -> KratosIdentity {
        self.until_in(&self.namespace, name, what, holds).await
    }

    /// Waits until something holds of a resource; shows it and the operator's log where it doesn't.
    pub async fn until_in<T>(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&KratosIdentity) -> Option<T>,
    ) -> KratosIdentity {
        let api = self.identities_in(namespace);
        let mut last = None;
        let found = eventually(&format!("identity {namespace}/{name}: {what}"), WITHIN, async || {
            last = api.get_opt(name).await.ok().flatten();
            last.clone().filter(|identity| holds(identity).is_some())
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}\nlast seen: {}\n{}", pretty(&last), self.log()))
    }

    /// Waits until a resource is gone from Kubernetes.
    pub async fn gone(&self, name: &str) {
        self.gone_in(&self.namespace, name).await;
    }

    pub async fn gone_in(&self, namespace: &str, name: &str) {
        let api = self.identities_in(namespace);
        let found = eventually(&format!("identity {namespace}/{name} is gone"), WITHIN, async || {
            matches!(api.get_opt(name).await, Ok(None)).then_some(())
        })
        .await;
        if let Err(error) = found {
            panic!("{error}\nlast seen: {}\n{}", pretty(&api.get_opt(name).await.ok().flatten()), self.log());
        }
    }
}
