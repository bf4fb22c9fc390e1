//! Held deletions that were a mistake: the resources go, the identities stay. Pure.

use super::holding::{count_of, is_held, recount};
use super::situation::Situation;
use super::state::{KEPT_HOLDING, State};
use crate::api::protection::{LastRelease, Released};
use crate::instance::release_value::{self, Release};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// Whether the keep annotation has a value that wasn't there when something was held, and wasn't served yet.
pub fn is_new(token: Option<&str>, state: &State) -> bool {
    token.is_some_and(|token| !release_value::is_served(token, state.last_keep.as_ref()))
}

/// Lets go what a new value of the keep annotation is about, as far as it is held.
pub(super) fn keep(state: &mut State, situation: &Situation<'_>) {
    let Some(token) = situation.keep.filter(|_| is_new(situation.keep, state)) else { return };
    release_value::serve(token, state.last_keep.get_or_insert_with(LastRelease::default));
    match release_value::read(token) {
        Release::Namespace(namespace) if is_held(state, namespace) => keep_namespaces(state, &[namespace], situation),
        Release::Everything if state.held > 0 => {
            let named: Vec<String> = state.holding.iter().map(|held| held.namespace.clone()).collect();
            if named.is_empty() {
                // More than could be named: all are held, so all are let go.
                let latest = situation.under_way.iter().map(|deletion| deletion.at).max();
                if let (Some(last), Some(latest)) = (&mut state.last_keep, latest) {
                    last.at = last.at.take().max(Some(Time(latest)));
                }
                state.held = 0;
            } else {
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                keep_namespaces(state, &named, situation);
            }
        }
        Release::Namespace(_) | Release::Everything => {}
    }
}

/// Other namespaces, of which nothing is held, go on as they were: theirs are carried out.
fn keep_namespaces(state: &mut State, namespaces: &[&str], situation: &Situation<'_>) {
    for namespace in namespaces {
        let of_it = situation.under_way.iter().filter(|deletion| deletion.namespace == **namespace);
        let before = state.kept.iter().position(|kept| kept.namespace == **namespace);
        let before: Option<Timestamp> = before.map(|at| state.kept.remove(at).at.0);
        if let Some(at) = before.max(of_it.map(|deletion| deletion.at).max()) {
            state.kept.push(Released { namespace: (*namespace).to_owned(), at: Time(at) });
        }
    }
    // Those of one that falls out are held again.
    let surplus = state.kept.len().saturating_sub(KEPT_HOLDING);
    state.kept.drain(..surplus);
    // While all are held, the others go on being so.
    if !state.holding.is_empty() {
        state.holding.retain(|held| !namespaces.contains(&held.namespace.as_str()));
        state.held = count_of(&state.holding);
    }
    recount(state, situation);
}
