//! What tests of session policies ask of a scene: people with passwords, sessions from real logins, policies and runs.
//! Asserts only what every test would.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kratos_operator::api::{KratosSessionPolicy, condition};
use kratos_operator::kratos::{
    CreateIdentity, CredentialImport, Identity, PasswordImport, Secret, Session, SessionFilter,
};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, pretty};
use crate::testenv::kratos::Options;
use crate::testenv::process::eventually;

pub const PASSWORD: &str = "correct-horse-battery-4711";
pub const END: &str = "DELETE /admin/sessions/{id}";
pub const LIST: &str = "GET /admin/sessions";

/// Revokes every session of whom it is about.
pub fn everything() -> Value {
    json!([{"name": "everything", "expression": "true", "action": "Revoke"}])
}

/// A policy about everybody within reach, which runs only when asked or changed.
#[allow(clippy::needless_pass_by_value, reason = "written where it stands")]
pub fn about_all(rules: Value) -> Value {
    json!({"identities": {"all": true}, "interval": "1h", "rules": rules})
}

/// What the last run came to, as in the status: sessions, matched, revoked, extended, failed.
pub fn counts(policy: &KratosSessionPolicy) -> [i64; 5] {
    let run = policy.status.as_ref().and_then(|status| status.last_run.clone()).unwrap_or_default();
    [run.sessions, run.matched, run.revoked, run.extended, run.failed]
}

/// How many sessions each rule named.
pub fn by_rule(policy: &KratosSessionPolicy) -> Vec<(String, i64)> {
    let status = policy.status.clone().unwrap_or_default();
    status.rules.into_iter().map(|rule| (rule.name, rule.matched)).collect()
}

/// Whose sessions would end, and how many.
pub fn whose(policy: &KratosSessionPolicy) -> Vec<(String, i64)> {
    let status = policy.status.clone().unwrap_or_default();
    status.identities.into_iter().map(|identity| (identity.id, identity.sessions)).collect()
}

pub fn condition_of(policy: &KratosSessionPolicy, type_: &str) -> Option<(String, String)> {
    let conditions = policy.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let found = condition::find(conditions, type_).filter(|found| found.status == "True")?;
    Some((found.reason.clone(), found.message.clone()))
}

impl Scene {
    /// A Kratos of its own, with an instance `default`.
    pub async fn policing() -> Self {
        Self::with_own_kratos(Options::default()).await.with_instance().await
    }

    pub fn policies_in(&self, namespace: &str) -> Api<KratosSessionPolicy> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub async fn try_policy_in(
        &self,
        namespace: &str,
        name: &str,
        mut spec: Value,
    ) -> Result<KratosSessionPolicy, kube::Error> {
        if spec.get("instanceRef").is_none() {
            spec["instanceRef"] = json!({"name": "default", "namespace": self.namespace});
        }
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosSessionPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        self.policies_in(namespace).patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await
    }

    /// Applies a policy and waits until it has run, or was refused, as it is now.
    pub async fn policy(&self, name: &str, spec: Value) -> KratosSessionPolicy {
        self.policy_in(&self.namespace, name, spec).await
    }

    pub async fn policy_in(&self, namespace: &str, name: &str, spec: Value) -> KratosSessionPolicy {
        self.try_policy_in(namespace, name, spec).await.expect("the policy is accepted");
        self.policy_until(namespace, name, "it has run", settled).await
    }

    pub async fn policy_until<T>(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&KratosSessionPolicy) -> Option<T>,
    ) -> KratosSessionPolicy {
        let api = self.policies_in(namespace);
        let mut last = None;
        let found = eventually(&format!("policy {namespace}/{name}: {what}"), WITHIN, async || {
            last = api.get_opt(name).await.ok().flatten();
            last.clone().filter(|policy| holds(policy).is_some())
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}\nlast seen: {}\n{}", pretty(&last), self.whole_log_tail()))
    }

    /// Asks for a run by the annotation.
    pub async fn ask_for_a_run(&self, namespace: &str, name: &str) -> String {
        let request = format!("{:016x}", rand::random::<u64>());
        let annotations = json!({"kratos-operator.dev/reconcile-requested-at": request});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let api = self.policies_in(namespace);
        api.patch(name, &PatchParams::default(), &patch).await.expect("the annotation is accepted");
        request
    }

    /// Has a policy run now. Returns it once it has.
    pub async fn run(&self, name: &str) -> KratosSessionPolicy {
        self.run_in(&self.namespace, name).await
    }

    pub async fn run_in(&self, namespace: &str, name: &str) -> KratosSessionPolicy {
        let request = self.ask_for_a_run(namespace, name).await;
        self.policy_until(namespace, name, "the request is handled", |policy| {
            let handled = policy.status.as_ref()?.last_handled_reconcile_at.as_deref()?;
            (handled == request).then_some(())
        })
        .await
    }

    /// Waits until a policy is Stalled with this reason. Returns the message.
    pub async fn policy_stalled(&self, namespace: &str, name: &str, reason: &str) -> String {
        let is_stalled = |policy: &KratosSessionPolicy| {
            settled(policy)?;
            condition_of(policy, "Stalled").filter(|(found, _)| found == reason)
        };
        let policy = self.policy_until(namespace, name, reason, is_stalled).await;
        condition_of(&policy, "Stalled").expect("it was there").1
    }

    /// Makes somebody in Kratos, past the operator, with a password.
    pub async fn person(&self, email: &str) -> Identity {
        self.person_with("customer", json!({ "email": email })).await
    }

    pub async fn person_with(&self, schema_id: &str, traits: Value) -> Identity {
        let password = Some(PasswordImport::Cleartext(Secret::new(PASSWORD)));
        let credentials = CredentialImport { password, ..CredentialImport::default() };
        let create = CreateIdentity { schema_id: schema_id.into(), traits, credentials, ..CreateIdentity::default() };
        self.admin().create_identity(&create).await.expect("the person is made")
    }

    /// Logs somebody in. Returns the session's token.
    pub async fn log_in(&self, email: &str) -> String {
        self.kratos.login(email, PASSWORD).await.expect("Kratos answers").expect("the login is accepted")
    }

    /// Logs people in, this many times in all. Returns the tokens.
    pub async fn many_logins(&self, emails: &[String], logins: usize) -> Vec<String> {
        let logins = (0..logins).map(|number| self.log_in(&emails[number % emails.len()]));
        futures::stream::iter(logins).buffer_unordered(8).collect().await
    }

    /// Which of these sessions are alive, by whoami.
    pub async fn alive(&self, tokens: &[&String]) -> Vec<bool> {
        let mut alive = Vec::new();
        for token in tokens {
            alive.push(self.is_logged_in(token).await);
        }
        alive
    }

    pub async fn session_of(&self, token: &str) -> Session {
        let session = self.kratos.whoami(token).await.expect("Kratos answers").expect("the session holds");
        serde_json::from_value(session).expect("a session")
    }

    /// Waits until a session is older than this.
    pub async fn ages(&self, token: &str, seconds: i64) {
        let began = self.session_of(token).await.began().expect("a time");
        let is_older = || Timestamp::now().duration_since(began) > SignedDuration::from_secs(seconds);
        eventually("the session ages", WITHIN, async || is_older().then_some(())).await.expect("time passes");
    }

    /// How many sessions are active in this Kratos.
    pub async fn active_sessions(&self) -> usize {
        let filter = SessionFilter { active: Some(true), ..SessionFilter::default() };
        let pages: Vec<_> = self.admin().list_sessions(filter).try_collect().await.expect("a listing");
        pages.iter().map(|page| page.items.len()).sum()
    }

    /// Waits for an event about a policy. Returns its note.
    pub async fn policy_event(&self, policy: &KratosSessionPolicy, reason: &str) -> String {
        let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<k8s_openapi::api::events::v1::Event>::namespaced(self.client.clone(), namespace);
        let what = format!("an event {reason}");
        let found = eventually(&what, WITHIN, async || {
            let all = api.list(&ListParams::default()).await.ok()?.items;
            let mut about = all.into_iter().filter(|event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().is_some_and(|regarding| regarding.uid == policy.metadata.uid)
            });
            about.next().and_then(|event| event.note)
        });
        found.await.expect("the event comes")
    }

    fn whole_log_tail(&self) -> String {
        let log = self.whole_log();
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// Whether a policy has been dealt with as it is now.
pub fn settled(policy: &KratosSessionPolicy) -> Option<()> {
    let status = policy.status.as_ref()?;
    let is_current = status.observed_generation == policy.metadata.generation;
    (is_current && condition::find(&status.conditions, "Reconciling").is_none()).then_some(())
}
