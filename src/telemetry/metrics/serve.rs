//! Answers scrapes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Format, Metrics};

/// Serves `/metrics` for as long as it is polled, also while the process stops.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let router = Router::new().route("/metrics", get(answer)).with_state(metrics);
    if axum::serve(listener, router).await.is_err() {
        tracing::error!("metrics are served no longer");
    }
}

async fn answer(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::wanted(&accept.collect::<Vec<_>>().join(","));
    match metrics.text(format) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
