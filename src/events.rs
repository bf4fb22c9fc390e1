//! Events: what happened to a resource, on transitions only. Never a trait, an identifier or a server's words.
//!
//! They go out beside the reconcile, through a token bucket, one after another: an event that finds the bucket empty is
//! dropped, a reconcile never waits for one.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use crate::api::condition::shortened;
use crate::health::Health;
use crate::kube_error;

/// Events per second over time, and how many may wait to go out.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// A request has a time-out, and the recorder sends two for one event.
const SENT_WITHIN: Duration = Duration::from_mins(3);
/// The longest note, in bytes, that the API server takes.
const LONGEST_NOTE: usize = 1024;

/// Publishes events.
pub struct Events {
    outgoing: mpsc::Sender<(Event, ObjectReference)>,
    bucket: DefaultDirectRateLimiter,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub is_warning: bool,
    /// One word, as in conditions.
    pub reason: String,
    /// What was done or tried, one word.
    pub action: &'static str,
    pub note: String,
}

impl Happening {
    pub fn normal(reason: &str, action: &'static str, note: impl Into<String>) -> Self {
        Self { is_warning: false, reason: reason.to_owned(), action, note: note.into() }
    }

    pub fn warning(reason: &str, action: &'static str, note: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::normal(reason, action, note) }
    }
}

impl Events {
    /// And what sends them, to be run beside it; that ends when this is gone. At once they would open a connection each,
    /// which is kept.
    pub fn new(client: kube::Client, health: &Health) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let reporter = Reporter { controller: crate::api::GROUP.to_owned(), instance: None };
        let recorder = Recorder::new(client, reporter);
        let (outgoing, mut events) = mpsc::channel::<(Event, ObjectReference)>(BURST.get() as usize);
        let heartbeat = health.expect("events", SENT_WITHIN);
        let sends = async move {
            loop {
                heartbeat.rest();
                let Some((event, regarding)) = events.recv().await else { return };
                heartbeat.beat();
                if let Err(error) = recorder.publish(&event, &regarding).await {
                    tracing::debug!(error = kube_error::brief(&error), "an event couldn't be published");
                }
            }
        };
        let bucket = RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(BURST));
        (Self { outgoing, bucket }, sends)
    }

    /// Publishes an event about an object, if the bucket isn't empty.
    pub fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, happening: Happening) {
        let regarding = object.object_ref(&());
        tracing::info!(
            kind = %K::kind(&()),
            namespace = regarding.namespace.as_deref(),
            name = regarding.name.as_deref(),
            reason = happening.reason,
            "{}", happening.note
        );
        if self.bucket.check().is_err() {
            return;
        }
        let Happening { is_warning, reason, action, note } = happening;
        let event = Event {
            type_: if is_warning { EventType::Warning } else { EventType::Normal },
            reason,
            note: Some(shortened(&note, LONGEST_NOTE)),
            action: action.to_owned(),
            secondary: None,
        };
        if self.outgoing.try_send((event, regarding)).is_err() {
            tracing::debug!("events are published more slowly than they come; one is dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;
    use wiremock::matchers::method;
    use wiremock::{Mock, MockServer, Request, ResponseTemplate};

    use super::*;
    use crate::supervise::Tasks;

    const ANSWERED_AFTER: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn a_burst_goes_out_one_after_another() {
        let server = MockServer::start().await;
        let arrived = Arc::<Mutex<Vec<Instant>>>::default();
        let noted = Arc::clone(&arrived);
        let answer = move |request: &Request| {
            noted.lock().unwrap().push(Instant::now());
            let event: Value = request.body_json().unwrap();
            ResponseTemplate::new(201).set_body_json(event).set_delay(ANSWERED_AFTER)
        };
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let config = kube::Config::new(server.uri().parse().unwrap());
        let (events, sends) =
            Events::new(kube::Client::try_from(config).unwrap(), &Health::new(Tasks::new(CancellationToken::new())));
        tokio::spawn(sends);
        for number in 0..100 {
            let metadata = json!({"name": format!("n{number}"), "namespace": "team", "uid": format!("uid-{number}")});
            let object: ConfigMap = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
            events.publish(&object, Happening::normal("Tried", "Try", "it was tried"));
        }
        let all = async {
            while arrived.lock().unwrap().len() < BURST.get() as usize {
                tokio::time::sleep(ANSWERED_AFTER).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), all).await.expect("as many as may go at once go");
        let arrived = arrived.lock().unwrap().clone();
        assert!(
            arrived.windows(2).all(|two| two[1] - two[0] >= ANSWERED_AFTER),
            "each when the one before was answered"
        );
    }
}
