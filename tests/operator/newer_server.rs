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
    scene.ask("ada").await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("without anything to log in with"), "{message}");
    assert_eq!(deleted(&server).await, [""; 0]);

    // A link of another kind stays: there is something to log in with.
    kept.lock().unwrap()["credentials"]["saml"] = json!({"identifiers": ["okta:theirs"]});
    scene.ask("ada").await;
    let ada = scene.ready("ada").await;
    let mut found = deleted(&server).await;
    let last = found.pop();
    found.sort();
    assert_eq!(found, ["oidcidentifier=github%3Atheirs", "oidcidentifier=google%3Atheirs", "password"]);
    assert_eq!(last.as_deref(), Some("sessions"));
    // The empty entry that is left is no password: nothing more is done.
    scene.ask("ada").await;
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
