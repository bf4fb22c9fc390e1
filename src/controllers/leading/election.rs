//! Leader election: of several replicas one works, by a Lease in the operator's namespace; the others stand by. It holds the
//! Lease on a thread and with a client of its own, so that no amount of work delays a renewal, and says in [`Leadership`]
//! whether this process leads. A process that can't renew ends before another one may begin.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ObjectMeta;
use kube::core::Selector;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::lease::candidate::{Candidate, LeaseOutcome};
use super::lease::term::{DURATION, GIVEN_UP_AFTER, RENEWED_EVERY};
use super::lease::{self, REQUEST_TIMEOUT};
use crate::base::backoff;
use crate::base::flow::boot_instant::BootInstant;
use crate::base::flow::leadership::Leadership;
use crate::base::kube_error;
use crate::base::namespaced_name::NamespacedName;
use crate::base::supervise::{Failure, Tasks};
use crate::kubernetes::kube_client;
use crate::kubernetes::selector;
use crate::telemetry::health::{Health, Heartbeat};
use crate::telemetry::metrics::Requests;

/// How often a standby reads the Lease: the hand-over waits for it.
const LOOKED_EVERY: Duration = Duration::from_secs(1);
/// After a failure a leader tries again soon: it has ten seconds.
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A turn, and the wait for the next, take four seconds, a release ten.
const TURNS_WITHIN: Duration = Duration::from_mins(1);
/// How long the process has to end in order when it leads no longer; then it is ended.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// Its exit code then.
const LOST: i32 = 1;
/// Which resources a Lease is about, for people.
const SELECTOR: &str = "kratos-operator.dev/watch-selector";

/// Holds the Lease until it is told to release it.
#[derive(Debug)]
pub struct Elector {
    releases: mpsc::Sender<Release>,
}

/// How long what is unanswered may still be carried out, and where to say that it was released.
type Release = (Duration, oneshot::Sender<()>);

impl Elector {
    /// Begins to stand for the Lease of a selector. Tells `leadership`.
    pub fn begin(
        (config, requests): (kube::Config, Requests),
        namespace: &str,
        selector: &Selector,
        (leadership, health): (Leadership, &Health),
        tasks: &Tasks,
    ) -> std::io::Result<Self> {
        let key = NamespacedName::new(namespace, selector::lease_name(selector));
        let annotations = (!selector.selects_all()).then(|| {
            let selected = (SELECTOR.to_owned(), selector::normalised(selector));
            [selected].into()
        });
        let metadata = ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            annotations,
            ..ObjectMeta::default()
        };
        let empty = Lease { metadata, spec: None };
        let (releases, asked) = mpsc::channel(1);
        let within = tasks.clone();
        let (me, stop) = (lease::identity(), tasks.stop().clone());
        let heartbeat = health.expect("leader election", TURNS_WITHIN);
        tasks.spawn_critical_thread("leader election", move || async move {
            // The same configuration has made the operator's own client.
            let Ok(client) = kube_client::plain(&config, &requests) else { return stop.cancelled().await };
            let api = Api::namespaced(client, &key.namespace);
            let candidate = Candidate::new(me, api, empty, true);
            let campaign = Campaign {
                key,
                candidate,
                leadership,
                until: None,
                shown: Shown::Nothing,
                is_refused: false,
                stop,
                asked,
                heartbeat,
            };
            if let Err(why) = campaign.run().await {
                within.fail(Failure::Lost(why));
                // Whatever keeps the rest of the process from ending.
                sleep(ENDS_WITHIN).await;
                std::process::exit(LOST);
            }
        })?;
        Ok(Self { releases })
    }

    /// Lets another process lead at once. `unsettled`: how long requests of this one may still be carried out.
    pub async fn release(&self, unsettled: Duration) {
        let (released, is_released) = oneshot::channel();
        // One that isn't there any more holds nothing.
        if self.releases.send((unsettled, released)).await.is_ok() {
            let _ = is_released.await;
        }
    }
}

struct Campaign {
    key: NamespacedName,
    candidate: Candidate,
    leadership: Leadership,
    /// Until when this process leads; `None`: it stands by.
    until: Option<BootInstant>,
    shown: Shown,
    is_refused: bool,
    stop: CancellationToken,
    asked: mpsc::Receiver<Release>,
    heartbeat: Heartbeat,
}

/// What the log said last.
#[derive(PartialEq, Eq)]
enum Shown {
    Nothing,
    Absent,
    LedBy(Option<String>),
}

impl Campaign {
    /// Ends when the process is to, or with the reason why it may not go on.
    async fn run(mut self) -> Result<(), String> {
        loop {
            self.heartbeat.beat();
            let wait = self.try_once().await?;
            let until = self.until;
            let over = async {
                match until {
                    Some(until) => sleep(until.remaining()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((unsettled, released)) = self.asked.recv() => {
                    self.release(unsettled).await;
                    let _ = released.send(());
                    return Ok(());
                }
                // It leads nothing that could be finished.
                () = self.stop.cancelled(), if until.is_none() => return Ok(()),
                () = over => {}
                () = sleep(backoff::jitter(wait)) => {}
            }
        }
    }

    /// One turn. Returns how long to wait for the next.
    async fn try_once(&mut self) -> Result<Duration, String> {
        let begun = BootInstant::now();
        self.ensure_in_time()?;
        let unsettled = self.leadership.unsettled();
        let answer = timeout(REQUEST_TIMEOUT, self.candidate.try_acquire_or_renew(unsettled)).await;
        self.ensure_in_time()?;
        let outcome = match answer {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                self.candidate.doubt();
                self.show_refusal(&error);
                return Ok(if self.until.is_some() { TRIED_AGAIN_AFTER } else { LOOKED_EVERY });
            }
            Err(_) => {
                self.candidate.doubt();
                return Ok(TRIED_AGAIN_AFTER);
            }
        };
        self.is_refused = false;
        match (outcome, self.until) {
            (LeaseOutcome::Held, before) => {
                let until = begun + GIVEN_UP_AFTER;
                self.until = Some(until);
                self.leadership.lead(until, self.candidate.former());
                if before.is_none() {
                    tracing::info!(lease = %self.key, "this process leads");
                }
                Ok(RENEWED_EVERY)
            }
            // It was written by somebody: by whom shows at once.
            (LeaseOutcome::Conflict, Some(_)) => Ok(Duration::ZERO),
            (LeaseOutcome::HeldByOther | LeaseOutcome::HeldInWaiting, Some(_)) => {
                let holder = self.candidate.holder().unwrap_or("nobody");
                Err(format!("the Lease {} was overwritten, and names {holder} as its holder", self.key))
            }
            (LeaseOutcome::HeldInWaiting, None) => {
                self.show(Shown::Absent);
                Ok(LOOKED_EVERY)
            }
            (LeaseOutcome::HeldByOther, None) => {
                let holder = self.candidate.holder().map(str::to_owned);
                self.show(Shown::LedBy(holder));
                Ok(LOOKED_EVERY)
            }
            (LeaseOutcome::Conflict, None) => Ok(LOOKED_EVERY),
        }
    }

    fn ensure_in_time(&self) -> Result<(), String> {
        if self.until.is_some_and(BootInstant::has_passed) {
            return Err(format!("the Lease {} couldn't be renewed for {} seconds", self.key, GIVEN_UP_AFTER.as_secs()));
        }
        Ok(())
    }

    /// Tries for as long as the Lease is held. What is unanswered lasts shorter by then than is noted, which does no harm.
    async fn release(&mut self, unsettled: Duration) {
        if self.until.is_none_or(BootInstant::has_passed) {
            return;
        }
        let mut why = None;
        while self.until.is_some_and(|until| !until.has_passed()) {
            match timeout(REQUEST_TIMEOUT, self.candidate.release(unsettled)).await {
                Ok(Ok(true)) => {
                    return tracing::info!(
                        lease = %self.key, seconds = unsettled.as_secs(),
                        "the Lease is given up; requests without an answer may be carried out for so long"
                    );
                }
                Ok(Ok(false)) => continue,
                Ok(Err(error)) => why = Some(kube_error::brief(&error)),
                Err(_) => why = Some(format!("no answer within {} seconds", REQUEST_TIMEOUT.as_secs())),
            }
            self.candidate.doubt();
            sleep(TRIED_AGAIN_AFTER).await;
        }
        tracing::warn!(lease = %self.key, error = why, "the Lease wasn't released; it runs out");
    }

    fn show(&mut self, shown: Shown) {
        if self.shown == shown {
            return;
        }
        match &shown {
            Shown::LedBy(Some(leader)) => {
                tracing::info!(lease = %self.key, leader, "this process stands by: another one leads");
            }
            Shown::LedBy(None) => {
                tracing::info!(lease = %self.key, "this process stands by: the Lease has no holder, and wasn't given up");
            }
            Shown::Absent => tracing::info!(
                lease = %self.key, seconds = DURATION.as_secs(),
                "there was no Lease, whose holder may still go on: it is acted on after its duration"
            ),
            Shown::Nothing => {}
        }
        self.shown = shown;
    }

    fn show_refusal(&mut self, error: &kube::Error) {
        if std::mem::replace(&mut self.is_refused, true) {
            return;
        }
        tracing::warn!(
            lease = %self.key, error = kube_error::brief(error),
            "the Lease that says which process leads can't be read or written; it is tried again. Grant the operator get, \
             create and update on leases (coordination.k8s.io) in its namespace"
        );
    }
}
