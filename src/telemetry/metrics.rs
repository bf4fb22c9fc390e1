//! The operator's metrics, for Prometheus. Where controller-runtime has a metric, its name is used, so that existing dashboards
//! work; all others begin with `kratos_operator_`. No label may name an identity, a person or a resource other than an
//! instance. `docs/metrics.md` describes every family, which a test checks.

mod accept;
pub mod controllers;
pub mod instances;
pub mod requests;
pub mod serve;
pub mod sessions;

use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::accept::Format;
use self::controllers::Controllers;
use self::instances::Instances;
pub use self::requests::Requests;
use self::sessions::Sessions;

/// Counted since the process started; all known series exist from the start.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    pub controllers: Controllers,
    pub instances: Instances,
    pub sessions: Sessions,
    drift_corrected: Counter,
    /// Lines of the audit log that couldn't be written.
    pub audit_lines_lost: Counter,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("kratos_operator_build", "The version that runs, which is always 1", build);
        let drift_corrected = Counter::default();
        let help = "Identities that differed from their manifests, or were gone, and were put right";
        registry.register("kratos_operator_drift_corrected", help, drift_corrected.clone());
        let audit_lines_lost = Counter::default();
        let help = "Writes to Kratos whose line couldn't be written into the audit log";
        registry.register("kratos_operator_audit_lines_lost", help, audit_lines_lost.clone());
        let controllers = Controllers::register(&mut registry);
        let instances = Instances::default();
        registry.register_collector(Box::new(instances.clone()));
        let sessions = Sessions::register(&mut registry);
        Self { registry: Mutex::new(registry), controllers, instances, sessions, drift_corrected, audit_lines_lost }
    }

    /// Counts the requests to the API server at this address.
    pub fn requests_to(&self, host: String) -> Requests {
        Requests::register(host, &mut self.registry())
    }

    /// Adds a collector, whose values are computed at each scrape.
    pub fn collect(&self, collector: impl Collector) {
        self.registry().register_collector(Box::new(collector));
    }

    /// An identity that was changed in Kratos, or deleted there, is as in its manifest again.
    pub fn drift_corrected(&self) {
        self.drift_corrected.inc();
    }

    /// All metrics as text.
    pub fn text(&self, format: Format) -> Result<String, std::fmt::Error> {
        let (mut answer, registry) = (String::new(), self.registry());
        match format {
            Format::Text => prometheus_text::encode(&mut answer, &registry)?,
            Format::OpenMetrics => text::encode(&mut answer, &registry)?,
        }
        Ok(answer)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
