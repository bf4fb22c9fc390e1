//! Held deletions that were a mistake: the resources go, the identities stay. Pure.

use super::{Deletion, KEPT_HOLDING, Situation, is_held, recount};
use crate::api::protection::{LastRelease, ProtectionStatus, Released};
use crate::instance::release_value::{self, Release};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// Whether the resource goes and its identity stays, untouched. One that was counted and granted by its uid is under way
/// already.
pub fn is_kept(status: &ProtectionStatus, deletion: &Deletion) -> bool {
    let everywhere = status.last_keep.as_ref().and_then(|last| last.at.as_ref());
    let alone = status.kept.iter().find(|kept| kept.namespace == deletion.namespace).map(|kept| &kept.at);
    everywhere.max(alone).is_some_and(|kept| deletion.at <= kept.0) && !status.granted.contains(&deletion.uid)
}

/// Whether the keep annotation has a value that wasn't there when something was held, and wasn't served yet.
pub fn is_new(token: Option<&str>, status: &ProtectionStatus) -> bool {
    token.is_some_and(|token| !release_value::is_served(token, status.last_keep.as_ref()))
}

/// Lets go what a new value of the keep annotation is about, as far as it is held.
pub(super) fn keep(status: &mut ProtectionStatus, situation: &Situation<'_>) {
    let Some(token) = situation.keep.filter(|_| is_new(situation.keep, status)) else { return };
    release_value::serve(token, status.last_keep.get_or_insert_with(LastRelease::default));
    match release_value::read(token) {
        Release::Namespace(namespace) if is_held(status, namespace) => keep_namespaces(status, &[namespace], situation),
        Release::Everything if status.held > 0 => {
            let named: Vec<String> = status.holding.iter().map(|held| held.namespace.clone()).collect();
            if named.is_empty() {
                // More than could be named: all are held, so all are let go.
                let latest = situation.under_way.iter().map(|deletion| deletion.at).max();
                if let (Some(last), Some(latest)) = (&mut status.last_keep, latest) {
                    last.at = last.at.take().max(Some(Time(latest)));
                }
                status.held = 0;
            } else {
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                keep_namespaces(status, &named, situation);
            }
        }
        Release::Namespace(_) | Release::Everything => {}
    }
}

/// Other namespaces, of which nothing is held, go on as they were: theirs are carried out.
fn keep_namespaces(status: &mut ProtectionStatus, namespaces: &[&str], situation: &Situation<'_>) {
    for namespace in namespaces {
        let of_it = situation.under_way.iter().filter(|deletion| deletion.namespace == **namespace);
        let before = status.kept.iter().position(|kept| kept.namespace == **namespace);
        let before: Option<Timestamp> = before.map(|at| status.kept.remove(at).at.0);
        if let Some(at) = before.max(of_it.map(|deletion| deletion.at).max()) {
            status.kept.push(Released { namespace: (*namespace).to_owned(), at: Time(at) });
        }
    }
    // Those of one that falls out are held again.
    let surplus = status.kept.len().saturating_sub(KEPT_HOLDING);
    status.kept.drain(..surplus);
    // While all are held, the others go on being so.
    if !status.holding.is_empty() {
        status.holding.retain(|held| !namespaces.contains(&held.namespace.as_str()));
        status.held = status.holding.iter().map(|held| held.count).sum();
    }
    recount(status, situation);
}
