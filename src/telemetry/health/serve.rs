//! Answers the probes while the process runs: also while it is a standby, and while it stops.

use std::time::Instant;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Health, Report};

/// Serves `/livez` and `/readyz` for as long as it is polled.
pub async fn serve(listener: TcpListener, health: Health) {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /livez and /readyz, both with ?verbose\n"))
        .with_state(health);
    if axum::serve(listener, router).await.is_err() {
        tracing::error!("probes are answered no longer");
    }
}

async fn livez(State(health): State<Health>, query: RawQuery) -> Response {
    answer(&health.live(Instant::now()), query)
}

async fn readyz(State(health): State<Health>, query: RawQuery) -> Response {
    answer(&health.ready(), query)
}

/// 500 where a check fails, as the API server does.
fn answer(report: &Report, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let verbose = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "verbose");
    let status = if report.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, report.text(verbose)).into_response()
}
