//! The proxy, before a small server of our own that remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use futures::StreamExt;

use crate::testenv::faults::Answer;
use crate::testenv::labels::Api;
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;

/// Answers everything with 201 and its body, and keeps what it was asked.
#[derive(Clone, Default)]
struct Upstream(Arc<Mutex<Vec<String>>>);

impl Upstream {
    async fn start() -> (Self, Proxy) {
        let this = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::before_kratos(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let router =
            axum::Router::new().route("/drip", axum::routing::get(drip)).fallback(remember).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (this, proxy)
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn remember(State(upstream): State<Upstream>, method: Method, uri: Uri, body: String) -> (StatusCode, String) {
    upstream.0.lock().unwrap().push(format!("{method} {uri} {body}"));
    (StatusCode::CREATED, body)
}

/// One chunk at once, and then nothing, for ever.
async fn drip() -> axum::body::Body {
    let first = futures::stream::iter([Ok::<_, std::io::Error>("first")]);
    axum::body::Body::from_stream(first.chain(futures::stream::pending()))
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn post(proxy: &Proxy, body: &str) -> reqwest::Result<reqwest::Response> {
    let url = format!("{}/admin/identities", proxy.url());
    client().post(url).body(body.to_owned()).send().await
}

const CREATE: &str = "POST /admin/identities";

#[tokio::test]
async fn it_passes_requests_as_they_are_and_keeps_what_they_were() {
    let (upstream, proxy) = Upstream::start().await;
    let answer = post(&proxy, "ada").await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.text().await.unwrap(), "ada");
    let url = format!("{}/admin/identities?ids=1&ids=2&page_size=5", proxy.url());
    client().get(url).send().await.unwrap();
    assert_eq!(upstream.asked(), ["POST /admin/identities ada", "GET /admin/identities?ids=1&ids=2&page_size=5 "]);
    let seen = proxy.seen();
    assert_eq!((seen[0].label.as_str(), seen[0].status), (CREATE, Some(201)));
    assert_eq!(seen[1].parameters, ["ids", "ids", "page_size"]);
    assert!(seen[0].at <= seen[1].at);
    proxy.reset();
    assert_eq!(proxy.count("*"), 0);
}

#[tokio::test]
async fn it_counts_right_when_many_come_at_once() {
    let (upstream, proxy) = Upstream::start().await;
    let (client, url) = (client(), proxy.url());
    futures::stream::iter(0..500)
        .map(|number| {
            let url = format!("{url}/admin/identities/{number}");
            let request = if number % 5 == 0 { client.delete(url) } else { client.get(url) };
            async move { request.send().await.unwrap().error_for_status().unwrap() }
        })
        .buffer_unordered(32)
        .for_each(async |_| ())
        .await;
    assert_eq!(proxy.count("GET /admin/identities/{id}"), 400);
    assert_eq!(proxy.count("DELETE *"), 100);
    assert_eq!(proxy.count("*"), upstream.asked().len());
}

#[tokio::test]
async fn it_streams() {
    let (_upstream, proxy) = Upstream::start().await;
    let mut answer = client().get(format!("{}/drip", proxy.url())).send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "first");
}

#[tokio::test]
async fn a_lost_answer_was_given() {
    let (upstream, proxy) = Upstream::start().await;
    proxy.on(CREATE).once().lose_answer();
    assert!(!post(&proxy, "lost").await.unwrap_err().is_connect());
    assert_eq!(upstream.asked(), ["POST /admin/identities lost"]);
    assert_eq!(proxy.seen()[0].status, Some(201));
    assert_eq!(post(&proxy, "kept").await.unwrap().status(), 201);
}

#[tokio::test]
async fn answers_of_its_own_and_refusals_go_by_their_times_in_order() {
    let (upstream, proxy) = Upstream::start().await;
    let busy = Answer::status(429).header("retry-after", "7").json(&serde_json::json!({"error": "busy"}));
    proxy.on(CREATE).times(2).answer(busy);
    proxy.on_where(|label, path| label.starts_with("POST") && path.ends_with("/identities")).once().refuse();
    for _ in 0..2 {
        let answer = post(&proxy, "").await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "7");
        assert_eq!(answer.text().await.unwrap(), r#"{"error":"busy"}"#);
    }
    post(&proxy, "").await.unwrap_err();
    assert!(upstream.asked().is_empty());
    assert_eq!(post(&proxy, "").await.unwrap().status(), 201);
    assert_eq!(proxy.count(CREATE), 4);
}

#[tokio::test]
async fn what_is_held_goes_on_when_released() {
    let (upstream, proxy) = Upstream::start().await;
    let proxy = Arc::new(proxy);
    let held = proxy.on(CREATE).once().hold();
    let first = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { post(&proxy, "first").await.unwrap().status() }
    });
    held.held().await;
    post(&proxy, "second").await.unwrap();
    assert_eq!(upstream.asked(), ["POST /admin/identities second"]);
    held.release();
    assert_eq!(first.await.unwrap(), 201);
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn a_held_answer_has_happened_even_if_the_client_went_away() {
    let (upstream, proxy) = Upstream::start().await;
    let held = proxy.on(CREATE).hold_answer();
    let impatient = client().post(format!("{}/admin/identities", proxy.url())).timeout(Duration::from_millis(300));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    held.held().await;
    eventually("it arrived", Duration::from_secs(5), async || (upstream.asked().len() == 1).then_some(()))
        .await
        .unwrap();
    proxy.clear_faults();
    assert_eq!(post(&proxy, "").await.unwrap().status(), 201);
}

#[tokio::test]
async fn down_refuses_connections_and_up_takes_them_at_the_same_address() {
    let (upstream, proxy) = Upstream::start().await;
    let url = format!("{}/drip", proxy.url());
    let mut open = client().get(&url).send().await.unwrap();
    open.chunk().await.unwrap();
    for _ in 0..3 {
        proxy.down();
        assert!(post(&proxy, "").await.unwrap_err().is_connect());
        proxy.up().unwrap();
        post(&proxy, "").await.unwrap();
    }
    assert!(open.chunk().await.is_err(), "what was open is closed");
    assert_eq!(upstream.asked().len(), 3);
}

#[test]
fn requests_to_kubernetes_are_named_by_verb_and_resource() {
    let of = "/apis/kratos-operator.dev/v1alpha1/namespaces/identity/kratosidentities";
    for (method, path, query, label) in [
        ("PATCH", format!("{of}/ada/status"), "", "PATCH kratosidentities/status"),
        ("PATCH", format!("{of}/ada"), "fieldManager=x", "PATCH kratosidentities"),
        ("GET", format!("{of}/ada"), "", "GET kratosidentities"),
        ("GET", of.to_owned(), "watch=true", "WATCH kratosidentities"),
        ("DELETE", of.to_owned(), "", "DELETECOLLECTION kratosidentities"),
        ("GET", "/apis/kratos-operator.dev/v1alpha1/kratosidentities".into(), "limit=5", "LIST kratosidentities"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/a/events".into(), "", "POST events"),
        ("GET", "/api/v1/namespaces/a".into(), "", "GET namespaces"),
        ("PUT", "/api/v1/namespaces/a/finalize".into(), "", "PUT namespaces/finalize"),
        ("GET", "/readyz".into(), "", "GET /readyz"),
        ("GET", "/apis/kratos-operator.dev/v1alpha1".into(), "", "GET /apis/kratos-operator.dev/v1alpha1"),
    ] {
        assert_eq!(Api::Kubernetes.label(method, &path, query), label);
    }
}

#[test]
fn requests_to_kratos_are_named_without_their_values() {
    for (path, label) in [
        ("/admin/identities", "GET /admin/identities"),
        ("/admin/identities/42", "GET /admin/identities/{id}"),
        ("/admin/identities/42/sessions", "GET /admin/identities/{id}/sessions"),
        ("/admin/identities/42/credentials/totp", "GET /admin/identities/{id}/credentials/totp"),
        ("/admin/identities/by/external/crm-1", "GET /admin/identities/by/external/{externalID}"),
        ("/admin/sessions/42/extend", "GET /admin/sessions/{id}/extend"),
        ("/schemas/customer", "GET /schemas/{id}"),
        ("/health/ready", "GET /health/ready"),
    ] {
        assert_eq!(Api::Kratos.label("GET", path, "ids=1"), label);
    }
}
