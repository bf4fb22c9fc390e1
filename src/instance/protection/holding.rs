//! What a state says of a deletion, and how many are held by it. Pure; decides upon nothing new.

use std::collections::{BTreeMap, HashSet};

use super::situation::{Deletion, Situation};
use super::state::{KEPT_HOLDING, State};
use crate::api::protection::Held;

/// Whether the identity of a resource that is being deleted may be touched: it was counted, or released, and isn't kept.
pub fn is_granted(state: &State, deletion: &Deletion) -> bool {
    state.granted.contains(&deletion.uid) || is_released(state, deletion) && !is_kept(state, deletion)
}

fn is_released(state: &State, deletion: &Deletion) -> bool {
    let released = state.last_release.as_ref().and_then(|last| last.at.as_ref());
    let alone = state.released.iter().find(|released| released.namespace == deletion.namespace);
    released.max(alone.map(|alone| &alone.at)).is_some_and(|released| deletion.at <= released.0)
}

/// Whether nobody has to be asked about it any more.
pub(super) fn is_decided(state: &State, deletion: &Deletion) -> bool {
    is_granted(state, deletion) || is_kept(state, deletion)
}

/// Whether what a namespace deletes is held from now on. Where no namespace is named, that of all is.
pub fn is_held(state: &State, namespace: &str) -> bool {
    let is_named = || state.holding.iter().any(|held| held.namespace == namespace);
    state.held > 0 && (state.holding.is_empty() || is_named())
}

/// Whether the resource goes and its identity stays, untouched. One that was counted and granted by its uid is under way
/// already.
pub fn is_kept(state: &State, deletion: &Deletion) -> bool {
    let everywhere = state.last_keep.as_ref().and_then(|last| last.at.as_ref());
    let alone = state.kept.iter().find(|kept| kept.namespace == deletion.namespace).map(|kept| &kept.at);
    everywhere.max(alone).is_some_and(|kept| deletion.at <= kept.0) && !state.granted.contains(&deletion.uid)
}

/// How many are held in all.
pub(super) fn count_of(holding: &[Held]) -> u32 {
    holding.iter().fold(0, |count, held| count.saturating_add(held.count))
}

/// Counts what is held: all of those namespaces that are being deleted and aren't granted. Holding ends for a namespace
/// that deletes nothing more.
pub(super) fn recount(state: &mut State, situation: &Situation<'_>) {
    let mut seen = HashSet::new();
    let mut held = BTreeMap::<&str, u32>::new();
    for deletion in situation.under_way.iter().chain(situation.asked) {
        let is_counted = is_held(state, &deletion.namespace) && !is_decided(state, deletion);
        if is_counted && seen.insert(deletion.uid.as_str()) {
            *held.entry(&deletion.namespace).or_default() += 1;
        }
    }
    state.held = held.values().sum();
    if held.len() > KEPT_HOLDING {
        held.clear();
    }
    let named = held.into_iter().map(|(namespace, count)| Held { namespace: namespace.to_owned(), count });
    state.holding = named.collect();
}
