//! What differs where Kratos keeps its identities in `PostgreSQL`, as it does in production: texts have lengths. Ignored where
//! the tests run on `SQLite`, which takes any; `make test-postgresql` runs them, and others beside them.

use std::time::Duration;

use kratos_operator::api::KratosIdentity;
use serde_json::json;

use crate::scene::{Scene, id_of, message_of, reason_of};
use crate::testenv::databases::on_postgresql;
use crate::testenv::process::eventually;

/// Six tries, each later than the one before.
const LONG: Duration = Duration::from_mins(4);

async fn rejected(scene: &Scene, name: &str) -> String {
    let found = eventually("it is its own trouble", LONG, async || {
        let resource = scene.identities().get_opt(name).await.expect("it can be read")?;
        (reason_of(&resource, "Stalled", "True").as_deref() == Some("KratosRejected")).then_some(resource)
    });
    let resource: KratosIdentity = found.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log()));
    message_of(&resource, "Stalled")
}

#[tokio::test]
#[ignore = "on PostgreSQL: make test-postgresql"]
async fn a_text_that_its_column_has_no_room_for_is_that_resources_trouble_and_a_shorter_one_mends_it() {
    assert!(on_postgresql(), "KRATOS_DATABASE=postgresql");
    let scene = Scene::settled().await;
    let email = |name: &str| format!("{name}@{}.example", scene.namespace);
    let named = |length: usize| {
        let text = format!("{:x<1$}", scene.namespace, length);
        json!({"schemaID": "phone", "traits": {"email": email("named"), "name": text}})
    };
    scene.identity("named", named(256)).await;
    // The definition refuses a longer one; this one just fits its column, with the colon between.
    let subject = format!("{:x<1$}", scene.namespace, 254 - "google".len());
    let credentials = json!({"oidc": [{"provider": "google", "subject": subject}]});
    let linked = json!({"schemaID": "customer", "traits": {"email": email("linked")}, "credentials": credentials});
    scene.identity("linked", linked).await;
    scene.ready("linked").await;
    let told = rejected(&scene, "named").await;
    assert!(told.contains("255") && !told.contains("xxx"), "{told}");
    scene.identity("named", named(255)).await;
    let made = scene.ready("named").await;
    assert_eq!(scene.in_kratos(&made).await.id, id_of(&made));
}
