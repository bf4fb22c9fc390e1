//! Permits to write: how many may change identities at once, and that what a PUT carries was read while its permit was held.
//! Writes nothing itself.
//!
//! A PUT replaces the whole identity. A change that the user makes between the read and the PUT would be lost. So one permit
//! spans read, merge and PUT. Kratos takes long to hash a password, and overwrites concurrent changes meanwhile: few such
//! requests are in flight. A reconcile that gets no permit gives its worker back and is enqueued later.

use std::time::{Duration, Instant};

use super::checked_plan::checked_plan;
use super::inputs::{self, Inputs};
use super::observe::Search;
use crate::api::KratosIdentity;
use crate::base::flow::fair_semaphore::Permit;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Engine;
use crate::engine::failure::ReconcileError;
use crate::identity::desired::Desired;
use crate::identity::plan::{Observed, Plan, Step};
use crate::identity::progress;

/// How old a read may be that a PUT is made of.
const FRESH: Duration = Duration::from_millis(250);

/// A plan, and the permit to carry it out. `None`: nothing is changed, or creates share requests of their own.
pub(super) struct Permitted {
    pub observed: Observed,
    pub plan: Plan,
    pub permit: Option<Permit>,
}

impl Inputs {
    /// The permit to create with a password that the server has to hash; `None` where it doesn't. Whoever has none ends
    /// its reconcile and is called: thousands may be waiting, and those whose request isn't about to go hold no worker.
    pub fn create_permit(&self, plan: &Plan) -> Result<Option<Permit>, ReconcileError> {
        let is_hashed = |step: &Step| matches!(step, Step::Create(create) if create.credentials.is_hashed());
        if !plan.steps.iter().any(is_hashed) {
            return Ok(None);
        }
        let key = self.key();
        self.instance.creating.take(&key, &key.namespace).map(Some).ok_or_else(queued)
    }

    /// Waits for a permit to change or delete something. Creates share requests of their own.
    pub async fn write_permit(&self, steps: &[Step]) -> Result<Option<Permit>, ReconcileError> {
        if steps.is_empty() || steps.iter().any(|step| matches!(step, Step::Create(_))) {
            return Ok(None);
        }
        self.acquire_write_permit().await.map(|(permit, _)| Some(permit))
    }

    /// A permit to write, and whether it had to wait for it.
    async fn acquire_write_permit(&self) -> Result<(Permit, bool), ReconcileError> {
        if let Some(permit) = self.instance.writes.try_acquire() {
            return Ok((permit, false));
        }
        let permit = self.instance.writes.acquire(&self.claimant.namespace).await;
        // Those that had their turn before may have found it down.
        self.ensure_available()?;
        Ok((permit, true))
    }

    /// The permit to have a password hashed, if there is one.
    fn hash_permit(&self) -> Result<Permit, ReconcileError> {
        let key = self.key();
        self.instance.hashing.take(&key, &key.namespace).ok_or_else(queued)
    }

    fn key(&self) -> NamespacedName {
        NamespacedName::new(self.claimant.namespace.as_str(), self.claimant.name.as_str())
    }
}

impl Search<'_> {
    /// The permit to carry a plan out. Where it makes a PUT, and what was read (at `read_at`) is older than the permit,
    /// or than a moment, it is read and planned anew.
    pub(super) async fn permitted(
        &self,
        desired: &Desired,
        (observed, plan): (Observed, Plan),
        read_at: Instant,
    ) -> Result<Permitted, ReconcileError> {
        if !replaces(&plan.steps) {
            let permit = self.inputs.write_permit(&plan.steps).await?;
            return Ok(Permitted { observed, plan, permit });
        }
        let (permit, has_waited) = if has_hashed(&plan.steps) {
            (self.inputs.hash_permit()?, false)
        } else {
            self.inputs.acquire_write_permit().await?
        };
        let permit = Some(permit);
        if !has_waited && read_at.elapsed() <= FRESH {
            return Ok(Permitted { observed, plan, permit });
        }
        let mut again = self.run().await?;
        let (Observed::Present(before), Observed::Present(now)) = (&observed, &mut again) else { return Err(moved()) };
        if before.identity.id != now.identity.id {
            return Err(moved());
        }
        now.has_sessions = before.has_sessions;
        let planned = checked_plan(self, desired, &mut again).await?;
        if has_hashed(&planned.steps) && !has_hashed(&plan.steps) {
            return Err(moved());
        }
        Ok(Permitted { observed: again, plan: planned, permit })
    }
}

/// After a reconcile that doesn't wait for a permit (any more): its place among those that do goes to the next.
pub fn withdraw(resource: &KratosIdentity, engine: Engine<'_>) {
    let key = inputs::instance_key(resource, engine.terms.default_instance.as_ref()).ok();
    let handle = key.and_then(|key| engine.instances.callable(&key));
    if let Some(handle) = handle {
        let key = NamespacedName::of(resource);
        handle.hashing.withdraw(&key);
        handle.creating.withdraw(&key);
    }
}

fn queued() -> ReconcileError {
    ReconcileError::Queued(progress::turn_to_hash())
}

fn moved() -> ReconcileError {
    let condition = progress::changed();
    ReconcileError::Retry { condition, after: None }
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
