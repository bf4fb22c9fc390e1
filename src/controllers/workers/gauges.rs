//! How the queues stand at this moment, in client-go's words, for whoever asks.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;
use tokio::time::Instant;

use super::WorkQueue;
use crate::controllers::queue::Priority;

/// The higher the earlier. controller-runtime's have 0 for what a watch brings and -100 for what a list does.
const PRIORITIES: [(Priority, &str); 3] =
    [(Priority::Routine, "-100"), (Priority::Arrived, "0"), (Priority::Person, "100")];

/// The queues, by their controllers' names.
#[derive(Debug)]
pub struct Gauges(pub Vec<(&'static str, Arc<WorkQueue>)>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "How many resources wait for a reconcile, by priority";
        let mut family = encoder.encode_descriptor("workqueue_depth", help, None, MetricType::Gauge)?;
        for (name, work_queue) in &self.0 {
            let depths = PRIORITIES.map(|(priority, word)| (work_queue.queue().waiting_of(priority), word));
            for (depth, priority) in depths {
                let labels = [("controller", *name), ("name", *name), ("priority", priority)];
                family.encode_family(&labels)?.encode_gauge(&depth)?;
            }
        }
        let help = "How often a resource began to wait for a reconcile";
        let mut family = encoder.encode_descriptor("workqueue_adds", help, None, MetricType::Counter)?;
        for (name, work_queue) in &self.0 {
            let added = work_queue.queue().added();
            of_queue(&mut family, name, |encoder| ConstCounter::new(added).encode(encoder))?;
        }
        let now = Instant::now();
        let under_way: Vec<_> = self.0.iter().map(|(name, work_queue)| (*name, work_queue.under_way(now))).collect();
        let help = "For how long all reconciles under way have been so, added up";
        let unfinished = under_way.iter().map(|(name, seconds)| (*name, seconds.iter().sum::<f64>()));
        seconds(&mut encoder, "workqueue_unfinished_work", help, unfinished)?;
        let help = "For how long the longest reconcile under way has been so";
        let longest = under_way.iter().map(|(name, seconds)| (*name, seconds.iter().copied().fold(0.0, f64::max)));
        seconds(&mut encoder, "workqueue_longest_running_processor", help, longest)
    }
}

fn seconds(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (&'static str, f64)>,
) -> Result<(), Error> {
    let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
    for (name, value) in values {
        of_queue(&mut family, name, |mut encoder| encoder.encode_gauge(&value))?;
    }
    Ok(())
}

fn of_queue(
    family: &mut MetricEncoder<'_>,
    name: &str,
    value: impl FnOnce(MetricEncoder<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    value(family.encode_family(&[("controller", name), ("name", name)])?)
}
