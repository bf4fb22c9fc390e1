//! What tests ask of a scene beyond waiting: a reconcile now, requests counted, events, traces of a value, and people at
//! Kratos' own doors. Asserts only what every test would.

use std::sync::PoisonError;
use std::time::Instant;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kratos_operator::api::{KratosIdentity, KratosInstance};
use kratos_operator::instance::protection::{State, config_map};
use kratos_operator::kratos::{Identity, PatchOperation};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

impl Scene {
    /// With an instance and one identity that is Ready: what happens once per instance has happened.
    pub async fn settled() -> Self {
        let scene = Self::shared().await.with_instance().await;
        scene.settle().await;
        scene
    }

    /// Has everything happen that happens once per instance, and counts from there.
    pub async fn settle(&self) {
        self.identity("settling", json!({"schemaID": "plain", "traits": {"label": "settling"}})).await;
        self.ready("settling").await;
        self.counted().await;
        self.count_from_now();
    }

    /// Has another resource become Ready: what was enqueued before it was reconciled before it.
    pub async fn settle_again(&self, name: &str) {
        self.identity(name, json!({"schemaID": "plain", "traits": {"label": "beside"}})).await;
        self.ready(name).await;
    }

    /// Asks for a reconcile by the annotation and waits until it was taken.
    pub async fn request_reconcile(&self, name: &str) -> KratosIdentity {
        self.request_reconcile_in(&self.namespace, name).await
    }

    pub async fn request_reconcile_in(&self, namespace: &str, name: &str) -> KratosIdentity {
        let request = format!("{:016x}", rand::random::<u64>());
        let annotations = json!({"kratos-operator.dev/reconcile-requested-at": request});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let api = self.identities_in(namespace);
        api.patch(name, &PatchParams::default(), &patch).await.expect("the annotation is accepted");
        self.until_in(namespace, name, "the request is handled", |identity| {
            let handled = identity.status.as_ref()?.last_handled_reconcile_at.as_deref()?;
            (handled == request).then_some(())
        })
        .await
    }

    /// Asks an instance for a reconcile by the annotation.
    pub async fn request_instance_reconcile(&self, name: &str) {
        let request = format!("{:016x}", rand::random::<u64>());
        let annotations = json!({"kratos-operator.dev/reconcile-requested-at": request});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        self.instances().patch(name, &PatchParams::default(), &patch).await.expect("the annotation is accepted");
        let handled = |instance: &KratosInstance| {
            let handled = instance.status.as_ref()?.last_handled_reconcile_at.as_deref()?;
            (handled == request).then_some(())
        };
        self.instance_until(name, "the request is handled", handled).await;
    }

    /// Where the protection of the instance `default` is kept.
    pub async fn protections_name(&self) -> String {
        let instance = self.instances().get("default").await.expect("there is an instance");
        config_map::name(&instance.metadata.uid.expect("a uid"))
    }

    pub fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What is kept of the protection of the instance `default`; `None`: there is no ConfigMap of it.
    pub async fn kept(&self) -> Option<State> {
        let found = self.config_maps().get_opt(&self.protections_name().await).await.expect("an answer")?;
        let text = found.data.unwrap_or_default().remove(config_map::KEY).expect("a state");
        Some(State::read(&text).expect("a state that can be read"))
    }

    /// Waits until something holds of that.
    pub async fn kept_until(&self, what: &str, holds: impl Fn(&State) -> bool) -> State {
        let found = eventually(what, WITHIN, async || self.kept().await.filter(&holds)).await;
        found.unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Requests of this test are counted from now on.
    pub fn count_from_now(&self) {
        self.proxy.reset();
        *self.counted_from.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Writes to Kratos since counting began.
    pub fn kratos_writes(&self) -> usize {
        let is_write = |label: &str| !label.starts_with("GET ");
        self.proxy.counts().iter().filter(|(label, _)| is_write(label)).map(|(_, count)| count).sum()
    }

    /// Requests of the operators on this cluster to Kubernetes since counting began.
    pub fn kubernetes_seen(&self) -> Vec<RecordedRequest> {
        let from = *self.counted_from.lock().unwrap_or_else(PoisonError::into_inner);
        self.cluster.proxy.seen().into_iter().filter(|seen| seen.at >= from).collect()
    }

    /// Writes of the operator to Kubernetes about this test's namespaces, but for events, since counting began.
    pub fn kubernetes_writes(&self) -> Vec<String> {
        let about = format!("/namespaces/{}", self.namespace);
        let seen = self.kubernetes_seen().into_iter();
        let writes =
            seen.filter(|seen| ["POST ", "PUT ", "PATCH ", "DELETE "].iter().any(|verb| seen.label.starts_with(verb)));
        writes
            .filter(|seen| seen.path.contains(&about) && !seen.label.ends_with(" events"))
            .map(|seen| seen.label)
            .collect()
    }

    /// Requests to Kratos since counting began.
    pub fn kratos_requests(&self) -> usize {
        self.proxy.counts().values().sum()
    }

    /// Shows that a resource that was refused is left alone: asked once more it costs a handful of requests, and
    /// while others of its namespace become Ready none is added.
    pub async fn stays_refused(&self, name: &str, reason: &str) {
        self.count_from_now();
        self.request_reconcile(name).await;
        self.stalled(name, reason).await;
        let asked = self.kratos_requests();
        assert!(asked <= 5, "one look cost {:?}", self.proxy.counts());
        self.settle_again(&format!("beside-{name}")).await;
        assert_eq!(self.kratos_requests(), asked + 1, "{:?}", self.proxy.counts());
        let writes = self.kubernetes_writes();
        assert!(writes.len() <= 3, "more than the request's status and the other's two writes: {writes:?}");
    }

    /// Events about a resource: reason and note.
    pub async fn events(&self, resource: &KratosIdentity) -> Vec<(String, String)> {
        let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let all = api.list(&ListParams::default()).await.expect("events are listed");
        let about =
            |event: &Event| event.regarding.as_ref().is_some_and(|regarding| regarding.uid == resource.metadata.uid);
        let about = all.items.into_iter().filter(about);
        about.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect()
    }

    /// Waits for an event with this reason, which go out beside the reconcile. Returns its note.
    pub async fn event(&self, resource: &KratosIdentity, reason: &str) -> String {
        let what = format!("an event {reason}");
        let found = eventually(&what, WITHIN, async || {
            self.events(resource).await.into_iter().find(|(found, _)| found == reason).map(|(_, note)| note)
        });
        match found.await {
            Ok(note) => note,
            Err(error) => panic!("{error}; there are {:?}", self.events(resource).await),
        }
    }

    /// Asserts that a value shows nowhere: in no status, no event, no line of the operator's log.
    pub async fn shows_nowhere(&self, resource: &KratosIdentity, value: &str) {
        let now = self.identities_in(resource.metadata.namespace.as_deref().unwrap_or_default());
        let now = now.get(resource.metadata.name.as_deref().unwrap_or_default()).await.expect("it is there");
        let status = serde_json::to_string(&now.status).unwrap_or_default();
        assert!(!status.contains(value), "the status shows it: {status}");
        let events = self.events(resource).await;
        assert!(!events.iter().any(|(_, note)| note.contains(value)), "an event shows it: {events:?}");
        let log = self.whole_log();
        let line = log.lines().find(|line| line.contains(value));
        assert!(line.is_none(), "the log shows it: {line:?}");
        assert!(!log.is_empty(), "there is a log to look into");
    }

    /// Changes an identity in Kratos behind the operator's back, as another administrator or its user would.
    pub async fn change_in_kratos(&self, resource: &KratosIdentity, path: &str, value: Value) -> Identity {
        let operations = [PatchOperation::Add { path: path.into(), value }];
        self.admin().patch_identity(&id_of(resource), &operations).await.expect("it is changed")
    }

    /// Gives an identity a password, keeping the rest.
    pub async fn give_password(&self, resource: &KratosIdentity, password: &str) {
        let identity = self.in_kratos(resource).await;
        let body = json!({
            "schema_id": identity.schema_id, "traits": identity.traits, "state": identity.state.as_str(),
            "metadata_public": identity.metadata_public, "metadata_admin": identity.metadata_admin,
            "credentials": {"password": {"config": {"password": password}}},
        });
        let path = format!("admin/identities/{}", identity.id);
        let (status, answer) = self.kratos.raw(reqwest::Method::PUT, &path, &body).await.expect("Kratos answers");
        assert!(status.is_success(), "{answer}");
    }

    /// Gives an identity a password and logs it in. Returns the session's token, which holds.
    pub async fn logged_in(&self, resource: &KratosIdentity, identifier: &str) -> String {
        let password = "correct-horse-battery-4711";
        self.give_password(resource, password).await;
        let token = self.kratos.login(identifier, password).await.expect("Kratos answers").expect("it logs in");
        assert!(self.is_logged_in(&token).await, "the session holds");
        token
    }

    pub async fn is_logged_in(&self, token: &str) -> bool {
        self.kratos.whoami(token).await.expect("Kratos answers").is_some()
    }
}
