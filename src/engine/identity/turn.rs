//! Permits to write: how many may change identities at once, and that what a PUT carries was read while its permit was held.
//! Writes nothing itself.
//!
//! A PUT replaces the whole identity. A change that the user makes between the read and the PUT would be lost. So one permit
//! spans read, merge and PUT. Kratos takes long to hash a password, and overwrites concurrent changes meanwhile: few such
//! requests are in flight. A reconcile that gets no permit gives its worker back and is enqueued later.

use std::time::{Duration, Instant};

use super::inputs::{self, Inputs};
use super::observe::Search;
use super::planned::planned;
use crate::api::KratosIdentity;
use crate::base::flow::limit::Permit;
use crate::base::place::Place;
use crate::engine::cluster::Engine;
use crate::engine::failure::Halt;
use crate::identity::desired::Desired;
use crate::identity::plan::{Observed, Plan, Step};
use crate::identity::progress;

/// How old a read may be that a PUT is made of.
const FRESH: Duration = Duration::from_millis(250);

/// What there is in the turn, and the turn. `None`: nothing is changed, or creates share requests of their own.
pub(super) struct InTurn {
    pub observed: Observed,
    pub plan: Plan,
    pub permit: Option<Permit>,
}

impl Inputs {
    /// Its turn to create with a password that the server has to hash; `None` where it doesn't. Whoever has none ends its look
    /// and is called: thousands may be waiting, and those whose request isn't about to go hold no worker.
    pub fn creating_turn(&self, plan: &Plan) -> Result<Option<Permit>, Halt> {
        let is_hashed = |step: &Step| matches!(step, Step::Create(create) if create.credentials.is_hashed());
        if !plan.steps.iter().any(is_hashed) {
            return Ok(None);
        }
        let place = self.place();
        self.instance.creating.take(&place, &place.namespace).map(Some).ok_or_else(queued)
    }

    /// Waits for its turn to change or delete something. Creates share requests of their own.
    pub async fn turn(&self, steps: &[Step]) -> Result<Option<Permit>, Halt> {
        if steps.is_empty() || steps.iter().any(|step| matches!(step, Step::Create(_))) {
            return Ok(None);
        }
        self.writing_turn().await.map(|(permit, _)| Some(permit))
    }

    /// Its turn to write, and whether it had to wait for it.
    async fn writing_turn(&self) -> Result<(Permit, bool), Halt> {
        if let Some(permit) = self.instance.writes.try_acquire() {
            return Ok((permit, false));
        }
        let permit = self.instance.writes.acquire(&self.claimant.namespace).await;
        // Those that had their turn before may have found it down.
        self.ensure_open()?;
        Ok((permit, true))
    }

    /// Its turn to have a password hashed, if it is that.
    fn hashing_turn(&self) -> Result<Permit, Halt> {
        let place = self.place();
        self.instance.hashing.take(&place, &place.namespace).ok_or_else(queued)
    }

    fn place(&self) -> Place {
        Place::new(self.claimant.namespace.as_str(), self.claimant.name.as_str())
    }
}

impl Search<'_> {
    /// The turn to carry a plan out. Where it makes a PUT, and what was read (at `read_at`) is older than the turn, or than a
    /// moment, it is read and planned anew.
    pub(super) async fn turn(
        &self,
        desired: &Desired,
        (observed, plan): (Observed, Plan),
        read_at: Instant,
    ) -> Result<InTurn, Halt> {
        if !replaces(&plan.steps) {
            let permit = self.inputs.turn(&plan.steps).await?;
            return Ok(InTurn { observed, plan, permit });
        }
        let (permit, has_waited) = if has_hashed(&plan.steps) {
            (self.inputs.hashing_turn()?, false)
        } else {
            self.inputs.writing_turn().await?
        };
        let permit = Some(permit);
        if !has_waited && read_at.elapsed() <= FRESH {
            return Ok(InTurn { observed, plan, permit });
        }
        let mut again = self.run().await?;
        let (Observed::Present(before), Observed::Present(now)) = (&observed, &mut again) else { return Err(moved()) };
        if before.identity.id != now.identity.id {
            return Err(moved());
        }
        now.has_sessions = before.has_sessions;
        let planned = planned(self, desired, &mut again).await?;
        if has_hashed(&planned.steps) && !has_hashed(&plan.steps) {
            return Err(moved());
        }
        Ok(InTurn { observed: again, plan: planned, permit })
    }
}

/// After a look that doesn't wait for a turn (any more): its place among those that do goes to the next.
pub fn leave(resource: &KratosIdentity, engine: Engine<'_>) {
    let place = inputs::instance_place(resource, engine.terms.default_instance.as_ref()).ok();
    let handle = place.and_then(|place| engine.instances.callable(&place));
    if let Some(handle) = handle {
        let place = Place::of(resource);
        handle.hashing.leave(&place);
        handle.creating.leave(&place);
    }
}

fn queued() -> Halt {
    Halt::Queued(progress::turn_to_hash())
}

fn moved() -> Halt {
    let verdict = progress::changed();
    Halt::Retry { verdict, after: None }
}

/// Whether something is written that carries what isn't the manifest's as well.
fn replaces(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Update { .. }))
}

/// Whether a password is sent that the server has to hash.
fn has_hashed(steps: &[Step]) -> bool {
    let is_hashed = |step: &Step| match step {
        Step::Update { id: _, update } => update.credentials.is_hashed(),
        _ => false,
    };
    steps.iter().any(is_hashed)
}
