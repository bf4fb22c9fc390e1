//! The log filter, which can be changed while the operator runs, and the small server that changes it.
//! [`crate::telemetry::log_cap`] still limits what libraries may log.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// The longest filter that is accepted, in bytes.
const LONGEST: usize = 4096;

type Answer = (StatusCode, String);

/// The filter. Clones share it.
#[derive(Clone, Debug)]
pub struct Level(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handle: reload::Handle<EnvFilter, Registry>,
    /// The filter that the operator was started with.
    configured: String,
}

impl Level {
    pub(super) fn new(handle: reload::Handle<EnvFilter, Registry>) -> Self {
        let configured = handle.with_current(ToString::to_string).unwrap_or_default();
        Self(Arc::new(Inner { handle, configured }))
    }

    fn current(&self) -> Answer {
        match self.0.handle.with_current(ToString::to_string) {
            Ok(filter) => (StatusCode::OK, format!("{filter}\n")),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn set(&self, filter: &str) -> Answer {
        let parsed = match EnvFilter::builder().parse(filter.trim()) {
            Ok(_) if filter.trim().is_empty() => return (StatusCode::BAD_REQUEST, "a filter is missing\n".to_owned()),
            Ok(parsed) => parsed,
            Err(error) => return (StatusCode::BAD_REQUEST, format!("no filter: {error}\n")),
        };
        if let Err(error) = self.0.handle.reload(parsed) {
            return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"));
        }
        tracing::info!("which log lines are written was changed");
        self.current()
    }
}

/// Serves `/debug/log-level` until `stop` is cancelled: GET returns the filter, PUT sets another one, DELETE restores the one
/// that the operator was started with.
pub async fn serve(listener: TcpListener, level: Level, stop: CancellationToken) {
    let router = Router::new()
        .route("/debug/log-level", get(current).put(set).delete(reset))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(level);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        let error = error.kind().to_string();
        tracing::error!(error, "the log level can be changed no longer");
    }
}

async fn current(State(level): State<Level>) -> Answer {
    level.current()
}

async fn set(State(level): State<Level>, filter: String) -> Answer {
    level.set(&filter)
}

async fn reset(State(level): State<Level>) -> Answer {
    level.set(&level.0.configured)
}

/// An address that only this machine can reach.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "expected ADDRESS:PORT, as in 127.0.0.1:6060".to_owned())?;
    if address.ip().is_loopback() { Ok(address) } else { Err("only a loopback address is served".to_owned()) }
}
