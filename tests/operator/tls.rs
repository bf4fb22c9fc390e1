//! An instance behind TLS: its certificate authority comes out of a Secret or a `ConfigMap`, and nobody else is trusted.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kratos_operator::api::{KratosInstance, condition};
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::scene::{Scene, WITHIN};
use crate::testenv::authority::Authority;
use crate::testenv::certificates::Terminator;
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::eventually;

fn authority() -> Authority {
    Authority::new().expect("an authority")
}

fn has_reason<'a>(type_: &'a str, reason: &'a str) -> impl Fn(&KratosInstance) -> Option<()> + 'a {
    move |instance| {
        let found = condition::find(&instance.status.as_ref()?.conditions, type_)?;
        (found.status == "True" && found.reason == reason).then_some(())
    }
}

#[tokio::test]
async fn a_certificate_authority_out_of_a_secret_or_a_config_map_is_trusted_and_no_other() {
    let scene = Scene::shared().await;
    let (ours, other) = (authority(), authority());
    let tls = Terminator::before(scene.proxy.address(), ours.server(None).expect("TLS")).expect("it listens");
    let apply = async |name: &str, ca: serde_json::Value| {
        let spec = json!({"adminURL": tls.url(), "tls": {"ca": ca}});
        scene.apply_instance(&scene.namespace, name, scene.instance_spec(spec)).await;
    };
    let secrets = Api::<Secret>::namespaced(scene.client.clone(), &scene.namespace);
    let secret = async |name: &str, pem: &str| {
        let secret = json!({"metadata": {"name": name}, "stringData": {"ca.crt": pem}});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        secrets.create(&PostParams::default(), &secret).await.expect("a Secret");
    };

    // Waited for, then used.
    apply("by-secret", json!({"secretKeyRef": {"name": "ours", "key": "ca.crt"}})).await;
    scene.instance_until("by-secret", "SecretNotReady", has_reason("Reconciling", "SecretNotReady")).await;
    secret("ours", &ours.pem()).await;
    scene.instance_ready("by-secret").await;

    let config_maps = Api::<ConfigMap>::namespaced(scene.client.clone(), &scene.namespace);
    let config_map = json!({"metadata": {"name": "ours"}, "data": {"ca.crt": ours.pem()}});
    let config_map: ConfigMap = serde_json::from_value(config_map).unwrap();
    config_maps.create(&PostParams::default(), &config_map).await.expect("a ConfigMap");
    apply("by-config-map", json!({"configMapKeyRef": {"name": "ours", "key": "ca.crt"}})).await;
    scene.instance_ready("by-config-map").await;

    secret("other", &other.pem()).await;
    apply("by-another", json!({"secretKeyRef": {"name": "other", "key": "ca.crt"}})).await;
    scene.instance_until("by-another", "KratosUnavailable", has_reason("Reconciling", "KratosUnavailable")).await;

    secret("rubbish", "no certificate").await;
    apply("by-rubbish", json!({"secretKeyRef": {"name": "rubbish", "key": "ca.crt"}})).await;
    scene.instance_until("by-rubbish", "InvalidSpec", has_reason("Stalled", "InvalidSpec")).await;
}

#[tokio::test]
async fn an_api_server_that_another_authority_vouches_for_is_told_nothing() {
    let scene = Scene::shared().await;
    let plane = &scene.cluster.plane;
    let kubeconfig = plane.kubeconfig_by(plane.address()).expect("a kubeconfig");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&kubeconfig).unwrap()).unwrap();
    let cluster = config["clusters"][0]["cluster"].as_object_mut().expect("a cluster");
    cluster.remove("certificate-authority");
    cluster
        .insert("certificate-authority-data".into(), data_encoding::BASE64.encode(authority().pem().as_bytes()).into());
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let operator = Operator::start(Settings::new(env!("CARGO_BIN_EXE_kratos-operator"), &kubeconfig)).unwrap();
    let refused = eventually("it trusts nobody", WITHIN, async || {
        let log = operator.log();
        log.contains("the API server doesn't answer").then_some(log)
    });
    let log = refused.await.expect("it says that it can't connect");
    assert!(!log.contains("kratos-operator starts"), "{log}");
}
