//! One test's place: a cluster in memory with one namespace, in which an instance stands, and the Kratos that all tests share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kratos_operator::api::{KratosIdentity, KratosSessionPolicy, Reason};
use kratos_operator::base::namespaced_name::NamespacedName;
use kratos_operator::base::supervise::Tasks;
use kratos_operator::engine::failure::ReconcileError;
use kratos_operator::engine::in_memory::InMemory;
use kratos_operator::instance::credentials::Credentials;
use kratos_operator::kratos::{Identity, Writer};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::testenv::kratos::Kratos;
use crate::testenv::process::eventually;

const WITHIN: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "identity";
/// The password of whoever has one. No dictionary knows it.
pub const PASSWORD: &str = "vX7-correct-horse-battery-staple";

/// A mail address that no other test has.
pub fn email(who: &str) -> String {
    format!("{who}.{:016x}@example.com", rand::random::<u64>())
}

/// See the module.
pub struct Scene {
    kratos: &'static Kratos,
    client: Writer,
    cluster: Arc<InMemory>,
}

impl Scene {
    pub async fn new() -> Self {
        let kratos = Kratos::shared().await;
        let cluster = Arc::new(InMemory::new(format!("engine-{:016x}", rand::random::<u64>())));
        cluster.add_namespace(NAMESPACE, BTreeMap::new());
        let spec = json!({
            "adminURL": kratos.admin_url(), "publicURL": kratos.public_url(), "ownerName": "engine-tests",
        });
        let spec = serde_json::from_value(spec).expect("an instance");
        let tasks = Tasks::new(CancellationToken::new());
        let place = NamespacedName::new(NAMESPACE, "default");
        cluster.connect(&place, &spec, Credentials::default(), &tasks).await.expect("Kratos answers");
        Self { kratos, client: kratos.client(), cluster }
    }

    /// A client of the same Kratos.
    pub fn kratos(&self) -> &Writer {
        &self.client
    }

    pub fn apply(&self, name: &str, spec: Value) {
        self.apply_with(name, spec, &[]);
    }

    pub fn apply_with(&self, name: &str, mut spec: Value, labels: &[(&str, &str)]) {
        spec["instanceRef"] = json!({"name": "default"});
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let resource = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}, "spec": spec,
        });
        self.cluster.apply(serde_json::from_value(resource).expect("a manifest"));
    }

    /// Puts [`PASSWORD`] into the Secret of this name.
    pub fn add_password(&self, name: &str) {
        self.cluster.add_secret(&Self::place(name), "password", PASSWORD.as_bytes());
    }

    /// Looks until nothing is waited for: what it came to, or why it was refused.
    pub async fn reconcile(&self, name: &str) -> Result<Reason, Reason> {
        let place = Self::place(name);
        let reconcile = async || match self.cluster.reconcile(&place).await {
            Ok(Some(condition)) => Some(Ok(condition.reason)),
            Ok(None) => panic!("{name} is gone"),
            failed => ended(failed.expect_err("no verdict")).map(Err),
        };
        eventually("a look that comes to its end", WITHIN, reconcile).await.expect("in time")
    }

    /// Deletes a resource, and reconciles it until it is gone.
    pub async fn delete(&self, name: &str) {
        let place = Self::place(name);
        self.cluster.delete(&place);
        let reconcile = async || {
            if let Err(halt) = self.cluster.reconcile(&place).await {
                assert_eq!(ended(halt), None, "nothing is in the way");
            }
            self.cluster.resource(&place).is_none().then_some(())
        };
        eventually("a resource that goes", WITHIN, reconcile).await.expect("in time");
    }

    /// Runs a policy until nothing is waited for.
    pub async fn run(&self, mut spec: Value) -> Result<Reason, Reason> {
        spec["instanceRef"] = json!({"name": "default"});
        let policy = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosSessionPolicy",
            "metadata": {"name": "policy", "namespace": NAMESPACE, "uid": "policy", "generation": 1}, "spec": spec,
        });
        let mut policy: KratosSessionPolicy = serde_json::from_value(policy).expect("a policy");
        let run = async || match self.cluster.run(&mut policy).await {
            Ok(condition) => Some(Ok(condition.reason)),
            Err(halt) => ended(halt).map(Err),
        };
        eventually("a run that comes to its end", WITHIN, run).await.expect("in time")
    }

    /// The id that the status names.
    pub fn id_of(&self, name: &str) -> String {
        self.resource(name).status.and_then(|status| status.identity_id).expect("an id")
    }

    /// What happened to a resource, by its reasons.
    pub fn happened(&self, name: &str) -> Vec<String> {
        self.cluster.happened(&Self::place(name))
    }

    pub async fn read(&self, id: &str) -> Option<Identity> {
        self.client.get_identity(id, &[]).await.expect("an answer")
    }

    pub async fn log_in(&self, identifier: &str, password: &str) -> String {
        self.kratos.login(identifier, password).await.expect("an answer").expect("a session")
    }

    pub async fn is_logged_in(&self, token: &str) -> bool {
        self.kratos.whoami(token).await.expect("an answer").is_some()
    }

    fn resource(&self, name: &str) -> KratosIdentity {
        self.cluster.resource(&Self::place(name)).expect("a resource")
    }

    fn place(name: &str) -> NamespacedName {
        NamespacedName::new(NAMESPACE, name)
    }
}

/// Why a reconcile is over; `None`: it waits for something, and is repeated.
fn ended(halt: ReconcileError) -> Option<Reason> {
    match halt {
        ReconcileError::Waiting(_)
        | ReconcileError::Queued(_)
        | ReconcileError::Unread(_)
        | ReconcileError::Retry { .. } => None,
        ReconcileError::Refused(condition) => Some(condition.reason),
        halt @ (ReconcileError::Down(_) | ReconcileError::Kubernetes(_)) => panic!("{}", halt.message()),
    }
}
