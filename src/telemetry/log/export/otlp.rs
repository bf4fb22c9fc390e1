//! The export by OTLP over HTTP, in protobuf. What can't be sent is dropped: a collector that is down costs neither memory nor
//! time, and one log line.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, SpanId, TraceId};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator, RandomIdGenerator, SdkTracerProvider, SpanData, SpanExporter,
};
use tracing::Metadata;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;

use crate::telemetry::log::spans::Spans;
use crate::telemetry::trace;

const NAME: &str = "kratos-operator";
/// For sending one batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For sending the last spans, when the process ends.
const LAST: Duration = Duration::from_secs(2);

/// A running export.
#[derive(Debug)]
pub struct Export(SdkTracerProvider);

impl Export {
    pub(super) fn begin() -> Result<Self, String> {
        // Another part of the process may have installed one first; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .build()
            // Its message may quote the endpoint, and with it a password.
            .map_err(|_| "spans can't be exported there".to_owned())?;
        let mut resource = Resource::builder();
        if env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(NAME);
        }
        let resource = resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build();
        // Its queue is bounded (OTEL_BSP_MAX_QUEUE_SIZE, 2048): spans beyond that are dropped.
        let processor = BatchSpanProcessor::builder(Told { exporter, is_failing: AtomicBool::new(false) }).build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_id_generator(Ids(RandomIdGenerator::default()))
            .with_span_processor(processor)
            .build();
        Ok(Self(provider))
    }

    /// The layer for our own spans. Exports neither log lines nor places in the source.
    pub fn spans(&self) -> Spans {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        layer.with_filter(FilterFn::new(is_own_span)).boxed()
    }

    /// Sends what is left, with a time-out.
    pub fn finish(self) {
        // Ignores errors: the process ends.
        let _ = self.0.shutdown_with_timeout(LAST);
    }
}

fn is_own_span(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target().strip_prefix(env!("CARGO_CRATE_NAME"));
    metadata.is_span() && target.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Gives a root span the trace id that log lines show.
#[derive(Debug)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let current = trace::TraceId::current().map(|id| TraceId::from_bytes(id.bytes()));
        current.unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Logs once that spans can't be sent, and once that they can again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        match (result.is_err(), self.is_failing.swap(result.is_err(), Ordering::Relaxed)) {
            (true, false) => tracing::warn!("spans can't be exported and are dropped: the collector takes none"),
            (false, true) => tracing::info!("spans are exported again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
