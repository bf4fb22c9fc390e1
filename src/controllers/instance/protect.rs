//! Keeps an instance's protection: persists the decisions of `protection` about the deletions that ask (`protector`), in one
//! write for all, and answers once they are persisted. Decides nothing itself.
//!
//! The write is guarded by `resourceVersion`, so restarts and replicas count together. Everything about what is being deleted
//! comes from the watch; what is kept here may be lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::oneshot;

use super::controller::Controller as Context;
use crate::api::carries;
use crate::api::identity::KratosIdentity;
use crate::api::instance::KratosInstance;
use crate::api::objects::InstanceObject;
use crate::api::protection::ProtectionStatus;
use crate::api::{IDENTITY_FINALIZER, keep_token, release_token};
use crate::base::backoff;
use crate::base::kube_error;
use crate::base::place::Place;
use crate::controllers::queue::Priority;
use crate::controllers::shared::references;
use crate::identity::{reference, replacement};
use crate::instance::handle::{Handle, Shared};
use crate::instance::protection::{self, Census, Deletion, Situation};
pub use crate::instance::protector::Answer;
use crate::instance::protector::{Asking, RECOUNT, Shown};
use crate::instance::{consent, leaving, standing};
use crate::kubernetes::kube_write;

/// When to try again after Kubernetes didn't take the write.
const AGAIN: Duration = Duration::from_secs(2);
/// How often the write is tried anew at once because the instance was changed meanwhile.
const TRIES: usize = 5;

/// Whether the identity of a resource that is being deleted may be touched already.
pub fn is_granted(handle: &Handle, deletion: &Deletion, context: &Context) -> bool {
    see(&handle.place, context, |status, _| protection::is_granted(status, deletion))
}

/// Whether the resource of a deletion is to go without its identity being touched, as far as is known already.
pub fn is_kept(handle: &Handle, deletion: &Deletion, context: &Context) -> bool {
    see(&handle.place, context, |status, _| protection::is_kept(status, deletion))
}

/// What is decided of a deletion already.
fn decided(status: &ProtectionStatus, deletion: &Deletion) -> Option<Answer> {
    let granted = protection::is_granted(status, deletion).then_some(Answer::Granted);
    granted.or_else(|| protection::is_kept(status, deletion).then_some(Answer::Kept))
}

/// Asks whether the identity of a resource that is being deleted may be touched. Counts once for each resource. Waits for
/// company, so that those that come together are decided upon together.
pub async fn ask(handle: &Handle, deletion: Deletion, context: &Context) -> Answer {
    let known = see(&handle.place, context, |status, (release, keep)| {
        if let Some(decided) = decided(status, &deletion) {
            return Some(decided);
        }
        let is_news = protection::is_new(release, status) || protection::is_keep_new(keep, status);
        (protection::is_held(status, &deletion.namespace) && !is_news).then_some(Answer::Held)
    });
    if let Some(answer) = known {
        return answer;
    }
    let (answer, answered) = oneshot::channel();
    handle.shared.protector.add(Asking { deletion, answer }, Instant::now());
    tokio::select! {
        answer = answered => answer.unwrap_or(Answer::Unknown),
        () = handle.shared.stopped.cancelled() => Answer::Unknown,
    }
}

/// Whether so many identities are gone that this may be the wrong Kratos: then nothing is made or deleted there.
pub fn misses_identities(handle: &Handle, context: &Context) -> bool {
    let (missing, recreating) = see(&handle.place, context, |status, _| (status.missing, status.recreating));
    let is_leading = context.leads.is_leading(&handle.place);
    let census = handle.shared.protector.state().census;
    // A process that has seen no listing yet goes by what the one before it has written, one that doesn't lead also by
    // what the one that leads has.
    let is_told = missing > 0 && (census.is_none() || !is_leading);
    is_told || census.is_some_and(|census| protection::is_too_many(census, recreating, handle.settings.protection))
}

/// Notes that a resource has its identity again. Once the last of those that were released has, a listing is to show it:
/// that ends the release.
pub fn restored(handle: &Handle, uid: &str, context: &Context) {
    let is_last = {
        let mut state = handle.shared.protector.state();
        state.gone.remove(uid) && state.gone.is_empty()
    };
    if is_last && see(&handle.place, context, |status, _| status.recreating > 0) {
        handle.shared.listing.want(Instant::now());
    }
}

/// The ids that resources of the instance have had, before a listing begins, and whose they are. A status authorises
/// nothing: here it only makes us careful.
pub(super) fn expected(handle: &Handle, context: &Context) -> HashMap<String, Place> {
    let mut expected = HashMap::new();
    each(&handle.place, context, |resource| {
        if let Some(id) = id_of(resource).filter(|_| is_admitted(handle, resource, context)) {
            expected.insert(id.to_owned(), Place::of(resource));
        }
    });
    expected
}

/// Takes in what a complete listing, begun at `begun`, didn't show of `managed` that were expected. To be called before
/// the listing counts: nothing is made again by a listing whose missing weren't counted.
pub(super) fn take_census(
    handle: &Handle,
    (managed, missing): (usize, &HashMap<String, Place>),
    begun: Instant,
    context: &Context,
) {
    let status = see(&handle.place, context, |status, _| status.clone());
    let (mut gone, mut count) = (HashSet::new(), 0_u32);
    each(&handle.place, context, |resource| {
        // One that was dealt with meanwhile isn't missed.
        let is_meant =
            leaving::deletion_of(resource).is_some_and(|deletion| protection::is_granted(&status, &deletion));
        let (Some(id), Some(uid)) = (id_of(resource), resource.uid()) else { return };
        if !is_meant {
            let is_gone = missing.contains_key(id);
            count += u32::from(is_gone);
            if context.seen.is_own(resource) {
                context.memory.listed(&uid, begun, is_gone);
                gone.extend(is_gone.then_some(uid));
            }
        }
    });
    let managed = u32::try_from(managed).unwrap_or(u32::MAX);
    let mut state = handle.shared.protector.state();
    state.census = Some(Census { managed, missing: count });
    state.gone = gone;
    drop(state);
    handle.shared.protector.reconsider();
}

/// Persists and answers until the instance is gone, or isn't the one any more that `shared` belongs to.
pub(super) async fn keep_protecting(place: Place, shared: Arc<Shared>, context: Arc<Context>) {
    // What is being deleted must be known first.
    if shared.stopped.run_until_cancelled(context.seen.listed.identities.wait()).await.is_none() {
        return;
    }
    shared.protector.state().shown = shown(&place, &context);
    while context.registry.current(&place, &shared).is_some() {
        let is_holding = shown(&place, &context).held > 0;
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = shared.protector.woken(is_holding) => {}
        }
        let Some(handle) = context.registry.current(&place, &shared) else { return };
        if shared.protector.is_gathering(Instant::now()) {
            // Whoever is known by now has had company when it asks later.
            shared.protector.know(&company(&handle, &context), Instant::now());
            shared.protector.gathered().await;
        }
        // The settings may have changed meanwhile.
        let Some(handle) = context.registry.current(&place, &shared) else { return };
        if let Err(error) = round(&handle, &context).await {
            let error = kube_error::brief(&error);
            tracing::warn!(instance = %place, error, "deletions couldn't be counted; it is tried again");
            tokio::time::sleep(backoff::spread(AGAIN)).await;
            shared.protector.reconsider();
        }
        if !shared.protector.asking().is_empty() {
            shared.protector.reconsider();
        }
    }
}

/// One round: whoever has asked until now is answered, after one write at most. Those that may go, and that one write can't grant
/// any more, have the next round; those left without an answer ask again.
async fn round(handle: &Handle, context: &Context) -> Result<(), kube::Error> {
    let asking = handle.shared.protector.take(Instant::now());
    let asked: Vec<_> = asking.iter().map(|asking| asking.deletion.clone()).collect();
    // An instance that is gone, or can't be read any more, holds nobody: its handle is about to go.
    let Some(status) = settle(handle, &asked, context).await? else { return Ok(()) };
    let mut left = Vec::new();
    for asking in asking {
        let is_held = protection::is_held(&status, &asking.deletion.namespace);
        let Some(answer) = decided(&status, &asking.deletion).or_else(|| is_held.then_some(Answer::Held)) else {
            left.push(asking);
            continue;
        };
        let _ = asking.answer.send(answer);
    }
    handle.shared.protector.put_back(left);
    Ok(())
}

/// Brings the persisted status up to date. What it says is persisted when this returns.
async fn settle(
    handle: &Handle,
    asked: &[Deletion],
    context: &Context,
) -> Result<Option<ProtectionStatus>, kube::Error> {
    let api: Api<InstanceObject> = Api::namespaced(context.client.clone(), &handle.place.namespace);
    let mut object = object(&handle.place, context);
    let mut tries = 0;
    while let Some(instance) = object.as_deref().and_then(|object| object.0.as_ref().ok()) {
        let before = persisted(instance);
        let after = decide(handle, instance, asked, context);
        if before == after {
            return Ok(Some(after));
        }
        tries += 1;
        match kube_write::guarded_status(&api, instance, &json!({ "protection": after })).await {
            Ok(written) => {
                context.seen.latest_instances.note(written);
                follow(handle, instance, (&before, &after), context);
                return Ok(Some(after));
            }
            Err(error) if kube_write::is_outdated(&error) && tries < TRIES => {
                object = api.get_opt(&handle.place.name).await?.map(Arc::new);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn decide(handle: &Handle, instance: &KratosInstance, asked: &[Deletion], context: &Context) -> ProtectionStatus {
    let before = persisted(instance);
    let is_needed = before.held > 0 || !asked.is_empty();
    let mut under_way = Vec::new();
    if is_needed {
        each(&handle.place, context, |resource| under_way.extend(leaving::deletion_of(resource)));
    }
    let company = if asked.is_empty() { Vec::new() } else { company(handle, context) };
    let (census, recount) = {
        let mut state = handle.shared.protector.state();
        let recount = state.counted.is_none_or(|counted| counted.elapsed() >= RECOUNT);
        if recount {
            state.counted = Some(Instant::now());
        }
        // Of two that have listed at different times one speaks.
        (state.census.filter(|_| context.leads.is_leading(&handle.place)), recount)
    };
    let situation = Situation {
        limits: handle.settings.protection,
        token: release_token(instance.metadata.annotations.as_ref()),
        keep: keep_token(instance.metadata.annotations.as_ref()),
        under_way: &under_way,
        asked,
        company: &company,
        census,
        recount,
        now: Timestamp::now(),
    };
    protection::next(&before, &situation)
}

/// What follows from what was just persisted.
fn follow(
    handle: &Handle,
    instance: &KratosInstance,
    (before, after): (&ProtectionStatus, &ProtectionStatus),
    context: &Context,
) {
    let shown = Shown::of(after);
    handle.shared.protector.state().shown = shown.clone();
    for happening in standing::released(before, after).into_iter().chain(standing::kept(before, after)) {
        context.events.publish(instance, happening);
    }
    look_again(&handle.place, &Shown::of(before), &shown, context);
}

/// The instance was seen: what other operators persisted has the same consequences here, but for the events.
pub fn seen(place: &Place, context: &Context) {
    let Some(handle) = context.registry.handle(place).filter(|_| context.leads.is_shared()) else { return };
    let shown = shown(place, context);
    let before = std::mem::replace(&mut handle.shared.protector.state().shown, shown.clone());
    if before != shown {
        handle.shared.protector.reconsider();
        look_again(place, &before, &shown, context);
    }
}

/// Who is to be looked at again when other numbers are held and missing.
fn look_again(place: &Place, before: &Shown, after: &Shown, context: &Context) {
    // The instance's conditions say how many.
    if before != after {
        context.pokes.instance(place);
    }
    if before.missing > 0 && after.missing == 0 {
        context.pokes.identities(references::referring(&context.seen, place), Priority::Arrived);
    } else if before.held > 0 {
        // Released or not: one that asked a moment ago may have been answered by what was persisted before.
        let mut under_way = under_way(place, context);
        under_way.retain(|place| before.holds(&place.namespace) && !after.holds(&place.namespace));
        context.pokes.identities(under_way, Priority::Arrived);
    }
}

/// Shows the protection as it was persisted last, and the annotations that release and keep, as far as the watch and our own
/// writes show. It may be older: what it grants stays granted, and what it holds is looked at again when it is released.
fn see<R>(
    place: &Place,
    context: &Context,
    see: impl FnOnce(&ProtectionStatus, (Option<&str>, Option<&str>)) -> R,
) -> R {
    let object = object(place, context);
    let Some(instance) = object.as_deref().and_then(|object| object.0.as_ref().ok()) else {
        return see(&ProtectionStatus::default(), (None, None));
    };
    let annotations = instance.metadata.annotations.as_ref();
    let tokens = (release_token(annotations), keep_token(annotations));
    match instance.status.as_ref().and_then(|status| status.protection.as_ref()) {
        Some(persisted) => see(persisted, tokens),
        None => see(&ProtectionStatus::default(), tokens),
    }
}

/// How it stands, as it was persisted last.
fn shown(place: &Place, context: &Context) -> Shown {
    see(place, context, |status, _| Shown::of(status))
}

fn persisted(instance: &KratosInstance) -> ProtectionStatus {
    instance.status.as_ref().and_then(|status| status.protection.clone()).unwrap_or_default()
}

fn object(place: &Place, context: &Context) -> Option<Arc<InstanceObject>> {
    let seen = context.seen.instances.get(&ObjectRef::new(&place.name).within(&place.namespace))?;
    Some(context.seen.latest_instances.of(&seen))
}

/// Calls for each resource of the instance that carries our finalizer, whoever reconciles it: only those have had
/// identities through it.
fn each(place: &Place, context: &Context, mut call: impl FnMut(&KratosIdentity)) {
    let default = context.seen.default_instance.as_ref();
    for object in context.seen.identities.state() {
        let object = context.seen.latest_identities.of(&object);
        if let Ok(resource) = &object.0
            && carries(resource, IDENTITY_FINALIZER)
            && reference::is_of(resource, place, default)
        {
            call(resource);
        }
    }
}

/// The deletions that ask, and those that are going to, as far as the watch shows, whoever reconciles them: so those that come
/// together are known although some have not been looked at yet, by this process or by another one.
fn company(handle: &Handle, context: &Context) -> Vec<Deletion> {
    let all = context.seen.identities.state();
    let names = all.iter().filter_map(|object| {
        let resource = object.0.as_ref().ok()?;
        let name = &resource.spec.replaces.as_ref()?.name;
        let is_pending = replacement::is_pending(resource, name, None, context.seen.default_instance.as_ref());
        is_pending.then(|| Place::new(resource.namespace().unwrap_or_default(), name))
    });
    let replaced: HashSet<Place> = names.collect();
    let mut company = handle.shared.protector.asking();
    each(&handle.place, context, |resource| {
        let is_one = leaving::loses_its_identity(resource)
            && is_admitted(handle, resource, context)
            && !replaced.contains(&Place::of(resource));
        company.extend(leaving::deletion_of(resource).filter(|_| is_one));
    });
    company
}

/// The resources of the instance that are being deleted and aren't let go yet.
fn under_way(place: &Place, context: &Context) -> Vec<Place> {
    let mut found = Vec::new();
    each(place, context, |resource| found.extend(leaving::deletion_of(resource).map(|_| Place::of(resource))));
    found
}

fn id_of(resource: &KratosIdentity) -> Option<&str> {
    resource.status.as_ref().and_then(|status| status.identity_id.as_deref())
}

/// Whether the instance admits the resource's namespace: others can't make it careful.
fn is_admitted(handle: &Handle, resource: &KratosIdentity, context: &Context) -> bool {
    let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
    let Some(seen) = context.seen.namespaces.get(&ObjectRef::new(namespace)) else { return false };
    consent::admits(handle.settings.allowed_namespaces.as_ref(), &handle.place.namespace, namespace, seen.labels())
}
