//! Spans that a real operator exports by OTLP: whose they are, that their trace is the log's, and what isn't in them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::process::eventually;
use crate::traces;

/// A collector that keeps what it is sent.
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<ResourceSpans>>>,
}

impl Collector {
    async fn start() -> Self {
        let received = Arc::<Mutex<Vec<ResourceSpans>>>::default();
        let take = async |State(received): State<Arc<Mutex<Vec<ResourceSpans>>>>, body: Bytes| {
            let request = ExportTraceServiceRequest::decode(body).expect("what OTLP says");
            received.lock().unwrap().extend(request.resource_spans);
            ([(CONTENT_TYPE, "application/x-protobuf")], Vec::new())
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, received }
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        received.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        traces::of_this_run().written("an exported span", format!("{:?}", self.received.lock().unwrap()));
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        Any::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// An own operator that exports to this endpoint.
async fn exporting(url: &str) -> Scene {
    let mut scene = Scene::own().await;
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_BSP_SCHEDULE_DELAY", "200")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    scene
        .operator()
        .restart_with(|settings| {
            settings.environment.extend(environment);
            settings.arguments = vec!["--log-format".to_owned(), "json".to_owned()];
            "info".clone_into(&mut settings.log);
        })
        .expect("it starts");
    scene.with_instance().await
}

fn spec(name: &str) -> Value {
    json!({
        "schemaID": "customer", "traits": {"email": format!("{name}@exported.example"), "name": {"first": "Ada-Exported"}},
    })
}

#[tokio::test]
async fn our_own_spans_have_the_trace_of_the_log_and_no_value() {
    let collector = Collector::start().await;
    let mut scene = exporting(&collector.url).await;
    scene.identity("ada", spec("ada")).await;
    let id = id_of(&scene.ready("ada").await);
    scene.identity("ada", json!({"schemaID": "customer", "traits": {"email": "Other.Ada@exported.example"}})).await;
    scene.ready("ada").await;
    let is_of_ada = |span: &Span| span.name == "reconcile" && attribute(span, "name").as_deref() == Some("ada");
    let changed = |span: &Span| is_of_ada(span) && attribute(span, "generation").as_deref() == Some("2");
    let arrived = eventually("its spans are exported", WITHIN, async || {
        let spans = collector.spans();
        spans.iter().any(changed).then_some(spans)
    });
    arrived.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
    // The last ones are sent when it ends.
    scene.operator().stop().expect("it stops");
    let spans = collector.spans();
    let names: BTreeSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
    let ours = ["apply", "background", "batch", "kratos", "kubernetes", "observe", "reconcile"];
    assert_eq!(names, BTreeSet::from(ours));

    let log = scene.whole_log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = lines.iter().find(|line| line["reason"] == "IdentityChanged").expect("it is logged");
    let traces: Vec<_> = spans.iter().filter(|span| is_of_ada(span)).map(|span| hex(&span.trace_id)).collect();
    assert!(traces.contains(&line["trace_id"].as_str().expect("a trace").to_owned()), "{line}: {traces:?}");
    let root = spans.iter().find(|span| is_of_ada(span) && line["trace_id"] == hex(&span.trace_id)).expect("a span");
    assert_eq!(attribute(root, "trace_id"), Some(hex(&root.trace_id)));
    assert_eq!((attribute(root, "controller").as_deref(), root.parent_span_id.len()), (Some("kratosidentity"), 0));
    let within: Vec<_> = spans.iter().filter(|span| span.trace_id == root.trace_id).collect();
    let patch = within.iter().find(|span| attribute(span, "operation").as_deref() == Some("patch_identity"));
    let patch = patch.expect("the request is in it");
    assert_eq!(
        (attribute(patch, "status").as_deref(), attribute(patch, "outcome").as_deref()),
        (Some("200"), Some("ok"))
    );
    for span in &within {
        let parent = within.iter().any(|other| other.span_id == span.parent_span_id);
        assert!(parent || span.span_id == root.span_id, "{span:?}");
    }

    let page =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logging.md")).expect("it");
    // How long a span was worked on and waited, of the library's.
    for key in spans.iter().flat_map(|span| &span.attributes).map(|attribute| &attribute.key) {
        assert!(page.contains(&format!("`{key}`")), "{key} is no documented field");
    }
    assert!(spans.iter().all(|span| span.events.is_empty()), "log lines stay in the log");
    let all = format!("{:?}", collector.received.lock().unwrap());
    assert!(all.contains("service.name") && all.contains("kratos-operator"), "{all}");
    let email = "Other.Ada";
    for value in ["exported.example", "Ada-Exported", email, "http://", "/admin/", "credentials_identifier", &id] {
        assert!(!all.contains(value), "{value} is in a span");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_is_said_once_and_keeps_nobody() {
    // One that takes connections and says nothing, and one that isn't there.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = |listener: &std::net::TcpListener| format!("http://{}", listener.local_addr().expect("an address"));
    let urls = [url(&silent), url(&closed)];
    drop(closed);
    for url in urls {
        let mut scene = exporting(&url).await;
        for number in 0..40 {
            let name = format!("person-{number}");
            scene.identity(&name, spec(&name)).await;
        }
        for number in 0..40 {
            scene.ready(&format!("person-{number}")).await;
        }
        let said = |scene: &Scene| scene.whole_log().matches("spans can't be exported").count();
        let once = eventually("it is said", WITHIN, async || (said(&scene) > 0).then_some(()));
        once.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.log()));
        scene.identity("later", spec("later")).await;
        scene.ready("later").await;
        let began = Instant::now();
        scene.operator().stop().expect("it stops");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(said(&scene), 1, "{}", scene.whole_log());
        let of_the_library = scene.whole_log().lines().filter(|line| line.contains("opentelemetry")).count();
        assert_eq!(of_the_library, 0, "{}", scene.whole_log());
    }
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_said_in_one_line() {
    let mut scene = Scene::own().await;
    let environment = vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), "ada:secret@no address".to_owned())];
    scene.operator().restart_with(|settings| settings.environment.extend(environment)).expect("it starts");
    let ended = eventually("it ends", WITHIN, async || scene.operator.as_mut()?.exited()).await.expect("it ends");
    let log = scene.whole_log();
    let complaint = log.lines().last().expect("a line");
    assert_eq!(ended.code(), Some(1), "{log}");
    assert!(complaint.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !complaint.contains("secret"), "{complaint}");
}
