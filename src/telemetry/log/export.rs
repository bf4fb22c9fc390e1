//! Exports spans by OTLP, if the environment names an endpoint. Only the operator's own spans: those of libraries have
//! addresses with identifiers in them.

use std::env;

#[cfg(feature = "otlp")]
mod otlp;

#[cfg(feature = "otlp")]
pub use otlp::Export;

/// OpenTelemetry's variables for the endpoint.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// For builds without the export.
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

    /// There is nothing to send.
    pub fn finish(self) {
        match self {}
    }
}

impl Export {
    /// Starts an export, if the environment asks for one. An error says what is wrong with its settings.
    pub fn from_environment() -> Result<Option<Self>, String> {
        let is_set = |name: &&&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
        match ENDPOINTS.iter().find(is_set).filter(|_| !is_disabled) {
            Some(name) => Self::begin().map(Some).map_err(|error| format!("{name}: {error}; correct it, or unset it")),
            None => Ok(None),
        }
    }
}
