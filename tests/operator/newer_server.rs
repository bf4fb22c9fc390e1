//! What only Kratos v25.4 and later can do, which can't be run here: a scripted server that answers as such a one does.

use std::sync::{Arc, Mutex};

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
    (server, kept)
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
