//! The operator's own token: it expires, is replaced, is revoked. That is said, nothing ends, and all goes on with the next one.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::scene::{Scene, pretty};
use crate::testenv::process::eventually;

/// The client library reads a token file once a minute.
const READ_AGAIN: Duration = Duration::from_secs(110);
const LIFETIME: u64 = 12;
const UNAUTHORIZED: &str = "the API server answers 401 Unauthorized: it doesn't take the operator's token";

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// As the kubelet replaces it.
fn put(path: &Path, token: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, token).expect("a file");
    std::fs::rename(beside, path).expect("it is replaced");
}

/// Requests reconciles until one is refused: the API server caches a token for some seconds, in which requests still succeed.
async fn refused_since(scene: &Scene, name: &str, from: usize) {
    let refused = eventually("it is refused", READ_AGAIN, async || {
        let annotations = json!({"kratos-operator.dev/reconcile-requested-at": rand::random::<u32>().to_string()});
        scene.patch(name, json!({"metadata": {"annotations": annotations}})).await;
        scene.whole_log()[from..].contains(UNAUTHORIZED).then_some(())
    });
    refused.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
}

/// A resource that is applied now becomes Ready, once there is a token again.
async fn works(scene: &Scene, name: &str) {
    let mut last = None;
    let what = format!("{name} is Ready");
    let ready = eventually(&what, READ_AGAIN, async || {
        last = scene.identities().get_opt(name).await.ok().flatten();
        let status = last.as_ref()?.status.as_ref()?;
        kratos_operator::api::condition::is_true(&status.conditions, "Ready").then_some(())
    });
    ready.await.unwrap_or_else(|error| panic!("{error}\n{}\n{}", pretty(&last), scene.log()));
}

/// A token of the account that works for an hour.
const FRESH: [&str; 6] = ["create", "token", "another-operator", "-n", "default", "--duration=1h"];
/// One that works for as long as its Secret is there.
const BOUND: [&str; 7] =
    ["create", "token", "another-operator", "-n", "default", "--bound-object-kind=Secret", "--bound-object-name=bound"];
const MAKE_SECRET: [&str; 6] = ["create", "secret", "generic", "bound", "-n", "default"];
const DELETE_SECRET: [&str; 5] = ["delete", "secret", "bound", "-n", "default"];

/// An account that may do everything, beside the operator's own.
async fn another_account(scene: &Scene) {
    let kubectl = scene.cluster.plane.kubectl();
    let binding =
        "clusterrolebinding another-operator --clusterrole=cluster-admin --serviceaccount=default:another-operator";
    for object in ["serviceaccount another-operator -n default", binding] {
        kubectl.run(["create"].into_iter().chain(object.split(' '))).await.expect("it is made");
    }
}

fn spec(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@token.example")}})
}

#[tokio::test]
async fn a_token_whose_secret_alone_is_deleted_is_said_and_the_next_one_is_taken() {
    let mut scene = Scene::own().await;
    another_account(&scene).await;
    let kubectl = scene.cluster.plane.kubectl();
    kubectl.run(MAKE_SECRET).await.expect("a Secret");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    put(&file, &kubectl.run(BOUND).await.expect("a token"));
    let kubeconfig = scene.cluster.plane.kubeconfig_by_token_file(&file).expect("a kubeconfig");
    scene.operator().restart_with(|settings| settings.kubeconfig = kubeconfig).expect("it starts");
    let mut scene = scene.with_instance().await;
    scene.identity("ada", spec("ada")).await;
    works(&scene, "ada").await;
    assert!(!scene.whole_log().contains(UNAUTHORIZED), "{}", scene.whole_log());
    let kubectl = scene.cluster.plane.kubectl();
    kubectl.run(DELETE_SECRET).await.expect("it is deleted");
    let from = scene.whole_log().len();
    refused_since(&scene, "ada", from).await;
    // The account is what it was: another token of its own is taken.
    put(&file, &kubectl.run(FRESH).await.expect("a token"));
    scene.identity("bob", spec("bob")).await;
    works(&scene, "bob").await;
    scene.operator().still_running().expect("it has never ended");
    assert!(!scene.whole_log().contains("eyJ"), "no token is logged");
}

#[tokio::test]
async fn a_token_that_expires_or_is_revoked_is_said_and_the_next_one_is_taken() {
    let mut scene = Scene::own().await;
    another_account(&scene).await;
    let plane = &scene.cluster.plane;
    let kubectl = plane.kubectl();
    let uid = ["get", "serviceaccount", "another-operator", "-n", "default", "-o", "jsonpath={.metadata.uid}"];
    let uid = kubectl.run(uid).await.expect("its uid");
    let (now, audience) = (seconds(), "https://kubernetes.default.svc");
    let claims = json!({
        "iss": audience, "aud": [audience], "sub": "system:serviceaccount:default:another-operator",
        "iat": now, "nbf": now, "exp": now + LIFETIME,
        "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "another-operator", "uid": uid.trim()}},
    });
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    put(&file, &plane.sign_token(&claims).expect("a token"));
    let kubeconfig = plane.kubeconfig_by_token_file(&file).expect("a kubeconfig");
    scene.operator().restart_with(|settings| settings.kubeconfig = kubeconfig).expect("it starts");
    let scene = scene.with_instance().await;
    assert!(!scene.whole_log().contains(UNAUTHORIZED), "{}", scene.whole_log());

    // It expires.
    let expired = eventually("it has expired", READ_AGAIN, async || (seconds() > now + LIFETIME + 1).then_some(()));
    expired.await.expect("time passes");
    let from = scene.whole_log().len();
    scene.identity("ada", spec("ada")).await;
    refused_since(&scene, "ada", from).await;
    // It is replaced, as the kubelet does in time.
    put(&file, &scene.cluster.plane.kubectl().run(FRESH).await.expect("a token"));
    works(&scene, "ada").await;

    // It is revoked: with the Secret that the next one is bound to.
    let kubectl = scene.cluster.plane.kubectl();
    kubectl.run(MAKE_SECRET).await.expect("a Secret");
    put(&file, &kubectl.run(BOUND).await.expect("a token"));
    // Whichever it uses by now, neither works without the account.
    kubectl.run(DELETE_SECRET).await.expect("it is deleted");
    kubectl.run(["delete", "serviceaccount", "another-operator", "-n", "default"]).await.expect("it is deleted");
    let from = scene.whole_log().len();
    scene.identity("bob", spec("bob")).await;
    refused_since(&scene, "bob", from).await;
    kubectl.run(["create", "serviceaccount", "another-operator", "-n", "default"]).await.expect("it is made");
    put(&file, &kubectl.run(FRESH).await.expect("a token"));
    works(&scene, "bob").await;
    let mut scene = scene;
    scene.operator().still_running().expect("it has never ended");
    assert!(!scene.whole_log().contains("eyJ"), "no token is logged");
}
