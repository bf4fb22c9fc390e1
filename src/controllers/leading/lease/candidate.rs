//! A candidate for a Lease: reads it, takes it when it may, renews it and releases it. It uses its own clock only; times that
//! others wrote are never trusted.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::term::{self, Decision};
use crate::base::duration::GoDuration;
use crate::base::flow::boot_instant::BootInstant;
use crate::kubernetes::kube_write::FIELD_MANAGER;

/// How long requests without an answer, sent under this Lease, may still be carried out, since it was written. There is
/// one on each that was given up.
const UNSETTLED: &str = "kratos-operator.dev/unsettled";
/// The most that another's word for it counts.
const LONGEST_UNSETTLED: Duration = Duration::from_mins(10);

/// See the module.
pub struct Candidate {
    me: String,
    api: Api<Lease>,
    /// The Lease as it is made.
    empty: Lease,
    seen: Option<Seen>,
    /// Whether one that isn't there may have been deleted under its holder.
    waits_out_absence: bool,
    /// From when on no former holder of a Lease that isn't there any more goes on.
    absent_until: Option<BootInstant>,
    /// Until when it counts as held if it can't be renewed.
    held_until: Option<BootInstant>,
    /// Until when requests of former holders may be carried out.
    former: Option<BootInstant>,
}

/// The Lease as it was last seen.
struct Seen {
    lease: Lease,
    since: BootInstant,
    is_doubtful: bool,
}

/// What came of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    Held,
    /// It is held, but whoever held it before it was deleted may go on for a while.
    HeldInWaiting,
    /// It is another's, or may be.
    HeldByOther,
    /// Somebody wrote it at the same time: read it again.
    Conflict,
}

impl Candidate {
    pub const fn new(me: String, api: Api<Lease>, empty: Lease, waits_out_absence: bool) -> Self {
        let (seen, absent_until, held_until, former) = (None, None, None, None);
        Self { me, api, empty, seen, waits_out_absence, absent_until, held_until, former }
    }

    /// One attempt: renews, takes, or observes. `unsettled`: how long requests without an answer may still be carried out.
    pub async fn try_acquire_or_renew(&mut self, unsettled: Duration) -> Result<LeaseOutcome, kube::Error> {
        let begun = BootInstant::now();
        if !self.is_known_as_mine() {
            self.observe().await?;
        }
        let lease = self.seen.as_ref().map(|seen| &seen.lease);
        let spec = lease.and_then(|lease| lease.spec.as_ref());
        let noted = lease.and_then(noted);
        // A Lease without a spec is as one that says nothing.
        let nothing = lease.map(|_| LeaseSpec::default());
        let unchanged_for = self.seen.as_ref().map(|seen| seen.since.elapsed()).unwrap_or_default();
        let decision = term::decide(spec.or(nothing.as_ref()), noted.is_some(), &self.me, unchanged_for);
        let is_mine = spec.and_then(term::holder) == Some(self.me.as_str());
        if decision == Decision::Wait {
            self.held_until = None;
            return Ok(LeaseOutcome::HeldByOther);
        }
        if !is_mine && let Some(noted) = noted {
            self.former = self.former.max(Some(BootInstant::now() + noted));
        }
        let spec = term::held(spec, &self.me, Timestamp::now());
        let unsettled = unsettled.max(self.former());
        if !self.write(spec, Some(unsettled).filter(|unsettled| !unsettled.is_zero())).await? {
            return Ok(LeaseOutcome::Conflict);
        }
        let is_held = self.absent_until.is_none_or(BootInstant::has_passed);
        self.held_until = is_held.then_some(begun + term::GIVEN_UP_AFTER);
        Ok(if is_held { LeaseOutcome::Held } else { LeaseOutcome::HeldInWaiting })
    }

    /// How long requests of former holders may still be carried out, as far as they have said so.
    pub fn former(&self) -> Duration {
        self.former.map_or(Duration::ZERO, BootInstant::remaining)
    }

    /// Who holds it, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.lease.spec.as_ref().and_then(term::holder)
    }

    /// What it says isn't known any more: it is read anew. What is held runs out by itself.
    pub fn doubt(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.is_doubtful = true;
        }
    }

    /// Gives it up, if it is held. One that is held in waiting runs out: its former holder may go on. `false`: it was written at
    /// the same time (by a renewal that nobody waits for any more), and is still to be given up.
    pub async fn release(&mut self, unsettled: Duration) -> Result<bool, kube::Error> {
        if !self.is_held() {
            return Ok(true);
        }
        if !self.is_known_as_mine() {
            self.observe().await?;
        }
        let seen = self.seen.as_ref().filter(|_| self.holder() == Some(self.me.as_str()));
        let Some(spec) = seen.and_then(|seen| seen.lease.spec.clone()) else {
            self.held_until = None;
            return Ok(true);
        };
        let unsettled = unsettled.max(self.former());
        let is_released = self.write(term::released(spec, Timestamp::now()), Some(unsettled)).await?;
        if is_released {
            self.held_until = None;
        }
        Ok(is_released)
    }

    fn is_held(&self) -> bool {
        self.held_until.is_some_and(|until| !until.has_passed())
    }

    fn is_known_as_mine(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.is_doubtful) && self.holder() == Some(self.me.as_str())
    }

    async fn observe(&mut self) -> Result<(), kube::Error> {
        let found = self.api.get_opt(&self.empty.name_any()).await?;
        let before = self.seen.take();
        // Whoever holds it makes it anew: nobody else can have acted on it meanwhile.
        if found.is_none() && !self.is_held() && (self.waits_out_absence || before.is_some()) {
            self.absent_until = Some(BootInstant::now() + term::DURATION);
        }
        self.seen = found.map(|lease| {
            let same = before.filter(|before| before.lease.resource_version() == lease.resource_version());
            let since = same.map_or_else(BootInstant::now, |same| same.since);
            Seen { lease, since, is_doubtful: false }
        });
        Ok(())
    }

    /// Writes the Lease in place of exactly the one that was seen. `false`: somebody else was faster.
    async fn write(&mut self, spec: LeaseSpec, unsettled: Option<Duration>) -> Result<bool, kube::Error> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let seen = self.seen.as_ref().map(|seen| seen.lease.clone());
        let exists = seen.is_some();
        let mut lease = Lease { spec: Some(spec), ..seen.unwrap_or_else(|| self.empty.clone()) };
        note(&mut lease, unsettled);
        let written = if exists {
            self.api.replace(&lease.name_any(), &params, &lease).await
        } else {
            self.api.create(&params, &lease).await
        };
        match written {
            Ok(lease) => {
                self.seen = Some(Seen { lease, since: BootInstant::now(), is_doubtful: false });
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 || (status.code == 404 && exists) => {
                self.doubt();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

fn note(lease: &mut Lease, unsettled: Option<Duration>) {
    let annotations = lease.annotations_mut();
    match unsettled {
        // In whole seconds, upwards.
        Some(unsettled) => {
            let seconds = unsettled.as_secs() + u64::from(unsettled.subsec_nanos() > 0);
            annotations.insert(UNSETTLED.to_owned(), format!("{seconds}s"));
        }
        None => drop(annotations.remove(UNSETTLED)),
    }
}

fn noted(lease: &Lease) -> Option<Duration> {
    let noted: GoDuration = lease.annotations().get(UNSETTLED)?.parse().ok()?;
    Some(Duration::from(noted).min(LONGEST_UNSETTLED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsettled_is_noted_in_whole_seconds_and_believed_for_ten_minutes_at_most() {
        let mut lease = Lease::default();
        assert_eq!(noted(&lease), None);
        note(&mut lease, Some(Duration::from_millis(34_001)));
        assert_eq!(noted(&lease), Some(Duration::from_secs(35)));
        note(&mut lease, Some(Duration::ZERO));
        assert_eq!(noted(&lease), Some(Duration::ZERO), "given up, with nothing left");
        note(&mut lease, Some(Duration::from_hours(9)));
        assert_eq!(noted(&lease), Some(LONGEST_UNSETTLED));
        note(&mut lease, None);
        assert_eq!(noted(&lease), None);
        lease.annotations_mut().insert(UNSETTLED.to_owned(), "soon".to_owned());
        assert_eq!(noted(&lease), None, "nobody gave it up");
    }
}
