//! Identity schemas whose parts refer to each other, and to themselves: what they declare is found, at any depth, and
//! costs nobody else anything.

use serde_json::{Value, json};

use crate::scene::{Scene, id_of};
use crate::testenv::kratos::Options;
use crate::testenv::kratos_schemas;

/// Deeper than anybody would unroll it.
const DEPTH: usize = 30;

/// People who know people, in twenty ways.
fn family() -> Value {
    let person = json!({"$ref": "#/definitions/person"});
    let mut properties: serde_json::Map<_, _> = (0..20).map(|way| (format!("knows{way}"), person.clone())).collect();
    properties.insert(
        "mail".to_owned(),
        json!({"type": "string", "ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}}),
    );
    let person_as_such = json!({"type": "object", "properties": properties, "additionalProperties": false});
    json!({
        "$id": "https://example.com/family.schema.json",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "definitions": {"person": person_as_such},
        "properties": {"traits": person_as_such},
    })
}

/// Somebody, and whom they know through all the others.
fn somebody(mail: &str, last: &str) -> Value {
    let known = (0..DEPTH).fold(json!({"mail": last}), |known, way| json!({format!("knows{}", way % 20): known}));
    json!({"schemaID": "family", "traits": {"mail": mail, "knows0": known}})
}

#[tokio::test]
async fn a_login_identifier_deep_in_a_schema_that_refers_to_itself_is_one_for_rules_too() {
    let mut schemas = kratos_schemas::all();
    schemas.insert("family".to_owned(), family());
    let scene = Scene::with_kratos(Options { schemas, ..Options::default() }).await;
    let rule = json!({"expression": "identifiers.all(i, i.endsWith('@team-a.example'))", "message": "team-a only"});
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "rules": [rule]})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;

    scene.identity_in(&tenant, "ada", somebody("ada.walks@team-a.example", "last.walks@team-a.example")).await;
    let ada = scene.in_kratos(&scene.ready_in(&tenant, "ada").await).await;
    // It is what Kratos takes for one.
    let kept =
        scene.admin().get_identity(&ada.id, &[]).await.unwrap().unwrap().credentials["password"].identifiers.clone();
    assert!(kept.contains(&"last.walks@team-a.example".to_owned()), "{kept:?}");

    scene.identity_in(&tenant, "eve", somebody("eve.walks@team-a.example", "eve.walks@team-b.example")).await;
    let message = scene.stalled_in(&tenant, "eve", "NotPermitted").await;
    assert!(message.contains("team-a only"), "{message}");
    assert_eq!(scene.ours().await.len(), 1);
    // Beside the instance it is known again by it.
    scene.identity("beside", somebody("beside.walks@team-b.example", "last.walks@team-b.example")).await;
    let beside = scene.ready("beside").await;
    assert_ne!(id_of(&beside), ada.id);
}
