//! Creates whose answer never came, of manifests that are corrected before the next reconcile: what was sent decides on
//! whether there is an identity, not what is wanted by now. Exactly one identity each.

use k8s_openapi::api::core::v1::Secret;
use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::Identity;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, reason_of};
use crate::testenv::kratos::Options;
use crate::testenv::kratos_schemas;
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

const CREATE: &str = "POST /admin/identities";
const LIST: &str = "GET /admin/identities";

/// Logs in with a code, by an address that is neither verified nor unique but for that.
const CALLER: &str = "caller";

fn customer(email: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": email}})
}

/// Tests share a Kratos: addresses are of this one alone.
fn address(scene: &Scene, name: &str) -> String {
    format!("{name}@{}.example", scene.namespace)
}

/// With a time-out of a second, and listed.
async fn quick() -> Scene {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": "1s"})).await;
    scene.settle().await;
    scene
}

/// The identities whose marks name this resource.
async fn of(scene: &Scene, name: &str) -> Vec<Identity> {
    let mut ours = scene.ours().await;
    ours.retain(|identity| identity.metadata_admin.read().unwrap()["kratos-operator.dev"]["name"] == json!(name));
    ours
}

/// Asserts that a resource that is Ready has exactly one identity, with this address. Returns it.
async fn has_one(scene: &Scene, name: &str, email: &str) -> Identity {
    let resource = scene.ready(name).await;
    let mut found = of(scene, name).await;
    assert_eq!(found.len(), 1, "{:?}", scene.proxy.counts());
    let one = found.remove(0);
    assert_eq!((&one.id, &one.traits.read().unwrap()["email"]), (&id_of(&resource), &json!(email)));
    one
}

fn creates(scene: &Scene) -> Vec<RecordedRequest> {
    scene.proxy.seen().into_iter().filter(|seen| seen.label == CREATE).collect()
}

/// Waits until Kratos has answered the creates that came, the late ones too. Returns the answers in the order in which they
/// came.
async fn answered(scene: &Scene) -> Vec<u16> {
    let all = eventually("the creates are answered", WITHIN, async || {
        creates(scene).into_iter().map(|seen| seen.status).collect::<Option<Vec<_>>>()
    });
    all.await.expect("they are carried out")
}

/// Waits until the instance is probed, since a request had no answer in time.
async fn given_up(scene: &Scene) {
    let probed = eventually("the create is given up", WITHIN, async || (scene.proxy.count(LIST) > 0).then_some(()));
    probed.await.expect("it is probed");
}

async fn secret(scene: &Scene, email: &str) {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ada", "namespace": scene.namespace},
        "stringData": {"email": email},
    });
    let api = Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace);
    api.patch("ada", &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.expect("a Secret");
}

#[tokio::test]
async fn an_address_that_is_corrected_while_the_answer_is_lost_makes_no_second_identity() {
    let scene = quick().await;
    let (typo, right) = (address(&scene, "aad"), address(&scene, "ada"));
    let answer = scene.proxy.on(CREATE).once().hold_answer();
    scene.identity("ada", customer(&typo)).await;
    answer.held().await;
    scene.identity("ada", customer(&right)).await;
    has_one(&scene, "ada", &right).await;
    assert_eq!(creates(&scene).len(), 1, "it was asked for once");
}

#[tokio::test]
async fn an_address_that_is_corrected_before_the_create_arrives_makes_no_second_identity() {
    let scene = quick().await;
    let (typo, right) = (address(&scene, "aad"), address(&scene, "ada"));
    let create = scene.proxy.on(CREATE).once().carry_out_late();
    scene.identity("ada", customer(&typo)).await;
    create.held().await;
    scene.identity("ada", customer(&right)).await;
    given_up(&scene).await;
    create.release();
    has_one(&scene, "ada", &right).await;
    assert_eq!(answered(&scene).await, [201]);
}

#[tokio::test]
async fn a_secret_that_is_corrected_while_the_answer_is_lost_makes_no_second_identity() {
    let scene = quick().await;
    let (typo, right) = (address(&scene, "aad"), address(&scene, "ada"));
    secret(&scene, &typo).await;
    let answer = scene.proxy.on(CREATE).once().hold_answer();
    let from = json!([{"path": "/email", "secretKeyRef": {"name": "ada", "key": "email"}}]);
    scene.identity("ada", json!({"schemaID": "customer", "traitsFrom": from})).await;
    answer.held().await;
    secret(&scene, &right).await;
    let corrected = eventually("the address follows", WITHIN, async || {
        let found = of(&scene, "ada").await;
        found.iter().any(|identity| identity.traits.read().unwrap()["email"] == json!(right)).then_some(())
    });
    corrected.await.expect("it follows");
    has_one(&scene, "ada", &right).await;
    for value in [typo, right] {
        scene.shows_nowhere(&scene.ready("ada").await, &value).await;
    }
}

#[tokio::test]
async fn a_schema_that_is_corrected_before_the_create_arrives_makes_no_second_identity() {
    let mut schemas = kratos_schemas::all();
    let mut caller = kratos_schemas::customer();
    caller["$id"] = json!("https://example.com/caller.schema.json");
    caller["properties"]["traits"]["properties"]["email"] = json!({
        "type": "string", "format": "email",
        "ory.sh/kratos": {"credentials": {"code": {"identifier": true, "via": "email"}}},
    });
    schemas.insert(CALLER.to_owned(), caller);
    let scene = Scene::with_own_kratos(Options { schemas, ..Options::default() }).await;
    scene.instance(json!({"requestTimeout": "1s"})).await;
    scene.settle().await;
    let email = address(&scene, "ada");
    let create = scene.proxy.on(CREATE).once().carry_out_late();
    scene.identity("ada", customer(&email)).await;
    create.held().await;
    // The same address, which says nothing now: both could be there.
    scene.identity("ada", json!({"schemaID": CALLER, "traits": {"email": email}})).await;
    given_up(&scene).await;
    create.release();
    assert_eq!(has_one(&scene, "ada", &email).await.schema_id, CALLER);
    assert_eq!(answered(&scene).await, [201]);
}

#[tokio::test]
async fn an_address_that_is_corrected_while_nobody_runs_makes_no_second_identity() {
    let mut scene = Scene::own().await.with_instance().await;
    let (typo, right) = (address(&scene, "aad"), address(&scene, "ada"));
    let create = scene.proxy.on(CREATE).once().carry_out_late();
    scene.identity("ada", customer(&typo)).await;
    create.held().await;
    scene.operator().kill();
    scene.identity("ada", customer(&right)).await;
    scene.proxy.reset();
    scene.operator().restart().expect("it starts");
    let listed = eventually("the first listing is answered", WITHIN, async || {
        let is_listing = |seen: &RecordedRequest| {
            seen.label == LIST && seen.status == Some(200) && !seen.parameters.iter().any(|name| name == "ids")
        };
        scene.proxy.seen().iter().any(is_listing).then_some(())
    });
    listed.await.expect("it lists");
    create.release();
    has_one(&scene, "ada", &right).await;
    assert_eq!(creates(&scene).len(), 0, "it was asked for once, before");
}

#[tokio::test]
async fn an_address_isnt_given_up_while_it_keeps_a_late_create_from_being_carried_out() {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": "6s"})).await;
    scene.settle().await;
    let (first, second) = (address(&scene, "ada"), address(&scene, "countess"));
    let create = scene.proxy.on(CREATE).once().carry_out_late();
    scene.identity("ada", customer(&first)).await;
    create.held().await;
    scene.ready("ada").await;
    scene.identity("ada", customer(&second)).await;
    let is_looked_at =
        |ada: &KratosIdentity| reason_of(ada, "Ready", "True").or_else(|| reason_of(ada, "Reconciling", "True"));
    scene.until("ada", "looked at", is_looked_at).await;
    create.release();
    assert_eq!(answered(&scene).await, [409, 201]);
    has_one(&scene, "ada", &second).await;
}

#[tokio::test]
async fn a_deletion_finds_the_twin_that_a_late_create_made() {
    let scene = quick().await;
    let email = address(&scene, "ada");
    let create = scene.proxy.on(CREATE).once().carry_out_late();
    let mut spec = customer(&email);
    spec["traitsPolicy"] = json!("CreateOnly");
    scene.identity("ada", spec).await;
    create.held().await;
    let ada = scene.ready("ada").await;
    // They change their own address, and so nothing keeps the first create from being carried out.
    scene.change_in_kratos(&ada, "/traits/email", json!(address(&scene, "countess"))).await;
    create.release();
    assert_eq!(answered(&scene).await, [201, 201]);
    assert_eq!(of(&scene, "ada").await.len(), 2);
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert_eq!(of(&scene, "ada").await.len(), 0);
}

#[tokio::test]
async fn a_deletion_in_a_fresh_process_waits_until_a_listing_has_shown_whether_there_is_a_twin() {
    let mut scene = Scene::own().await.with_instance().await;
    let email = address(&scene, "ada");
    scene.identity("ada", customer(&email)).await;
    let ada = scene.ready("ada").await;
    scene.operator().kill();
    // As a create leaves it that was carried out after its process was gone.
    let twin = scene.person_with("customer", json!({"email": address(&scene, "twin")})).await;
    let mark = scene.in_kratos(&ada).await.metadata_admin.read().unwrap().clone();
    let path = "/metadata_admin".to_owned();
    let forge = [kratos_operator::kratos::PatchOperation::Replace { path, value: mark }];
    scene.admin().patch_identity(&twin.id, &forge).await.expect("it is marked");
    scene.delete("ada").await;
    let listing = scene.proxy.on_without(LIST, "ids").hold_answer();
    scene.operator().restart().expect("it starts");
    listing.held().await;
    scene.retrying("ada", "Progressing").await;
    listing.release();
    scene.gone("ada").await;
    assert_eq!(of(&scene, "ada").await.len(), 0);
}
