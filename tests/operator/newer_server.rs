//! What only Kratos v25.4 and later can do, which can't be run here: a scripted server that answers as such a one does.

use std::sync::{Arc, Mutex};

use kratos_operator::api::KratosIdentity;
use serde_json::{Value, json};
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::scene::{Scene, id_of};

const ID: &str = "0b0e4c4e-6a43-4b0a-9d0e-2f2f6a1f9b11";

/// A server that keeps one identity, and takes `external_id` and `organization_id`.
async fn newer_server() -> (MockServer, Arc<Mutex<Value>>) {
    let server = MockServer::start().await;
    let kept = Arc::new(Mutex::new(Value::Null));
    let schemas = json!([{"id": "customer", "schema": {"properties": {"traits": {"type": "object"}}}}]);
    let give = |verb: &str, at: &str, body: Value| {
        Mock::given(method(verb)).and(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(body))
    };
    give("GET", "/admin/identities", json!([])).mount(&server).await;
    give("GET", "/schemas", schemas).mount(&server).await;

    let made = Arc::clone(&kept);
    let create = move |request: &Request| {
        let mut identity: Value = request.body_json().expect("a body");
        identity["id"] = json!(ID);
        made.lock().unwrap().clone_from(&identity);
        ResponseTemplate::new(201).set_body_json(identity)
    };
    Mock::given(method("POST")).and(path("/admin/identities")).respond_with(create).mount(&server).await;

    let read = Arc::clone(&kept);
    let get = move |_: &Request| ResponseTemplate::new(200).set_body_json(&*read.lock().unwrap());
    Mock::given(method("GET")).and(path_regex("^/admin/identities/.+")).respond_with(get).mount(&server).await;

    let changed = Arc::clone(&kept);
    let patch = move |request: &Request| {
        let operations: json_patch::Patch = request.body_json().expect("a patch");
        let mut identity = changed.lock().unwrap();
        json_patch::patch(&mut identity, &operations).expect("the patch fits");
        ResponseTemplate::new(200).set_body_json(&*identity)
    };
    Mock::given(method("PATCH")).and(path_regex("^/admin/identities/.+")).respond_with(patch).mount(&server).await;

    let unlinked = Arc::clone(&kept);
    let delete = move |request: &Request| {
        let kind = request.url.path_segments().and_then(Iterator::last).expect("a kind").to_owned();
        let identifier = request.url.query_pairs().find(|(name, _)| name == "identifier").map(|(_, value)| value);
        let mut identity = unlinked.lock().unwrap();
        let credential = &mut identity["credentials"][&kind];
        match identifier {
            Some(identifier) => {
                let identifiers = credential["identifiers"].as_array_mut().expect("there are some");
                identifiers.retain(|found| found != identifier.as_ref());
            }
            // The schema's entry for it stays.
            None => credential["config"] = json!({}),
        }
        ResponseTemplate::new(204)
    };
    let credentials = || path_regex("^/admin/identities/.+/credentials/.+");
    Mock::given(method("DELETE")).and(credentials()).respond_with(delete).mount(&server).await;
    let sessions = path_regex("^/admin/identities/.+/sessions");
    let none = ResponseTemplate::new(204);
    Mock::given(method("DELETE")).and(sessions).respond_with(none).mount(&server).await;
    (server, kept)
}

/// What was deleted, in order.
async fn deleted(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let deletions = requests.iter().filter(|request| request.method.as_str() == "DELETE");
    let last = |request: &Request| request.url.path_segments().and_then(Iterator::last).unwrap_or_default().to_owned();
    deletions.map(|request| format!("{}{}", last(request), request.url.query().unwrap_or_default())).collect()
}

async fn ready_ada(scene: &Scene, server: &MockServer, credentials: Value) -> KratosIdentity {
    scene.instance(json!({"adminURL": server.uri(), "publicURL": server.uri()})).await;
    let traits = json!({"email": "ada@newer.example"});
    scene.identity("ada", json!({"schemaID": "customer", "traits": traits, "credentials": credentials})).await;
    scene.ready("ada").await
}

#[tokio::test]
async fn a_password_and_links_that_must_not_exist_go_as_long_as_something_to_log_in_with_stays() {
    let scene = Scene::shared().await;
    let (server, kept) = newer_server().await;
    ready_ada(&scene, &server, json!({"absent": ["Password", "OIDC"]})).await;
    let hash = "hash-that-shows-nowhere";
    let password = json!({"identifiers": ["ada@newer.example"], "config": {"hashed_password": hash}});
    let oidc = json!({"identifiers": ["google:theirs", "github:theirs"]});
    kept.lock().unwrap()["credentials"] = json!({"password": password, "oidc": oidc});
    scene.request_reconcile("ada").await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("without anything to log in with"), "{message}");
    assert_eq!(deleted(&server).await, [""; 0]);

    // A link of another kind stays: there is something to log in with.
    kept.lock().unwrap()["credentials"]["saml"] = json!({"identifiers": ["okta:theirs"]});
    scene.request_reconcile("ada").await;
    let ada = scene.ready("ada").await;
    let mut found = deleted(&server).await;
    let last = found.pop();
    found.sort();
    assert_eq!(found, ["oidcidentifier=github%3Atheirs", "oidcidentifier=google%3Atheirs", "password"]);
    assert_eq!(last.as_deref(), Some("sessions"));
    // The empty entry that is left is no password: nothing more is done.
    scene.request_reconcile("ada").await;
    assert_eq!(deleted(&server).await.len(), 4);
    scene.shows_nowhere(&ada, hash).await;
    scene.shows_nowhere(&ada, "theirs").await;
}

#[tokio::test]
async fn saml_links_are_given_and_taken_away_where_the_server_knows_them() {
    let scene = Scene::shared().await;
    let (server, kept) = newer_server().await;
    let saml = json!([{"provider": "okta", "subject": "1234"}]);
    ready_ada(&scene, &server, json!({ "saml": saml })).await;
    assert_eq!(kept.lock().unwrap()["credentials"], json!({"saml": {"config": {"providers": saml}}}));
    let links = json!({"saml": {"identifiers": ["okta:1234"]}, "oidc": {"identifiers": ["google:theirs"]}});
    kept.lock().unwrap()["credentials"] = links;
    scene.patch("ada", json!({"spec": {"credentials": {"saml": null}}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(deleted(&server).await, ["samlidentifier=okta%3A1234", "sessions"]);
    scene.shows_nowhere(&ada, "okta:1234").await;
}

#[tokio::test]
async fn an_external_id_is_given_changed_and_taken_away_where_the_server_knows_it() {
    let scene = Scene::shared().await;
    let (server, kept) = newer_server().await;
    scene.instance(json!({"adminURL": server.uri(), "publicURL": server.uri()})).await;
    let organization = "01234567-89ab-4cde-8f01-23456789abcd";
    let spec = json!({
        "schemaID": "customer", "traits": {"email": "ada@newer.example"},
        "externalID": "crm-4711", "organizationID": organization,
    });
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    assert_eq!(id_of(&ada), ID);
    let there = |field: &str| kept.lock().unwrap()[field].clone();
    assert_eq!((there("external_id"), there("organization_id")), (json!("crm-4711"), json!(organization)));
    let owned = ada.status.map(|status| status.owned_paths).unwrap_or_default();
    assert!(owned.contains(&"/external_id".to_owned()) && owned.contains(&"/organization_id".to_owned()), "{owned:?}");

    scene.patch("ada", json!({"spec": {"externalID": "crm-4712"}})).await;
    scene.ready("ada").await;
    assert_eq!((there("external_id"), there("organization_id")), (json!("crm-4712"), json!(organization)));

    scene.patch("ada", json!({"spec": {"externalID": null}})).await;
    scene.ready("ada").await;
    assert_eq!((there("external_id"), there("organization_id")), (Value::Null, json!(organization)));
    let requests = server.received_requests().await.unwrap();
    let writes = requests.iter().filter(|request| ["POST", "PATCH", "PUT"].contains(&request.method.as_str()));
    assert_eq!(writes.count(), 3, "one for each change");
}

#[tokio::test]
async fn a_link_that_the_first_login_makes_is_sent_once_and_is_the_persons_from_then_on() {
    let scene = Scene::shared().await;
    let (server, kept) = newer_server().await;
    ready_ada(&scene, &server, json!({"oidc": [{"provider": "google", "useAutoLink": true}]})).await;
    let sent = kept.lock().unwrap()["credentials"]["oidc"]["config"]["providers"].clone();
    let subject = sent[0]["subject"].as_str().expect("one is given").to_owned();
    assert_eq!(sent, json!([{"provider": "google", "subject": subject, "use_auto_link": true}]));
    assert!(subject.len() == 32 && subject.bytes().all(|digit| digit.is_ascii_hexdigit()), "{subject}");
    let noted = || kept.lock().unwrap()["metadata_admin"]["kratos-operator.dev"]["autoLinks"].clone();
    assert_eq!(noted(), json!([{"provider": "google", "subject": subject}]));
    let waiting = json!({"oidc": {"identifiers": [format!("google:{subject}"), "github:theirs"]}});
    kept.lock().unwrap()["credentials"] = waiting.clone();
    let ada = scene.request_reconcile("ada").await;
    scene.shows_nowhere(&ada, &subject).await;
    // A login makes it, and its person removes it: neither is drift, and nothing comes back.
    for links in [json!(["google:theirs", "github:theirs"]), json!(["github:theirs"])] {
        kept.lock().unwrap()["credentials"] = json!({"oidc": { "identifiers": links }});
        scene.request_reconcile("ada").await;
        scene.ready("ada").await;
    }
    let writes = |requests: Vec<Request>| {
        requests.iter().filter(|request| ["POST", "PATCH", "PUT", "DELETE"].contains(&request.method.as_str())).count()
    };
    assert_eq!(writes(server.received_requests().await.unwrap()), 1, "its creation");
    // One that nobody made goes with the manifest.
    kept.lock().unwrap()["credentials"] = waiting;
    scene.patch("ada", json!({"spec": {"credentials": {"oidc": null}}})).await;
    scene.ready("ada").await;
    assert_eq!(deleted(&server).await[0], format!("oidcidentifier=google%3A{subject}"));
    assert_eq!(noted(), Value::Null);
}

#[tokio::test]
async fn an_identity_is_taken_over_by_its_external_id_and_none_is_made_where_there_is_none() {
    let scene = Scene::shared().await;
    let (server, kept) = newer_server().await;
    *kept.lock().unwrap() = json!({
        "id": ID, "schema_id": "customer", "state": "active", "external_id": "crm-4711",
        "traits": {"email": "ada@newer.example"}, "metadata_admin": {"kratos-operator.dev": null},
    });
    let not_found = json!({"error": {"code": 404, "status": "Not Found", "message": "Unable to locate the resource"}});
    let none = ResponseTemplate::new(404).set_body_json(not_found);
    let nobody = path("/admin/identities/by/external/crm-4712");
    Mock::given(method("GET")).and(nobody).respond_with(none).with_priority(1).mount(&server).await;
    scene.instance(json!({"adminURL": server.uri(), "publicURL": server.uri()})).await;
    let by = |external: &str| {
        let adoption = json!({"policy": "IfUnowned", "externalID": external});
        json!({"schemaID": "customer", "metadataPublic": {"plan": "gold"}, "adoption": adoption})
    };
    scene.identity("bob", by("crm-4712")).await;
    let told = scene.stalled("bob", "AdoptionRefused").await;
    assert!(told.contains("Kratos has no identity"), "{told}");
    scene.identity("ada", by("crm-4711")).await;
    assert_eq!(id_of(&scene.ready("ada").await), ID);
    let there = kept.lock().unwrap().clone();
    assert_eq!((&there["external_id"], &there["metadata_public"]), (&json!("crm-4711"), &json!({"plan": "gold"})));
}

#[tokio::test]
async fn an_external_id_that_another_identity_has_is_named_first() {
    let scene = Scene::shared().await;
    let (server, _) = newer_server().await;
    let taken = json!({"error": {"code": 409, "status": "Conflict", "message": "a resource with that value exists"}});
    let conflict = || ResponseTemplate::new(409).set_body_json(&taken);
    let create = Mock::given(method("POST")).and(path("/admin/identities"));
    create.respond_with(conflict()).with_priority(1).mount(&server).await;
    scene.instance(json!({"adminURL": server.uri(), "publicURL": server.uri()})).await;
    let spec = |external: &str| json!({"schemaID": "customer", "traits": {"email": "ada@newer.example"}, "externalID": external});
    scene.identity("ada", spec("crm-4711")).await;
    let told = scene.stalled("ada", "IdentityConflict").await;
    assert!(told.starts_with("spec.externalID, an identifier or an address belongs to an identity"), "{told}");
    assert!(!told.contains("crm-4711"), "{told}");
}

#[tokio::test]
async fn what_only_newer_servers_know_is_unsupported_by_others() {
    let scene = Scene::settled().await;
    scene.count_from_now();
    let email = |name: &str| json!({"email": format!("{name}@{}.example", scene.namespace)});
    let automatic = json!({"oidc": [{"provider": "google", "useAutoLink": true}]});
    scene.identity("ada", json!({"schemaID": "customer", "traits": email("ada"), "credentials": automatic})).await;
    let told = scene.stalled("ada", "UnsupportedByServer").await;
    assert!(told.contains("useAutoLink"), "{told}");
    let adoption = json!({"policy": "IfUnowned", "externalID": "crm-4711"});
    scene.identity("bob", json!({"schemaID": "customer", "adoption": adoption})).await;
    let told = scene.stalled("bob", "UnsupportedByServer").await;
    assert!(told.contains("externalID"), "{told}");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
}
