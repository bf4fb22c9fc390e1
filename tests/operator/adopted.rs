//! A tenant that takes an identity over gets no way into its account, then or later, whatever becomes of the resource or
//! the mark; what leads nobody in is its own to decide.

use kratos_operator::kratos::{Identity, State};
use serde_json::{Value, json};

use crate::adoption::{PASSWORD, by_id, delete_in, mark_of, planted, read, with_tenant};
use crate::scene::{Scene, id_of, merge};

const SECRET: &str = "chosen-by-the-tenant-4714";
/// One that never fits.
const HASH: &str = "$2a$04$CwTycUXWue0Thq9StjUM0uJ8QqjOoZxPbYyLJMbHhJ1oqQw8nHh3e";

fn adopting(identity: &Identity, more: Value) -> Value {
    let mut spec = by_id(&identity.id);
    merge(&mut spec, more);
    spec
}

fn password(key: &str, format: &str) -> Value {
    json!({"credentials": {"password": {"secretKeyRef": {"name": "tenants", "key": key}, "format": format}}})
}

/// The tenant's Secret.
async fn secret(scene: &Scene, namespace: &str) {
    use k8s_openapi::api::core::v1::Secret;
    use kube::api::{Api, Patch, PatchParams};
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tenants"},
        "stringData": {"password": SECRET, "hash": HASH},
    });
    let api = Api::<Secret>::namespaced(scene.client.clone(), namespace);
    api.patch("tenants", &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.expect("a Secret");
}

/// All of an identity but the mark, and what changes with every write.
fn without_mark(identity: &Identity) -> Value {
    let Identity { schema_id, state, traits, metadata_public, credentials, verifiable_addresses, .. } = identity;
    let mut addresses: Vec<_> = verifiable_addresses.iter().map(|it| (it.value.clone(), it.verified)).collect();
    addresses.sort();
    let mut logins: Vec<_> = credentials.iter().map(|(kind, it)| (kind.clone(), it.identifiers.clone())).collect();
    logins.sort();
    json!([schema_id, state.as_str(), traits.read().unwrap(), metadata_public.read().unwrap(), addresses, logins])
}

async fn deactivate(scene: &Scene, identity: &Identity) {
    use kratos_operator::kratos::PatchOperation;
    let operation = PatchOperation::Replace { path: "/state".into(), value: json!("inactive") };
    scene.admin().patch_identity(&identity.id, &[operation]).await.expect("it is changed");
}

#[tokio::test]
async fn a_tenant_that_adopts_gets_no_way_in_before_or_after() {
    let (scene, tenant) = with_tenant("Allowed").await;
    secret(&scene, &tenant).await;
    let email = "ada@no-way-in.example";
    let ada = planted(&scene, email, true, Value::Null).await;
    let ways_in = [
        ("credentials.password", {
            let mut sent = password("password", "Cleartext");
            merge(&mut sent, json!({"actions": {"setPassword": {"token": "1"}}}));
            sent
        }),
        ("credentials.password", password("hash", "Hashed")),
        ("credentials.oidc", json!({"credentials": {"oidc": [{"provider": "google", "subject": "eve"}]}})),
        ("credentials.absent", json!({"credentials": {"absent": ["TOTP", "LookupSecret"]}})),
        ("resetSecondFactors", json!({"actions": {"resetSecondFactors": {"token": "1"}}})),
        ("spec.recovery", json!({"recovery": {"type": "Link", "secretName": "way-in"}})),
        ("/traits/email", json!({"traits": {"email": "eve@no-way-in.example"}})),
        ("/traits/username", json!({"traits": {"username": "eve"}})),
        ("spec.schemaID", json!({"schemaID": "employee"})),
    ];
    // Not while it is taken over: nothing is written then.
    scene.count_from_now();
    for (number, (field, more)) in ways_in.iter().enumerate() {
        let name = format!("ada-{number}");
        scene.identity_in(&tenant, &name, adopting(&ada, more.clone())).await;
        let message = scene.stalled_in(&tenant, &name, "InvalidSpec").await;
        assert!(message.contains(field) && message.contains("adopted"), "{field}: {message}");
        delete_in(&scene, &tenant, &name).await;
    }
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(read(&scene, &ada.id).await.as_ref(), Some(&ada));
    // Nor later, whether the manifest still speaks of adoption or not.
    scene.identity_in(&tenant, "ada", adopting(&ada, json!({}))).await;
    scene.ready_in(&tenant, "ada").await;
    let token = scene.kratos.login(email, PASSWORD).await.expect("an answer").expect("it logs in");
    for (field, more) in &ways_in {
        for adoption in [json!({}), json!({"adoption": null})] {
            let mut spec = adopting(&ada, more.clone());
            merge(&mut spec, adoption);
            scene.identity_in(&tenant, "ada", spec).await;
            let message = scene.stalled_in(&tenant, "ada", "InvalidSpec").await;
            assert!(message.contains(field) && message.contains("adopted"), "{field}: {message}");
        }
    }
    let after = read(&scene, &ada.id).await.expect("it is there");
    assert_eq!(without_mark(&after), without_mark(&ada));
    assert_eq!(scene.kratos.login(email, SECRET).await.expect("an answer"), None);
    assert!(scene.is_logged_in(&token).await);
    // What leads nobody in goes on.
    let own = json!({"traits": {"email": email, "newsletter": true}, "metadataPublic": {"plan": "gold"}});
    scene.identity_in(&tenant, "ada", adopting(&ada, own)).await;
    let ready = scene.ready_in(&tenant, "ada").await;
    let changed = scene.in_kratos(&ready).await;
    assert_eq!(
        (&changed.traits.read().unwrap()["newsletter"], &changed.metadata_public.read().unwrap()["plan"]),
        (&json!(true), &json!("gold"))
    );
    // Deactivation, too, and although the rest is refused.
    let mut locked = password("password", "Cleartext");
    merge(&mut locked, json!({"state": "Inactive"}));
    scene.identity_in(&tenant, "ada", adopting(&ada, locked)).await;
    scene.stalled_in(&tenant, "ada", "InvalidSpec").await;
    assert_eq!(scene.in_kratos(&ready).await.state, State::Inactive);
    assert!(!scene.is_logged_in(&token).await);
    // Its own doing it may undo. What it has named it can't have removed by naming it no more.
    scene.identity_in(&tenant, "ada", adopting(&ada, json!({"state": "Active"}))).await;
    assert!(scene.stalled_in(&tenant, "ada", "InvalidSpec").await.contains("/traits/email"));
    let own = json!({"traits": {"email": email}, "state": "Active"});
    scene.identity_in(&tenant, "ada", adopting(&ada, own)).await;
    scene.ready_in(&tenant, "ada").await;
    assert_eq!(scene.in_kratos(&ready).await.state, State::Active);
}

#[tokio::test]
async fn who_was_found_inactive_stays_so_through_a_change_of_resource_a_grace_period_and_a_wiped_mark() {
    let (scene, tenant) = with_tenant("Allowed").await;
    let ada = planted(&scene, "ada@found-inactive.example", true, Value::Null).await;
    deactivate(&scene, &ada).await;
    let active = || adopting(&ada, json!({"state": "Active"}));
    let refused = async |name: &str| {
        scene.identity_in(&tenant, name, active()).await;
        let message = scene.stalled_in(&tenant, name, "InvalidSpec").await;
        assert!(message.contains("Active") && message.contains("found inactive"), "{message}");
        assert_eq!(read(&scene, &ada.id).await.expect("it is there").state, State::Inactive);
    };
    refused("ada").await;
    scene.identity_in(&tenant, "ada", adopting(&ada, json!({}))).await;
    let adopted = scene.ready_in(&tenant, "ada").await;
    assert_eq!(mark_of(&scene.in_kratos(&adopted).await)["foundInactive"], json!(true));
    refused("ada").await;
    // A mark that is wiped is restored with that.
    scene.change_in_kratos(&adopted, "/metadata_admin", Value::Null).await;
    refused("ada").await;
    scene.identity_in(&tenant, "ada", adopting(&ada, json!({}))).await;
    scene.ready_in(&tenant, "ada").await;
    assert_eq!(mark_of(&scene.in_kratos(&adopted).await)["foundInactive"], json!(true));
    // Under another name, although somebody made it active in between and inactive again.
    delete_in(&scene, &tenant, "ada").await;
    scene.change_in_kratos(&adopted, "/state", json!("active")).await;
    scene.identity_in(&tenant, "ada-again", adopting(&ada, json!({}))).await;
    scene.ready_in(&tenant, "ada-again").await;
    deactivate(&scene, &ada).await;
    refused("ada-again").await;
    // And back out of a grace period.
    let period = json!({"deletion": {"policy": "Delete", "gracePeriod": "1h"}});
    scene.identity_in(&tenant, "ada-again", adopting(&ada, period.clone())).await;
    scene.ready_in(&tenant, "ada-again").await;
    delete_in(&scene, &tenant, "ada-again").await;
    let mut back = active();
    // The same person, by what it logs in with.
    merge(&mut back, json!({"traits": {"email": "ada@found-inactive.example"}, "adoption": null}));
    scene.identity_in(&tenant, "ada-again", back).await;
    let message = scene.stalled_in(&tenant, "ada-again", "InvalidSpec").await;
    assert!(message.contains("found inactive"), "{message}");
    assert_eq!(read(&scene, &ada.id).await.expect("it is there").state, State::Inactive);
}

#[tokio::test]
async fn beside_the_instance_an_adopted_identity_is_its_manifests_as_before() {
    let scene = Scene::settled().await;
    secret(&scene, &scene.namespace).await;
    let ada = planted(&scene, "ada@beside-adopted.example", true, Value::Null).await;
    deactivate(&scene, &ada).await;
    let mut spec = adopting(&ada, password("password", "Cleartext"));
    merge(&mut spec, json!({"state": "Active", "traits": {"email": "ada@beside-changed.example"}}));
    merge(&mut spec, json!({"actions": {"setPassword": {"token": "1"}}}));
    scene.identity("ada", spec).await;
    let ready = scene.ready("ada").await;
    assert_eq!(id_of(&ready), ada.id);
    assert_eq!(ready.status.as_ref().and_then(|status| status.adopted), Some(true));
    let login = scene.kratos.login("ada@beside-changed.example", SECRET).await;
    assert!(login.expect("an answer").is_some());
}

#[tokio::test]
async fn an_adopted_identity_whose_mark_was_wiped_stays_when_its_resource_goes() {
    let (scene, tenant) = with_tenant("Allowed").await;
    for namespace in [&scene.namespace, &tenant] {
        let email = format!("ada@{namespace}-wiped.example");
        let ada = planted(&scene, &email, true, Value::Null).await;
        scene.identity_in(namespace, "ada", adopting(&ada, json!({}))).await;
        let adopted = scene.ready_in(namespace, "ada").await;
        scene.identity_in(namespace, "ada", json!({"schemaID": "customer", "traits": {"email": email}})).await;
        scene.ready_in(namespace, "ada").await;
        scene.change_in_kratos(&adopted, "/metadata_admin", Value::Null).await;
        delete_in(&scene, namespace, "ada").await;
        assert!(read(&scene, &ada.id).await.is_some(), "nobody asked for its deletion");
    }
}

#[tokio::test]
async fn beside_the_instance_a_mark_restored_by_the_status_still_says_that_it_was_adopted() {
    let mut scene = Scene::own().await.with_instance().await;
    let email = "ada@restored-adopted.example";
    let ada = planted(&scene, email, true, Value::Null).await;
    scene.identity("ada", adopting(&ada, json!({}))).await;
    let adopted = scene.ready("ada").await;
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": email}})).await;
    scene.ready("ada").await;
    scene.operator().kill();
    scene.change_in_kratos(&adopted, "/metadata_admin", Value::Null).await;
    scene.operator().restart().expect("it starts");
    scene.request_reconcile("ada").await;
    scene.ready("ada").await;
    assert_eq!(mark_of(&scene.in_kratos(&adopted).await)["adopted"], json!(true));
    scene.delete("ada").await;
    scene.gone("ada").await;
    assert!(read(&scene, &ada.id).await.is_some());
}
