//! Whether this process leads, and until when. It is checked right before each request is sent. Holds no Lease and sends
//! nothing; the holder of the Lease reports here (`election.rs`).
//!
//! Writes are counted: so the Lease is released only after the last answer, and the next leader learns of writes that were
//! never answered.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::boot_instant::BootInstant;

/// Clones are the same.
#[derive(Clone, Debug)]
pub struct Leadership {
    state: Arc<watch::Sender<State>>,
    is_elected: bool,
}

#[derive(Debug)]
struct State {
    role: Role,
    /// Writes that were sent and have no answer yet.
    under_way: usize,
    /// Until when an unanswered write of this process may still be carried out.
    unanswered: Option<BootInstant>,
    /// The same for writes of former leaders.
    former: Option<(BootInstant, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// There is no election: no other process may lead.
    NotElected,
    Standby,
    Leading {
        until: BootInstant,
    },
    /// No new write begins.
    Draining {
        until: BootInstant,
    },
    /// The lead was given up: another process may lead.
    Resigned,
}

/// What a request does to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Reads,
    Writes {
        /// How long it may still be carried out once nobody waits for its answer. `None`: being late, it does no harm.
        lasts: Option<Duration>,
    },
}

/// The request wasn't sent, or its answer is no longer waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another process may lead by now")]
pub struct NotLeading;

impl Leadership {
    /// For a process that is the only one.
    pub fn without_election() -> Self {
        Self::new(Role::NotElected)
    }

    /// For a standby, until [`Self::lead`] is called.
    pub fn standby() -> Self {
        Self::new(Role::Standby)
    }

    fn new(role: Role) -> Self {
        let state = State { role, under_way: 0, unanswered: None, former: None };
        Self { state: Arc::new(watch::Sender::new(state)), is_elected: role != Role::NotElected }
    }

    /// Whether there is an election, so that other processes may lead.
    pub const fn is_elected(&self) -> bool {
        self.is_elected
    }

    pub fn is_leading(&self) -> bool {
        match self.role() {
            Role::NotElected => true,
            Role::Leading { until } | Role::Draining { until } => !until.has_passed(),
            Role::Standby | Role::Resigned => false,
        }
    }

    /// Whether this process has led and another one may lead by now. Then it sends nothing more, not even reads.
    pub fn is_over(&self) -> bool {
        matches!(self.role(), Role::Leading { until } | Role::Draining { until } if until.has_passed())
    }

    /// Returns once this process has gained the lead. Answers to older requests may be stale: another process wrote meanwhile.
    pub async fn gained(&self) {
        let has_gained = |state: &State| matches!(state.role, Role::NotElected | Role::Leading { .. });
        // The sender is `self`.
        let _ = self.state.subscribe().wait_for(has_gained).await;
    }

    /// When the last write of former leaders can no longer be carried out, as far as they have reported it.
    pub fn former_settled(&self) -> Option<Instant> {
        self.state.borrow().former.map(|(_, settled)| settled)
    }

    /// This process leads until then. `former`: how long writes of former leaders may still be carried out.
    pub fn lead(&self, until: BootInstant, former: Duration) {
        self.state.send_if_modified(|state| {
            let (role, is_news) = match state.role {
                Role::Standby => (Role::Leading { until }, true),
                Role::Leading { .. } => (Role::Leading { until }, false),
                Role::Draining { .. } => (Role::Draining { until }, false),
                role @ (Role::NotElected | Role::Resigned) => (role, false),
            };
            state.role = role;
            if is_news && !former.is_zero() {
                state.former = Some((BootInstant::now() + former, Instant::now() + former));
            }
            is_news
        });
    }

    /// How long unanswered writes may still be carried out. Those in flight don't count.
    pub fn unsettled(&self) -> Duration {
        let state = self.state.borrow();
        let former = state.former.map(|(until, _)| until);
        state.unanswered.max(former).map_or(Duration::ZERO, BootInstant::remaining)
    }

    /// Lets no new write begin; returns when all in flight are answered.
    pub async fn drained(&self) {
        self.state.send_modify(|state| {
            if let Role::Leading { until } = state.role {
                state.role = Role::Draining { until };
            }
        });
        let _ = self.state.subscribe().wait_for(|state| state.under_way == 0).await;
    }

    /// Lets no write begin any more, and waits for none in flight. Returns how long those may still be carried out.
    pub async fn resign(&self) -> Duration {
        self.state.send_modify(|state| state.role = Role::Resigned);
        // Each of them learns of it when it is polled next, and notes what it leaves behind.
        let _ = self.state.subscribe().wait_for(|state| state.under_way == 0).await;
        self.unsettled()
    }

    /// Sends a request, if it may be sent, and waits for its answer while this process leads. `is_answered`: whether the
    /// outcome says if the request was carried out.
    pub async fn send<T>(
        &self,
        effect: Effect,
        request: impl Future<Output = T>,
        is_answered: impl FnOnce(&T) -> bool,
    ) -> Result<T, NotLeading> {
        if !self.may_begin(effect) {
            return Err(NotLeading);
        }
        let mut begun = Begun::new(self, effect);
        let mut request = pin!(request);
        let mut resigned = pin!(begun.resigned());
        // A request waits for a connection and may go out whenever it is polled: so leadership is checked at each poll.
        let answer = poll_fn(|context| {
            if resigned.as_mut().poll(context).is_ready() || !self.may_go_on(effect) {
                return Poll::Ready(Err(NotLeading));
            }
            request.as_mut().poll(context).map(Ok)
        })
        .await?;
        begun.is_answered |= is_answered(&answer);
        Ok(answer)
    }

    fn may_begin(&self, effect: Effect) -> bool {
        match (self.role(), effect) {
            (Role::NotElected, _) | (Role::Standby | Role::Resigned, Effect::Reads) => true,
            (Role::Leading { until }, _) | (Role::Draining { until }, Effect::Reads) => !until.has_passed(),
            (Role::Standby | Role::Draining { .. } | Role::Resigned, Effect::Writes { .. }) => false,
        }
    }

    fn may_go_on(&self, effect: Effect) -> bool {
        match self.role() {
            Role::Draining { until } => !until.has_passed(),
            _ => self.may_begin(effect),
        }
    }

    fn role(&self) -> Role {
        self.state.borrow().role
    }
}

/// A request in flight, until it is dropped.
struct Begun<'a> {
    leadership: &'a Leadership,
    effect: Effect,
    is_answered: bool,
}

impl<'a> Begun<'a> {
    fn new(leadership: &'a Leadership, effect: Effect) -> Self {
        if let Effect::Writes { .. } = effect {
            leadership.state.send_if_modified(|state| {
                state.under_way += 1;
                false
            });
        }
        Self { leadership, effect, is_answered: false }
    }

    /// Returns when writes in flight aren't waited for any more, whoever polls it.
    fn resigned(&self) -> impl Future<Output = ()> + use<> {
        let mut state = self.leadership.state.subscribe();
        let writes = matches!(self.effect, Effect::Writes { .. }) && self.leadership.is_elected;
        async move {
            if !writes || state.wait_for(|state| state.role == Role::Resigned).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Effect::Writes { lasts } = self.effect else { return };
        let lasts = lasts.filter(|_| !self.is_answered).map(|lasts| BootInstant::now() + lasts);
        self.leadership.state.send_if_modified(|state| {
            state.under_way -= 1;
            state.unanswered = state.unanswered.max(lasts);
            state.under_way == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const READS: Effect = Effect::Reads;
    const WRITES: Effect = Effect::Writes { lasts: Some(LASTS) };
    const LASTS: Duration = Duration::from_secs(30);
    const HOUR: Duration = Duration::from_hours(1);

    async fn sends(leadership: &Leadership, effect: Effect) -> bool {
        leadership.send(effect, ready(()), |()| true).await.is_ok()
    }

    async fn sent(leadership: &Leadership) -> (bool, bool) {
        (sends(leadership, READS).await, sends(leadership, WRITES).await)
    }

    #[tokio::test]
    async fn what_is_sent_is_a_matter_of_who_leads() {
        assert_eq!(sent(&Leadership::without_election()).await, (true, true));
        let leadership = Leadership::standby();
        assert_eq!(sent(&leadership).await, (true, false), "a standby only reads");
        leadership.lead(BootInstant::now() + HOUR, Duration::ZERO);
        leadership.gained().await;
        assert_eq!(sent(&leadership).await, (true, true));
        leadership.drained().await;
        assert_eq!(sent(&leadership).await, (true, false), "what is to end begins nothing");
        assert_eq!(leadership.resign().await, Duration::ZERO);
        leadership.lead(BootInstant::now() + HOUR, Duration::ZERO);
        assert_eq!(sent(&leadership).await, (true, false), "for good");
    }

    #[tokio::test]
    async fn whose_time_is_over_sends_nothing_not_even_what_waited_to_be_sent() {
        let leadership = Leadership::standby();
        leadership.lead(BootInstant::now() + Duration::from_millis(50), Duration::ZERO);
        let late = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            unreachable!("it would be sent now")
        };
        let mut late = pin!(late);
        // The clock wakes it, and leadership is checked before the request is polled.
        let answer = leadership.send(READS, poll_fn(|context| late.as_mut().poll(context)), |()| true).await;
        assert_eq!(answer, Err(NotLeading));
        assert_eq!(sent(&leadership).await, (false, false));
    }

    #[tokio::test]
    async fn what_is_unanswered_at_the_end_is_known_and_waited_for_no_longer() {
        let leadership = Leadership::standby();
        leadership.lead(BootInstant::now() + HOUR, Duration::ZERO);
        let under_way = leadership.send(WRITES, pending::<()>(), |()| true);
        let resigns = async {
            let drained = tokio::time::timeout(Duration::from_millis(20), leadership.drained()).await;
            assert!(drained.is_err(), "it isn't answered");
            leadership.resign().await
        };
        let (answer, unsettled) = futures::future::join(under_way, resigns).await;
        assert_eq!(answer, Err(NotLeading));
        assert!(unsettled > LASTS / 2 && unsettled <= LASTS, "{unsettled:?}");
    }

    #[tokio::test]
    async fn what_a_former_leader_left_is_passed_on() {
        let leadership = Leadership::standby();
        assert_eq!(leadership.former_settled(), None);
        leadership.lead(BootInstant::now() + HOUR, LASTS);
        assert!(leadership.former_settled() > Some(Instant::now() + LASTS / 2));
        let passed_on = leadership.resign().await;
        assert!(passed_on > LASTS / 2 && passed_on <= LASTS, "{passed_on:?}");
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_none() {
        let leadership = Leadership::standby();
        leadership.lead(BootInstant::now() + HOUR, Duration::ZERO);
        leadership.send(WRITES, ready("timed out"), |_| false).await.unwrap();
        assert!(leadership.unsettled() > LASTS / 2);
    }
}
