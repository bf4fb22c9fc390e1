//! Proves that a resource has no identity before one is created, and finds the identity of a create without an answer. Reads
//! only.
//!
//! A complete listing of this process shows every identity that existed when the listing began. It can't show one whose create is
//! still in flight:
//! - A create of this process without an answer. Its identifiers are remembered. A listing settles it that began after the create
//!   can have been carried out. Before that the identifiers settle it, if the next create can't exist beside it: then the second
//!   create fails, and leads to the first.
//! - A create of another process, which wrote the finalizer. The manifest may have changed since, so nobody knows what that create
//!   asked for. Only a listing that began late enough settles it.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use serde_json::Value;

use super::memory::{Memory, Unanswered};
use super::observe::Search;
use super::sharding;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::failure::ReconcileError;
use crate::identity::conflict;
use crate::identity::plan::{Observed, Plan, Present};
use crate::identity::progress;
use crate::identity::requested_identifiers::RequestedIdentifiers;
use crate::kratos::{GRACE, IdentityFilter};

/// With more creates unsettled than this, one listing is cheaper than as many look-ups.
const FEW: usize = 10;

/// A create on its way. Its fate is unknown until [`Self::is_known`] says otherwise, also where whoever asked for it stops
/// waiting.
pub struct UnderWay<'a> {
    memory: &'a Memory,
    uid: &'a str,
    asked: Option<RequestedIdentifiers>,
    /// How long it may still be carried out.
    lasts: Duration,
}

impl UnderWay<'_> {
    /// It was carried out and answered, or certainly wasn't carried out.
    pub fn is_known(mut self) {
        self.asked = None;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            let until = Instant::now() + self.lasts;
            self.memory.update(self.uid, |remembered| remembered.is_unanswered(asked, until));
        }
    }
}

impl<'a> Search<'a> {
    /// To be called before a create is sent.
    pub fn creating(&self) -> UnderWay<'a> {
        let (memory, uid) = (self.engine.memory, self.inputs.claimant.uid.as_str());
        UnderWay { memory, uid, asked: Some(self.asked()), lasts: self.lasts() }
    }
}

impl Search<'_> {
    /// Proves that there is no identity of this resource, or finds it. Where many creates are unsettled, as after a batch
    /// without an answer, a listing settles all of them.
    ///
    /// Where the resource has had an identity that is `gone` since then, a listing that began later must have shown how
    /// many are.
    pub async fn absence(&self, gone: Option<Instant>) -> Result<Observed, ReconcileError> {
        let found = self.listed(gone).await?;
        self.ensure_whole_if(gone)?;
        if let Some(present) = found {
            return Ok(self.made(present));
        }
        self.inputs.ensure_whole(self.engine.deletions)?;
        let Some(settled) = self.settled().filter(|_| !self.only_observes) else { return Ok(Observed::Absent) };
        let unsettled = self.inputs.instance.shared.listing.unsettled(&NamespacedName::of(self.resource), settled);
        if (1..=FEW).contains(&unsettled) {
            if let Some(present) = self.by_what_was_asked_for().await? {
                return Ok(self.made(present));
            }
            if self.is_excluded(settled) {
                let found = self.by_identifiers(&self.identifiers()).await?;
                return Ok(found.map_or(Observed::Absent, |present| self.made(present)));
            }
        }
        Ok(self.listed(Some(settled)).await?.map_or(Observed::Absent, |present| self.made(present)))
    }

    /// The identity that a create without an answer made. Where there was but one, nothing of it is open any more.
    fn made(&self, present: Present) -> Observed {
        if self.remembered.anothers_create_since().is_none() && self.remembered.unanswered.len() == 1 {
            self.engine.memory.update(&self.inputs.claimant.uid, |remembered| remembered.unanswered.clear());
        }
        Observed::Present(Box::new(present))
    }

    /// Whether none of the creates that may be under way can be carried out beside the next one. Once all of them have run
    /// out a listing says more: what they made may have changed since.
    fn is_excluded(&self, settled: Instant) -> bool {
        let next = self.asked();
        let excludes = |unanswered: &Unanswered| unanswered.asked.excludes(&next);
        self.remembered.anothers_create_since().is_none() && Instant::now() < settled && self.unanswered().all(excludes)
    }

    /// Creates of this process whose fate isn't known.
    fn unanswered(&self) -> impl Iterator<Item = &Unanswered> {
        let listing = &self.inputs.instance.shared.listing;
        self.remembered.unanswered.iter().filter(|unanswered| !listing.began_after(unanswered.until))
    }

    /// From when on no create of this process can be under way any more; `None` if none can be.
    pub(super) fn own_settled(&self) -> Option<Instant> {
        self.unanswered().map(|unanswered| unanswered.until).max()
    }

    /// From when on no create of this resource's identity can be under way any more; `None` if none can be.
    pub fn settled(&self) -> Option<Instant> {
        let anothers = self.remembered.anothers_create_since().map(|since| since + self.lasts());
        // A former leader's may have been given more time than the instance gives now.
        let anothers = anothers.and_then(|settled| Some(settled).max(self.engine.leadership.former_settled()));
        anothers.max(self.own_settled())
    }

    /// How long a create may still be carried out after nobody waits for it any more, or after another process may have
    /// sent it.
    pub(super) fn lasts(&self) -> Duration {
        let timeout = self.inputs.instance.settings.connection.request_timeout;
        sharding::patience(timeout, self.engine.terms) + timeout + GRACE
    }

    /// What a create would ask for now.
    fn asked(&self) -> RequestedIdentifiers {
        RequestedIdentifiers::new(self.schema.as_ref().map(|schema| &schema.shape), self.traits)
    }

    /// An identity keeps what keeps a create without an answer from being carried out beside it, for as long as that may
    /// happen.
    pub(super) fn ensure_exclusive(&self, present: &Present, plan: &Plan) -> Result<(), ReconcileError> {
        let now = Instant::now();
        // As of now: what this reconcile has found may have settled it.
        let unanswered = self.engine.memory.recall(&self.inputs.claimant.uid).unanswered;
        let theirs = self.inputs.instance.shared.schemas.usable(&present.identity.schema_id);
        let there = present.identity.traits.readable_members().cloned().unwrap_or_default();
        let is = RequestedIdentifiers::new(theirs.as_ref().map(|schema| &schema.shape), &Value::Object(there));
        let will_be = RequestedIdentifiers::new(self.schema.as_ref().map(|schema| &schema.shape), &plan.traits);
        let is_let_in = |it: &&Unanswered| it.asked.excludes(&is) && !it.asked.excludes(&will_be);
        let until = unanswered.iter().filter(is_let_in).map(|it| it.until).max();
        match until.filter(|until| *until > now) {
            None => Ok(()),
            Some(until) => Err(ReconcileError::Retry { condition: progress::unsettled(), after: Some(until - now) }),
        }
    }

    /// The identity that has what a create without an answer asked for, and the manifest doesn't want any more. Somebody
    /// else may have it by now.
    async fn by_what_was_asked_for(&self) -> Result<Option<Present>, ReconcileError> {
        let wanted = self.identifiers();
        let asked = self.unanswered().flat_map(|unanswered| unanswered.asked.identifiers());
        let mut asked: Vec<_> = asked.filter(|asked| !wanted.iter().any(|it| it == asked)).map(str::to_owned).collect();
        asked.sort_unstable();
        asked.dedup();
        match self.by_identifiers(&asked).await {
            Err(ReconcileError::Refused(_)) => Ok(None),
            found => found,
        }
    }

    /// The identity that has one of these login identifiers. Refused if it is somebody else's.
    async fn by_identifiers(&self, identifiers: &[String]) -> Result<Option<Present>, ReconcileError> {
        let mut refusal = None;
        for identifier in identifiers {
            let pages = self.inputs.instance.client.list_identities(IdentityFilter::by_identifier(identifier.as_str()));
            let mut pages = std::pin::pin!(pages);
            while let Some(page) = pages.try_next().await.map_err(|error| self.classify(&error))? {
                for identity in page.items {
                    match self.judge(identity, false).await {
                        Ok(Some(present)) => return Ok(Some(present)),
                        Ok(None) => refusal = Some(ReconcileError::Refused(conflict::conflict(None))),
                        Err(ReconcileError::Refused(condition)) => refusal = Some(ReconcileError::Refused(condition)),
                        Err(failure) => return Err(failure),
                    }
                }
            }
        }
        refusal.map_or(Ok(None), Err)
    }

    /// After a create met a conflict at `conflict`: the identity is ours after all (the answer to an earlier create
    /// was lost), or somebody else's. An address alone isn't found by identifier, so a listing has the last word.
    pub async fn after_conflict(&self, conflict: Instant) -> Result<Present, ReconcileError> {
        if let Some(present) = self.by_identifiers(&self.identifiers()).await? {
            return Ok(present);
        }
        let has_external_id = self.resource.spec.external_id.is_some();
        self.listed(Some(conflict)).await?.ok_or_else(|| ReconcileError::Refused(conflict::taken(has_external_id)))
    }
}
