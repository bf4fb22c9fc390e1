//! An operator that works in namespaces of its own: with roles in those alone everything works; what lacks is said once, not asked
//! for again and again, and heals by itself; a namespace that goes as a whole leaves its roles behind before our finalizers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kratos_operator::api::{KratosInstance, condition};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::passwords::{SECOND, put_secret, until_it_logs_in, with_ada};
use crate::rights::{ACCOUNT, OWN, PLACEHOLDER};
use crate::scene::{Cluster, Scene, Server, WITHIN};
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::process::eventually;

/// What is polled every thirty seconds, or tried again every minute.
pub const LONG: Duration = Duration::from_mins(3);
const CREATE: &str = "POST /admin/identities";

/// A scene whose operator works in its namespace and those named after it, with roles there and nowhere else.
pub async fn namespaced(options: &[&str]) -> Scene {
    let kratos = Kratos::start(Options::default()).await.expect("Kratos starts");
    let options: Vec<_> = ["--namespaces", PLACEHOLDER].iter().chain(options).copied().collect();
    let cluster = Arc::new(Cluster::start_for(&options).await);
    let namespace = "space-000".to_owned();
    let operator = cluster.start_operator(vec![namespace.clone()]).await;
    Scene::set(cluster, Server::Own(Arc::new(kratos)), Some(operator), namespace).await
}

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@namespaced.example")}})
}

/// Requests of the operator that were refused, as the API server's audit log has them: `verb resource in namespace`.
fn refused(scene: &Scene) -> Vec<String> {
    let events = scene.cluster.plane.audited().expect("an audit log");
    let refused = events.iter().filter(|event| event["annotations"]["authorization.k8s.io/decision"] == "forbid");
    let words = |event: &Value| {
        let (verb, object) = (&event["verb"], &event["objectRef"]);
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
        format!("{} {}{subresource} in {}", word(verb), word(&object["resource"]), word(&object["namespace"]))
    };
    refused.map(words).collect()
}

async fn label(scene: &Scene, namespace: &str, labels: Value) {
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    let api = Api::<Namespace>::all(scene.client.clone());
    api.patch(namespace, &PatchParams::default(), &patch).await.expect("it is labelled");
}

/// What the instance says lacks; empty where nothing does.
fn lacking(instance: &KratosInstance) -> String {
    let conditions = instance.status.as_ref().map_or(&[][..], |status| &status.conditions);
    condition::find(conditions, "PermissionsMissing").map(|found| found.message.clone()).unwrap_or_default()
}

async fn until_lacking(scene: &Scene, what: &str, holds: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    let found = eventually(what, LONG, async || {
        last = lacking(&scene.instances().get_opt("default").await.ok()??);
        holds(&last).then(|| last.clone())
    });
    found.await.unwrap_or_else(|error| panic!("{error}; the instance says: {last}\n{}", scene.log()))
}

/// Takes the operator's rights in a namespace away, and waits until that is in force. Returns what was there.
async fn revoke(scene: &Scene, namespace: &str) -> RoleBinding {
    scene.cluster.plane.refuses_on_purpose().expect("a mark");
    let api = Api::<RoleBinding>::namespaced(scene.client.clone(), namespace);
    let binding = api.get("kratos-operator").await.expect("it is there");
    api.delete("kratos-operator", &DeleteParams::default()).await.expect("it is deleted");
    may(scene, "patch", "kratosidentities", namespace, false).await;
    binding
}

async fn may(scene: &Scene, verb: &str, resource: &str, namespace: &str, expected: bool) {
    let account = format!("--as=system:serviceaccount:{OWN}:{ACCOUNT}");
    let kubectl = scene.cluster.plane.kubectl();
    let arguments = ["auth", "can-i", verb, resource, "-n", namespace, account.as_str()];
    let in_force = eventually("roles are in force", WITHIN, async || {
        let answer = kubectl.output(arguments).await.expect("kubectl answers");
        (answer.status.success() == expected).then_some(())
    });
    in_force.await.unwrap_or_else(|error| panic!("{error}: {verb} {resource} in {namespace}"));
}

async fn give_back(scene: &Scene, namespace: &str, mut binding: RoleBinding) {
    binding.metadata.resource_version = None;
    binding.metadata.uid = None;
    let api = Api::<RoleBinding>::namespaced(scene.client.clone(), namespace);
    api.create(&kube::api::PostParams::default(), &binding).await.expect("it is accepted");
}

#[tokio::test]
async fn with_roles_in_its_namespaces_alone_everything_works_and_nothing_is_refused() {
    let scene = namespaced(&[]).await;
    let selector = json!({"matchLabels": {"kratos": "allowed"}});
    scene.instance(json!({"allowedNamespaces": {"from": "Selector", "selector": selector}})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "bob", customer("bob")).await;
    scene.stalled_in(&tenant, "bob", "NotPermitted").await;
    label(&scene, &tenant, json!({"kratos": "allowed"})).await;
    let bob = eventually("the label is seen", LONG, async || {
        let bob = scene.identities_in(&tenant).get("bob").await.ok()?;
        let status = bob.status.as_ref()?;
        condition::is_true(&status.conditions, "Ready").then_some(bob.clone())
    });
    let bob = bob.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    let mark = scene.in_kratos(&bob).await.metadata_admin.read().unwrap()["kratos-operator.dev"].clone();
    let uid = Api::<Namespace>::all(scene.client.clone()).get(&tenant).await.expect("it is there").metadata.uid;
    assert_eq!((mark["namespaceUID"].as_str(), mark["cluster"].as_str()), (uid.as_deref(), scene.cluster.id()));

    // A Secret that changes is noticed, its holder logs in; a recovery comes and goes; a deletion is carried out.
    with_ada(&scene, json!({})).await;
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    until_it_logs_in(&scene, SECOND).await;
    let mut invited = customer("invited");
    invited["recovery"] = json!({"type": "Link", "expiresIn": "1h", "secretName": "way-in"});
    scene.identity("invited", invited).await;
    scene.ready("invited").await;
    scene.delete("invited").await;
    scene.gone("invited").await;

    // Consent that was withdrawn a moment ago counts at the next create already.
    let created = scene.proxy.count(CREATE);
    label(&scene, &tenant, json!({"kratos": null})).await;
    scene.identity_in(&tenant, "late", customer("late")).await;
    scene.stalled_in(&tenant, "late", "NotPermitted").await;
    assert_eq!(scene.proxy.count(CREATE), created, "nothing is created for it");

    assert_eq!(refused(&scene), Vec::<String>::new());
    let by_cluster_roles = scene.cluster.plane.audited().expect("an audit log").into_iter().filter(|event| {
        let why = event["annotations"]["authorization.k8s.io/reason"].as_str().unwrap_or_default();
        why.contains("ClusterRoleBinding") && !why.contains("system:")
    });
    assert_eq!(by_cluster_roles.count(), 0, "no role of the cluster is needed");
    assert_eq!(lacking(&scene.instance_ready("default").await), "");
}

#[tokio::test]
async fn what_lacks_is_said_once_tried_once_a_minute_and_heals_by_itself() {
    let mut scene = namespaced(&[]).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.operator().kill();
    let binding = revoke(&scene, &tenant).await;
    scene.operator().restart().expect("it starts");
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    // It holds up nobody else.
    scene.identity("ada", customer("ada")).await;
    scene.ready("ada").await;
    scene.identity_in(&tenant, "bob", customer("bob")).await;
    let words = ["list kratosidentities of group kratos-operator.dev", "list secrets", "get namespaces"];
    let words = words.map(|word| format!("{word} in namespace {tenant}"));
    let told = until_lacking(&scene, "it says what lacks", |told| words.iter().all(|word| told.contains(word))).await;
    assert!(told.contains("kratos-operator rbac"), "{told}");

    // The lists that are refused are tried again, but not soon.
    let is_list = |label: &str| label.starts_with("LIST ");
    let tries = || {
        let seen = scene.cluster.proxy.seen().into_iter();
        let mine = seen.filter(|seen| seen.status == Some(403) && is_list(&seen.label) && seen.path.contains(&tenant));
        mine.map(|seen| (seen.label, seen.at)).collect::<Vec<_>>()
    };
    let again = eventually("each is tried again", LONG, async || {
        let tries = tries();
        ["LIST kratosidentities", "LIST secrets"]
            .iter()
            .all(|label| tries.iter().filter(|(tried, _)| tried == label).count() >= 2)
            .then_some(tries)
    });
    let tries = again.await.unwrap_or_else(|error| panic!("{error}: {:?}", scene.cluster.proxy.counts()));
    for label in ["LIST kratosidentities", "LIST kratosinstances", "LIST kratossessionpolicies", "LIST secrets"] {
        let times: Vec<Instant> = tries.iter().filter(|(tried, _)| tried == label).map(|(_, at)| *at).collect();
        assert!(times.windows(2).all(|two| two[1] - two[0] >= Duration::from_secs(30)), "{label}: {times:?}");
    }
    let log = scene.whole_log();
    for word in &words {
        assert_eq!(log.matches(&format!("may not {word};")).count(), 1, "{word}: it is said once\n{log}");
    }

    give_back(&scene, &tenant, binding).await;
    scene.ready_in(&tenant, "bob").await;
    until_lacking(&scene, "nothing lacks any more", str::is_empty).await;
    assert!(scene.whole_log().contains(&format!("may {} now", words[0])), "{}", scene.log());
}

/// No status says that the reconcile was taken, since none may be written.
#[tokio::test]
async fn a_look_that_is_asked_for_is_taken_once_where_no_status_may_be_written() {
    const REQUEST: &str = "kratos-operator.dev/reconcile-requested-at";
    let scene = namespaced(&[]).await.with_instance().await;
    let binding = revoke(&scene, &scene.namespace).await;
    let asked = Patch::Merge(json!({"metadata": {"annotations": {REQUEST: "once"}}}));
    scene.instances().patch("default", &PatchParams::default(), &asked).await.expect("it is annotated");
    let told = eventually("it says that it may not say so", WITHIN, async || {
        scene.whole_log().contains("may not patch kratosinstances/status").then_some(())
    });
    told.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    // The time in which nothing may be listed again.
    scene.count_from_now();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let listings = scene.proxy.count("GET /admin/identities");
    assert!(listings <= 2, "it was listed already: {:?}", scene.proxy.counts());

    give_back(&scene, &scene.namespace, binding).await;
    scene
        .instance_until("default", "it says that it was looked at", |instance| {
            (instance.status.as_ref()?.last_handled_reconcile_at.as_deref() == Some("once")).then_some(())
        })
        .await;
}

#[tokio::test]
async fn without_watching_secrets_they_are_read_at_the_resync_and_never_listed() {
    let mut scene = namespaced(&["--watch-secrets=false"]).await;
    let arguments = vec!["--watch-secrets=false".to_owned()];
    scene.operator().kill();
    scene.cluster.proxy.reset();
    scene.operator().restart_with(|settings| settings.arguments = arguments).expect("it starts");
    scene.instance(json!({"resyncInterval": "10s"})).await;
    with_ada(&scene, json!({})).await;
    put_secret(&scene, &[("password", SECOND.as_bytes())]).await;
    until_it_logs_in(&scene, SECOND).await;
    let counts = scene.cluster.proxy.counts();
    let watching = counts.keys().filter(|label| *label == "LIST secrets" || *label == "WATCH secrets");
    assert_eq!(watching.count(), 0, "{counts:?}");
    let refused = scene.cluster.proxy.seen().into_iter().filter(|seen| seen.status == Some(403)).count();
    assert_eq!(refused, 0, "{counts:?}");
    assert_eq!(lacking(&scene.instance_ready("default").await), "");
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_named_and_waited_for() {
    let scene = namespaced(&[]).await.with_instance().await;
    let roles = Api::<Role>::namespaced(scene.client.clone(), &scene.namespace);
    let role = roles.get("kratos-operator").await.expect("it is there");
    let mut less = serde_json::to_value(&role.rules).expect("JSON");
    for rule in less.as_array_mut().expect("rules") {
        if rule["resources"] == json!(["secrets"]) {
            rule["verbs"].as_array_mut().expect("verbs").retain(|verb| verb != "get");
        }
    }
    let set = async |rules: &Value| {
        let patch = Patch::Merge(json!({"rules": rules}));
        roles.patch("kratos-operator", &PatchParams::default(), &patch).await.expect("it is accepted");
    };
    scene.cluster.plane.refuses_on_purpose().expect("a mark");
    set(&less).await;
    may(&scene, "get", "secrets", &scene.namespace, false).await;
    let mut ada = customer("ada");
    ada["traitsFrom"] = json!([{"path": "/username", "secretKeyRef": {"name": "ada", "key": "username"}}]);
    scene.identity("ada", ada).await;
    scene.retrying("ada", "SecretNotReady").await;
    let word = format!("get secrets in namespace {}", scene.namespace);
    until_lacking(&scene, "it says what lacks", |told| told.contains(&word)).await;
    put_secret(&scene, &[("username", b"ada")]).await;
    set(&serde_json::to_value(&role.rules).expect("JSON")).await;
    scene.ready("ada").await;
    until_lacking(&scene, "nothing lacks any more", str::is_empty).await;
}

#[tokio::test]
async fn an_instance_elsewhere_is_not_there_for_it_and_says_so() {
    let scene = namespaced(&[]).await.with_instance().await;
    let mut ada = customer("ada");
    ada["instanceRef"] = json!({"name": "default", "namespace": "nowhere"});
    scene.identity("ada", ada).await;
    let told = scene.retrying("ada", "InstanceNotReady").await;
    assert!(told.contains("nowhere/default") && told.contains("--namespaces"), "{told}");
}

/// A tenant's namespace that is being deleted, whose role binding went first, with an identity that is still there.
async fn left_behind() -> (Scene, String, String) {
    let scene = namespaced(&[]).await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "bob", customer("bob")).await;
    let bob = scene.ready_in(&tenant, "bob").await;
    revoke(&scene, &tenant).await;
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    namespaces.delete(&tenant, &DeleteParams::default()).await.expect("it is being deleted");
    until_lacking(&scene, "it says that the namespace is stuck", |told| {
        told.contains(&format!("Namespace {tenant} is being deleted")) && told.contains("docs/namespaced-mode.md")
    })
    .await;
    // The way in that everybody tries first is closed.
    let kubectl = scene.cluster.plane.kubectl();
    let account = format!("--serviceaccount={OWN}:{ACCOUNT}");
    let arguments =
        ["create", "rolebinding", "again", "--role=kratos-operator", account.as_str(), "-n", tenant.as_str()];
    let error = kubectl.run(arguments).await.expect_err("a namespace that is being deleted takes nothing new");
    assert!(error.to_string().contains("being terminated"), "{error}");
    assert!(scene.admin().get_identity(&crate::scene::id_of(&bob), &[]).await.expect("Kratos answers").is_some());
    (scene, tenant, crate::scene::id_of(&bob))
}

/// The commands of a section of the page about it, for this scene.
fn commands(section: &str, scene: &Scene, tenant: &str) -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/namespaced-mode.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let section = page.split("\n### ").find(|part| part.starts_with(section)).unwrap_or_else(|| panic!("{section}"));
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("commands");
    let lines = block.replace("\\\n", " ");
    let of_scene = |line: &str| {
        let line = line.replace("team-a", tenant).replace("ops:kratos-operator", &format!("{OWN}:{ACCOUNT}"));
        line.replace("identity/", &format!("{}/", scene.namespace))
    };
    let words = |line: &str| line.split_whitespace().skip(1).map(|word| word.trim_matches('\'').to_owned()).collect();
    lines.lines().filter(|line| line.starts_with("kubectl ")).map(|line| words(&of_scene(line))).collect()
}

async fn namespace_gone(scene: &Scene, tenant: &str) {
    let namespaces = Api::<Namespace>::all(scene.client.clone());
    let gone = eventually("the namespace is gone", LONG, async || {
        namespaces.get_opt(tenant).await.expect("an answer").is_none().then_some(())
    });
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

#[tokio::test]
async fn a_namespace_that_lost_its_role_binding_first_goes_with_rights_for_a_moment() {
    let (scene, tenant, id) = left_behind().await;
    let kubectl = scene.cluster.plane.kubectl();
    let mut commands = commands("Rights for a moment", &scene, &tenant);
    assert!(commands.len() >= 3, "{commands:?}");
    let last = commands.split_off(2);
    for command in &commands {
        kubectl.run(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
    namespace_gone(&scene, &tenant).await;
    let identity = scene.admin().get_identity(&id, &[]).await.expect("Kratos answers");
    assert_eq!(identity, None, "it is deleted as its manifest says");
    for command in &last {
        kubectl.run(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
}

#[tokio::test]
async fn a_namespace_that_lost_its_role_binding_first_goes_by_hand_and_leaves_its_identities() {
    let (scene, tenant, id) = left_behind().await;
    let kubectl = scene.cluster.plane.kubectl();
    let by_hand = commands("By hand", &scene, &tenant);
    assert!(!by_hand.is_empty());
    for command in &by_hand {
        kubectl.run(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
    namespace_gone(&scene, &tenant).await;
    let identity = scene.admin().get_identity(&id, &[]).await.expect("Kratos answers");
    assert!(identity.is_some(), "nobody could delete it");
}
