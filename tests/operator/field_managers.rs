//! Secrets and `ConfigMap`s whose field managers somebody wrote, deeper than parsers descend. What they hold is used, and
//! nobody's else is hidden by them; one that can't be read all the same is told.

use kratos_operator::api::condition;
use serde_json::{Value, json};

use crate::recovery::{content, done};
use crate::scene::{Scene, WITHIN};
use crate::testenv::faults::Answer;
use crate::testenv::process::eventually;
use crate::too_deep::create_at;

/// Field managers of any depth, as part of an object's metadata.
fn field_managers() -> String {
    let fields = r#"{"f:a":"#.repeat(200) + "{}" + &"}".repeat(200);
    format!(
        r#""managedFields": [{{"manager": "eve", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {fields}}}]"#
    )
}

/// An object of the core group with them, in this scene's namespace; `members` beside its metadata.
fn odd(scene: &Scene, kind: &str, name: &str, members: &str) -> String {
    let (namespace, managers) = (&scene.namespace, field_managers());
    format!(
        r#"{{"apiVersion": "v1", "kind": "{kind}", "metadata": {{"name": "{name}", "namespace": "{namespace}", {managers}}}, {members}}}"#
    )
}

async fn create(scene: &Scene, plural: &str, manifest: &str) {
    create_at(scene, &format!("/api/v1/namespaces/{}/{plural}", scene.namespace), manifest).await;
}

/// That the API server keeps them.
async fn is_kept(scene: &Scene, what: &str) {
    let shown = ["get", what, "-n", &scene.namespace, "-o", "json", "--show-managed-fields"];
    let shown = scene.cluster.plane.kubectl().run(shown).await.expect("kubectl answers");
    assert!(shown.matches("f:a").count() >= 200, "the API server keeps them: {shown}");
}

fn labelled(secret: &str) -> Value {
    let from = json!([{"path": "/label", "secretKeyRef": {"name": secret, "key": "label"}}]);
    json!({"schemaID": "plain", "traitsFrom": from})
}

#[tokio::test]
async fn a_secret_whose_field_managers_are_too_deep_hides_no_other() {
    let mut scene = Scene::own().await.with_instance().await;
    create(&scene, "secrets", &odd(&scene, "Secret", "odd", r#""type": "Opaque""#)).await;
    is_kept(&scene, "secret/odd").await;
    scene.operator().restart().expect("it starts");
    scene.identity("ada", labelled("ada")).await;
    scene.retrying("ada", "SecretNotReady").await;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ada"}, "stringData": {"label": "late"}});
    create(&scene, "secrets", &secret.to_string()).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["label"], "late");
    assert!(!scene.whole_log().contains("watch of Secret"), "{}", scene.log());
}

#[tokio::test]
async fn what_they_hold_themselves_is_used() {
    let scene = Scene::shared().await;
    create(&scene, "secrets", &odd(&scene, "Secret", "token", r#""stringData": {"token": "anything"}"#)).await;
    create(&scene, "secrets", &odd(&scene, "Secret", "ada", r#""stringData": {"label": "from-an-odd-one"}"#)).await;
    is_kept(&scene, "secret/ada").await;
    scene.instance(json!({"auth": {"bearerToken": {"secretKeyRef": {"name": "token", "key": "token"}}}})).await;
    scene.identity("ada", labelled("ada")).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().unwrap()["label"], "from-an-odd-one");

    create(&scene, "configmaps", &odd(&scene, "ConfigMap", "trust", r#""data": {"ca.crt": "no certificate"}"#)).await;
    is_kept(&scene, "configmap/trust").await;
    let ca = json!({"configMapKeyRef": {"name": "trust", "key": "ca.crt"}});
    let spec = scene.instance_spec(json!({"adminURL": "https://127.0.0.1:1", "tls": {"ca": ca}}));
    scene.apply_instance(&scene.namespace, "trusting", spec).await;
    let told = |instance: &kratos_operator::api::KratosInstance| {
        let found = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?;
        (found.reason == "InvalidSpec" && found.message.contains("no readable PEM")).then_some(())
    };
    scene.instance_until("trusting", "it was read, and is none", told).await;
}

#[tokio::test]
async fn the_operators_own_secrets_are_written_again_and_deleted() {
    let scene = Scene::shared().await.with_instance().await;
    let email = format!("ada@{}.example", scene.namespace);
    let spec = json!({
        "schemaID": "customer", "traits": {"email": email}, "recovery": {"type": "Link", "secretName": "way-in"},
    });
    scene.identity("ada", spec).await;
    scene.ready("ada").await;
    let first = content(&scene, "way-in").await;
    let api: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(scene.client.clone(), &scene.namespace);
    let mut secret = serde_json::to_value(api.get("way-in").await.expect("it is there")).expect("JSON");
    secret["metadata"]["managedFields"] = json!("here");
    let secret = secret.to_string().replace(r#""managedFields":"here""#, &field_managers());
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secret.json");
    std::fs::write(&file, secret).expect("a file");
    let (file, path) = (file.display().to_string(), format!("/api/v1/namespaces/{}/secrets/way-in", scene.namespace));
    scene.cluster.plane.kubectl().run(["replace", "--raw", &path, "-f", &file]).await.expect("it is taken");
    is_kept(&scene, "secret/way-in").await;

    scene.patch("ada", json!({"spec": {"actions": {"recovery": {"token": "again"}}}})).await;
    done(&scene, "ada", "again").await;
    let shown = ["get", "secret", "way-in", "-n", &scene.namespace, "-o", "jsonpath={.data.link}"];
    let second = scene.cluster.plane.kubectl().run(shown).await.expect("kubectl answers");
    let second = data_encoding::BASE64.decode(second.trim().as_bytes()).expect("base64");
    assert_ne!(String::from_utf8(second).expect("text"), first["link"]);
    is_kept(&scene, "secret/way-in").await;
    scene.patch("ada", json!({"spec": {"state": "Inactive"}})).await;
    let names = ["get", "secrets", "-n", &scene.namespace, "-o", "jsonpath={.items[*].metadata.name}"];
    let gone = eventually("the Secret goes", WITHIN, async || {
        let names = scene.cluster.plane.kubectl().run(names).await.ok()?;
        (!names.contains("way-in")).then_some(())
    });
    gone.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

#[tokio::test]
async fn so_is_a_key_of_the_operators_own() {
    let scene = Scene::own().await;
    let key = data_encoding::BASE64.encode(&[7; 32]);
    let secret = odd(
        &scene,
        "Secret",
        "kratos-operator-key",
        &format!(r#""data": {{"key": "{key}", "keyID": "b2RkLWtleQ=="}}"#),
    );
    let home = "default";
    create_at(&scene, &format!("/api/v1/namespaces/{home}/secrets"), &secret.replace(&scene.namespace, home)).await;
    scene.instance(json!({})).await;
    crate::passwords::put_secret(&scene, &[("password", b"first-horse-battery-4711")]).await;
    let password = json!({"password": {"secretKeyRef": {"name": "ada", "key": "password"}}});
    scene
        .identity(
            "ada",
            json!({"schemaID": "customer", "traits": {"email": "ada@keys.example"}, "credentials": password}),
        )
        .await;
    let ada = scene.in_kratos(&scene.ready("ada").await).await;
    let mark = &ada.metadata_admin.read().unwrap()["kratos-operator.dev"];
    assert_eq!(mark["password"]["keyID"], "odd-key", "{mark}");
}

#[tokio::test]
async fn one_that_can_not_be_read_is_told_by_name() {
    let scene = Scene::own().await.with_instance().await;
    let is_it = |label: &str, path: &str| label == "GET secrets" && path.ends_with("/odd");
    scene.cluster.proxy.on_where(is_it).answer(Answer::status(200).json(&json!(["no", "Secret"])));
    scene.identity("ada", labelled("odd")).await;
    let told = scene.retrying("ada", "SecretNotReady").await;
    assert!(told.contains("Secret odd") && told.contains("can't be read"), "{told}");
    let html = Answer { body: "<html>".to_owned(), ..Answer::status(200) };
    let is_other = |label: &str, path: &str| label == "GET secrets" && path.ends_with("/html");
    scene.cluster.proxy.on_where(is_other).answer(html);
    scene.identity("eve", labelled("html")).await;
    let told = scene.retrying("eve", "SecretNotReady").await;
    assert!(told.contains("Secret html") && told.contains("can't be read"), "{told}");
}
