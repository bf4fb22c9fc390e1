//! The audit log of a real operator beside what the proxy before Kratos saw: each write is in it once, with its cause, and no
//! value is.

mod output;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::{KratosIdentity, KratosSessionPolicy};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::policing::counts;
use crate::protection::release;
use crate::scene::{Scene, WITHIN, id_of, reason_of};
use crate::testenv::process::eventually;
use crate::testenv::proxy::{Listener, Proxy};

const BATCH: &str = "PATCH /admin/identities";

/// How many identities each batch that reached Kratos had.
#[derive(Default)]
struct Batches(Mutex<usize>);

impl Listener for Batches {
    fn asked(&self, label: &str, body: &[u8]) {
        if label == BATCH {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            *self.0.lock().unwrap() += body["identities"].as_array().map_or(0, Vec::len);
        }
    }

    fn wants_answer(&self, _: &str) -> bool {
        false
    }

    fn answered(&self, _: &str, _: &[u8]) {}
}

/// The request that a line is about.
fn request(line: &Value) -> String {
    let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let (identity, session) = (text("identity"), text("session"));
    match line["operation"].as_str().expect("an operation") {
        "createIdentity" => "POST /admin/identities".to_owned(),
        "batchPatchIdentities" => BATCH.to_owned(),
        "patchIdentity" => format!("PATCH /admin/identities/{identity}"),
        "updateIdentity" => format!("PUT /admin/identities/{identity}"),
        "deleteIdentity" => format!("DELETE /admin/identities/{identity}"),
        "deleteIdentitySessions" => format!("DELETE /admin/identities/{identity}/sessions"),
        "deleteIdentityCredentials" => {
            format!("DELETE /admin/identities/{identity}{}", line["paths"][0].as_str().expect("a path"))
        }
        "createRecoveryCodeForIdentity" => "POST /admin/recovery/code".to_owned(),
        "createRecoveryLinkForIdentity" => "POST /admin/recovery/link".to_owned(),
        "disableSession" => format!("DELETE /admin/sessions/{session}"),
        "extendSession" => format!("PATCH /admin/sessions/{session}/extend"),
        other => panic!("{other}: {line}"),
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the audit log");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Lines about what one resource caused.
fn caused_by(lines: &[Value], name: &str) -> Vec<(String, String)> {
    let caused = lines.iter().filter(|line| line["initiator"]["name"] == name);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    caused.map(|line| (text(&line["operation"]), text(&line["initiator"]["cause"]))).collect()
}

struct Audited {
    scene: Scene,
    /// Between the operator and the proxy of the scene.
    proxy: Proxy,
    batches: Arc<Batches>,
    directory: tempfile::TempDir,
}

impl Audited {
    async fn begin() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.log");
        let mut scene = Scene::own().await;
        let arguments = vec!["--audit-log".to_owned(), path.display().to_string()];
        scene.operator().restart_with(|settings| settings.arguments = arguments).expect("it starts");
        let proxy = Proxy::before_kratos(&scene.proxy.url()).expect("a proxy");
        let batches = Arc::<Batches>::default();
        proxy.listen(Arc::clone(&batches) as _);
        let audited = Self { scene, proxy, batches, directory };
        audited.instance(json!({})).await;
        audited.scene.counted().await;
        audited
    }

    async fn instance(&self, mut changes: Value) {
        changes["adminURL"] = json!(self.proxy.url());
        self.scene.instance(changes).await;
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    /// The writes that reached Kratos, as method and path, one for each identity of a batch.
    fn writes(&self) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for seen in self.proxy.seen().iter().filter(|seen| !seen.label.starts_with("GET ") && seen.label != BATCH) {
            let method = seen.label.split(' ').next().unwrap_or_default();
            *counted.entry(format!("{method} {}", seen.path)).or_default() += 1;
        }
        let batches = *self.batches.0.lock().unwrap();
        counted.extend((batches > 0).then(|| (BATCH.to_owned(), batches)));
        counted
    }

    /// Each write that reached Kratos has one line, and each line is about one of them.
    async fn complete(&self) -> Vec<Value> {
        let told = |lines: &[Value]| {
            let mut told = BTreeMap::<String, usize>::new();
            for line in lines {
                *told.entry(request(line)).or_default() += 1;
            }
            told
        };
        let complete = eventually("each write has its line", WITHIN, async || {
            let lines = lines(&self.path());
            (told(&lines) == self.writes()).then_some(lines)
        });
        complete.await.unwrap_or_else(|error| {
            panic!("{error}\n{:#?}\n{:#?}\n{}", self.writes(), told(&lines(&self.path())), self.scene.log())
        })
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        let names = ["audit.log", "audit.log.1"].map(|name| self.directory.path().join(name));
        for text in names.iter().filter_map(|path| std::fs::read_to_string(path).ok()) {
            crate::traces::of_this_run().written("the audit log", text);
        }
    }
}

async fn secret(scene: &Scene, name: &str, values: &Value) {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values});
    let api = Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace);
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.expect("a Secret");
}

#[tokio::test]
async fn each_write_about_identities_has_one_line_that_says_who_caused_it() {
    let audited = Audited::begin().await;
    let scene = &audited.scene;
    secret(scene, "ada-password", &json!({"password": "An-Audited-Password-1"})).await;
    let ada = json!({
        "schemaID": "customer", "traits": {"email": "Ada.Audited@audited.example", "name": {"first": "Ada-Audited"}},
        "credentials": {"password": {"secretKeyRef": {"name": "ada-password", "key": "password"}}},
        "metadataPublic": {"plan": "a-plan-of-ada"},
    });
    for (name, spec) in [
        ("ada", ada.clone()),
        (
            "bob",
            json!({"schemaID": "customer", "traits": {"email": "bob@audited.example"}, "deletion": {"gracePeriod": "3s"}}),
        ),
        ("cyd", json!({"schemaID": "customer", "traits": {"email": "cyd@audited.example"}})),
    ] {
        scene.identity(name, spec).await;
    }
    for name in ["ada", "bob", "cyd"] {
        scene.ready(name).await;
    }
    let bob = id_of(&scene.ready("bob").await);
    // A change, a password, actions, a recovery.
    let mut changed = ada.clone();
    changed["traits"]["name"]["first"] = json!("Ada-Renamed");
    changed["actions"] =
        json!({"revokeSessions": {"token": "1"}, "resetSecondFactors": {"token": "1", "types": ["TOTP"]}});
    scene.identity("ada", changed.clone()).await;
    scene.ready("ada").await;
    changed["actions"]["setPassword"] = json!({"token": "1"});
    changed["actions"]["recovery"] = json!({"token": "1"});
    changed["recovery"] = json!({"type": "Code", "secretName": "ada-recovery"});
    scene.identity("ada", changed).await;
    scene.ready("ada").await;
    scene.delete("bob").await;
    scene.delete("cyd").await;
    eventually("bob is gone", WITHIN, async || {
        scene.admin().get_identity(&bob, &[]).await.ok()?.is_none().then_some(())
    })
    .await
    .expect("its grace period is over");

    let lines = audited.complete().await;
    let of = |name: &str| caused_by(&lines, name);
    let has = |name: &str, operation: &str, cause: &str| {
        let found = of(name).iter().any(|(op, by)| (op.as_str(), by.as_str()) == (operation, cause));
        assert!(found, "{name}: {operation} by {cause}: {:#?}", of(name));
    };
    assert!(of("ada")[0].0 == "createIdentity" || of("ada")[0].0 == "batchPatchIdentities", "{lines:#?}");
    has("ada", "patchIdentity", "Spec");
    has("ada", "deleteIdentityCredentials", "Action");
    has("ada", "updateIdentity", "Action");
    has("ada", "createRecoveryCodeForIdentity", "Action");
    has("bob", "patchIdentity", "Deletion");
    has("bob", "deleteIdentitySessions", "Deletion");
    has("bob", "deleteIdentity", "GracePeriod");
    has("cyd", "deleteIdentity", "Deletion");
    let action = |operation: &str| {
        let line = lines.iter().find(|line| line["operation"] == operation && line["initiator"]["name"] == "ada");
        line.expect("a line")["initiator"]["action"].clone()
    };
    assert_eq!(action("deleteIdentityCredentials"), "resetSecondFactors");
    assert_eq!(action("updateIdentity"), "setPassword");
    assert_eq!(action("createRecoveryCodeForIdentity"), "recovery");
    let create = lines.iter().find(|line| line["initiator"]["name"] == "ada").expect("a line");
    for path in [
        "/traits/email",
        "/traits/name/first",
        "/metadata_public/plan",
        "/metadata_admin/kratos-operator.dev",
        "/credentials/password",
    ] {
        assert!(create["paths"].as_array().expect("paths").contains(&json!(path)), "{path}: {create}");
    }
    let renamed =
        lines.iter().filter(|line| line["operation"] == "patchIdentity" && line["initiator"]["name"] == "ada");
    assert!(renamed.clone().any(|line| line["paths"][0] == "/traits/name/first"), "{lines:#?}");
    let instance = format!("{}/default", scene.namespace);
    let log = scene.whole_log();
    for line in &lines {
        assert_eq!(line["instance"], instance, "{line}");
        // There were no sessions to end, and no second factor.
        assert!(["ok", "not_found"].contains(&line["outcome"].as_str().expect("an outcome")), "{line}");
        assert_eq!(line["outcome"] == "not_found", line["status"] == 404, "{line}");
        let initiator = &line["initiator"];
        assert!(initiator["uid"].as_str().is_some_and(|uid| uid.len() == 36), "{line}");
        assert_eq!(initiator["generation"].is_u64(), initiator["cause"] != "GracePeriod", "{line}");
        let id = line["trace_id"].as_str().expect("a trace");
        assert!(id.len() == 32 && (initiator["cause"] == "GracePeriod" || log.contains(id)), "{line}");
    }
    let text = std::fs::read_to_string(audited.path()).expect("the audit log").to_lowercase();
    for value in ["audited.example", "ada-audited", "ada-renamed", "an-audited-password", "a-plan-of-ada"] {
        assert!(!text.contains(value), "{value}");
    }
}

#[tokio::test]
async fn held_deletions_and_unanswered_creates_say_so_and_a_moved_file_is_made_anew() {
    let audited = Audited::begin().await;
    let scene = &audited.scene;
    audited.instance(json!({"protection": {"maxDeletions": 0}})).await;
    let spec = |name: &str| json!({"schemaID": "customer", "traits": {"email": format!("{name}@audited.example")}});
    for name in ["ada", "bob", "cyd"] {
        scene.identity(name, spec(name)).await;
    }
    for name in ["ada", "bob", "cyd"] {
        scene.ready(name).await;
    }
    let before = audited.complete().await.len();
    let moved = audited.directory.path().join("audit.log.1");
    std::fs::rename(audited.path(), &moved).expect("it is moved");
    for name in ["ada", "bob", "cyd"] {
        scene.identities().delete(name, &DeleteParams::default()).await.expect("it is deleted");
    }
    for name in ["ada", "bob", "cyd"] {
        let is_held = |held: &KratosIdentity| (reason_of(held, "Stalled", "True")? == "DeletionHeld").then_some(());
        scene.until(name, "is held", is_held).await;
    }
    release(scene, "1").await;
    for name in ["ada", "bob", "cyd"] {
        scene.gone(name).await;
    }
    // The server is cut off in the middle of a create.
    audited.proxy.on("POST /admin/identities").once().lose_answer();
    scene.identity("dan", spec("dan")).await;
    scene.ready("dan").await;
    // It was carried out, and is found: there is no second write.
    let after = eventually("the line is there", WITHIN, async || {
        let lines = std::fs::metadata(audited.path()).is_ok().then(|| lines(&audited.path()))?;
        (!caused_by(&lines, "dan").is_empty()).then_some(lines)
    });
    let after = after.await.expect("the new file has it");
    assert_eq!(lines(&moved).len(), before, "the file that was moved stays as it was");
    for name in ["ada", "bob", "cyd"] {
        assert_eq!(caused_by(&after, name), [("deleteIdentity".to_owned(), "ProtectionRelease".to_owned())]);
    }
    let lost = after.iter().find(|line| line["initiator"]["name"] == "dan").expect("a line");
    assert_eq!((&lost["outcome"], &lost["operation"]), (&json!("unanswered"), &json!("createIdentity")), "{lost}");
    assert!(lost.get("status").is_none() && lost.get("identity").is_none(), "{lost}");
}

#[tokio::test]
async fn sessions_that_policies_end_name_the_rule_or_the_action_and_whose_they_were() {
    let audited = Audited::begin().await;
    let scene = &audited.scene;
    let ada = scene.person("ada@audited.example").await;
    for _ in 0..3 {
        scene.log_in("ada@audited.example").await;
    }
    let rules = json!([
        {"name": "two-each", "maxConcurrent": 2, "action": "Revoke"},
        {"name": "none-at-all", "expression": "true", "action": "Revoke"},
    ]);
    let policy = json!({"identities": {"all": true}, "interval": "1h", "rules": rules});
    let run = scene.policy("sweep", policy).await;
    assert_eq!(counts(&run)[2], 3);
    scene.log_in("ada@audited.example").await;
    let all = json!({"identities": {"all": true}, "interval": "1h", "actions": {"revokeAll": {"token": "1", "reason": "leak"}}});
    scene.try_policy_in(&scene.namespace, "incident", all).await.expect("it is accepted");
    let done = |policy: &KratosSessionPolicy| {
        policy.status.as_ref()?.actions.as_ref()?.revoke_all.as_ref()?.completed_at.as_ref().map(drop)
    };
    scene.policy_until(&scene.namespace, "incident", "it is done", done).await;
    let lines = audited.complete().await;
    let of = |name: &str| lines.iter().filter(|line| line["initiator"]["name"] == name).collect::<Vec<_>>();
    let (swept, ended) = (of("sweep"), of("incident"));
    assert_eq!((swept.len(), ended.len()), (3, 1), "{lines:#?}");
    for line in swept.iter().chain(&ended) {
        assert_eq!(
            (&line["operation"], &line["initiator"]["kind"]),
            (&json!("disableSession"), &json!("KratosSessionPolicy"))
        );
        assert!(line["session"].is_string() && line["initiator"]["generation"] == 1, "{line}");
        // Whose a session is isn't asked for where nothing depends on it.
        assert!(line.get("identity").is_none_or(|id| *id == ada.id), "{line}");
    }
    for line in swept {
        let rules = line["initiator"]["rules"].as_array().expect("rules");
        assert!(line["initiator"]["cause"] == "Rule" && rules.contains(&json!("none-at-all")), "{line}");
        assert_eq!(line["identity"], ada.id, "{line}");
    }
    assert_eq!(
        (&ended[0]["initiator"]["cause"], &ended[0]["initiator"]["action"]),
        (&json!("Action"), &json!("revokeAll"))
    );
}

#[tokio::test]
async fn each_identity_of_a_batch_has_a_line_also_where_the_server_takes_the_batch_back() {
    let audited = Audited::begin().await;
    let scene = &audited.scene;
    scene.person("taken@audited.example").await;
    let names: Vec<_> = (0..12).map(|number| format!("person-{number}")).collect();
    // So that they share a batch.
    audited.proxy.down();
    for (number, name) in names.iter().enumerate() {
        let email = if number == 5 { "taken@audited.example".to_owned() } else { format!("{name}@audited.example") };
        scene.identity(name, json!({"schemaID": "customer", "traits": {"email": email}})).await;
    }
    audited.proxy.up().expect("it listens again");
    for (number, name) in names.iter().enumerate() {
        if number == 5 {
            scene.stalled(name, "IdentityConflict").await;
        } else {
            scene.ready(name).await;
        }
    }
    let lines = audited.complete().await;
    let created = |line: &&Value| line["outcome"] == "ok" && line["paths"][0] == "/schema_id";
    let created: Vec<_> = lines.iter().filter(created).map(|line| line["identity"].as_str().expect("an id")).collect();
    let ours = scene.ours().await;
    let mut there: Vec<_> = ours.iter().map(|identity| identity.id.as_str()).collect();
    let mut told = created.clone();
    there.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, there, "what is told as created is there, and nothing else");
    let refused = lines.iter().filter(|line| line["initiator"]["name"] == "person-5");
    assert!(refused.clone().any(|line| line["outcome"] == "conflict" && line["status"] == 409), "{lines:#?}");
    let taken_back = lines.iter().filter(|line| line["outcome"] == "rolled_back").count();
    assert!(taken_back > 0, "this server rolls back whatever travels with a conflict: {lines:#?}");
}
