//! What the operator counts of its own doing, as Prometheus reads it, and the little server that it is read from. No label may
//! name an identity, a resource or a person.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counted since the process started.
#[derive(Debug, Default)]
pub struct Metrics {
    drift_corrected: Counter,
}

impl Metrics {
    /// An identity that had been changed in Kratos, or was gone from it, is as its manifest says again.
    pub fn drift_corrected(&self) {
        self.drift_corrected.inc();
    }

    /// In the `OpenMetrics` text format.
    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("kratos_operator");
        let help = "Identities that differed from their manifests, or were gone, and were put right";
        registry.register("drift_corrected", help, self.drift_corrected.clone());
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Serves `/metrics` until `stop` is cancelled.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, stop: CancellationToken) {
    let router = Router::new().route("/metrics", get(answer)).with_state(metrics);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "metrics are served no longer");
    }
}

async fn answer(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_said_in_open_metrics() {
        let metrics = Metrics::default();
        metrics.drift_corrected();
        metrics.drift_corrected();
        let text = metrics.text().expect("it can be written");
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        let expected =
            ["# TYPE kratos_operator_drift_corrected counter", "kratos_operator_drift_corrected_total 2", "# EOF"];
        assert_eq!(lines, expected);
    }
}
