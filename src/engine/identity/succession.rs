//! Renames: a resource that `replaces` another one of its namespace takes over its identity, with all that the mark notes.
//!
//! The replaced resource is told first, by its own reconcile. From then on it does nothing, so none of its writes is in flight
//! when the mark is written. If it is being deleted, it goes without a request to Kratos. If it is gone, only the mark is left.
//! Nothing is written to Kratos from here.

use std::time::{Duration, Instant};

use kube::ResourceExt;

use super::observe::Search;
use crate::api::has_finalizer;
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::api::objects::IdentityObject;
use crate::api::words::shown;
use crate::api::{IDENTITY_FINALIZER, ReadyCondition, Reason, condition};
use crate::base::namespaced_name::NamespacedName;
use crate::engine::cluster::Engine;
use crate::engine::failure::ReconcileError;
use crate::identity::claim::Claimant;
use crate::identity::conflict;
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::{Observed, Present};
use crate::identity::progress;
use crate::identity::recovery::OwnSecret;
use crate::identity::reference;
use crate::identity::replacement::{first, has_identity, is_pending};
use crate::instance::listing::Lookup;
use crate::kratos::Identity;

/// When to check again whether the replaced resource has noticed, should its change be missed.
const AGAIN: Duration = Duration::from_secs(2);
/// How much of each of two names is shown, in characters.
const OF_TWO: usize = 53;
/// A longer chain of renames is no chain that anybody meant.
const LONGEST_CHAIN: usize = 16;
/// What is wrong with what `spec.replaces` names.
pub const CIRCLE: &str = "leads back to this resource; remove it from one of those that name each other";
pub const ELSEWHERE: &str =
    "names a resource of another KratosInstance, whose identities stay there; remove it, or name one of this instance";
/// What that resource is at.
pub const UNREAD: &str = "can't be read; the operator waits for it";
pub const HOLDS: &str = "hasn't let go of its identity yet; the operator waits for that";

/// What a resource does while another one is about to take its identity over: nothing, and says so. `None`: none is.
pub fn told(resource: &KratosIdentity, engine: Engine<'_>) -> Option<(ReadyCondition, NamespacedName)> {
    // In a chain each takes over first, and lets go then.
    if resource.spec.replaces.is_some() && !has_identity(resource) {
        return None;
    }
    let successor = successor(resource, engine)?;
    // Where nothing is changed, or sent, nobody takes over.
    let instance = reference::instance_of(resource, engine.terms.default_instance.as_ref())?;
    engine.instances.callable(&instance).filter(|handle| handle.settings.mode == Mode::Enforce)?;
    Some((conflict::replaced(&successor.name_any()), NamespacedName::of(&*successor)))
}

/// The resource that is about to take over the identity of another one, as far as the watch shows.
pub fn successor(resource: &KratosIdentity, engine: Engine<'_>) -> Option<Box<KratosIdentity>> {
    let key = NamespacedName::of(resource);
    let named = engine.others.successors(&key).into_iter();
    let seen = named.filter_map(|named| engine.others.seen(&named)?.0.as_ref().ok().cloned());
    let successor =
        first(seen.filter(|candidate| {
            is_pending(candidate, &key.name, Some(resource), engine.terms.default_instance.as_ref())
        }))?;
    (!leads_back(&key, &successor, engine)).then(|| Box::new(successor))
}

/// The same by a list that began after `since`: an identity may be lost on the answer.
pub async fn live_successor(
    resource: &KratosIdentity,
    since: Instant,
    engine: Engine<'_>,
) -> Result<Option<KratosIdentity>, kube::Error> {
    let key = NamespacedName::of(resource);
    let named = engine.others.naming(&key.namespace, &key.name, since).await?;
    Ok(first(
        named.into_iter().filter(|candidate| {
            is_pending(candidate, &key.name, Some(resource), engine.terms.default_instance.as_ref())
        }),
    ))
}

/// Whether a chain of renames that begins at a resource comes back to this key.
fn leads_back(key: &NamespacedName, from: &KratosIdentity, engine: Engine<'_>) -> bool {
    // What `from` names is the key itself: what counts is where its own name leads.
    let mut next = engine.others.seen(key).and_then(|object| replaces(&object));
    for _ in 0..LONGEST_CHAIN {
        let Some(name) = next else { return false };
        if name == from.name_any() || name == key.name {
            return true;
        }
        next = engine
            .others
            .seen(&NamespacedName::new(key.namespace.as_str(), name.as_str()))
            .and_then(|object| replaces(&object));
    }
    true
}

/// What a resource is about to replace. Of one that has an identity the field means nothing any more.
fn replaces(object: &IdentityObject) -> Option<String> {
    let resource = object.0.as_ref().ok().filter(|resource| !has_identity(resource))?;
    resource.spec.replaces.as_ref().map(|replaces| replaces.name.clone())
}

impl Search<'_> {
    /// The identity of the resource called `name`, which this one takes over; `None` where there is none to take over.
    pub(super) async fn replacing(&self, name: &str) -> Result<Option<Present>, ReconcileError> {
        let (claimant, engine) = (&self.inputs.claimant, self.engine);
        if let Some(own) = self.listed(None).await? {
            return Ok(Some(own));
        }
        let key = NamespacedName::new(claimant.namespace.as_str(), name);
        if name == claimant.name || leads_back(&NamespacedName::of(self.resource), self.resource, engine) {
            return Err(ReconcileError::Refused(invalid(CIRCLE)));
        }
        let object = engine.others.live(&key).await?;
        let Some(object) = object else {
            self.ensure_first(name).await?;
            return self.left_by(&key, None).await;
        };
        let Ok(replaced) = &object.0 else {
            return Err(waiting(name, UNREAD));
        };
        let default = engine.terms.default_instance.as_ref();
        if reference::instance_of(replaced, default).as_ref() != Some(&self.inputs.instance.key) {
            return Err(ReconcileError::Refused(invalid(ELSEWHERE)));
        }
        self.ensure_first(name).await?;
        let is_deleting = replaced.metadata.deletion_timestamp.is_some();
        let is_held = has_finalizer(replaced, IDENTITY_FINALIZER);
        let is_over = is_deleting && !is_held;
        if !is_over && (is_deleting || !is_told(replaced)) {
            engine.listener.look_at(vec![key]);
            return Err(waiting(name, HOLDS));
        }
        // What it asked for and had no answer to may be carried out yet.
        let settled = (is_held && !is_over).then(|| self.told_since() + self.lasts());
        self.left_by(&key, Some((replaced, settled))).await
    }

    /// Since when this process knows that the resource that is replaced does nothing any more.
    fn told_since(&self) -> Instant {
        let mut since = Instant::now();
        self.engine.memory.update(&self.inputs.claimant.uid, |remembered| {
            since = *remembered.told_since.get_or_insert(since);
        });
        since
    }

    /// Of several resources that name the same one the first takes over.
    async fn ensure_first(&self, name: &str) -> Result<(), ReconcileError> {
        let named = self.engine.others.naming(&self.inputs.claimant.namespace, name, Instant::now()).await?;
        let pending = named
            .into_iter()
            .filter(|candidate| is_pending(candidate, name, None, self.engine.terms.default_instance.as_ref()));
        match first(pending).filter(|first| first.uid() != self.resource.uid()) {
            None => Ok(()),
            Some(first) => Err(ReconcileError::Refused(second(&first.name_any(), name))),
        }
    }

    /// The identity whose mark names the key. `replaced`: the resource that stands there, which was told, and from when on
    /// nothing of it can be under way.
    async fn left_by(
        &self,
        key: &NamespacedName,
        replaced: Option<(&KratosIdentity, Option<Instant>)>,
    ) -> Result<Option<Present>, ReconcileError> {
        let uid = replaced.and_then(|(replaced, _)| replaced.uid());
        let noted = replaced.and_then(|(replaced, _)| replaced.status.as_ref()?.identity_id.clone());
        for id in noted.iter().cloned().chain(self.marked_at(key, None)?) {
            if let Some(present) = self.taken(&id, &key.name, uid.as_deref()).await? {
                return Ok(Some(present));
            }
        }
        let Some(settled) = replaced.and_then(|(_, settled)| settled) else { return Ok(None) };
        for id in self.marked_at(key, Some(settled))? {
            if let Some(present) = self.taken(&id, &key.name, uid.as_deref()).await? {
                return Ok(Some(present));
            }
        }
        Ok(None)
    }

    fn marked_at(&self, key: &NamespacedName, after: Option<Instant>) -> Result<Vec<String>, ReconcileError> {
        let shared = &self.inputs.instance.shared;
        shared.waiting.add(&NamespacedName::of(self.resource));
        match shared.listing.find(key, after) {
            Lookup::Known(ids) => {
                shared.waiting.remove(&NamespacedName::of(self.resource));
                Ok(ids)
            }
            Lookup::NotYet => Err(ReconcileError::Waiting(progress::unlisted_former())),
        }
    }

    /// An identity, if its mark names the resource that is replaced; refused where another one has taken it already.
    async fn taken(&self, id: &str, name: &str, uid: Option<&str>) -> Result<Option<Present>, ReconcileError> {
        let claimant = &self.inputs.claimant;
        let Some(identity) = self.get(id).await? else { return Ok(None) };
        let Found::Mark(mark) = Mark::read(&identity.metadata_admin) else { return Ok(None) };
        if claimant.may_replace(&mark, name, uid) && self.may_inherit(&mark).await? {
            return Ok(Some(present(identity, *mark)));
        }
        let is_taken = uid.is_some() && mark.replaced.as_deref() == uid && claimant.is_same_namespace(&mark);
        if is_taken { Err(ReconcileError::Refused(conflict::conflict(Some(&mark.name)))) } else { Ok(None) }
    }
}

fn present(identity: Identity, mark: Mark) -> Present {
    let replaced = Some(mark.uid.clone());
    Present::new(identity, Some(Mark { replaced, ..mark }))
}

/// Whether a resource says, of its manifest as it is, that it has let go.
fn is_told(resource: &KratosIdentity) -> bool {
    let Some(status) = &resource.status else { return false };
    let stalled = condition::find(&status.conditions, condition::STALLED);
    stalled.is_some_and(|stalled| stalled.reason == Reason::Replaced.as_str())
        && status.observed_generation == resource.metadata.generation
}

/// The condition for what `spec.replaces` names.
pub fn invalid(what: &str) -> ReadyCondition {
    ReadyCondition::new(Reason::InvalidSpec, format!("spec.replaces {what}"))
}

/// The condition for the second of two that replace the same resource.
pub fn second(first: &str, name: &str) -> ReadyCondition {
    let message = format!(
        "KratosIdentity {} replaces {} as well, and was there first; remove spec.replaces from one of them",
        shown(first, OF_TWO),
        shown(name, OF_TWO)
    );
    ReadyCondition::new(Reason::IdentityConflict, message)
}

fn waiting(name: &str, what: &str) -> ReconcileError {
    ReconcileError::Retry { condition: progress::after(name, what), after: Some(AGAIN) }
}

/// Whether an identity that was found is still another resource's, and is taken over from it. Its name.
pub fn is_taken_from<'a>(claimant: &Claimant, observed: &'a Observed) -> Option<&'a Mark> {
    let Observed::Present(present) = observed else { return None };
    let mark = present.mark.as_ref()?;
    (mark.replaced.as_ref() == Some(&mark.uid) && !claimant.is_ours(mark)).then_some(mark)
}

/// The Secret of a recovery goes with the identity that is taken over, before anything else: it would go with the resource that is
/// replaced.
pub async fn take_secret(search: &Search<'_>, observed: &Observed) -> Result<(), ReconcileError> {
    let claimant = &search.inputs.claimant;
    let Some(mark) = is_taken_from(claimant, observed) else { return Ok(()) };
    let Some(recovery) = &mark.recovery else { return Ok(()) };
    let from = (mark.name.clone(), mark.uid.clone());
    let secret = OwnSecret { namespace: claimant.namespace.clone(), name: recovery.secret_name.clone(), owner: from };
    pass_on(&secret, (&claimant.name, &claimant.uid), search.engine).await
}

/// The same from the other side: of a resource that is being deleted.
pub async fn pass_on_secret(
    resource: &KratosIdentity,
    to: &KratosIdentity,
    engine: Engine<'_>,
) -> Result<(), ReconcileError> {
    let noted = resource.status.as_ref().and_then(|status| status.recovery.as_ref());
    let noted = noted.and_then(|recovery| recovery.secret_name.clone());
    let named = resource.spec.recovery.as_ref().map(|recovery| recovery.secret_name.clone());
    let uid = to.uid().unwrap_or_default();
    for name in noted.iter().chain(named.as_ref().filter(|named| Some(*named) != noted.as_ref())) {
        let owner = (resource.name_any(), resource.uid().unwrap_or_default());
        let namespace = resource.namespace().unwrap_or_default();
        let secret = OwnSecret { namespace, name: name.clone(), owner };
        pass_on(&secret, (&to.name_any(), &uid), engine).await?;
    }
    Ok(())
}

async fn pass_on(secret: &OwnSecret, to: (&str, &str), engine: Engine<'_>) -> Result<(), ReconcileError> {
    if !engine.terms.writes_recovery_secrets {
        return Ok(());
    }
    Ok(engine.secrets.pass_on(secret, to).await?)
}
