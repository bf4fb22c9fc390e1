//! Finds the identity that a manifest adopts, and lets one resource at a time adopt it. Writes nothing itself.

use std::collections::HashSet;

use futures::TryStreamExt;
use kube::ResourceExt;

use super::adoption_locks::AdoptionLock;
use super::observe::Search;
use crate::api::identity::KratosIdentity;
use crate::base::namespaced_name;
use crate::engine::failure::{self, ReconcileError};
use crate::identity::adoption::{self, Finding, FormerOwner, Refusal, Target};
use crate::identity::mark::Mark;
use crate::identity::plan::{Observed, Present};
use crate::identity::progress;
use crate::kratos::{Identity, IdentityFilter, State, identifier};

impl Search<'_> {
    /// The identity that the manifest takes over, or is to; refused where it may not.
    pub(super) async fn adoptable(&self, target: &Target) -> Result<Observed, ReconcileError> {
        // Outside the instance's namespace nothing shows of what isn't ours yet, not even whether it is there.
        if self.only_observes && !self.inputs.claimant.beside_instance {
            return Ok(Observed::Absent);
        }
        let mut found = match target {
            Target::Identity(id) => self.get(id).await?.into_iter().collect(),
            Target::Identifier(identifier) | Target::Name(identifier) => self.all_of(identifier).await?,
            Target::External(id) => self.by_external_id(id).await?.into_iter().collect(),
        };
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(self.refused(&Refusal::Missing)),
            (Some(_), false) => Err(self.refused(&Refusal::Ambiguous)),
            (Some(identity), true) => Ok(Observed::Present(Box::new(self.examined(target, identity).await?))),
        }
    }

    /// What is taken over, read afresh in the resource's turn, with the turn. Anything else is as it was.
    pub(super) async fn lock_adoption(
        &self,
        observed: Observed,
    ) -> Result<(Observed, Option<AdoptionLock<'_>>), ReconcileError> {
        let (target, before) = match (self.adoption, observed) {
            (Some(target), Observed::Present(present)) if present.is_adoption() => (target, present),
            (_, observed) => return Ok((observed, None)),
        };
        let Some(lock) = self.engine.adoption_locks.try_lock(&before.identity.id) else {
            let condition = progress::turn_to_adopt();
            return Err(ReconcileError::Retry { condition, after: None });
        };
        let Some(identity) = self.get(&before.identity.id).await? else {
            return Err(self.refused(&Refusal::Missing));
        };
        let present = Present { has_sessions: before.has_sessions, ..self.examined(target, identity).await? };
        Ok((Observed::Present(Box::new(present)), Some(lock)))
    }

    /// All identities that somebody logs in to with this, in whichever form Kratos keeps it: each once.
    async fn all_of(&self, identifier: &str) -> Result<Vec<Identity>, ReconcileError> {
        let mut found: Vec<Identity> = Vec::new();
        for form in identifier::forms(identifier) {
            let pages = self.inputs.instance.client.list_identities(IdentityFilter::by_identifier(form));
            let mut pages = std::pin::pin!(pages);
            while let Some(page) = pages.try_next().await.map_err(|error| self.classify(&error))? {
                found.extend(page.items);
            }
        }
        let mut known = HashSet::new();
        found.retain(|identity| known.insert(identity.id.clone()));
        Ok(found)
    }

    async fn by_external_id(&self, id: &str) -> Result<Option<Identity>, ReconcileError> {
        let instance = &self.inputs.instance;
        // Earlier servers don't have the page at all, which is no answer of Kratos'.
        if !instance.removes_first_factors().await.map_err(|error| self.classify(&error))? {
            return Err(ReconcileError::Refused(failure::unsupported("external_id")));
        }
        instance.client.get_identity_by_external_id(id).await.map_err(|error| self.classify(&error))
    }

    async fn examined(&self, target: &Target, identity: Identity) -> Result<Present, ReconcileError> {
        let from = self.inputs.instance.settings.adoption_from;
        let is_inactive = identity.state == State::Inactive;
        let mark = match adoption::examine(&self.inputs.claimant, from, target, &identity) {
            Finding::Ours(mark) => *mark,
            Finding::Unowned => Mark::of_adoption(is_inactive),
            Finding::FormerOwner(left) => {
                self.ensure_left(&left).await?;
                Mark::of_adoption(is_inactive || left.found_inactive)
            }
            Finding::Refused(refusal) => return Err(self.refused(&refusal)),
        };
        Ok(Present::new(identity, Some(mark)))
    }

    /// The resource that the mark names is gone, by a live read, and this one may follow it.
    async fn ensure_left(&self, left: &FormerOwner) -> Result<(), ReconcileError> {
        if self.is_there(left).await? {
            return Err(self.refused(&left.taken));
        }
        if let Some(refusal) = &left.refused {
            return Err(self.refused(refusal));
        }
        if self.is_same_namespace().await? { Ok(()) } else { Err(self.refused(&Refusal::NotAllowed)) }
    }

    async fn is_there(&self, left: &FormerOwner) -> Result<bool, ReconcileError> {
        if !namespaced_name::is_name(&left.key.namespace) || !namespaced_name::is_name(&left.key.name) {
            // No mark of ours: nobody can say whose it is.
            return Ok(true);
        }
        if !self.engine.terms.works_in(&left.key.namespace) {
            // Nor can this operator, of what is in others' namespaces.
            return Ok(true);
        }
        let Some(found) = self.engine.others.live(&left.key).await? else { return Ok(false) };
        // One that can't be read any more is there all the same.
        let found = found.0.as_ref().map_or_else(|invalid| invalid.metadata.uid.clone(), KratosIdentity::uid);
        let is_this = found == self.resource.uid();
        Ok(match &left.uid {
            Some(uid) => found.as_ref() == Some(uid),
            None => !is_this,
        })
    }

    fn refused(&self, refusal: &Refusal) -> ReconcileError {
        ReconcileError::Refused(refusal.condition(&self.inputs.claimant, self.inputs.instance.settings.adoption_from))
    }
}
