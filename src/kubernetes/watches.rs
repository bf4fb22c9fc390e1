//! The state of all watches, for the probes: whether each still tries, and whether it has listed. Logs a failing watch once,
//! not at every retry. That the API server can't be reached is logged by the client's heartbeat, once for all watches.

mod repeated_failures;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::{Stream, stream};
use kube::Resource;
use kube::runtime::watcher::{self, Event};

use self::repeated_failures::{Cause, Line, RepeatedFailures};
use super::kube_client::ApiServer;
use crate::api;
use crate::base::kube_error;
use crate::kubernetes::watch_error;
use crate::telemetry::health::Health;

/// A watch hears something every 95 seconds, or is restarted (see [`crate::kubernetes::kube_client`]).
const POLLED_WITHIN: Duration = Duration::from_mins(5);

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub struct Watches {
    health: Health,
    api_server: ApiServer,
    failures: Arc<Mutex<RepeatedFailures>>,
}

impl Watches {
    pub fn new(health: Health, api_server: ApiServer) -> Self {
        Self { health, api_server, failures: Arc::default() }
    }

    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The process isn't ready before this kind was listed. `namespace`: `None` for all of the operator's.
    pub fn await_list<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>) {
        self.health.await_first(name::<K>(namespace));
    }

    /// This kind's list is no longer awaited: it has come, or it can't come.
    pub fn is_listed<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>) {
        self.health.has_come(&name::<K>(namespace));
    }

    /// All calls of [`Self::observe`] and [`Self::await_list`] that readiness depends on were made.
    pub fn have_begun(&self) {
        self.health.has_begun();
    }

    /// The same watch, with a heartbeat at every poll.
    pub fn beats<K, S>(&self, namespace: Option<&str>, watch: S) -> impl Stream<Item = S::Item> + Send + use<K, S>
    where
        K: Resource<DynamicType = ()>,
        S: Stream + Send + 'static,
    {
        let heartbeat = self.health.expect(name::<K>(namespace), POLLED_WITHIN);
        let mut watch = Box::pin(watch);
        stream::poll_fn(move |context| {
            heartbeat.beat();
            watch.as_mut().poll_next(context)
        })
    }

    /// The same watch, observed: its heartbeat, its list, its failures.
    pub fn observe<K, S>(&self, namespace: Option<&str>, watch: S) -> impl Stream<Item = S::Item> + Send + use<K, S>
    where
        K: Resource<DynamicType = ()> + 'static,
        S: Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    {
        self.await_list::<K>(namespace);
        let (this, name) = (self.clone(), name::<K>(namespace));
        let mut watch = Box::pin(self.beats::<K, S>(namespace, watch));
        stream::poll_fn(move |context| {
            let polled = watch.as_mut().poll_next(context);
            match &polled {
                // A list that will fail begins with this event too.
                Poll::Ready(Some(Ok(Event::Init))) => {}
                Poll::Ready(Some(Ok(event))) => {
                    if matches!(event, Event::InitDone) {
                        this.health.has_come(&name);
                    }
                    say(this.failures().works(&name));
                }
                Poll::Ready(_) => {}
                Poll::Pending => say(this.failures().quiet(&name, Instant::now())),
            }
            polled
        })
    }

    /// A watch failed, and is retried. Logs that where it is news.
    pub fn failed<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>, error: &watcher::Error) {
        let words = watch_error::of_watch(error);
        let cause = match watch_error::cause_of_watch(error) {
            Some(kube::Error::Api(status)) if status.code == 404 && K::group(&()) == api::GROUP => {
                Cause::Lacks(format!("{}.{}", K::plural(&()), K::group(&())))
            }
            Some(cause) if kube_error::is_unanswered(cause) => Cause::Unanswered(words),
            _ => Cause::Refused(words),
        };
        self.note(&name::<K>(namespace), cause);
    }

    /// A request that is repeated until it succeeds has failed. Logs that where it is news.
    pub fn request_failed(&self, what: &str, error: &kube::Error) {
        let words = kube_error::brief(error);
        let is_unanswered = kube_error::is_unanswered(error);
        self.note(what, if is_unanswered { Cause::Unanswered(words) } else { Cause::Refused(words) });
    }

    /// It has succeeded.
    pub fn request_succeeded(&self, what: &str) {
        say(self.failures().works(what));
    }

    fn note(&self, what: &str, cause: Cause) {
        if matches!(cause, Cause::Unanswered(_)) {
            self.api_server.suspect();
        }
        say(self.failures().failed(what, cause, self.api_server.is_lost(), Instant::now()));
    }

    fn failures(&self) -> MutexGuard<'_, RepeatedFailures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs it.
fn say(line: Option<Line>) {
    match line {
        None => {}
        Some(Line::Fails { what, words }) => {
            tracing::warn!(what, error = words, "a request to the API server fails; it is tried again");
        }
        Some(Line::Works { what }) => tracing::info!(what, "the API server serves the request again"),
        Some(Line::Lacks { definitions }) => tracing::warn!(
            definitions,
            "the cluster lacks definitions, which are waited for; install them with: \
                 kratos-operator crds | kubectl apply --server-side -f -"
        ),
        Some(Line::Installed) => tracing::info!("the definitions are there"),
    }
}

fn name<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> String {
    let namespace = namespace.map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    format!("watch of {}{namespace}", K::kind(&()))
}
