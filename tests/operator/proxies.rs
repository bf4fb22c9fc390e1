//! Proxies: the API server is reached by the one that kubectl would take, Kratos by the one that its instance names, and by no
//! other. What a proxy says is told from what Kratos says.

use std::time::{Duration, Instant};

use kratos_operator::api::{KratosInstance, condition};
use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};

use crate::many::{all, apply, customer, is_ready};
use crate::scene::{Cluster, Scene, WITHIN};
use crate::testenv::authority::Authority;
use crate::testenv::certificates::Terminator;
use crate::testenv::forward_proxy::{Asked, ForwardProxy};
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::eventually;
use crate::testenv::wire::{Dead, Wire};

const SERVER: &str = "kubernetes.default.svc";
const SOME: usize = 10;

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

/// A scene whose operator is started anew with these settings.
async fn restarted(change: impl FnOnce(&Scene, &mut Settings)) -> Scene {
    let mut scene = Scene::own().await;
    let mut settings = scene.cluster.operator(vec![scene.namespace.clone()]);
    change(&scene, &mut settings);
    scene.operator().restart_with(|before| *before = settings).expect("it starts");
    scene
}

fn set(settings: &mut Settings, environment: &[(&str, &str)]) {
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    settings.environment.extend(pairs);
}

#[rstest]
#[tokio::test]
async fn the_api_server_is_reached_by_the_proxy_of_the_kubeconfig(
    #[values("http", "http with a login", "https", "socks5", "socks5 with a login")] sort: &str,
) {
    let scheme = sort.split(' ').next().unwrap_or_default();
    let cluster = Cluster::start().await;
    // Whoever vouches for the API server vouches for the proxy: kubectl has it so.
    let (authority, tls) = match scheme {
        "https" => {
            let authority = Authority::new().expect("an authority");
            let tls = authority.server(None).expect("TLS");
            (Some(authority.pem()), Some(tls))
        }
        _ => (None, None),
    };
    let proxy = ForwardProxy::start_with(tls).expect("a proxy");
    let login = if sort.ends_with("login") { "ada:hunter2-S3CRET@" } else { "" };
    let url = format!("{scheme}://{login}{}", proxy.address());
    // Its name is known to the proxy alone.
    let server = format!("https://{SERVER}:6443");
    proxy.knows(&format!("{SERVER}:6443"), cluster.plane.address());
    let mut members = json!({"server": server, "proxy-url": url, "tls-server-name": "127.0.0.1"});
    if let Some(pem) = authority {
        let own = std::fs::read_to_string(cluster.plane.kubeconfig().with_file_name("ca.crt")).expect("its authority");
        let both = data_encoding::BASE64.encode(format!("{pem}{own}").as_bytes());
        members["certificate-authority-data"] = json!(both);
        members["certificate-authority"] = Value::Null;
    }
    let kubeconfig = cluster.plane.kubeconfig_with(&members).expect("a kubeconfig");
    let mut settings = cluster.operator(vec!["proxied".to_owned()]);
    settings.kubeconfig = kubeconfig;
    // A kubeconfig's proxy goes before the environment's, and before what that excepts.
    set(&mut settings, &[("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "*")]);
    let mut operator = Operator::start(settings).expect("it starts");
    let started = eventually("it works", WITHIN, async || {
        let log = operator.log();
        (log.contains("kratos-operator starts") && log.contains("reached by a proxy")).then_some(())
    });
    started.await.unwrap_or_else(|error| panic!("{error}\n{}", operator.tail()));
    operator.still_running().expect("it runs");
    assert!(!operator.log().contains("hunter2"), "{}", operator.log());
    assert!(proxy.asked().iter().all(|asked| *asked == Asked::Tunnel(format!("{SERVER}:6443"))), "{:?}", proxy.asked());
    let authorization = proxy.authorization();
    match (login.is_empty(), scheme) {
        (true, _) => assert_eq!(authorization, None),
        (false, "http") => assert!(authorization.expect("credentials").starts_with("Basic ")),
        (false, _) => assert_eq!(authorization.as_deref(), Some("ada:hunter2-S3CRET")),
    }
}

#[tokio::test]
async fn the_environments_proxy_is_the_api_servers_and_sees_nothing_of_kratos() {
    let proxy = ForwardProxy::start().expect("a proxy");
    let url = proxy.url("http");
    let scene = restarted(|scene, settings| {
        proxy.knows(&format!("{SERVER}:443"), scene.cluster.plane.address());
        let members = json!({"server": format!("https://{SERVER}"), "tls-server-name": "127.0.0.1"});
        settings.kubeconfig = scene.cluster.plane.kubeconfig_with(&members).expect("a kubeconfig");
        let names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"];
        let all: Vec<_> = names.iter().map(|name| (*name, url.as_str())).collect();
        set(settings, &all);
    });
    let scene = scene.await.with_instance().await;
    scene.identity("ada", plain("ada")).await;
    scene.ready("ada").await;
    let asked = proxy.asked();
    assert!(asked.contains(&Asked::Tunnel(format!("{SERVER}:443"))), "{asked:?}");
    assert!(asked.iter().all(|asked| *asked == Asked::Tunnel(format!("{SERVER}:443"))), "{asked:?}");
    assert!(scene.proxy.count("*") > 0, "Kratos was asked");

    // What the proxy says of the API server is said once, as the proxy's.
    let from = scene.whole_log().len();
    proxy.refuse(Some(407));
    let mut scene = scene;
    scene.operator().restart().expect("it starts");
    let said = eventually("it is said", WITHIN, async || {
        let log = scene.whole_log();
        let words = ["the API server doesn't answer", "by the proxy http://127.0.0.1", "proxy authorization required"];
        words.iter().all(|word| log[from..].contains(word)).then_some(())
    });
    said.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    proxy.refuse(None);
    scene.identity("bob", plain("bob")).await;
    scene.ready("bob").await;
}

#[tokio::test]
async fn a_proxy_that_is_none_is_named_and_ends_the_operator() {
    let cluster = Cluster::start().await;
    let members = json!({"proxy-url": "ftp://ada:hunter2@proxy.example"});
    let mut settings = cluster.operator(vec!["proxied".to_owned()]);
    settings.kubeconfig = cluster.plane.kubeconfig_with(&members).expect("a kubeconfig");
    let mut operator = Operator::start(settings).expect("it starts");
    let ended = eventually("it ends", WITHIN, async || operator.exited()).await.expect("it ends");
    assert!(!ended.success());
    let log = operator.log();
    assert!(log.contains("proxy-url of the kubeconfig names no http, https or socks5 proxy"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn connections_that_die_behind_a_proxy_are_left_for_new_ones() {
    let proxy = ForwardProxy::start().expect("a proxy");
    let mut wire = None;
    let scene = restarted(|scene, settings| {
        let before = Wire::before(scene.cluster.plane.address()).expect("a wire");
        let members = json!({"server": format!("https://{}", before.address()), "proxy-url": proxy.url("http")});
        settings.kubeconfig = scene.cluster.plane.kubeconfig_with(&members).expect("a kubeconfig");
        wire = Some(before);
    });
    let scene = scene.await.with_instance().await;
    let wire = wire.expect("a wire");
    apply(&scene, 0..SOME, |number| customer(&scene, number)).await;
    all(&scene, "all are Ready", is_ready).await;
    for (round, dead) in [(1, Dead::Silent), (2, Dead::Acknowledging)] {
        wire.kill(dead);
        let begun = Instant::now();
        apply(&scene, SOME * round..SOME * (round + 1), |number| customer(&scene, number)).await;
        all(&scene, "all are Ready", is_ready).await;
        let took = begun.elapsed();
        assert!(took <= Duration::from_secs(45), "{dead:?}: {took:?}\n{}", scene.log());
    }
}

#[rstest]
#[tokio::test]
async fn kratos_is_reached_by_the_proxy_that_the_instance_names(
    #[values("http", "https", "socks5", "socks5h")] scheme: &str,
    #[values(false, true)] kratos_speaks_tls: bool,
) {
    let scene = Scene::shared().await;
    let authority = Authority::new().expect("an authority");
    let tls = authority.server(None).expect("TLS");
    let proxy = ForwardProxy::start_with((scheme == "https").then(|| tls.clone())).expect("a proxy");
    let terminator = Terminator::before(scene.proxy.address(), tls).expect("it listens");
    let admin_url = if kratos_speaks_tls { terminator.url() } else { scene.proxy.url() };
    let secret = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trust", "namespace": scene.namespace},
        "data": {"ca.crt": authority.pem()},
    });
    scene.cluster.plane.kubectl().apply(&secret.to_string()).await.expect("the ConfigMap is accepted");
    let changes = json!({
        "adminURL": admin_url, "proxyURL": proxy.url(scheme),
        "tls": {"ca": {"configMapKeyRef": {"name": "trust", "key": "ca.crt"}}},
    });
    scene.instance(changes).await;
    scene.identity("ada", plain("ada")).await;
    scene.ready("ada").await;
    let asked = proxy.asked();
    let is_relayed = |asked: &Asked| matches!(asked, Asked::Relay(request, _) if request.contains("/admin/identities"));
    if !kratos_speaks_tls && scheme.starts_with("http") {
        assert!(asked.iter().any(is_relayed), "{asked:?}");
    } else {
        let address = admin_url.split("//").nth(1).unwrap_or_default().to_owned();
        assert!(asked.contains(&Asked::Tunnel(address)) && !asked.iter().any(is_relayed), "{asked:?}");
    }
    // Schemas come the same way.
    let public = scene.kratos.public_url().to_string();
    let public = public.trim_start_matches("http://").trim_end_matches('/');
    let is_public = |asked: &Asked| match asked {
        Asked::Tunnel(target) => target == public,
        Asked::Relay(request, _) => request.contains(public),
    };
    assert!(asked.iter().any(is_public), "{asked:?}");
}

/// Waits until the instance says this while it is being retried. Returns the message.
async fn told(scene: &Scene, words: &[&str]) {
    let says = |instance: &KratosInstance| {
        let found = condition::find(&instance.status.as_ref()?.conditions, "Reconciling")?;
        let is_told = words.iter().all(|word| found.message.contains(word)) && !found.message.contains("S3CRET");
        (found.reason == "KratosUnavailable" && is_told).then_some(())
    };
    scene.instance_until("default", &format!("{words:?}"), says).await;
}

#[rstest]
#[case::it_is_not_there(None, false, "http", &["by the proxy", "connection refused", "spec.proxyURL"])]
#[case::it_refuses_a_tunnel(Some(403), true, "http", &["by the proxy", "refuses to connect", "spec.proxyURL"])]
#[case::it_wants_a_login_for_a_tunnel(Some(407), true, "http", &["by the proxy", "407", "no credentials"])]
#[case::it_refuses_a_request(Some(403), false, "http", &["HTTP 403", "the answer of the proxy", "spec.proxyURL"])]
#[case::it_wants_a_login_for_a_request(Some(407), false, "http", &["HTTP 407", "the answer of the proxy"])]
#[case::it_reaches_nobody(Some(502), false, "http", &["HTTP 502", "the answer of the proxy"])]
#[case::it_refuses_by_socks(Some(403), false, "socks5", &["by the proxy", "doesn't connect", "spec.proxyURL"])]
#[tokio::test]
async fn what_a_proxy_says_is_told_from_what_kratos_says(
    #[case] refusal: Option<u16>,
    #[case] kratos_speaks_tls: bool,
    #[case] scheme: &str,
    #[case] words: &[&str],
) {
    let scene = Scene::shared().await;
    let proxy = ForwardProxy::start().expect("a proxy");
    proxy.refuse(refusal);
    let url = if refusal.is_some() { proxy.url(scheme) } else { format!("{scheme}://127.0.0.1:1") };
    let admin_url = if kratos_speaks_tls { "https://127.0.0.1:2".to_owned() } else { scene.proxy.url() };
    let spec = scene.instance_spec(json!({"adminURL": admin_url, "proxyURL": url}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    told(&scene, words).await;
    assert!(scene.proxy.counts().is_empty(), "nothing came through");
    if refusal.is_some() && !kratos_speaks_tls {
        proxy.refuse(None);
        scene.instance_ready("default").await;
    }
}

#[tokio::test]
async fn a_proxy_that_would_read_a_token_is_told_nothing() {
    let scene = Scene::shared().await;
    let proxy = ForwardProxy::start().expect("a proxy");
    let auth = json!({"bearerToken": {"secretKeyRef": {"name": "kratos", "key": "token"}}});
    let spec = scene.instance_spec(json!({"proxyURL": proxy.url("http"), "auth": auth}));
    scene.apply_instance(&scene.namespace, "default", spec).await;
    let invalid = |instance: &KratosInstance| {
        let found = condition::find(&instance.status.as_ref()?.conditions, "Stalled")?;
        let says = found.message.contains("would read the token") && found.message.contains("make adminURL https");
        (found.reason == "InvalidSpec" && says).then_some(())
    };
    scene.instance_until("default", "InvalidSpec", invalid).await;
    assert!(proxy.asked().is_empty() && scene.proxy.counts().is_empty());
    let without = Patch::Merge(json!({"spec": {"auth": null}}));
    scene.instances().patch("default", &PatchParams::default(), &without).await.expect("the patch is accepted");
    scene.instance_ready("default").await;
}
