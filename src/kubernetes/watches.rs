//! What the watches are at: whether each still tries and has listed, for the probes; and what is said of one that fails, once
//! and not at every try. That the API server is away is said by the client's heartbeat for all of them.

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

/// A watch hears something every 95 seconds, or is begun anew (see [`crate::kubernetes::kube_client`]).
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

    /// The process isn't ready before objects of this kind were listed. `namespace`: `None` for all of the operator's.
    pub fn await_list<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>) {
        self.health.await_first(name::<K>(namespace));
    }

    /// The list of this kind isn't waited for any longer: it has come, or it can't.
    pub fn is_listed<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>) {
        self.health.has_come(&name::<K>(namespace));
    }

    /// All that [`Self::observe`] and [`Self::await_list`] are to be told of before the process is ready has been told.
    pub fn have_begun(&self) {
        self.health.has_begun();
    }

    /// The same watch of a kind, which beats whenever it is polled.
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

    /// The same watch, observed.
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
                // A list that fails begins likewise.
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

    /// A watch failed, and is tried again. Says so where it is news.
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

    /// A request that is repeated until it succeeds has failed. Says so where it is news.
    pub fn request_failed(&self, what: &str, error: &kube::Error) {
        let words = kube_error::brief(error);
        let is_unanswered = kube_error::is_unanswered(error);
        self.note(what, if is_unanswered { Cause::Unanswered(words) } else { Cause::Refused(words) });
    }

    /// And has succeeded.
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
