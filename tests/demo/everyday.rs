//! The tour's everyday: a manifest with a mistake in it, an invitation, and more deletions at once than may go without a question.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use serde_json::{Value, json};

use crate::screen::{self, Screen};
use crate::stage::Set;
use crate::testenv::Result;
use crate::testenv::kubectl::Kubectl;
use crate::testenv::process::eventually;
use crate::tour::{NAMESPACE, condition, list, ready, until};

/// Much more than it takes.
const PATIENCE: Duration = Duration::from_mins(1);
const EMAIL: &str = "linus@example.com";
const SECRET: &str = "linus-invitation";

/// A manifest of linus.
fn linus(traits: &Value, more: &Value) -> String {
    let mut spec = json!({"schemaID": "customer", "traits": traits});
    spec.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": "linus", "namespace": NAMESPACE}, "spec": spec,
    })
    .to_string()
}

pub async fn a_mistake(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen) -> Result<()> {
    screen::heading("A manifest with a mistake in it.");
    let wrong = linus(&json!({"emial": EMAIL}), &json!({}));
    screen.step("applying linus, whose traits have `emial` in them", kubectl.apply(&wrong)).await?;
    let said = until(set, "KratosIdentity", "linus", "it is Stalled", |object| {
        let stalled = condition(object, "Stalled").filter(|stalled| stalled["reason"] == "TraitsRejected")?;
        stalled["message"].as_str().map(str::to_owned)
    });
    let said = screen.step("until its status says what is wrong, where, and what to do", said).await?;
    let path = r#"{.status.conditions[?(@.type=="Stalled")].message}"#;
    screen::show(&format!("kubectl get kid linus -n {NAMESPACE} -o jsonpath='{path}'"), &said);
    Ok(())
}

/// Linus gets an account without anybody's choosing a password for him.
pub async fn an_invitation(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen) -> Result<()> {
    const PASSWORD: &str = "chosen-by-linus-himself-4711";
    screen::heading("An invitation.");
    let recovery = json!({"recovery": {"type": "Link", "expiresIn": "72h", "secretName": SECRET}});
    let right = linus(&json!({ "email": EMAIL }), &recovery);
    let what =
        format!("applying linus once more, corrected, with a recovery link for three days in the Secret {SECRET}");
    screen.step(&what, kubectl.apply(&right)).await?;
    let issued = until(set, "KratosIdentity", "linus", "a link is issued", |object| {
        condition(object, "RecoveryIssued").filter(|issued| issued["status"] == "True").map(|_| ())
    });
    screen.step("until the link is issued", issued).await?;
    let api = Api::<Secret>::namespaced(set.control_plane.client().await?, NAMESPACE);
    let data = api.get(SECRET).await?.data.unwrap_or_default();
    let link = data.get("link").ok_or("the Secret has no link")?;
    let link = String::from_utf8(link.0.clone())?;
    let shown = link.split_once("token=").map_or(link.as_str(), |(before, _)| before);
    let command = format!("kubectl get secret {SECRET} -n {NAMESPACE} -o jsonpath='{{.data.link}}' | base64 -d");
    screen::show(&command, &format!("{shown}token=…"));
    let kratos = set.kratos;
    let opened = async {
        kratos.recover_by_link(&link, PASSWORD).await?;
        kratos.login(EMAIL, PASSWORD).await?.ok_or("the login is refused")?;
        Ok(())
    };
    screen.step("linus opens it, sets a password, and logs in with that", opened).await
}

pub async fn too_many_deletions(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen) -> Result<()> {
    const INTERNS: [&str; 3] = ["intern-1", "intern-2", "intern-3"];
    screen::heading("More deletions at once than anybody meant.");
    let patch = r#"{"spec": {"protection": {"maxDeletions": 2}}}"#;
    let arguments = ["patch", "kinst", "default", "-n", NAMESPACE, "--type=merge", "-p", patch];
    screen.step("two deletions in ten minutes may go without a question", kubectl.run(arguments)).await?;
    let interns = INTERNS.map(|name| {
        json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"schemaID": "customer", "traits": {"email": format!("{name}@example.com")}},
        })
    });
    let made = async {
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": interns}).to_string()).await?;
        ready(set, "KratosInstance", "default").await?;
        for name in INTERNS {
            ready(set, "KratosIdentity", name).await?;
        }
        Ok(())
    };
    screen.step("three interns are applied, and Ready", made).await?;
    let arguments = [&["delete", "kid", "-n", NAMESPACE, "--wait=false"][..], &INTERNS[..]].concat();
    screen.step("kubectl delete: all three", kubectl.run(arguments)).await?;
    let waited = async {
        for name in INTERNS {
            let is_held = |object: &kube::api::DynamicObject| {
                condition(object, "Stalled").filter(|stalled| stalled["reason"] == "DeletionHeld").map(|_| ())
            };
            until(set, "KratosIdentity", name, "its deletion is held", is_held).await?;
        }
        until(set, "KratosInstance", "default", "it says so", |object| {
            let stalled = condition(object, "Stalled").filter(|stalled| stalled["reason"] == "DeletionHeld")?;
            stalled["message"].as_str().map(str::to_owned)
        })
        .await
    };
    let message =
        screen.step("until each says that its deletion is held, and the instance how to go on", waited).await?;
    list(kubectl, "kid").await?;
    let message_of = r#"{.status.conditions[?(@.type=="Stalled")].message}"#;
    screen::show(&format!("kubectl get kinst default -n {NAMESPACE} -o jsonpath='{message_of}'"), &message);

    let release =
        ["annotate", "kinst", "default", "-n", NAMESPACE, "--overwrite", "kratos-operator.dev/release=they-left"];
    screen.step("they did leave: the deletions that are held are released", kubectl.run(release)).await?;
    let operator = &mut *set.operator;
    let gone = eventually("the interns are gone", PATIENCE, async || {
        if let Err(ended) = operator.still_running() {
            return Some(Err(ended));
        }
        let left = kubectl.run(["get", "kid", "-n", NAMESPACE, "-o", "name"]).await.ok()?;
        (!left.contains("intern-")).then_some(Ok(()))
    });
    screen.step("until they are gone", async { gone.await? }).await?;
    list(kubectl, "kid").await
}
