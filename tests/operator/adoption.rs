//! Taking over identities that are there: by whom, which ones, and that everything in them goes on working.

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::Identity;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::scene::{Scene, id_of};

const MARK: &str = "kratos-operator.dev";
pub const PASSWORD: &str = "correct-horse-battery-4711";

fn by_address(email: &str) -> Value {
    let adoption = json!({"policy": "IfUnowned", "identifier": email});
    json!({"schemaID": "customer", "metadataPublic": {"plan": "gold"}, "adoption": adoption})
}

pub fn by_id(id: &str) -> Value {
    json!({"schemaID": "customer", "adoption": {"policy": "IfUnowned", "identityID": id}})
}

/// An identity that somebody made in Kratos, with a password.
pub async fn planted(scene: &Scene, email: &str, verified: bool, metadata_admin: Value) -> Identity {
    let status = if verified { "completed" } else { "pending" };
    let body = json!({
        "schema_id": "customer", "traits": {"email": email, "age": 36},
        "metadata_public": {"plan": "silver", "theirs": [1]}, "metadata_admin": metadata_admin,
        "credentials": {"password": {"config": {"password": PASSWORD}}},
        "verifiable_addresses": [{"value": email, "verified": verified, "via": "email", "status": status}],
    });
    let (_, made) = scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.expect("Kratos answers");
    read(scene, made["id"].as_str().expect("it is made")).await.expect("it is there")
}

pub async fn read(scene: &Scene, id: &str) -> Option<Identity> {
    scene.admin().get_identity(id, &[]).await.expect("Kratos answers")
}

pub async fn with_tenant(adoption_from: &str) -> (Scene, String) {
    let scene = Scene::shared().await;
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "adoptionFrom": adoption_from})).await;
    scene.settle().await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    (scene, tenant)
}

pub async fn delete_in(scene: &Scene, namespace: &str, name: &str) {
    scene.identities_in(namespace).delete(name, &DeleteParams::default()).await.expect("it can be deleted");
    scene.gone_in(namespace, name).await;
}

pub fn mark_of(identity: &Identity) -> &Value {
    &identity.metadata_admin.read().unwrap()[MARK]
}

fn shows_no_identity(resource: &KratosIdentity) -> bool {
    resource
        .status
        .as_ref()
        .is_none_or(|status| status.identity_id.is_none() && status.drift.is_empty() && status.owned_paths.is_empty())
}

#[tokio::test]
async fn what_an_identity_had_works_after_it_was_taken_over_and_after_its_resource_is_gone() {
    let scene = Scene::settled().await;
    let email = "ada@adopted.example";
    let before = planted(&scene, email, true, json!({"costCenter": "42"})).await;
    let token = scene.kratos.login(email, PASSWORD).await.unwrap().expect("it logs in");
    let codes = scene.kratos.enrol_lookup_secret(&token).await.expect("a second factor");

    scene.count_from_now();
    scene.identity("ada", by_address(" Ada@Adopted.example ")).await;
    let ada = scene.ready("ada").await;
    assert_eq!(id_of(&ada), before.id);
    assert_eq!(scene.kratos_writes(), 1, "mark and changes in one request: {:?}", scene.proxy.counts());
    scene.event(&ada, "IdentityAdopted").await;
    let check = async |after: Identity| {
        assert_eq!((&after.traits, after.state), (&before.traits, before.state));
        assert_eq!(after.metadata_public, json!({"plan": "gold", "theirs": [1]}));
        assert_eq!(after.metadata_admin.read().unwrap()["costCenter"], json!("42"));
        assert_eq!(mark_of(&after)["uid"], json!(ada.metadata.uid));
        assert_eq!(mark_of(&after)["adopted"], json!(true));
        assert_eq!(mark_of(&after)["ownedPaths"], json!(["/metadata_public/plan"]));
        assert!(after.verifiable_addresses.iter().all(|address| address.verified));
    };
    check(scene.in_kratos(&ada).await).await;
    assert!(scene.is_logged_in(&token).await, "nobody was logged out");
    let session = scene.kratos.login(email, PASSWORD).await.unwrap().expect("the password holds");
    scene.kratos.step_up(&session, &codes[0]).await.expect("the second factor holds");

    // Looked at again, nothing is written; the block may go, and it stays all the same.
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    scene.patch("ada", json!({"spec": {"adoption": null}})).await;
    scene.ready("ada").await;
    assert_eq!(scene.kratos_writes(), 0);
    scene.delete("ada").await;
    scene.gone("ada").await;
    check(read(&scene, &before.id).await.expect("it stays")).await;
    // What it left behind may be taken over under another name.
    scene.identity("ada-again", by_address(email)).await;
    let again = scene.ready("ada-again").await;
    assert_eq!(id_of(&again), before.id);
    assert_eq!(mark_of(&scene.in_kratos(&again).await)["uid"], json!(again.metadata.uid));
    scene.delete("ada-again").await;
    scene.gone("ada-again").await;
    assert!(read(&scene, &before.id).await.is_some(), "with adoption the default is Orphan");
    let session = scene.kratos.login(email, PASSWORD).await.unwrap().expect("the password holds");
    scene.kratos.step_up(&session, &codes[1]).await.expect("the second factor holds");
}

#[tokio::test]
async fn what_may_not_be_taken_over_is_refused_and_nothing_is_made() {
    let scene = Scene::settled().await;
    let unverified = planted(&scene, "newhire@refused.example", false, Value::Null).await;
    let no_object = planted(&scene, "list@refused.example", true, json!([1])).await;
    scene.identity("owner", json!({"schemaID": "customer", "traits": {"email": "owned@refused.example"}})).await;
    let owned = scene.in_kratos(&scene.ready("owner").await).await;
    scene.count_from_now();

    scene.identity("missing", by_address("nobody@refused.example")).await;
    let message = scene.stalled("missing", "AdoptionRefused").await;
    assert!(message.contains("Kratos has no identity") && !message.contains("refused.example"), "{message}");
    // Whoever registers a newcomer's address first isn't made staff.
    scene.identity("newhire", by_address("newhire@refused.example")).await;
    assert!(scene.stalled("newhire", "AdoptionRefused").await.contains("verified"));
    scene.identity("list", by_id(&no_object.id)).await;
    assert!(scene.stalled("list", "AdoptionRefused").await.contains("metadata_admin"));
    scene.identity("thief", by_id(&owned.id)).await;
    assert!(scene.stalled("thief", "IdentityConflict").await.contains("KratosIdentity owner"));
    for name in ["missing", "newhire", "list", "thief"] {
        let resource = scene.identities().get(name).await.unwrap();
        assert!(shows_no_identity(&resource) && resource.metadata.finalizers.is_none(), "{resource:?}");
    }
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    for identity in [&unverified, &no_object, &owned] {
        assert_eq!(read(&scene, &identity.id).await.as_ref(), Some(identity));
    }
    // By its id an administrator may take any.
    scene.identity("newhire", by_id(&unverified.id)).await;
    assert_eq!(id_of(&scene.ready("newhire").await), unverified.id);
    // The one that is missing is found once it is there.
    let late = planted(&scene, "nobody@refused.example", true, Value::Null).await;
    scene.request_reconcile("missing").await;
    assert_eq!(id_of(&scene.ready("missing").await), late.id);
}

#[tokio::test]
async fn another_namespace_takes_nothing_over_and_learns_nothing_unless_it_is_allowed() {
    let (scene, tenant) = with_tenant("Same").await;
    let unowned = planted(&scene, "unowned@tenant-adopts.example", true, Value::Null).await;
    let unverified = planted(&scene, "unverified@tenant-adopts.example", false, Value::Null).await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "ada@tenant-adopts.example"}})).await;
    let owned = scene.in_kratos(&scene.ready("ada").await).await;
    let tries = [
        ("unowned", by_address("unowned@tenant-adopts.example")),
        ("unowned-by-id", by_id(&unowned.id)),
        ("missing", by_address("missing@tenant-adopts.example")),
        ("missing-by-id", by_id("0a0b0c0d-1111-2222-3333-444455556666")),
        ("unverified", by_address("unverified@tenant-adopts.example")),
        ("ada", by_address("ada@tenant-adopts.example")),
        ("ada-by-id", by_id(&owned.id)),
    ];
    scene.count_from_now();
    let mut messages = Vec::new();
    for (name, spec) in &tries {
        scene.identity_in(&tenant, name, spec.clone()).await;
        messages.push(scene.stalled_in(&tenant, name, "NotPermitted").await);
    }
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "adoptionFrom": "Allowed"})).await;
    let mut refused = Vec::new();
    for (name, _) in &tries[2..] {
        let reason = scene.stalled_in(&tenant, name, "AdoptionRefused").await;
        refused.push(reason);
        assert!(shows_no_identity(&scene.identities_in(&tenant).get(name).await.unwrap()));
    }
    for said in [&mut messages, &mut refused] {
        said.dedup();
        assert_eq!(said.len(), 1, "there is no telling what is there: {said:?}");
    }
    for identity in [&unverified, &owned] {
        assert_eq!(read(&scene, &identity.id).await.as_ref(), Some(identity));
    }
    // Allowed, one of the two takes it, and the other is told by whom: they are neighbours.
    let mark = async || mark_of(&read(&scene, &unowned.id).await.expect("it is there")).clone();
    let names = ["unowned", "unowned-by-id"];
    let first = scene.request_reconcile_in(&tenant, names[0]).await;
    scene.request_reconcile_in(&tenant, names[1]).await;
    let winner = mark().await["name"].as_str().expect("it is taken").to_owned();
    let loser = names.into_iter().find(|name| *name != winner).expect("another one");
    assert_eq!(id_of(&scene.ready_in(&tenant, &winner).await), unowned.id);
    assert!(scene.stalled_in(&tenant, loser, "IdentityConflict").await.contains(&winner));
    assert_eq!(mark().await["name"], json!(winner));
    assert!(first.metadata.namespace.is_some());
    delete_in(&scene, &tenant, loser).await;
    assert_eq!(mark().await["name"], json!(winner));
}

#[tokio::test]
async fn of_many_that_take_one_identity_over_at_once_one_wins() {
    let scene = Scene::settled().await;
    let prize = planted(&scene, "prize@race.example", true, Value::Null).await;
    let names: Vec<_> = (0..6).map(|number| format!("racer-{number}")).collect();
    scene.count_from_now();
    futures::future::join_all(names.iter().map(|name| scene.identity(name, by_id(&prize.id)))).await;
    let is_settled = |resource: &KratosIdentity| {
        let ready = crate::scene::reason_of(resource, "Ready", "True").is_some();
        (ready || crate::scene::reason_of(resource, "Stalled", "True").is_some()).then_some(())
    };
    let mut winners = Vec::new();
    for name in &names {
        let resource = scene.until(name, "settled", is_settled).await;
        winners.extend(crate::scene::reason_of(&resource, "Ready", "True").map(|_| name.clone()));
    }
    assert_eq!(winners, [mark_of(&read(&scene, &prize.id).await.unwrap())["name"].as_str().unwrap()]);
    assert_eq!(scene.kratos_writes(), 1, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn observing_takes_nothing_over_and_shows_drift_beside_the_instance_alone() {
    let (scene, tenant) = with_tenant("Allowed").await;
    let theirs = planted(&scene, "ada@observe-adopt.example", true, Value::Null).await;
    scene.count_from_now();
    let mut spec = by_address("ada@observe-adopt.example");
    spec["mode"] = json!("Observe");
    scene.identity("ada", spec.clone()).await;
    scene.identity_in(&tenant, "ada", spec).await;
    let (here, there) = (scene.ready("ada").await, scene.ready_in(&tenant, "ada").await);
    assert_eq!(here.status.as_ref().unwrap().drift, ["/metadata_public/plan"]);
    assert!(shows_no_identity(&there), "{there:?}");
    let [here_told, there_told] = [&here, &there].map(|ada| crate::scene::message_of(ada, "Ready"));
    assert!(here_told.starts_with(&format!("identity {} would be taken over", theirs.id)), "{here_told}");
    assert!(there_told.contains("if that may be") && !there_told.contains(&theirs.id), "{there_told}");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    // An identity that was only observed isn't taken over by the status that the reconcile wrote.
    assert_eq!(here.status.as_ref().unwrap().identity_id, None);
    assert_eq!(read(&scene, &theirs.id).await, Some(theirs));
}
