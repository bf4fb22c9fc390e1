//! The tour: manifests are applied, changed and deleted with kubectl, and Kratos is read each time. Each step waits until its
//! result is seen, in the resource's status or in Kratos itself.

use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use crate::everyday;
use crate::screen::{self, Screen};
use crate::stage::{Set, in_repository};
use crate::testenv::Result;
use crate::testenv::kubectl::Kubectl;
use crate::testenv::process::eventually;

/// Much more than any step takes.
const PATIENCE: Duration = Duration::from_mins(1);
pub const NAMESPACE: &str = "identity";

pub async fn show(mut set: Set<'_>, screen: &mut Screen) -> Result<()> {
    let kubectl = set.control_plane.kubectl();
    the_instance(&mut set, &kubectl, screen).await?;
    let (ada, grace) = two_people(&mut set, &kubectl, screen).await?;
    a_change(&mut set, &kubectl, screen, &ada).await?;
    everyday::a_mistake(&mut set, &kubectl, screen).await?;
    everyday::an_invitation(&mut set, &kubectl, screen).await?;
    sessions(&mut set, &kubectl, screen).await?;
    a_deletion(&mut set, &kubectl, screen, &grace).await?;
    everyday::too_many_deletions(&mut set, &kubectl, screen).await?;
    // The other one is there still.
    is_in_kratos(&mut set, &ada, |_| true).await.map(drop)
}

async fn the_instance(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen) -> Result<()> {
    screen::heading("The instance: where Kratos is.");
    let apply = async {
        kubectl.apply(&example("namespace.yaml")?).await?;
        kubectl.apply(&instance(set)?).await
    };
    let what = "applying examples/namespace.yaml and examples/instance.yaml, with the URLs of the Kratos started here";
    screen.step(what, apply).await?;
    let ready = ready(set, "KratosInstance", "default");
    screen.step("until the instance is Ready", ready).await?;
    list(kubectl, "kinst").await
}

/// Gives the ids that Kratos has given them.
async fn two_people(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen) -> Result<(String, String)> {
    screen::heading("Two people, as manifests.");
    let apply = async {
        kubectl.apply(&example("customer.yaml")?).await?;
        kubectl.apply(&example("employee.yaml")?).await
    };
    let what = "applying examples/customer.yaml and examples/employee.yaml";
    screen.step(what, apply).await?;
    let what = "until ada and grace are Ready";
    let both = async {
        let ada = ready(set, "KratosIdentity", "ada").await?;
        let grace = ready(set, "KratosIdentity", "grace").await?;
        Ok((identity_id(&ada)?, identity_id(&grace)?))
    };
    let (ada, grace) = screen.step(what, both).await?;
    list(kubectl, "kid").await?;
    let what = "until Kratos has ada, with the operator's mark in metadata_admin";
    let found = is_in_kratos(set, &ada, |identity| {
        let mark = &identity["metadata_admin"]["kratos-operator.dev"];
        first_name(identity) == "Ada" && mark["name"] == "ada" && mark["namespace"] == NAMESPACE
    });
    let identity = screen.step(what, found).await?;
    let mark = &identity["metadata_admin"]["kratos-operator.dev"];
    let of_mark = |names: [&str; 3]| names.map(|name| (name.to_owned(), mark[name].clone()));
    let shown = serde_json::json!({
        "schema_id": identity["schema_id"], "state": identity["state"], "traits": identity["traits"],
        "mark": serde_json::Map::from_iter(of_mark(["owner", "namespace", "name"])),
    });
    let filter = r#" | jq '{schema_id, state, traits, mark: (.metadata_admin["kratos-operator.dev"] | {owner, namespace, name})}'"#;
    show_identity(set, &ada, filter, &shown)?;
    Ok((ada, grace))
}

async fn a_change(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen, ada: &str) -> Result<()> {
    screen::heading("A manifest changes.");
    let patch = r#"{"spec": {"traits": {"name": {"first": "Augusta"}}}}"#;
    let arguments = ["patch", "kid", "ada", "-n", NAMESPACE, "--type=merge", "-p", patch];
    let said = screen.step("kubectl patch: ada's first name", kubectl.run(arguments)).await?;
    let command = format!("kubectl patch kid ada -n {NAMESPACE} --type=merge -p '{patch}'");
    screen::show(&command, &said);
    let changed = is_in_kratos(set, ada, |identity| first_name(identity) == "Augusta");
    let identity = screen.step("until Kratos has the new name", changed).await?;
    show_identity(set, ada, " | jq .traits", &identity["traits"])
}

/// Somebody on four devices, where three are allowed.
async fn sessions(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen) -> Result<()> {
    const EMAIL: &str = "visitor@example.com";
    const PASSWORD: &str = "correct-horse-battery-4711";
    screen::heading("Sessions, under rules.");
    let person = serde_json::json!({
        "schema_id": "customer", "traits": {"email": EMAIL},
        "credentials": {"password": {"config": {"password": PASSWORD}}},
    });
    let kratos = set.kratos;
    let log_in = async {
        let (status, answer) = kratos.raw(reqwest::Method::POST, "admin/identities", &person).await?;
        if !status.is_success() {
            return Err(format!("Kratos answers {status}: {answer}").into());
        }
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(kratos.login(EMAIL, PASSWORD).await?.ok_or("the login is refused")?);
        }
        Ok(tokens)
    };
    let tokens = screen.step("somebody whom no manifest names logs in four times", log_in).await?;
    let policy = example("session-policy.yaml")?;
    let what = "applying examples/session-policy.yaml, which leaves everybody their three newest sessions";
    screen.step(what, kubectl.apply(&policy)).await?;
    screen.step("until the policy is Ready", ready(set, "KratosSessionPolicy", "housekeeping")).await?;
    list(kubectl, "ksp").await?;
    let asked = async {
        let mut holds = Vec::new();
        for token in &tokens {
            holds.push(kratos.whoami(token).await?.is_some());
        }
        if holds == [false, true, true, true] { Ok(()) } else { Err(format!("sessions hold: {holds:?}").into()) }
    };
    screen.step("whoami: the oldest session is dead, the three newest are alive", asked).await
}

async fn a_deletion(set: &mut Set<'_>, kubectl: &Kubectl, screen: &mut Screen, grace: &str) -> Result<()> {
    screen::heading("A manifest is deleted.");
    let arguments = ["delete", "kid", "grace", "-n", NAMESPACE, "--timeout=60s"];
    let said = screen.step("kubectl delete: grace", kubectl.run(arguments)).await?;
    screen::show(&format!("kubectl delete kid grace -n {NAMESPACE}"), &said);
    let gone = is_gone_from_kratos(set, grace);
    screen.step("until grace is gone from Kratos", gone).await?;
    list(kubectl, "kid").await
}

pub async fn list(kubectl: &Kubectl, kind: &str) -> Result<()> {
    let said = kubectl.run(["get", kind, "-n", NAMESPACE]).await?;
    screen::show(&format!("kubectl get {kind} -n {NAMESPACE}"), &said);
    Ok(())
}

fn example(name: &str) -> Result<String> {
    let path = in_repository("examples").join(name);
    std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// The example with its two URLs, which are those within a cluster, replaced by those of the Kratos started here.
fn instance(set: &Set<'_>) -> Result<String> {
    let mut manifest = example("instance.yaml")?;
    for (within, here) in [
        ("http://kratos-admin.identity.svc:4434", set.kratos.admin_url()),
        ("http://kratos-public.identity.svc:4433", set.kratos.public_url()),
    ] {
        if manifest.matches(within).count() != 1 {
            return Err(format!("examples/instance.yaml doesn't name {within} once").into());
        }
        manifest = manifest.replace(within, here.as_str().trim_end_matches('/'));
    }
    Ok(manifest)
}

/// The resource, once it is Ready for what its spec says now.
pub async fn ready(set: &mut Set<'_>, kind: &str, name: &str) -> Result<DynamicObject> {
    until(set, kind, name, "it is Ready", |object| is_ready(object).then(|| object.clone())).await
}

/// What is seen of a resource, once it is.
pub async fn until<T>(
    set: &mut Set<'_>,
    kind: &str,
    name: &str,
    what: &str,
    seen: impl Fn(&DynamicObject) -> Option<T>,
) -> Result<T> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("kratos-operator.dev", "v1alpha1", kind));
    let client = set.control_plane.client().await?;
    let api: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &resource_named(resource));
    let what = format!("{name}: {what}");
    let found = eventually(&what, PATIENCE, async || {
        if let Err(ended) = set.operator.still_running() {
            return Some(Err(ended));
        }
        seen(&api.get(name).await.ok()?).map(Ok)
    });
    match found.await {
        Ok(outcome) => outcome,
        // How far it came says more than that it didn't arrive.
        Err(late) => {
            let status = api.get(name).await?.data["status"].take();
            Err(format!("{late}; its status: {status}").into())
        }
    }
}

/// A condition of a resource, for what its spec says now.
pub fn condition<'a>(object: &'a DynamicObject, kind: &str) -> Option<&'a Value> {
    let status = &object.data["status"];
    let conditions = status["conditions"].as_array()?;
    let is_of_now = status["observedGeneration"].as_i64() == object.metadata.generation;
    conditions.iter().find(|condition| is_of_now && condition["type"] == kind)
}

/// The plural isn't the kind with an `s`.
fn resource_named(mut resource: ApiResource) -> ApiResource {
    resource.plural = resource.plural.replace("identitys", "identities").replace("policys", "policies");
    resource
}

fn is_ready(object: &DynamicObject) -> bool {
    condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
}

fn first_name(identity: &Value) -> &Value {
    &identity["traits"]["name"]["first"]
}

fn identity_id(object: &DynamicObject) -> Result<String> {
    let id = object.data["status"]["identityID"].as_str();
    Ok(id.ok_or("no status.identityID")?.to_owned())
}

/// The identity as Kratos has it, once it is as expected.
async fn is_in_kratos(set: &mut Set<'_>, id: &str, expected: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually("Kratos has the identity as expected", PATIENCE, async || match read(set, id).await {
        Ok((200, identity)) if expected(&identity) => Some(Ok(identity)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
    .await?
}

async fn is_gone_from_kratos(set: &mut Set<'_>, id: &str) -> Result<()> {
    eventually("Kratos answers 404 for the identity", PATIENCE, async || match read(set, id).await {
        Ok((404, _)) => Some(Ok(())),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
    .await?
}

/// What Kratos itself says, past the operator. An operator that has ended is an error.
async fn read(set: &mut Set<'_>, id: &str) -> Result<(u16, Value)> {
    set.operator.still_running()?;
    let path = format!("admin/identities/{id}");
    let (status, body) = set.kratos.raw(reqwest::Method::GET, &path, &Value::Null).await?;
    Ok((status.as_u16(), body))
}

fn show_identity(set: &Set<'_>, id: &str, filter: &str, shown: &Value) -> Result<()> {
    let admin = set.kratos.admin_url();
    let command = format!("curl -s {admin}admin/identities/{id}{filter}");
    screen::show(&command, &serde_json::to_string_pretty(shown)?);
    Ok(())
}
