//! The plan for an identity that is there: what differs, in as few requests as may be. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

use super::action_steps;
use super::credentials;
use super::step::{
    EXTERNAL_ID, METADATA_ADMIN, METADATA_PUBLIC, OIDC, ORGANIZATION_ID, PASSWORD, Plan, Present, SCHEMA_ID, STATE,
    Step, TRAITS, mark_path,
};
use crate::api::GROUP;
use crate::api::identity::TraitsPolicy;
use crate::identity::actions::{self, ActionName, ActionSpec};
use crate::identity::addresses::{self, VERIFIABLE_ADDRESSES};
use crate::identity::claim::Claimant;
use crate::identity::desired::Desired;
use crate::identity::json::{self, Null};
use crate::identity::links::Links;
use crate::identity::mark::{Mark, PasswordMark};
use crate::identity::password::Password;
use crate::identity::{pointer, recovery};
use crate::kratos::{
    CredentialImport, CredentialType, Identity, OidcLink, PatchOperation, Readable, State, UpdateIdentity,
};

/// The plan for an identity that is there. `there`: what people shape in it.
pub(super) fn plan(
    claimant: &Claimant,
    desired: &Desired,
    present: &Present,
    there: Readable<'_>,
    owned_paths: Vec<String>,
    now: Timestamp,
) -> Plan {
    let (identity, owned_before) = (&present.identity, present.owned_before());
    let mut operations = Vec::new();
    if identity.schema_id != desired.schema_id {
        operations.push(PatchOperation::Replace { path: SCHEMA_ID.into(), value: desired.schema_id.clone().into() });
    }
    let traits = wanted_traits(desired, there.traits, owned_before);
    json::diff(TRAITS, there.traits, &traits, &mut operations);
    diff_metadata(METADATA_PUBLIC, there.metadata_public, &desired.metadata_public, owned_before, &mut operations);
    let grace = present.mark.as_ref().filter(|mark| mark.delete_after.is_some());
    let state = desired.state.or_else(|| grace.and_then(|mark| mark.state_before));
    if let Some(state) = state.filter(|state| *state != identity.state) {
        operations.push(PatchOperation::Replace { path: STATE.into(), value: state.as_str().into() });
    }
    diff_ids(identity, desired, owned_before, &mut operations);
    let pending = actions::pending(&desired.actions, present.mark.as_ref(), now);
    let mut mark = claimant.mark(owned_paths.clone(), present.mark.as_ref());
    for action in &pending {
        actions::begin(&mut mark, action);
    }
    recovery::begin(&mut mark, desired.recovery.as_ref(), state.unwrap_or(identity.state), now);
    let asked_for = |doing| pending.iter().any(|action| action.wanted.doing == doing);
    let (is_asked_for, rewrites) = (asked_for(ActionSpec::SetPassword), asked_for(ActionSpec::Rewrite));
    let at = Time(recovery::whole_second(now));
    let decision = desired.password.as_ref().map(|password| {
        let before = mark.password.as_ref();
        if is_asked_for { password.send(&claimant.uid, &at) } else { password.decide(before, &claimant.uid, &at) }
    });
    let is_password_sent = decision.as_ref().is_some_and(|decision| decision.is_sent);
    let credentials = credentials::change(desired, present, present.contents.unwrap_or_default());
    let refusal = decision.as_ref().and_then(|decision| decision.refusal.clone());
    let refusal = refusal.or_else(|| credentials.refusal(present, is_password_sent));
    let is_removal_noted = !credentials.removals.is_empty() && desired.removal_ends_sessions;
    mark.sessions_pending |= is_removal_noted || decision.as_ref().is_some_and(|decision| decision.ends_sessions);
    mark.links = credentials.noted.clone();
    mark.auto_links.clone_from(&credentials.noted_automatic);
    mark.password = match decision {
        Some(decision) => Some(decision.mark),
        None if desired.absent.contains(&CredentialType::Password) => Some(PasswordMark::of_none()),
        None => mark.password,
    };
    let is_updated =
        rewrites || is_password_sent || !credentials.added.is_empty() || !credentials.added_automatic.is_empty();
    let is_written = is_updated || !operations.is_empty();
    let admin_operations = change_admin(there.metadata_admin, desired, owned_before, &mut mark, is_written);
    let is_mark = |operation: &PatchOperation| pointer::is_within(operation.path(), &mark_path());
    let changes = operations.iter().chain(admin_operations.iter().filter(|operation| !is_mark(operation)));
    let mut changes: Vec<_> = changes.map(|operation| operation.path().to_owned()).collect();
    let mut updated: Vec<_> = is_password_sent.then(|| PASSWORD.to_owned()).into_iter().collect();
    updated.extend(credentials.added.paths());
    updated.extend(credentials.added_automatic.iter().map(|link| pointer::join(OIDC, &link.provider)));
    changes.extend(is_password_sent.then(|| PASSWORD.to_owned()));
    changes.extend(credentials.paths);
    let traits_change = operations.iter().any(|operation| pointer::is_within(operation.path(), TRAITS));
    let verifies = addresses::is_due(identity, &desired.verified_addresses, traits_change);
    if verifies {
        changes.push(VERIFIABLE_ADDRESSES.to_owned());
    }
    operations.extend(admin_operations);

    let id = identity.id.clone();
    let deactivates =
        desired.state == Some(State::Inactive) && (identity.state == State::Active || present.has_sessions);
    let mut steps = Vec::new();
    if is_updated {
        let is_carried = |operation: &&PatchOperation| operation.path() != ORGANIZATION_ID;
        updated.extend(operations.iter().filter(is_carried).map(|operation| operation.path().to_owned()));
        // The one field that PUT doesn't carry (and keeps).
        operations.retain(|operation| operation.path() == ORGANIZATION_ID);
    }
    if grace.is_some() {
        // Those that a grace period didn't end would come back to life.
        steps.push(Step::EndSessions { id: id.clone() });
    }
    if !operations.is_empty() {
        steps.push(Step::Patch { id: id.clone(), operations });
    }
    if is_updated {
        let password = desired.password.as_ref().filter(|_| is_password_sent);
        let import = import(password, credentials.added, credentials.added_automatic);
        let content = update(present, there, desired, (&traits, &mark, state));
        let update = UpdateIdentity { credentials: import, changes: updated, ..content };
        let action = is_asked_for.then_some(ActionName::SetPassword).or(rewrites.then_some(ActionName::Rewrite));
        steps.extend(updating(&id, update, action));
    }
    if present.is_adoption() {
        steps.push(Step::ConfirmMark { id: id.clone(), uid: claimant.uid.clone() });
    }
    if verifies {
        steps.push(Step::VerifyAddresses { id: id.clone(), addresses: desired.verified_addresses.clone() });
    }
    let delete = |(kind, link)| Step::DeleteCredential { id: id.clone(), kind, link };
    steps.extend(credentials.removals.into_iter().map(delete));
    if deactivates || mark.sessions_pending {
        steps.push(Step::EndSessions { id: id.clone() });
    }
    steps.extend(settled(&id, &mut mark, desired));
    if deactivates {
        steps.push(Step::ConfirmInactive { id: id.clone() });
    }
    steps.extend(action_steps::steps(&id, &pending, mark, now));
    let actions = pending.iter().map(|action| action.wanted.doing.name()).collect();
    Plan { steps, changes, actions, owned_paths, traits, refusal, is_partial: false }
}

/// The note that what the mark owed is done: the end of sessions, and of links that left the manifest.
fn settled(id: &str, mark: &mut Mark, desired: &Desired) -> Option<Step> {
    let is_wanted = |link: &OidcLink| desired.auto_links.contains(&link.provider);
    if !mark.sessions_pending && mark.links == desired.links && mark.auto_links.iter().all(is_wanted) {
        return None;
    }
    // Only now: what a crash leaves undone is done by the next reconcile.
    (mark.sessions_pending, mark.links) = (false, desired.links.clone());
    mark.auto_links.retain(is_wanted);
    let operations = vec![PatchOperation::Replace { path: mark_path(), value: mark.to_value() }];
    Some(Step::Patch { id: id.to_owned(), operations })
}

fn import(password: Option<&Password>, added: Links, auto_links: Vec<OidcLink>) -> CredentialImport {
    let password = password.map(|password| password.import.clone());
    CredentialImport { password, oidc: added.oidc, auto_links, saml: added.saml }
}

/// Replaces the identity, for the action where one asked for it.
fn updating(id: &str, update: UpdateIdentity, action: Option<ActionName>) -> Vec<Step> {
    let update = Step::Update { id: id.to_owned(), update: Box::new(update) };
    if action.is_some() { vec![Step::For(action), update, Step::For(None)] } else { vec![update] }
}

/// The identity as a whole, as the manifest and what it doesn't own make it, but for its credentials.
fn update(
    present: &Present,
    there: Readable<'_>,
    desired: &Desired,
    (traits, mark, state): (&Value, &Mark, Option<State>),
) -> UpdateIdentity {
    let Readable { traits: _, metadata_public: public, metadata_admin: admin } = there;
    let (identity, owned_before) = (&present.identity, present.owned_before());
    let mut public_operations = Vec::new();
    diff_metadata(METADATA_PUBLIC, public, &desired.metadata_public, owned_before, &mut public_operations);
    let metadata_public = if public_operations.is_empty() {
        public.clone()
    } else {
        json::merge(METADATA_PUBLIC, public, &desired.metadata_public, owned_before, Null::Absent)
    };
    let admin = Value::Object(admin.as_object().cloned().unwrap_or_default());
    let mut metadata_admin = json::merge(METADATA_ADMIN, &admin, &desired.metadata_admin, owned_before, Null::Absent);
    metadata_admin[GROUP] = mark.to_value();
    let owns_external_id = desired.external_id.is_some() || owned_before.iter().any(|owned| owned == EXTERNAL_ID);
    let external_id = if owns_external_id { &desired.external_id } else { &identity.external_id };
    UpdateIdentity {
        schema_id: desired.schema_id.clone(),
        traits: traits.clone(),
        state,
        metadata_public,
        metadata_admin,
        external_id: external_id.clone(),
        credentials: CredentialImport::default(),
        changes: Vec::new(),
    }
}

fn wanted_traits(desired: &Desired, there: &Value, owned_before: &[String]) -> Value {
    match desired.traits_policy {
        TraitsPolicy::Merge => json::merge(TRAITS, there, &desired.traits, owned_before, Null::Value),
        TraitsPolicy::Exact => Value::Object(desired.traits.clone()),
        TraitsPolicy::CreateOnly => there.clone(),
    }
}

fn diff_ids(identity: &Identity, desired: &Desired, owned_before: &[String], operations: &mut Vec<PatchOperation>) {
    for (path, wanted, there) in [
        (EXTERNAL_ID, &desired.external_id, &identity.external_id),
        (ORGANIZATION_ID, &desired.organization_id, &identity.organization_id),
    ] {
        let is_owned = wanted.is_some() || owned_before.iter().any(|owned| owned == path);
        if is_owned && wanted != there {
            operations.push(PatchOperation::Add { path: path.into(), value: wanted.clone().into() });
        }
    }
}

fn diff_metadata(
    root: &str,
    there: &Value,
    wanted: &Map<String, Value>,
    owned_before: &[String],
    operations: &mut Vec<PatchOperation>,
) {
    let merged = json::merge(root, there, wanted, owned_before, Null::Absent);
    let touches = !wanted.is_empty() || owned_before.iter().any(|path| pointer::is_within(path, root));
    let is_empty = |value: &Value| value.as_object().is_none_or(Map::is_empty);
    // Null and an empty object say the same; neither is turned into the other. Nor is there anything of ours in what is
    // no object.
    if touches && !(is_empty(&merged) && is_empty(there)) {
        json::diff(root, there, &merged, operations);
    }
}

/// What changes in `metadata_admin`, where other fields are written or not, with the mark as it is written then.
fn change_admin(
    there: &Value,
    desired: &Desired,
    owned_before: &[String],
    mark: &mut Mark,
    is_written: bool,
) -> Vec<PatchOperation> {
    let asks_for_others = desired.identifiers.have_changed(mark.identifiers.as_ref());
    let mut operations = Vec::new();
    diff_admin(there, desired, owned_before, mark, &mut operations);
    if asks_for_others || is_written || !operations.is_empty() {
        // Where it is written anyway, one of an earlier version, or made with another key, gains what it lacks.
        mark.identifiers = desired.identifiers.note(mark.identifiers.as_ref(), &mark.uid);
        operations.clear();
        diff_admin(there, desired, owned_before, mark, &mut operations);
    }
    operations
}

fn diff_admin(
    there: &Value,
    desired: &Desired,
    owned_before: &[String],
    mark: &Mark,
    operations: &mut Vec<PatchOperation>,
) {
    let wanted = mark.to_value();
    if !there.get(GROUP).is_some_and(|found| json::same(found, &wanted)) {
        // `replace` makes the object where metadata_admin is null, and leaves keys alone that another writer added
        // since it was read; `add` would do neither.
        operations.push(PatchOperation::Replace { path: mark_path(), value: wanted });
    }
    let there = there.as_object().cloned().unwrap_or_default();
    let merged =
        json::merge(METADATA_ADMIN, &Value::Object(there.clone()), &desired.metadata_admin, owned_before, Null::Absent);
    json::diff(METADATA_ADMIN, &Value::Object(there), &merged, operations);
}
