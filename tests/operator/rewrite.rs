//! An identity written again as it is: what its schema has gained since comes to it, and nothing else changes.

use kratos_operator::kratos::Identity;
use serde_json::json;

use crate::actions::done;
use crate::scene::Scene;
use crate::testenv::kratos::Options;
use crate::testenv::kratos_schemas;

const PUT: &str = "PUT /admin/identities/{id}";
const PASSWORD: &str = "correct-horse-battery-4711";

fn codes(identity: &Identity) -> &[String] {
    identity.credentials.get("code").map_or(&[], |code| &code.identifiers)
}

#[tokio::test]
async fn what_a_schema_has_gained_comes_to_an_identity_that_is_written_again() {
    let scene = Scene::with_own_kratos(Options::default()).await.with_instance().await;
    let email = "ada@rewritten.example";
    let spec = json!({"schemaID": "customer", "traits": {"email": email}, "verifiedAddresses": [email]});
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    let session = scene.logged_in(&ada, email).await;
    let pointer = "/properties/traits/properties/email/ory.sh~1kratos/credentials";
    let gained = |options: &mut Options| {
        let mut schema = kratos_schemas::customer();
        *schema.pointer_mut(pointer).expect("it has some") =
            json!({"password": {"identifier": true}, "code": {"identifier": true, "via": "email"}});
        options.schemas.insert("customer".into(), schema);
    };
    scene.kratos.restart_with(gained).await.expect("it starts");
    scene.instance_ready("default").await;
    scene.request_reconcile("ada").await;
    let before = scene.in_kratos(&ada).await;
    assert_eq!(codes(&before), [""; 0], "nothing differs: nothing is written");

    scene.count_from_now();
    scene.patch("ada", json!({"spec": {"actions": {"rewrite": {"token": "codes"}}}})).await;
    let ada = done(&scene, "ada", "rewrite", "codes").await;
    let after = scene.in_kratos(&ada).await;
    assert_eq!(codes(&after), [email]);
    assert_eq!(scene.proxy.count(PUT), 1);
    assert_eq!((&after.traits, after.state), (&before.traits, before.state));
    assert!(after.verifiable_addresses.iter().all(|address| address.verified));
    assert!(scene.is_logged_in(&session).await, "nobody is logged out");
    assert!(scene.kratos.login(email, PASSWORD).await.unwrap().is_some(), "the password is kept");
    // The same token asks for nothing, another one for another time.
    scene.request_reconcile("ada").await;
    assert_eq!(scene.proxy.count(PUT), 1);
    scene.patch("ada", json!({"spec": {"actions": {"rewrite": {"token": "again"}}}})).await;
    done(&scene, "ada", "rewrite", "again").await;
    assert_eq!(scene.proxy.count(PUT), 2);
}
