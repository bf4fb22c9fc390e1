//! How many identities may be deleted before somebody must release more: counting, holding, releasing. Pure: time is an
//! argument.
//!
//! The result is persisted before it is acted on. If in doubt, deletions are held. Namespaces count by name: one that is
//! created again keeps its count.

pub mod config_map;
mod holding;
mod keeping;
mod situation;
mod state;

pub use holding::{is_granted, is_held, is_kept};
pub use keeping::is_new as is_keep_new;
pub use situation::{Census, Deletion, Limits, Situation};
pub use state::{KEPT_GRANTS, KEPT_HOLDING, State};

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::holding::{count_of, is_decided, recount};
use super::release_value::{self, Release};
use super::reservations::{self, Used};
use crate::api::protection::{Held, LastRelease, Released};

/// How many namespaces are named whose deletions were released: all that were held. Those of one that falls out are held again.
const KEPT_RELEASED: usize = KEPT_HOLDING;
/// Over the total whoever used no more than this part of what a namespace may goes on.
const SMALL_PART: u32 = 4;

/// Whether the release annotation has a value that wasn't there when something was held, and wasn't served yet.
pub fn is_new(token: Option<&str>, state: &State) -> bool {
    token.is_some_and(|token| !release_value::is_served(token, state.last_release.as_ref()))
}

/// Whether more identities are gone than may be made again without asking. Those that somebody has released don't count.
pub fn is_too_many(census: Census, released: u32, limits: Limits) -> bool {
    let limit = limits.max_missing.max(census.managed / 10);
    census.missing > limit.saturating_add(released)
}

/// The state to be persisted before anything is done: [`is_granted`] and [`is_kept`] by it are the answer to those that
/// asked.
///
/// One value of the annotation releases one thing: identities that are gone come before deletions that are held. One that
/// names a namespace never releases identities that are gone. Where both annotations have new values what is kept is kept.
pub fn next(before: &State, situation: &Situation<'_>) -> State {
    let mut state = before.clone();
    if state.held > 0 && state.holding.is_empty() {
        // Written by an earlier version, or more than could be named.
        recount(&mut state, situation);
    }
    let release = situation.token.map(release_value::read);
    let for_everything = situation.token.filter(|_| release == Some(Release::Everything));
    if let Some(census) = situation.census {
        count_missing(&mut state, census, (for_everything, situation));
    }
    keeping::keep(&mut state, situation);
    match release {
        Some(Release::Namespace(namespace)) if is_new(situation.token, &state) => {
            serve(&mut state, situation.token);
            if is_held(&state, namespace) {
                release_namespaces(&mut state, &[namespace], situation);
            }
        }
        Some(Release::Everything) if state.missing == 0 && is_new(situation.token, &state) => {
            release_everything(&mut state, situation);
        }
        _ => {}
    }
    let is_beyond = reserve(&mut state, situation);
    if state.held > 0 && situation.recount || is_beyond {
        recount(&mut state, situation);
    }
    if state != *before {
        tidy(&mut state, situation);
    }
    state
}

fn count_missing(state: &mut State, census: Census, (token, situation): (Option<&str>, &Situation<'_>)) {
    if !is_too_many(census, state.recreating, situation.limits) {
        state.missing = 0;
        state.recreating = state.recreating.min(census.missing);
    } else if state.missing == 0 {
        state.missing = census.missing;
        serve(state, token);
    } else if is_new(token, state) {
        (state.missing, state.recreating) = (0, census.missing);
        serve(state, token);
    } else {
        state.missing = census.missing;
    }
}

/// Releases what is held at this moment. What another namespace deletes meanwhile, which may be waiting for others yet,
/// counts as ever: nobody has seen it. A value that comes while nothing is held is noted.
fn release_everything(state: &mut State, situation: &Situation<'_>) {
    serve(state, situation.token);
    if state.held == 0 {
        return;
    }
    if !state.holding.is_empty() {
        let named: Vec<String> = state.holding.iter().map(|held| held.namespace.clone()).collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        return release_namespaces(state, &named, situation);
    }
    // More than could be named: all are held, so all are released.
    let latest = situation.under_way.iter().map(|deletion| deletion.at).max();
    if let (Some(last), Some(latest)) = (&mut state.last_release, latest) {
        last.at = last.at.take().max(Some(Time(latest)));
    }
    state.held = 0;
    state.reserved.clear();
}

/// Releases what these namespaces, which are held, are deleting. What they counted until now doesn't any more.
fn release_namespaces(state: &mut State, namespaces: &[&str], situation: &Situation<'_>) {
    for namespace in namespaces {
        let of_it = situation.under_way.iter().filter(|deletion| deletion.namespace == **namespace);
        let before = state.released.iter().position(|released| released.namespace == **namespace);
        let before = before.map(|at| state.released.remove(at).at.0);
        if let Some(at) = before.max(of_it.map(|deletion| deletion.at).max()) {
            state.released.push(Released { namespace: (*namespace).to_owned(), at: Time(at) });
        }
    }
    let is_released = |namespace: &str| namespaces.contains(&namespace);
    state.reserved.retain(|entry| !entry.namespace.as_deref().is_some_and(is_released));
    // While all are held, the others go on being so.
    if !state.holding.is_empty() {
        state.holding.retain(|held| !is_released(&held.namespace));
        state.held = count_of(&state.holding);
    }
    recount(state, situation);
}

/// Notes a value of the annotation: it releases nothing any more.
fn serve(state: &mut State, token: Option<&str>) {
    if let Some(token) = token {
        release_value::serve(token, state.last_release.get_or_insert_with(LastRelease::default));
    }
}

/// Counts those that asked, where all that come together may go. Where more do, none of them goes: everything of their namespace
/// is held from now on. Returns whether anything is. Of those that may go at most [`KEPT_GRANTS`] are granted.
fn reserve(state: &mut State, situation: &Situation<'_>) -> bool {
    let now = situation.now;
    let beyond = beyond(state, situation);
    let (mut through, mut granted) = (BTreeMap::<&str, u32>::new(), Vec::new());
    for deletion in situation.asked {
        let namespace = deletion.namespace.as_str();
        let may_go = !beyond.contains_key(namespace) && !is_held(state, namespace) && !is_decided(state, deletion);
        if may_go && granted.len() < KEPT_GRANTS && !granted.contains(&deletion.uid) {
            granted.push(deletion.uid.clone());
            *through.entry(namespace).or_default() += 1;
        }
    }
    state.granted.extend(granted);
    state.reserved.extend(through.iter().map(|(namespace, count)| reservations::reservation(namespace, *count, now)));
    if beyond.is_empty() {
        return false;
    }
    state.held = state.held.saturating_add(beyond.values().sum());
    let beyond = beyond.into_iter().map(|(namespace, count)| Held { namespace: namespace.to_owned(), count });
    state.holding.extend(beyond);
    true
}

/// The namespaces of which more come together than may go, and how many. Beyond what all namespaces may together, those that
/// use a small part of their own go on.
fn beyond<'a>(state: &State, situation: &Situation<'a>) -> BTreeMap<&'a str, u32> {
    let Situation { limits, asked, peers, now, .. } = *situation;
    if asked.is_empty() {
        return BTreeMap::new();
    }
    let used = Used::of(&state.reserved, limits.window, now);
    let (mut seen, mut together) = (HashSet::new(), BTreeMap::<&str, u32>::new());
    for deletion in asked.iter().chain(peers) {
        let is_open = !is_decided(state, deletion) && !is_held(state, &deletion.namespace);
        if is_open && seen.insert(deletion.uid.as_str()) {
            *together.entry(&deletion.namespace).or_default() += 1;
        }
    }
    let after = |namespace: &str, count: u32| used.by(namespace).saturating_add(count);
    let is_too_many = |namespace: &str, count: u32| after(namespace, count) > limits.max_deletions;
    let fitting = together.iter().filter(|(namespace, count)| !is_too_many(namespace, **count)).map(|(_, count)| count);
    let in_all = fitting.fold(used.total(), |total, count| total.saturating_add(*count));
    // Whoever used no more than the part may have another one.
    let is_small = |namespace: &str, count: u32| after(namespace, count) <= limits.max_deletions / SMALL_PART + 1;
    let is_over = in_all > limits.max_deletions_total;
    together.retain(|namespace, count| is_too_many(namespace, *count) || is_over && !is_small(namespace, *count));
    together
}

/// Drops what doesn't count any more, and keeps the rest small.
fn tidy(state: &mut State, situation: &Situation<'_>) {
    let Situation { limits, now, under_way, asked, .. } = *situation;
    if !asked.is_empty() {
        // Thousands may be under way, and few are granted.
        let granted: HashSet<String> = state.granted.iter().cloned().collect();
        let going = under_way.iter().chain(asked).filter_map(|deletion| granted.get(&deletion.uid));
        let going: HashSet<_> = going.collect();
        state.granted.retain(|uid| going.contains(uid));
        // Only now: those that are gone make room first.
        let surplus = state.granted.len().saturating_sub(KEPT_GRANTS);
        state.granted.drain(..surplus);
        let is_under_way = |released: &Released| {
            let is_of_it = |going: &Deletion| going.namespace == released.namespace && going.at <= released.at.0;
            under_way.iter().chain(asked).any(is_of_it)
        };
        state.released.retain(is_under_way);
        state.kept.retain(is_under_way);
    }
    let surplus = state.released.len().saturating_sub(KEPT_RELEASED);
    state.released.drain(..surplus);
    reservations::tidy(&mut state.reserved, limits.window, now);
}
