//! Finds the identity of a resource. Reads only.
//!
//! Candidates come from this process' memory, the status, and the last complete listing. Each is read again, and its mark
//! decides. Before a create, `absence` must prove that there is none.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::inputs::Inputs;
use super::memory::{Ours, Remembered};
use super::schemas;
use crate::api::identity::KratosIdentity;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Engine;
use crate::engine::failure::{ReconcileError, Sent};
use crate::identity::absent_credentials::Contents;
use crate::identity::actions;
use crate::identity::adoption::Target;
use crate::identity::claim::Claim;
use crate::identity::conflict;
use crate::identity::desired::Desired;
use crate::identity::digest_key::DigestKey;
use crate::identity::facts;
use crate::identity::mark::Mark;
use crate::identity::person::{Identifiers, Person};
use crate::identity::plan::{self, Observed, Present};
use crate::identity::progress;
use crate::identity::recovery;
use crate::identity::schema;
use crate::instance::listing::Lookup;
use crate::instance::schemas::Schema;
use crate::kratos::{CredentialType, Error, Identity, State};

/// What is known without looking further.
enum Known {
    Present(Box<Present>),
    /// The identity that the resource has had is gone, since then or longer.
    Gone(Instant),
    Nothing,
}

/// A search for one resource's identity.
pub struct Search<'a> {
    pub engine: Engine<'a>,
    pub inputs: &'a Inputs,
    pub resource: &'a KratosIdentity,
    pub remembered: Remembered,
    /// The schema and traits of the manifest, where it could be read; they tell persons apart.
    pub schema: Option<Arc<Schema>>,
    pub traits: &'a Value,
    /// The operator's key, where it could be read.
    pub key: Option<Arc<DigestKey>>,
    /// The identity that the manifest takes over instead of creating one.
    pub adoption: Option<&'a Target>,
    /// Whether nothing will be created: then nobody's identifiers are looked up.
    pub only_observes: bool,
}

impl Search<'_> {
    /// The identity, or the proof that there is none.
    pub async fn run(&self) -> Result<Observed, ReconcileError> {
        self.inputs.instance.shared.conflicts.forget(&NamespacedName::of(self.resource));
        let gone = match self.known().await {
            Ok(Known::Present(present)) => return Ok(Observed::Present(present)),
            Ok(Known::Gone(since)) => Some(since),
            Ok(Known::Nothing) => None,
            // A late write of the resource that it replaced may have put that one's mark back.
            Err(ReconcileError::Refused(_)) if self.resource.spec.replaces.is_some() && !self.only_observes => None,
            Err(failure) => return Err(failure),
        };
        if let Some(replaces) = self.resource.spec.replaces.as_ref().filter(|_| !self.only_observes)
            && let Some(present) = self.replacing(&replaces.name).await?
        {
            return Ok(Observed::Present(Box::new(present)));
        }
        let Some(target) = self.adoption else { return self.absence(gone).await };
        // Nothing is created; but what was before the manifest said so is its own, and there is no second one.
        let settled = self.settled().filter(|_| !self.only_observes);
        let found = match self.listed(settled.max(gone)).await {
            // Where nobody can tell whose it is the manifest may say so, by its id.
            Err(ReconcileError::Refused(condition)) if condition == conflict::person_unknown() => None,
            found => found?,
        };
        self.ensure_whole_if(gone)?;
        if let Some(present) = found {
            return Ok(Observed::Present(Box::new(present)));
        }
        self.inputs.ensure_whole(self.engine.deletions)?;
        self.adoptable(target).await
    }

    /// The identity that memory or status name, if it is there and this resource's.
    async fn known(&self) -> Result<Known, ReconcileError> {
        let remembered = self.remembered.ours.as_deref().map(|ours| ours.id.as_str());
        let noted = self.resource.status.as_ref().and_then(|status| status.identity_id.as_deref());
        let mut is_gone = false;
        if let Some(id) = remembered {
            match self.get(id).await? {
                Some(identity) => {
                    if let Some(present) = self.judge(identity, true).await? {
                        return Ok(self.found(present));
                    }
                }
                None => is_gone = true,
            }
        }
        // The status alone authorises nothing: beside the instance it lets a wiped mark be restored, no more.
        if let Some(id) = noted.filter(|id| Some(*id) != remembered) {
            match self.get(id).await? {
                Some(identity) => match self.judge(identity, self.inputs.claimant.beside_instance).await {
                    // What the adoption finds is judged anew.
                    Err(ReconcileError::Refused(_)) if self.adoption.is_some() => {}
                    Ok(None) => {}
                    Ok(Some(present)) => return Ok(self.found(present)),
                    Err(failure) => return Err(failure),
                },
                None => is_gone = true,
            }
        }
        Ok(if is_gone { Known::Gone(self.gone_since()) } else { Known::Nothing })
    }

    /// Where the identity that the resource has had is gone, another one that its mark names is as well not taken for it while so
    /// many are missing: it may be that of another Kratos, or of an old backup. To be asked after the listing was looked
    /// into, whose missing were counted before it counts.
    pub(super) fn ensure_whole_if(&self, gone: Option<Instant>) -> Result<(), ReconcileError> {
        if gone.is_some() { self.inputs.ensure_whole(self.engine.deletions) } else { Ok(()) }
    }

    fn found(&self, present: Present) -> Known {
        if self.remembered.gone_since.is_some() {
            self.engine.memory.update(&self.inputs.claimant.uid, |remembered| remembered.gone_since = None);
        }
        Known::Present(Box::new(present))
    }

    /// Since when the identity that the resource has had is known to be gone.
    fn gone_since(&self) -> Instant {
        let mut since = Instant::now();
        self.engine.memory.update(&self.inputs.claimant.uid, |remembered| {
            since = *remembered.gone_since.get_or_insert(since);
        });
        since
    }

    /// Reads one candidate. `None`: it isn't there, or is a former namesake's who is another person.
    async fn read(&self, id: &str, restorable: bool) -> Result<Option<Present>, ReconcileError> {
        match self.get(id).await? {
            Some(identity) => self.judge(identity, restorable).await,
            None => Ok(None),
        }
    }

    pub async fn judge(&self, identity: Identity, restorable: bool) -> Result<Option<Present>, ReconcileError> {
        let claimant = &self.inputs.claimant;
        let is_same_person = match claimant.claim(&identity) {
            Claim::Former(mark) => match self.person(&identity, &mark).await? {
                Person::Same => self.may_inherit(&mark).await?,
                Person::Another => false,
                Person::Unknown => return Err(ReconcileError::Refused(conflict::person_unknown())),
            },
            _ => false,
        };
        let id = identity.id.clone();
        let mut present = plan::judge(claimant, identity, restorable, is_same_person).inspect_err(|_| {
            self.inputs.instance.shared.conflicts.note(&NamespacedName::of(self.resource), Some(&id));
        })?;
        if let Some(present) = &mut present
            && present.mark.is_none()
        {
            // A wiped mark took the owned paths with it; this process may still know them.
            let remembered = self.remembered.ours.as_deref().and_then(Ours::mark);
            present.mark = remembered.or_else(|| self.noted());
            if self.adoption.is_some() {
                let is_inactive = present.identity.state == State::Inactive;
                let before = present.mark.take().unwrap_or_else(|| Mark::of_adoption(is_inactive));
                present.mark = Some(claimant.mark(before.owned_paths.clone(), Some(&Mark { adopted: true, ..before })));
            }
        }
        Ok(present)
    }

    /// A mark that says no more than which actions were done, whether a recovery was issued, and whether the identity was
    /// adopted, by the status; it can only have something left out, or refused.
    fn noted(&self) -> Option<Mark> {
        let claimant = &self.inputs.claimant;
        let status = self.resource.status.as_ref().filter(|_| claimant.beside_instance)?;
        let actions = status.actions.as_ref().map(actions::from_status).unwrap_or_default();
        let recovery = recovery::from_status(status);
        let adopted = status.adopted == Some(true);
        let is_noted = adopted || !actions.is_empty() || recovery.is_some();
        let mark = Mark { actions, recovery, adopted, ..Mark::default() };
        // It isn't to be adopted: it was.
        is_noted.then(|| if adopted { claimant.mark(Vec::new(), Some(&mark)) } else { mark })
    }

    /// Whether what a mark names may be taken back: the namespace is the one that was seen, and where it was restored no other one
    /// was first. That is noted before anything is taken.
    pub(super) async fn may_inherit(&self, mark: &Mark) -> Result<bool, ReconcileError> {
        let claimant = &self.inputs.claimant;
        if !self.is_same_namespace().await? {
            return Ok(false);
        }
        if self.only_observes || !claimant.is_restored(mark) {
            return Ok(true);
        }
        let (from, to) = (&mark.namespace_uid, &claimant.namespace_uid);
        match self.engine.instances.take_back(&self.inputs.instance, from, to).await? {
            Some(taken_by) if taken_by == *to => Ok(true),
            // Another one was first: it isn't this one's, nor is another one made in its place.
            Some(_) => Err(ReconcileError::Refused(conflict::conflict(None))),
            None => Err(ReconcileError::Retry { condition: progress::unnoted(), after: None }),
        }
    }

    /// Whether the resource's namespace is the one that was seen, by a live read: what is taken back from a former resource must
    /// not go to a namespace that was made anew since.
    pub(super) async fn is_same_namespace(&self) -> Result<bool, ReconcileError> {
        let claimant = &self.inputs.claimant;
        let uid = self.engine.others.namespace_uid(&claimant.namespace).await?;
        Ok(uid.as_deref() == Some(&*claimant.namespace_uid))
    }

    /// Whose the identity of an earlier resource is.
    async fn person(&self, identity: &Identity, mark: &Mark) -> Result<Person, ReconcileError> {
        let theirs = schemas::of_identity(self.inputs, &identity.schema_id).await?;
        // Those that can be read beside others tell whose it is as well.
        let traits = Value::Object(identity.traits.readable_members().cloned().unwrap_or_default());
        let has = theirs.as_ref().map(|theirs| schema::identifiers(std::slice::from_ref(&theirs.shape), &traits));
        // Without its schema what was asked for tells, or nothing.
        let may_have_identifiers = theirs.is_none_or(|theirs| theirs.may_have_identifiers);
        Ok(self.asks_for().person(mark.identifiers.as_ref(), &has.unwrap_or_default(), may_have_identifiers))
    }

    /// The login identifiers of the manifest, as the mark notes them.
    pub fn asks_for(&self) -> Identifiers {
        Identifiers::new(self.identifiers(), self.key.clone())
    }

    /// How many login identifiers an identity of the manifest's schema has that aren't in its traits (any more).
    pub fn stale_identifiers(&self, identity: &Identity) -> usize {
        // Where the schema may have identifiers in places that aren't followed nobody can say which are stale.
        let schema = self.schema.as_ref().filter(|schema| !schema.hides_identifiers);
        schema.map_or(0, |schema| facts::stale_identifiers(identity, std::slice::from_ref(&schema.shape)))
    }

    /// The login identifiers of the manifest.
    pub fn identifiers(&self) -> Vec<String> {
        let shape = self.schema.as_ref().map(|schema| Arc::clone(&schema.shape));
        schema::identifiers(shape.as_slice(), self.traits)
    }

    /// Ids of identities whose mark names this resource's key, by a complete listing that began after `after`.
    fn marked(&self, after: Option<Instant>) -> Result<Vec<String>, ReconcileError> {
        let shared = &self.inputs.instance.shared;
        let key = NamespacedName::of(self.resource);
        // First in line, then the reconcile: a listing that is completed in between isn't missed.
        shared.waiting.add(&key);
        match shared.listing.find(&key, after) {
            Lookup::Known(ids) => {
                shared.waiting.remove(&key);
                Ok(ids)
            }
            Lookup::NotYet => Err(ReconcileError::Waiting(progress::unlisted())),
        }
    }

    /// Looks into a complete listing that began after `after`; waits for one where there is none.
    pub async fn listed(&self, after: Option<Instant>) -> Result<Option<Present>, ReconcileError> {
        for id in self.marked(after)? {
            // The listing saw our owner's mark on it: one that was wiped since isn't restored on that account.
            match self.read(&id, false).await {
                Ok(Some(present)) => return Ok(Some(present)),
                // It may be the very one, so that no other is made.
                Err(ReconcileError::Refused(condition)) if condition == conflict::person_unknown() => {
                    return Err(condition.into());
                }
                // Another claimant of the same name (of another cluster, say) has it: that is not ours to touch.
                Ok(None) | Err(ReconcileError::Refused(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// Every identity whose mark names this very resource, for its deletion: a create without an answer may have made a
    /// second one. Also whether there is one that was its own by the status alone. One that is gone although nobody `meant`
    /// it to go isn't taken for gone before a listing has shown how many are.
    pub async fn all_ours(&self, meant: bool) -> Result<(Vec<Identity>, bool), ReconcileError> {
        let (mut ours, has_lost_mark, gone) = self.known_ours(meant).await?;
        let settled = if ours.is_empty() { self.settled().max(gone) } else { self.own_settled() };
        let listed = self.marked(settled)?;
        if ours.is_empty() {
            self.inputs.ensure_whole(self.engine.deletions)?;
        }
        self.add_listed(&mut ours, &listed).await?;
        Ok((ours, has_lost_mark))
    }

    /// The same without waiting for a listing: those that are known by now.
    pub async fn ours_so_far(&self) -> Result<Vec<Identity>, ReconcileError> {
        let (mut ours, ..) = self.known_ours(true).await?;
        if let Lookup::Known(listed) =
            self.inputs.instance.shared.listing.find(&NamespacedName::of(self.resource), None)
        {
            self.add_listed(&mut ours, &listed).await?;
        }
        Ok(ours)
    }

    /// The identity that memory or status name, if it goes with this resource; whether it is there and doesn't; since when
    /// it is known to be gone.
    async fn known_ours(&self, meant: bool) -> Result<(Vec<Identity>, bool, Option<Instant>), ReconcileError> {
        let noted = self.resource.status.as_ref().and_then(|status| status.identity_id.clone());
        let Some(id) = self.remembered.ours.as_deref().map(|ours| ours.id.clone()).or(noted) else {
            return Ok((Vec::new(), false, None));
        };
        Ok(match self.get_among_many(&id).await? {
            Some(identity) if self.may_delete(&identity) => (vec![identity], false, None),
            Some(_) => (Vec::new(), true, None),
            None if meant => (Vec::new(), false, None),
            None => (Vec::new(), false, Some(self.gone_since())),
        })
    }

    async fn add_listed(&self, ours: &mut Vec<Identity>, listed: &[String]) -> Result<(), ReconcileError> {
        for id in listed {
            if !ours.iter().any(|known| known.id == *id) {
                let is_ours = |identity: &Identity| matches!(self.inputs.claimant.claim(identity), Claim::Ours(_));
                ours.extend(self.get_among_many(id).await?.filter(is_ours));
            }
        }
        Ok(())
    }

    /// Whether an identity goes with this resource: its mark says so, or it was wiped and this process saw it. A status
    /// is never enough to delete by.
    pub(super) fn may_delete(&self, identity: &Identity) -> bool {
        match self.inputs.claimant.claim(identity) {
            Claim::Ours(_) => true,
            Claim::Unmarked | Claim::Unmarkable => {
                self.remembered.ours.as_deref().is_some_and(|ours| ours.id == identity.id)
            }
            Claim::Former(_) | Claim::Replaced { .. } | Claim::Leaving { .. } | Claim::Foreign { .. } => false,
        }
    }

    /// Reads one in a batch where many ask at the same time, as deletions do; without its credentials.
    pub(super) async fn get_among_many(&self, id: &str) -> Result<Option<Identity>, ReconcileError> {
        self.inputs.instance.reader.read(id).await.map_err(|error| self.classify(&error))
    }

    pub async fn get(&self, id: &str) -> Result<Option<Identity>, ReconcileError> {
        self.inputs.instance.client.get_identity(id, &[]).await.map_err(|error| self.classify(&error))
    }

    /// Notes what is in the identity's credentials, where the plan depends on it: asked for of this one, and reduced to
    /// yes and no at once.
    pub async fn note_contents(&self, desired: &Desired, observed: &mut Observed) -> Result<(), ReconcileError> {
        let Observed::Present(present) = observed else { return Ok(()) };
        let kinds = plan::contents_needed(desired, present);
        if kinds.is_empty() {
            return Ok(());
        }
        let instance = &self.inputs.instance;
        let is_about_the_last = kinds.contains(&CredentialType::Passkey);
        let keeps_the_last =
            is_about_the_last && instance.removes_first_factors().await.map_err(|error| self.classify(&error))?;
        let found = instance.client.get_identity(&present.identity.id, &kinds).await;
        let Some(identity) = found.map_err(|error| self.classify(&error))? else {
            let condition = progress::deleted();
            return Err(ReconcileError::Retry { condition, after: None });
        };
        present.contents = Some(Contents::of(&identity, keeps_the_last));
        Ok(())
    }

    /// Whether sessions of an identity are still there.
    pub async fn has_sessions(&self, id: &str) -> Result<bool, ReconcileError> {
        let sessions = self.inputs.instance.client.list_identity_sessions(id, Some(true)).await;
        Ok(!sessions.map_err(|error| self.classify(&error))?.is_empty())
    }

    pub fn classify(&self, error: &Error) -> ReconcileError {
        self.inputs.classify(error, Sent::default())
    }
}
