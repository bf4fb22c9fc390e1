//! What the proxy does to a request instead of just forwarding it: the rules, and the held requests. It forwards nothing
//! itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::labels;

/// An answer that the proxy gives by itself.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body, as JSON.
    #[must_use]
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string();
        self.header("content-type", "application/json")
    }
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Close the connection without forwarding.
    Refuse,
    /// Forward, read the whole answer, close the connection without a byte of it.
    LoseAnswer,
    Answer(Answer),
    Delay(Duration),
    HoldRequest(HeldRequests),
    CarryOutLate(HeldRequests),
    HoldAnswer(HeldRequests),
}

/// Gets the label, the exact path, and the names of the query's parameters.
type Predicate = Box<dyn Fn(&str, &str, &[String]) -> bool + Send + Sync>;

struct Rule {
    applies: Predicate,
    /// For how many further requests; `None`: no limit.
    left: Option<usize>,
    fault: Fault,
}

/// The active rules. The oldest rule that applies to a request decides.
#[derive(Clone, Default)]
pub(super) struct Rules(Arc<Mutex<Vec<Rule>>>);

impl Rules {
    pub(super) fn take(&self, label: &str, path: &str, parameters: &[String]) -> Option<Fault> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = rules.iter().position(|rule| (rule.applies)(label, path, parameters))?;
        let fault = rules[at].fault.clone();
        if let Some(left) = &mut rules[at].left {
            *left -= 1;
            if *left == 0 {
                rules.remove(at);
            }
        }
        Some(fault)
    }

    /// Drops all rules; held requests go on.
    pub(super) fn clear(&self) {
        let rules = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for rule in rules {
            if let Fault::HoldRequest(held) | Fault::CarryOutLate(held) | Fault::HoldAnswer(held) = rule.fault {
                held.release();
            }
        }
    }

    pub(super) fn on_where(&self, applies: impl Fn(&str, &str, &[String]) -> bool + Send + Sync + 'static) -> Case {
        Case { rules: self.clone(), applies: Box::new(applies), times: None }
    }

    pub(super) fn on(&self, pattern: &str) -> Case {
        let pattern = pattern.to_owned();
        self.on_where(move |label, _, _| labels::matches(&pattern, label))
    }
}

/// Selects requests that get a fault: `proxy.on("POST /admin/identities").once().lose_answer()`.
#[must_use = "a case does nothing until it is given a fault"]
pub struct Case {
    rules: Rules,
    applies: Predicate,
    times: Option<usize>,
}

impl Case {
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// The fault ends after this many requests (at least one). Without it, it stays until `clear_faults`.
    pub fn times(mut self, times: usize) -> Self {
        assert!(times > 0, "a fault that never happens");
        self.times = Some(times);
        self
    }

    /// Nothing is forwarded, the connection is closed without an answer.
    pub fn refuse(self) {
        self.give(Fault::Refuse);
    }

    /// The upstream does what it was asked, but its answer is lost.
    pub fn lose_answer(self) {
        self.give(Fault::LoseAnswer);
    }

    /// Nothing is forwarded, the proxy gives this answer.
    pub fn answer(self, answer: Answer) {
        self.give(Fault::Answer(answer));
    }

    /// Forwarded after this time (only to simulate slowness; to get an order, use `hold`).
    pub fn delay(self, by: Duration) {
        self.give(Fault::Delay(by));
    }

    /// Not forwarded until released. Not forwarded at all if the client has disconnected by then.
    pub fn hold(self) -> HeldRequests {
        let held = HeldRequests::closed();
        self.give(Fault::HoldRequest(held.clone()));
        held
    }

    /// Not forwarded until released, and then even if the client has disconnected: a late write.
    pub fn carry_out_late(self) -> HeldRequests {
        let held = HeldRequests::closed();
        self.give(Fault::CarryOutLate(held.clone()));
        held
    }

    /// Forwarded at once, even if the client disconnects, but the answer is held until released.
    pub fn hold_answer(self) -> HeldRequests {
        let held = HeldRequests::closed();
        self.give(Fault::HoldAnswer(held.clone()));
        held
    }

    fn give(self, fault: Fault) {
        self.rules.0.lock().unwrap_or_else(PoisonError::into_inner).push(Rule {
            applies: self.applies,
            left: self.times,
            fault,
        });
    }
}

/// Holds requests (or answers) until released.
#[derive(Clone, Debug)]
pub struct HeldRequests {
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl HeldRequests {
    fn closed() -> Self {
        Self { arrived: watch::Sender::new(0), open: watch::Sender::new(false) }
    }

    /// Waits until a request is held.
    pub async fn held(&self) {
        self.held_times(1).await;
    }

    /// Waits until this many have arrived here, still held or not. Panics after half a minute.
    pub async fn held_times(&self, times: usize) {
        let mut arrived = self.arrived.subscribe();
        let enough = arrived.wait_for(|arrived| *arrived >= times);
        let in_time = tokio::time::timeout(Duration::from_secs(30), enough).await.is_ok();
        assert!(in_time, "{} of {times} requests were held", *self.arrived.borrow());
    }

    /// Releases all that are held, and all that come later.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // The sender is `self`, so it can't be gone.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}
