//! The operator's own token: it expires, is replaced, is revoked. That is said, nothing ends, and all goes on with the next one.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

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

async fn logged_since(scene: &Scene, from: usize) {
    let logged =
        eventually("it is logged", READ_AGAIN, async || scene.whole_log()[from..].contains(UNAUTHORIZED).then_some(()));
    logged.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
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

#[tokio::test]
async fn a_token_that_expires_or_is_revoked_is_said_and_the_next_one_is_taken() {
    let mut scene = Scene::own().await;
    let plane = &scene.cluster.plane;
    let kubectl = plane.kubectl();
    let account = |namespace: &str| format!("--serviceaccount={namespace}:another-operator");
    let bind = account("default");
    for command in [
        vec!["create", "serviceaccount", "another-operator", "-n", "default"],
        vec!["create", "clusterrolebinding", "another-operator", "--clusterrole=cluster-admin", bind.as_str()],
    ] {
        kubectl.run(command).await.expect("it is made");
    }
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
    let spec = |name: &str| json!({"schemaID": "customer", "traits": {"email": format!("{name}@token.example")}});
    assert!(!scene.whole_log().contains(UNAUTHORIZED), "{}", scene.whole_log());

    // It expires.
    let expired = eventually("it has expired", READ_AGAIN, async || (seconds() > now + LIFETIME + 1).then_some(()));
    expired.await.expect("time passes");
    let from = scene.whole_log().len();
    scene.identity("ada", spec("ada")).await;
    logged_since(&scene, from).await;
    // It is replaced, as the kubelet does in time.
    let fresh = ["create", "token", "another-operator", "-n", "default", "--duration=1h"];
    put(&file, &scene.cluster.plane.kubectl().run(fresh).await.expect("a token"));
    works(&scene, "ada").await;

    // It is revoked: with the Secret that the next one is bound to.
    let kubectl = scene.cluster.plane.kubectl();
    kubectl.run(["create", "secret", "generic", "bound", "-n", "default"]).await.expect("a Secret");
    let bound = [
        "create",
        "token",
        "another-operator",
        "-n",
        "default",
        "--bound-object-kind=Secret",
        "--bound-object-name=bound",
    ];
    put(&file, &kubectl.run(bound).await.expect("a token"));
    // Whichever it uses by now, neither works without the account.
    kubectl.run(["delete", "secret", "bound", "-n", "default"]).await.expect("it is deleted");
    kubectl.run(["delete", "serviceaccount", "another-operator", "-n", "default"]).await.expect("it is deleted");
    let from = scene.whole_log().len();
    scene.identity("bob", spec("bob")).await;
    logged_since(&scene, from).await;
    kubectl.run(["create", "serviceaccount", "another-operator", "-n", "default"]).await.expect("it is made");
    put(&file, &kubectl.run(fresh).await.expect("a token"));
    works(&scene, "bob").await;
    let mut scene = scene;
    scene.operator().still_running().expect("it has never ended");
    assert!(!scene.whole_log().contains("eyJ"), "no token is logged");
}
