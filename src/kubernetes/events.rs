//! Kubernetes events: what happened to a resource, on transitions only. Never a trait, an identifier or a server's text.
//!
//! They are sent beside the reconcile, one after another, through a token bucket. An event that finds the bucket empty is
//! dropped; a reconcile never waits for one.

mod series;

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use serde_json::json;
use tokio::sync::mpsc;

use self::series::{Next, Recent};
pub use crate::api::recorded_event::RecordedEvent;
use crate::base::kube_error;
use crate::telemetry::health::Health;

/// Events per second over time; and how many may wait to be sent.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
const BURST: NonZeroU32 = NonZeroU32::new(50).unwrap();
/// A request has a time-out, and two may be sent for one event.
const SENT_WITHIN: Duration = Duration::from_mins(3);

/// Publishes events.
pub struct EventRecorder {
    outgoing: mpsc::Sender<(RecordedEvent, ObjectReference)>,
    bucket: DefaultDirectRateLimiter,
}

impl EventRecorder {
    /// The recorder and its sender, to be run beside it; the sender ends when the recorder is dropped. Events are sent one by
    /// one: in parallel each would open a connection, which is kept.
    pub fn new(client: kube::Client, health: &Health) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (outgoing, mut events) = mpsc::channel::<(RecordedEvent, ObjectReference)>(BURST.get() as usize);
        let heartbeat = health.expect("events", SENT_WITHIN);
        let sends = async move {
            let mut recent = Recent::default();
            loop {
                heartbeat.rest();
                let Some((recorded, regarding)) = events.recv().await else { return };
                heartbeat.beat();
                if let Err(error) = send(&recorded, &regarding, &mut recent, &client).await {
                    tracing::debug!(error = kube_error::brief(&error), "an event couldn't be published");
                }
            }
        };
        let bucket = RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(BURST));
        (Self { outgoing, bucket }, sends)
    }

    /// Publishes an event about an object, if the bucket isn't empty.
    pub fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, recorded: RecordedEvent) {
        let regarding = object.object_ref(&());
        tracing::info!(
            kind = %K::kind(&()),
            namespace = regarding.namespace.as_deref(),
            name = regarding.name.as_deref(),
            reason = recorded.reason,
            "{}", recorded.note
        );
        if self.bucket.check().is_err() {
            return;
        }
        if self.outgoing.try_send((recorded, regarding)).is_err() {
            tracing::debug!("events are published more slowly than they come; one is dropped");
        }
    }
}

/// Sends an event, or adds to its series. Kubernetes deletes events after a while: where the series is gone, a new event is
/// created.
async fn send(
    recorded: &RecordedEvent,
    regarding: &ObjectReference,
    recent: &mut Recent,
    client: &kube::Client,
) -> Result<(), kube::Error> {
    let api = Api::<Event>::namespaced(client.clone(), regarding.namespace.as_deref().unwrap_or("default"));
    let now = Timestamp::now();
    let (key, mut next) = recent.next(recorded, regarding, now);
    if let Next::Again { name, series } = &next {
        let patch = Patch::Merge(json!({ "series": series }));
        match api.patch(name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                recent.forget(&key);
                (_, next) = recent.next(recorded, regarding, now);
            }
            patched => patched.map(drop)?,
        }
    }
    if let Next::New(event) = &next {
        api.create(&PostParams::default(), event).await?;
    }
    recent.sent(key, next, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::Value;
    use tokio_util::sync::CancellationToken;
    use wiremock::matchers::method;
    use wiremock::{Mock, MockServer, Request, ResponseTemplate};

    use super::*;
    use crate::base::supervise::Tasks;

    const ANSWERED_AFTER: Duration = Duration::from_millis(30);

    /// Events sent to this server, which keeps what is known of the object with this uid.
    fn events(server: &MockServer) -> EventRecorder {
        let config = kube::Config::new(server.uri().parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let (events, sends) = EventRecorder::new(client, &Health::new(Tasks::new(CancellationToken::new())));
        tokio::spawn(sends);
        events
    }

    fn object(name: &str) -> ConfigMap {
        let metadata = json!({"name": name, "namespace": "team", "uid": format!("uid-of-{name}")});
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    /// The methods of the requests to a server, once there are `count`.
    async fn methods(server: &MockServer, count: usize) -> Vec<String> {
        let all = async {
            loop {
                let requests = server.received_requests().await.unwrap();
                if requests.len() >= count {
                    return requests.iter().map(|request| request.method.to_string()).collect();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), all).await.expect("they are sent")
    }

    #[tokio::test]
    async fn what_is_said_again_is_added_and_made_anew_where_the_event_is_gone() {
        let server = MockServer::start().await;
        let made = |request: &Request| ResponseTemplate::new(201).set_body_bytes(request.body.clone());
        Mock::given(method("POST")).respond_with(made).mount(&server).await;
        let gone =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"});
        let gone = ResponseTemplate::new(404).set_body_json(gone);
        Mock::given(method("PATCH")).respond_with(gone).mount(&server).await;
        let events = events(&server);
        for _ in 0..2 {
            events.publish(&object("ada"), RecordedEvent::normal("Tried", "Try", "it was tried"));
        }
        events.publish(&object("ada"), RecordedEvent::normal("Tried", "Try", "something else was tried"));
        assert_eq!(methods(&server, 4).await, ["POST", "PATCH", "POST", "POST"]);
        let patch: Value = server.received_requests().await.unwrap()[1].body_json().unwrap();
        assert_eq!(patch["series"]["count"], 2);
    }

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
        let events = events(&server);
        for number in 0..100 {
            events.publish(&object(&format!("n{number}")), RecordedEvent::normal("Tried", "Try", "it was tried"));
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
