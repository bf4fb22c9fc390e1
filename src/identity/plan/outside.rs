//! The part of a plan that is carried out even if the instance's rules refuse, or something else is wrong with manifest or
//! identity; only for identities whose mark is the resource's own. It removes access, or restores what the manifest owns. It
//! never gives anything. Pure.

use std::collections::HashSet;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

use super::action_steps;
use super::step::{Plan, Present, STATE, Step, TRAITS, mark_path};
use crate::api::identity::TraitsPolicy;
use crate::identity::actions::{self, Wanted};
use crate::identity::desired::Desired;
use crate::identity::json::{self, Null};
use crate::identity::mark::Mark;
use crate::identity::pointer;
use crate::kratos::{PatchOperation, State};

/// What a manifest takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taking {
    /// The identity is to be inactive, and has no sessions then.
    pub deactivates: bool,
    /// Actions that end sessions and do nothing else.
    pub ends_sessions: Vec<Wanted>,
}

/// The steps that take away, for an identity that is there with this mark.
pub fn take_away(taking: &Taking, present: &Present, mark: &Mark, now: Timestamp) -> Vec<Step> {
    let (identity, id) = (&present.identity, &present.identity.id);
    let pending = actions::pending(&taking.ends_sessions, Some(mark), now);
    let mut noted = mark.clone();
    for action in &pending {
        actions::begin(&mut noted, action);
    }
    let is_active = identity.state == State::Active;
    let deactivates = taking.deactivates && (is_active || present.has_sessions);
    let note = |mark: &Mark| PatchOperation::Replace { path: mark_path(), value: mark.to_value() };
    let mut operations = Vec::new();
    if taking.deactivates && is_active {
        operations.push(PatchOperation::Replace { path: STATE.into(), value: State::Inactive.as_str().into() });
    }
    if !pending.is_empty() {
        operations.push(note(&noted));
    }
    let mut steps = Vec::new();
    if !operations.is_empty() {
        steps.push(Step::Patch { id: id.clone(), operations });
    }
    if deactivates || noted.sessions_pending {
        steps.push(Step::EndSessions { id: id.clone() });
    }
    if noted.sessions_pending {
        noted.sessions_pending = false;
        steps.push(Step::Patch { id: id.clone(), operations: vec![note(&noted)] });
    }
    if deactivates {
        steps.push(Step::ConfirmInactive { id: id.clone() });
    }
    steps.extend(action_steps::steps(id, &pending, noted, now));
    steps
}

/// The plan that gives owned traits the manifest's values again, and does nothing else. `None`: they have them.
///
/// Owned is what the mark says was the manifest's before: what it claims only now waits until the rules admit the rest.
pub fn put_back(desired: &Desired, present: &Present) -> Option<Plan> {
    let (identity, mark) = (&present.identity, present.mark.as_ref()?);
    if identity.schema_id != desired.schema_id || desired.traits_policy == TraitsPolicy::CreateOnly {
        return None;
    }
    let owned_before: HashSet<_> = mark.owned_paths.iter().map(String::as_str).collect();
    let owned = owned(TRAITS, &desired.traits, &owned_before);
    let there = identity.traits.read().ok()?;
    let traits = json::merge(TRAITS, there, &owned, &[], Null::Value);
    let mut operations = Vec::new();
    json::diff(TRAITS, there, &traits, &mut operations);
    if operations.is_empty() {
        return None;
    }
    let changes = operations.iter().map(|operation| operation.path().to_owned()).collect();
    let steps = vec![Step::Patch { id: identity.id.clone(), operations }];
    let owned_paths = mark.owned_paths.clone();
    Some(Plan { steps, changes, owned_paths, traits, is_partial: true, ..Plan::default() })
}

/// Those leaves that were owned before.
fn owned(root: &str, members: &Map<String, Value>, owned_before: &HashSet<&str>) -> Map<String, Value> {
    let kept = members.iter().filter_map(|(key, value)| {
        let path = pointer::join(root, key);
        let value = match value {
            Value::Object(inner) if !inner.is_empty() => {
                let inner = owned(&path, inner, owned_before);
                (!inner.is_empty()).then_some(Value::Object(inner))
            }
            value => owned_before.contains(path.as_str()).then(|| value.clone()),
        };
        Some((key.clone(), value?))
    });
    kept.collect()
}
