//! An instance behind TLS: its certificate authority comes out of a Secret or a `ConfigMap`, and nobody else is trusted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kratos_operator::api::{KratosInstance, condition};
use kube::api::{Api, PostParams};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::scene::{Scene, WITHIN};
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::eventually;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// TLS before a plain server, for requests without a body, one a connection. Its port.
fn terminate(authority: &Authority, upstream: std::net::SocketAddr) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = params.signed_by(&key, authority).unwrap().into();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            // A client that doesn't trust us hangs up; that is its answer.
            let _ = pass(StreamOwned::new(tls, connection), upstream);
        }
    });
    port
}

fn pass(mut client: StreamOwned<ServerConnection, TcpStream>, upstream: std::net::SocketAddr) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    request.truncate(request.len() - 2);
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(&request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
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
    let port = terminate(&ours, scene.proxy.address());
    let apply = async |name: &str, ca: serde_json::Value| {
        let spec = json!({"adminURL": format!("https://127.0.0.1:{port}"), "tls": {"ca": ca}});
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
