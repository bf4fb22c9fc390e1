//! Whether spans are exported, and what for: by OTLP where the environment names an endpoint. The operator's own alone, since
//! those of libraries hold addresses with identifiers in them.

use std::env;

#[cfg(feature = "otlp")]
mod otlp;

#[cfg(feature = "otlp")]
pub use otlp::Export;

/// Where they go, by the names of OpenTelemetry.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// An export that isn't built in: there is none.
#[cfg(not(feature = "otlp"))]
#[derive(Debug)]
pub enum Export {}

#[cfg(not(feature = "otlp"))]
impl Export {
    fn begin() -> Result<Self, String> {
        Err("this build exports no spans (it lacks the feature otlp)".to_owned())
    }

    pub(super) fn spans(&self) -> super::spans::Spans {
        match *self {}
    }

    /// Nothing is left to be sent.
    pub fn finish(self) {
        match self {}
    }
}

impl Export {
    /// Begins an export, if the environment asks for one. An error says what is wrong with that.
    pub fn from_environment() -> Result<Option<Self>, String> {
        let is_set = |name: &&&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
        match ENDPOINTS.iter().find(is_set).filter(|_| !is_disabled) {
            Some(name) => Self::begin().map(Some).map_err(|error| format!("{name}: {error}; correct it, or unset it")),
            None => Ok(None),
        }
    }
}
