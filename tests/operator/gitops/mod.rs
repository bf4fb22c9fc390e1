//! What Argo CD, Flux and kstatus make of our resources, in every state in which the operator leaves them: live objects
//! of real runs, judged by the tools' own code (`tests/components/gitops`).

mod actions;
mod examples;
mod identities;
mod instances;
mod page;
mod policies;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kratos_operator::api::condition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::testenv::process::component;

pub const ARGOCD: &str = "gitops/argocd/argocd-cm.yaml";
pub const FLUX: &str = "gitops/flux/health-checks.yaml";

/// How a resource stands, as far as tools can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never reconciled, or not its present generation.
    Unseen,
    Done,
    Retrying,
    Stalled,
    /// Nothing will happen, so that nobody waits.
    Suspended,
    /// Suspended while it was being retried: kstatus knows no suspension.
    SuspendedInTheMiddle,
    SuspendedWhileStalled,
    /// Held deletions too: whatever is being deleted isn't judged.
    Deleting,
}

impl State {
    /// The results of Argo CD, Flux and kstatus.
    fn results(self) -> [&'static str; 3] {
        match self {
            Self::Unseen | Self::Retrying => ["Progressing", "InProgress", "InProgress"],
            Self::Done => ["Healthy", "Current", "Current"],
            Self::Stalled => ["Degraded", "Failed", "Failed"],
            Self::Suspended => ["Suspended", "Current", "Current"],
            Self::SuspendedInTheMiddle => ["Suspended", "Current", "InProgress"],
            Self::SuspendedWhileStalled => ["Suspended", "Failed", "Failed"],
            Self::Deleting => ["Progressing", "InProgress", "Terminating"],
        }
    }
}

/// Objects as they were, each with what is expected of the tools.
#[derive(Default)]
pub struct Recorded {
    objects: Vec<Value>,
    expected: Vec<(State, String)>,
}

impl Recorded {
    /// Takes a resource down as it is now; it must show this reason.
    pub async fn note(
        &mut self,
        scene: &Scene,
        kind: &str,
        (namespace, name): (&str, &str),
        state: State,
        reason: &str,
    ) {
        let object = live(scene, kind, namespace, name).await;
        let shown = reason_of(&object);
        assert_eq!(shown.as_deref().unwrap_or(""), reason, "{kind} {name}: {object:#}");
        self.objects.push(object);
        self.expected.push((state, reason.to_owned()));
    }

    /// Has all of them judged.
    pub fn judge(&self) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": self.objects});
        let found = tool(&["verdicts", &path(ARGOCD), &path(FLUX)], &list.to_string()).expect("verdicts");
        let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(found.len(), self.expected.len());
        let wrong =
            found.iter().zip(&self.expected).zip(&self.objects).filter_map(|((found, (state, reason)), object)| {
                let said = ["argocd", "flux", "kstatus"].map(|tool| found[tool]["status"].as_str().unwrap_or_default());
                let is_right = said == state.results();
                (!is_right).then(|| {
                    format!("{state:?}/{reason}: {found}\nwhere {:?} is expected of {object}", state.results())
                })
            });
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// The reasons that were met.
    pub fn reasons(&self) -> BTreeSet<&str> {
        self.expected.iter().map(|(_, reason)| reason.as_str()).filter(|reason| !reason.is_empty()).collect()
    }
}

/// The reasons that Ready can have, but for those of other kinds.
pub fn reasons_but(others: &[&str]) -> BTreeSet<&'static str> {
    let all = condition::OF_READY.iter().map(|reason| reason.as_str());
    all.filter(|reason| !others.contains(reason)).collect()
}

/// A resource as the API server gives it.
pub async fn live(scene: &Scene, kind: &str, namespace: &str, name: &str) -> Value {
    let kind = GroupVersionKind::gvk("kratos-operator.dev", "v1alpha1", kind);
    let api: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), namespace, &ApiResource::from_gvk(&kind));
    serde_json::to_value(api.get(name).await.expect("it is there")).expect("JSON")
}

/// Why it stands as it does: what it is suspended for, stalled, retried, or else Ready.
fn reason_of(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let of = |type_: &str| conditions.iter().find(|condition| condition["type"] == type_);
    let is_true = |found: &&Value| found["status"] == "True";
    let found = ["Suspended", "Stalled", "Reconciling"].iter().find_map(|type_| of(type_).filter(is_true));
    Some(found.or_else(|| of("Ready"))?["reason"].as_str()?.to_owned())
}

/// A file of the repository.
pub fn path(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}

/// Runs the tools' code.
pub fn tool(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(component("gitops"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run `make testenv`");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn an_object_that_lacks_everything_is_neither_healthy_nor_failed() {
    let kinds = ["KratosIdentity", "KratosInstance", "KratosSessionPolicy"];
    let bare = |kind: &str, status: Value| {
        let metadata = json!({"name": "bare", "generation": 1});
        json!({"apiVersion": "kratos-operator.dev/v1alpha1", "kind": kind, "metadata": metadata, "status": status})
    };
    let statuses = [
        json!({}),
        json!({"observedGeneration": -1}),
        json!({"observedGeneration": 1}),
        json!({"observedGeneration": 1, "conditions": []}),
        json!({"observedGeneration": 1, "conditions": [{}]}),
        json!({"observedGeneration": 1, "conditions": [{"type": "Ready"}, {"status": "True"}]}),
        json!({"conditions": [{"type": "Ready", "status": "True"}]}),
    ];
    let objects: Vec<_> =
        kinds.iter().flat_map(|kind| statuses.iter().map(move |status| bare(kind, status.clone()))).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let found = tool(&["verdicts", &path(ARGOCD), &path(FLUX)], &list.to_string()).expect("verdicts");
    assert_eq!(found.lines().count(), kinds.len() * statuses.len());
    for line in found.lines() {
        let found: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(
            (&found["argocd"]["status"], &found["flux"]["status"]),
            (&json!("Progressing"), &json!("InProgress")),
            "{line}"
        );
    }
}
