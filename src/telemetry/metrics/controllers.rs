//! Controller-runtime's metrics of each controller: reconciles, and the time in the work queue.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds in seconds, as controller-runtime has them.
const RECONCILE_TIME: [f64; 40] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5,
    1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0,
];

/// How a reconcile ended, in controller-runtime's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReconcileOutcome {
    /// No further reconcile is planned.
    Success,
    /// The next reconcile is due after a time.
    RequeueAfter,
    /// It is repeated at once: the object has changed meanwhile.
    Requeue,
    /// It is retried with back-off.
    Error,
    /// An error that isn't retried: somebody must act.
    Terminal,
    Panic,
}

/// The label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Success,
    Error,
    Requeue,
    RequeueAfter,
}

const RESULTS: [Outcome; 4] = [Outcome::Success, Outcome::Error, Outcome::Requeue, Outcome::RequeueAfter];

/// The metrics of all controllers.
#[derive(Debug)]
pub struct Controllers {
    pub identities: Controller,
    pub instances: Controller,
    pub policies: Controller,
}

/// The metrics of one controller. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Controller {
    name: &'static str,
    results: [Counter; RESULTS.len()],
    errors: Counter,
    terminal_errors: Counter,
    panics: Counter,
    time: Histogram,
    most: Gauge,
    active: Gauge,
    retries: Counter,
    waited: Histogram,
    worked: Histogram,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfController {
    controller: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    controller: &'static str,
    result: Outcome,
}

/// Both labels have the same value, as in controller-runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQueue {
    controller: &'static str,
    name: &'static str,
}

type Histograms<L> = Family<L, Histogram, Buckets>;

/// Makes the histograms of a family.
#[derive(Clone, Copy, Debug)]
enum Buckets {
    Reconcile,
    Queue,
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        match self {
            Self::Reconcile => Histogram::new(RECONCILE_TIME),
            Self::Queue => Histogram::new(exponential_buckets(10e-9, 10.0, 12)),
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let word = match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Requeue => "requeue",
            Self::RequeueAfter => "requeue_after",
        };
        word.encode(encoder)
    }
}

struct Families {
    results: Family<OfResult, Counter>,
    errors: Family<OfController, Counter>,
    terminal_errors: Family<OfController, Counter>,
    panics: Family<OfController, Counter>,
    time: Histograms<OfController>,
    most: Family<OfController, Gauge>,
    active: Family<OfController, Gauge>,
    retries: Family<OfQueue, Counter>,
    waited: Histograms<OfQueue>,
    worked: Histograms<OfQueue>,
}

impl Controllers {
    pub fn register(registry: &mut Registry) -> Self {
        let families = Families {
            results: Family::default(),
            errors: Family::default(),
            terminal_errors: Family::default(),
            panics: Family::default(),
            time: Family::new_with_constructor(Buckets::Reconcile),
            most: Family::default(),
            active: Family::default(),
            retries: Family::default(),
            waited: Family::new_with_constructor(Buckets::Queue),
            worked: Family::new_with_constructor(Buckets::Queue),
        };
        families.register(registry);
        let controller = |name| families.of(name);
        Self {
            identities: controller("kratosidentity"),
            instances: controller("kratosinstance"),
            policies: controller("kratossessionpolicy"),
        }
    }
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        let Self { results, errors, terminal_errors, panics, time, most, active, retries, waited, worked } = self;
        let help = "Reconciles by how they ended";
        registry.register("controller_runtime_reconcile", help, results.clone());
        let help = "Reconciles that failed, terminal errors among them";
        registry.register("controller_runtime_reconcile_errors", help, errors.clone());
        let help = "Reconciles that failed in a way that no repetition mends: somebody must act";
        registry.register("controller_runtime_terminal_reconcile_errors", help, terminal_errors.clone());
        let help = "Reconciles that panicked, which is an error of the operator";
        registry.register("controller_runtime_reconcile_panics", help, panics.clone());
        let help = "How many reconciles may be under way; 0 while standing by";
        registry.register("controller_runtime_max_concurrent_reconciles", help, most.clone());
        let help = "How many reconciles are under way";
        registry.register("controller_runtime_active_workers", help, active.clone());
        let seconds = Unit::Seconds;
        let help = "How long reconciles took";
        registry.register_with_unit("controller_runtime_reconcile_time", help, seconds.clone(), time.clone());
        registry.register("workqueue_retries", "How often the queue was asked to try again", retries.clone());
        let help = "How long resources waited in the queue for their reconcile to begin";
        registry.register_with_unit("workqueue_queue_duration", help, seconds.clone(), waited.clone());
        let help = "How long the processing of what the queue handed out took";
        registry.register_with_unit("workqueue_work_duration", help, seconds, worked.clone());
    }

    /// Makes all series of a controller.
    fn of(&self, name: &'static str) -> Controller {
        let (of, queue) = (OfController { controller: name }, OfQueue { controller: name, name });
        let result = |result| self.results.get_or_create_owned(&OfResult { controller: name, result });
        Controller {
            name,
            results: RESULTS.map(result),
            errors: self.errors.get_or_create_owned(&of),
            terminal_errors: self.terminal_errors.get_or_create_owned(&of),
            panics: self.panics.get_or_create_owned(&of),
            time: self.time.get_or_create_owned(&of),
            most: self.most.get_or_create_owned(&of),
            active: self.active.get_or_create_owned(&of),
            retries: self.retries.get_or_create_owned(&queue),
            waited: self.waited.get_or_create_owned(&queue),
            worked: self.worked.get_or_create_owned(&queue),
        }
    }
}

impl Controller {
    /// The controller's name, as in the label.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many reconciles may run at the same time.
    pub fn set_max_concurrent(&self, most: usize) {
        self.most.set(i64::try_from(most).unwrap_or(i64::MAX));
    }

    /// A reconcile begins, of a resource that waited this long.
    pub fn begins(&self, waited: Duration) {
        self.active.inc();
        self.waited.observe(waited.as_secs_f64());
    }

    /// A reconcile has ended.
    pub fn ended(&self, how: ReconcileOutcome, took: Duration) {
        self.active.dec();
        let seconds = took.as_secs_f64();
        self.time.observe(seconds);
        self.worked.observe(seconds);
        let result = match how {
            ReconcileOutcome::Success => Outcome::Success,
            ReconcileOutcome::RequeueAfter => Outcome::RequeueAfter,
            ReconcileOutcome::Requeue => Outcome::Requeue,
            ReconcileOutcome::Error | ReconcileOutcome::Terminal | ReconcileOutcome::Panic => Outcome::Error,
        };
        self.results[result as usize].inc();
        if result == Outcome::Error {
            self.errors.inc();
        }
        if how == ReconcileOutcome::Terminal {
            self.terminal_errors.inc();
        }
        if how == ReconcileOutcome::Panic {
            self.panics.inc();
        }
        if matches!(how, ReconcileOutcome::Requeue | ReconcileOutcome::Error | ReconcileOutcome::Panic) {
            self.retries.inc();
        }
    }
}
