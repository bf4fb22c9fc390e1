//! Keeps an instance's protection: persists the decisions of `protection` about the deletions that ask (`protector`), in one
//! write for all (`kept`), and answers once they are persisted. Decides nothing itself.
//!
//! The write is guarded by the version that was read, so restarts and replicas count together. Everything about what is being
//! deleted comes from the watch; what is remembered here may be lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource, ResourceExt};
use tokio::sync::oneshot;

use super::controller::Controller;
use super::kept;
use super::shown::{each, id_of, peers, under_way};
use crate::api::instance::KratosInstance;
use crate::api::objects::InstanceObject;
use crate::api::{keep_token, release_token};
use crate::base::backoff;
use crate::base::kube_error;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::queue::Priority;
use crate::controllers::shared::references;
use crate::instance::deletion_effect::deletion_of;
use crate::instance::handle::{Handle, Shared};
use crate::instance::kept::{Content, Kept};
use crate::instance::protection::{self, Census, Deletion, Situation, State};
use crate::instance::protector::{Answer, Asking, RECOUNT, Shown};
use crate::instance::readiness;

/// When to try again after Kubernetes didn't take the write.
const AGAIN: Duration = Duration::from_secs(2);
/// The same where it is forbidden, should nobody ask, nor tell that it was granted.
const WHILE_FORBIDDEN: Duration = Duration::from_mins(1);
/// How often the write is tried anew at once because somebody else has written meanwhile.
const TRIES: usize = 5;

/// Whether the identity of a resource that is being deleted may be touched already.
pub fn is_granted(handle: &Handle, deletion: &Deletion, controller: &Controller) -> bool {
    see(handle, controller, |state| protection::is_granted(state, deletion)).unwrap_or_default()
}

/// Whether the resource of a deletion is to go without its identity being touched, as far as is known already.
pub fn is_kept(handle: &Handle, deletion: &Deletion, controller: &Controller) -> bool {
    see(handle, controller, |state| protection::is_kept(state, deletion)).unwrap_or_default()
}

/// What is decided of a deletion already.
fn decided(state: &State, deletion: &Deletion) -> Option<Answer> {
    let granted = protection::is_granted(state, deletion).then_some(Answer::Granted);
    granted.or_else(|| protection::is_kept(state, deletion).then_some(Answer::Kept))
}

/// Asks whether the identity of a resource that is being deleted may be touched. Counts once for each resource. Waits for
/// others, so that deletions that come together are decided on together.
pub async fn ask(handle: &Handle, deletion: Deletion, controller: &Controller) -> Answer {
    if let Some(answer) = known(handle, &deletion, controller) {
        return answer;
    }
    let (answer, answered) = oneshot::channel();
    handle.shared.protector.add(Asking { deletion, answer }, Instant::now());
    tokio::select! {
        answer = answered => answer.unwrap_or(Answer::Unknown),
        () = handle.shared.stopped.cancelled() => Answer::Unknown,
    }
}

/// The answer that takes no write; `None`: it is to be counted.
fn known(handle: &Handle, deletion: &Deletion, controller: &Controller) -> Option<Answer> {
    let object = object(&handle.key, controller)?;
    let annotations = object.meta().annotations.as_ref();
    let kept = kept_of(handle, controller)?;
    let Some(state) = kept.state() else { return Some(Answer::Uncountable) };
    if let Some(decided) = decided(state, deletion) {
        return Some(decided);
    }
    let is_news = protection::is_new(release_token(annotations), state)
        || protection::is_keep_new(keep_token(annotations), state);
    (protection::is_held(state, &deletion.namespace) && !is_news).then_some(Answer::Held)
}

/// Whether so many identities are gone that this may be the wrong Kratos: then nothing is made or deleted there.
pub fn misses_identities(handle: &Handle, controller: &Controller) -> bool {
    let kept = see(handle, controller, |state| (state.missing, state.recreating));
    // Until it was read, what the status says of it is reason enough to be careful.
    let (missing, recreating) = kept.or_else(|| told(&handle.key, controller)).unwrap_or_default();
    let is_leading = controller.instance_leases.is_leading(&handle.key);
    let census = handle.shared.protector.state().census;
    // A process that has seen no listing yet goes by what the one before it has written, one that doesn't lead also by
    // what the one that leads has.
    let is_told = missing > 0 && (census.is_none() || !is_leading);
    is_told || census.is_some_and(|census| protection::is_too_many(census, recreating, handle.settings.protection))
}

/// How many are missing, and to be made again, by the instance's status.
fn told(key: &NamespacedName, controller: &Controller) -> Option<(u32, u32)> {
    let object = object(key, controller)?;
    let protection = object.0.as_ref().ok()?.status.as_ref()?.protection.as_ref()?;
    Some((protection.missing, protection.recreating))
}

/// Notes that a resource has its identity again. Once the last of those that were released has, a listing is to show it:
/// that ends the release.
pub fn restored(handle: &Handle, uid: &str, controller: &Controller) {
    let is_last = {
        let mut state = handle.shared.protector.state();
        state.gone.remove(uid) && state.gone.is_empty()
    };
    if is_last && see(handle, controller, |state| state.recreating > 0) == Some(true) {
        handle.shared.listing.want(Instant::now());
    }
}

/// Takes in what a complete listing, begun at `begun`, didn't show of `managed` that were expected. To be called before
/// the listing counts: nothing is made again by a listing whose missing weren't counted.
pub(super) fn take_census(
    handle: &Handle,
    (managed, missing): (usize, &HashMap<String, NamespacedName>),
    begun: Instant,
    controller: &Controller,
) {
    let kept = kept_of(handle, controller);
    let state = kept.as_deref().and_then(Kept::state);
    let (mut gone, mut count) = (HashSet::new(), 0_u32);
    each(&handle.key, controller, |resource| {
        // One that was dealt with meanwhile isn't missed.
        let is_granted = |deletion| state.is_some_and(|state| protection::is_granted(state, &deletion));
        let is_meant = deletion_of(resource).is_some_and(is_granted);
        let (Some(id), Some(uid)) = (id_of(resource), resource.uid()) else { return };
        if !is_meant {
            let is_gone = missing.contains_key(id);
            count += u32::from(is_gone);
            if controller.seen.is_own(resource) {
                controller.memory.listed(&uid, begun, is_gone);
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

/// Reads, persists and answers until the instance is gone, or isn't the one any more that `shared` belongs to.
pub(super) async fn keep_protecting(key: NamespacedName, shared: Arc<Shared>, controller: Arc<Controller>) {
    // What is being deleted must be known first.
    if shared.stopped.run_until_cancelled(controller.seen.has_synced.identities.wait()).await.is_none() {
        return;
    }
    let what = format!("the protection of {key}");
    while controller.registry.current(&key, &shared).is_some() {
        let is_holding = shared.protector.state().shown.is_holding();
        tokio::select! {
            () = shared.stopped.cancelled() => return,
            () = shared.protector.woken(is_holding || controller.instance_leases.is_sharded()) => {}
        }
        let Some(handle) = controller.registry.current(&key, &shared) else { return };
        if shared.protector.is_gathering(Instant::now()) {
            // Those that are known by now need not wait for others when they ask later.
            shared.protector.know(&peers(&handle, &controller), Instant::now());
            shared.protector.gathered().await;
        }
        // The settings may have changed meanwhile.
        let Some(handle) = controller.registry.current(&key, &shared) else { return };
        match round(&handle, &controller).await {
            Ok(()) => controller.watching.watches.request_succeeded(&what),
            Err(error) => {
                again(&error, &what, &shared, &controller).await;
                shared.protector.reconsider();
            }
        }
        if !shared.protector.asking().is_empty() {
            shared.protector.reconsider();
        }
    }
}

/// Says what failed, and returns when to try again.
async fn again(error: &kube::Error, what: &str, shared: &Shared, controller: &Controller) {
    if kube_error::refused(error).is_none() {
        controller.watching.watches.request_failed(what, error);
        tokio::time::sleep(backoff::jitter(AGAIN)).await;
        return;
    }
    controller.access.note_refused(error);
    tokio::select! {
        () = shared.stopped.cancelled() => {}
        () = controller.access.granted_within(backoff::jitter(WHILE_FORBIDDEN)) => {}
        // Whoever asks is to be answered.
        () = shared.protector.changed.notified() => {}
    }
}

/// One round: whoever has asked until now is answered, after one write at most. Those that may go, and that one write can't grant
/// any more, have the next round; those left without an answer ask again.
async fn round(handle: &Handle, controller: &Controller) -> Result<(), kube::Error> {
    let asking = handle.shared.protector.take(Instant::now());
    let asked: Vec<_> = asking.iter().map(|asking| asking.deletion.clone()).collect();
    // An instance that is gone, or can't be read any more, holds nobody: its handle is about to go.
    let Some(kept) = settle(handle, &asked, controller).await? else { return Ok(()) };
    let mut left = Vec::new();
    for asking in asking {
        let answer = match kept.state() {
            None => Some(Answer::Uncountable),
            Some(state) => {
                let is_held = protection::is_held(state, &asking.deletion.namespace);
                decided(state, &asking.deletion).or_else(|| is_held.then_some(Answer::Held))
            }
        };
        match answer {
            Some(answer) => {
                let _ = asking.answer.send(answer);
            }
            None => left.push(asking),
        }
    }
    handle.shared.protector.put_back(left);
    Ok(())
}

/// Brings what is kept up to date. What it says is persisted when this returns.
async fn settle(
    handle: &Handle,
    asked: &[Deletion],
    controller: &Controller,
) -> Result<Option<Arc<Kept>>, kube::Error> {
    let api: Api<InstanceObject> = Api::namespaced(controller.client.clone(), &handle.key.namespace);
    let (mut object, mut is_live, mut tries) = (object(&handle.key, controller), false, 0);
    let is_doubted = std::mem::take(&mut handle.shared.protector.state().is_doubted);
    // Decided once: what is decided again, of a live instance or after a conflict, counts as the first time did.
    let recount = is_to_recount(handle);
    // Of what others write nobody is told.
    let is_sure = |kept: &Arc<Kept>| !is_doubted && !controller.instance_leases.is_sharded() && kept.state().is_some();
    let mut kept = kept_of(handle, controller).filter(is_sure);
    while let Some(instance) = object.as_deref().and_then(|object| object.0.as_ref().ok()) {
        let before = match kept.take() {
            Some(kept) => kept,
            None => read(handle, instance, controller).await?,
        };
        let Some(state) = before.state() else { return Ok(Some(before)) };
        let after = decide(handle, instance, (state, asked, recount), controller);
        if *state == after {
            return Ok(Some(before));
        }
        if !is_live && begins_to_hold(state, &after) {
            // A value of the annotations that was there before isn't about it.
            (object, is_live) = (api.get_opt(&handle.key.name).await?.map(Arc::new), true);
            kept = Some(before);
            continue;
        }
        tries += 1;
        match kept::write(instance, &before, &after, controller).await {
            Ok(written) => {
                let events = readiness::released(state, &after).into_iter().chain(readiness::kept(state, &after));
                events.for_each(|event| controller.events.publish(instance, event));
                let written = take_in(handle, written, controller);
                if matches!(before.content, Content::Status(_)) {
                    // What the status has kept until now goes from there.
                    controller.queues.enqueue_instance(&handle.key);
                }
                return Ok(Some(written));
            }
            Err(error) if kept::is_outdated(&error) && tries < TRIES => {
                (object, is_live) = (api.get_opt(&handle.key.name).await?.map(Arc::new), true);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn read(handle: &Handle, instance: &KratosInstance, controller: &Controller) -> Result<Arc<Kept>, kube::Error> {
    let known = handle.shared.protector.kept(instance.metadata.uid.as_deref());
    match kept::read(instance, known.as_deref(), controller).await {
        Ok(kept) => Ok(take_in(handle, kept, controller)),
        Err(error) => {
            handle.shared.protector.state().is_doubted = true;
            Err(error)
        }
    }
}

/// Whether more is held, or missing, than was.
fn begins_to_hold(before: &State, after: &State) -> bool {
    after.held > before.held || before.missing == 0 && after.missing > 0
}

/// Whether how many are held is counted now, which it is every two seconds at most.
fn is_to_recount(handle: &Handle) -> bool {
    let mut state = handle.shared.protector.state();
    let recount = state.counted.is_none_or(|counted| counted.elapsed() >= RECOUNT);
    if recount {
        state.counted = Some(Instant::now());
    }
    recount
}

fn decide(
    handle: &Handle,
    instance: &KratosInstance,
    (before, asked, recount): (&State, &[Deletion], bool),
    controller: &Controller,
) -> State {
    let is_needed = before.held > 0 || !asked.is_empty();
    let mut under_way = Vec::new();
    if is_needed {
        each(&handle.key, controller, |resource| under_way.extend(deletion_of(resource)));
    }
    let peers = if asked.is_empty() { Vec::new() } else { peers(handle, controller) };
    // Of two that have listed at different times one speaks.
    let census = handle.shared.protector.state().census.filter(|_| controller.instance_leases.is_leading(&handle.key));
    let situation = Situation {
        limits: handle.settings.protection,
        token: release_token(instance.metadata.annotations.as_ref()),
        keep: keep_token(instance.metadata.annotations.as_ref()),
        under_way: &under_way,
        asked,
        peers: &peers,
        census,
        recount,
        now: Timestamp::now(),
    };
    protection::next(before, &situation)
}

/// Takes in what was read or written, with what follows from it: whoever wrote it.
fn take_in(handle: &Handle, kept: Kept, controller: &Controller) -> Arc<Kept> {
    let kept = Arc::new(kept);
    let (before, after) = {
        let mut state = handle.shared.protector.state();
        state.kept = Some(Arc::clone(&kept));
        let after = Shown::of(&kept, &state.shown);
        (std::mem::replace(&mut state.shown, after.clone()), after)
    };
    enqueue_affected(&handle.key, &before, &after, controller);
    kept
}

/// Enqueues those that are affected when other numbers are held and missing.
fn enqueue_affected(key: &NamespacedName, before: &Shown, after: &Shown, controller: &Controller) {
    // The instance's conditions and status say how many.
    if before != after {
        controller.queues.enqueue_instance(key);
    }
    if before.status.missing > 0 && after.status.missing == 0 {
        controller.queues.enqueue_identities(references::referring(&controller.seen, key), Priority::Arrived);
    } else if before.is_holding() {
        // Released or not: one that asked a moment ago may have been answered by what was persisted before.
        let mut under_way = under_way(key, controller);
        under_way.retain(|key| before.holds(&key.namespace) && !after.holds(&key.namespace));
        controller.queues.enqueue_identities(under_way, Priority::Arrived);
    }
}

/// Shows what is kept, as it was read or written last. It may be older: what it grants stays granted, and what it holds is
/// reconciled when it is released. `None`: nothing is known.
fn see<R>(handle: &Handle, controller: &Controller, see: impl FnOnce(&State) -> R) -> Option<R> {
    kept_of(handle, controller)?.state().map(see)
}

fn kept_of(handle: &Handle, controller: &Controller) -> Option<Arc<Kept>> {
    let object = object(&handle.key, controller)?;
    handle.shared.protector.kept(object.meta().uid.as_deref())
}

fn object(key: &NamespacedName, controller: &Controller) -> Option<Arc<InstanceObject>> {
    controller.seen.instance(key)
}
