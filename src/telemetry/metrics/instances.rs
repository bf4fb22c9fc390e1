//! Metrics of each instance: its requests to Kratos, and how many creates they carried. An instance's series exist as long as
//! it does, and begin at 0.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::base::namespaced_name::NamespacedName;
use crate::kratos::{Class, OPERATIONS, Observer};

const SUCCESS: &str = "ok";
/// The values of the label `class`; the others are those of [`Class`].
const CLASSES: [&str; 6] = [SUCCESS, "transient", "throttled", "conflict", "not_found", "rejected"];
/// Upper bounds in seconds: reads take milliseconds, hashing a password hundreds of them.
const REQUEST_TIME: [f64; 13] = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds in creates.
const BATCH_SIZE: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 500.0];

/// All known instances. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Instances(Arc<RwLock<BTreeMap<NamespacedName, Arc<Instance>>>>);

/// The metrics of one instance.
#[derive(Debug)]
pub struct Instance {
    operations: [Operation; OPERATIONS.len()],
    batches: Histogram,
}

#[derive(Debug)]
struct Operation {
    classes: [Counter; CLASSES.len()],
    took: Histogram,
}

impl Instances {
    /// Of an instance that exists; adds it.
    pub fn of(&self, key: &NamespacedName) -> Arc<Instance> {
        Arc::clone(self.write().entry(key.clone()).or_default())
    }

    /// The instance is gone.
    pub fn forget(&self, key: &NamespacedName) {
        self.write().remove(key);
    }

    /// Forgets the instances for which `is_there` doesn't hold.
    pub fn retain(&self, is_there: impl Fn(&NamespacedName) -> bool) {
        self.write().retain(|key, _| is_there(key));
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<NamespacedName, Arc<Instance>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<NamespacedName, Arc<Instance>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Instance {
    fn default() -> Self {
        let operation = |_| Operation { classes: Default::default(), took: Histogram::new(REQUEST_TIME) };
        Self { operations: OPERATIONS.map(operation), batches: Histogram::new(BATCH_SIZE) }
    }
}

impl Observer for Instance {
    fn answered(&self, operation: &'static str, failed: Option<Class>, took: Duration) {
        let Some(at) = OPERATIONS.iter().position(|known| *known == operation) else { return };
        let class = failed.map_or(SUCCESS, Class::as_str);
        if let Some(class) = CLASSES.iter().position(|known| *known == class) {
            self.operations[at].classes[class].inc();
        }
        self.operations[at].took.observe(took.as_secs_f64());
    }

    fn created_together(&self, creates: usize) {
        #[allow(clippy::cast_precision_loss, reason = "a batch has at most thousands")]
        self.batches.observe(creates as f64);
    }
}

impl Collector for Instances {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let instances: Vec<_> =
            self.read().iter().map(|(key, instance)| (key.to_string(), Arc::clone(instance))).collect();
        let operations = || {
            instances.iter().flat_map(|(key, instance)| {
                OPERATIONS
                    .iter()
                    .zip(&instance.operations)
                    .map(move |(name, operation)| (key.as_str(), *name, operation))
            })
        };
        let requests = operations().flat_map(|(instance, operation, counted)| {
            CLASSES.into_iter().zip(&counted.classes).map(move |(class, counter)| {
                ([("instance", instance), ("operation", operation), ("class", class)], counter)
            })
        });
        let help = "Requests to Kratos, each try counted, by operation of its API and what they came to";
        family(&mut encoder, ("kratos_operator_kratos_requests", help, None), MetricType::Counter, requests)?;
        let took = operations()
            .map(|(instance, operation, counted)| ([("instance", instance), ("operation", operation)], &counted.took));
        let help = "How long requests to Kratos took, each try measured";
        let name = "kratos_operator_kratos_request_duration";
        family(&mut encoder, (name, help, Some(Unit::Seconds)), MetricType::Histogram, took)?;
        let batches = instances.iter().map(|(key, instance)| ([("instance", key.as_str())], &instance.batches));
        let help = "How many identities one request asked Kratos to create";
        family(&mut encoder, ("kratos_operator_create_batch_size", help, None), MetricType::Histogram, batches)
    }
}

/// Encodes a family: its name, help and unit, then each series.
pub fn family<'a, L: EncodeLabelSet, M: EncodeMetric + 'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<Unit>),
    sort: MetricType,
    series: impl Iterator<Item = (L, &'a M)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), sort)?;
    for (labels, metric) in series {
        metric.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
