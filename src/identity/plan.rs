//! From what is wanted and what is there to a list of steps. Pure: the plan is data, with everything resolved in it.
//!
//! `apply` runs the steps in order and decides nothing. Observe mode shows a plan instead of running it.

use serde_json::{Map, Value};

use super::claim::{Claim, Claimant};
use super::desired::Desired;
use super::json::{self, Null};
use super::mark::Mark;
use super::pointer;
use crate::api::identity::{DeletionPolicy, TraitsPolicy};
use crate::api::{GROUP, Reason, Verdict};
use crate::kratos::{CreateIdentity, Identity, PatchOperation, State};

const TRAITS: &str = "/traits";
const METADATA_PUBLIC: &str = "/metadata_public";
const METADATA_ADMIN: &str = "/metadata_admin";
const SCHEMA_ID: &str = "/schema_id";
const STATE: &str = "/state";
const EXTERNAL_ID: &str = "/external_id";
const ORGANIZATION_ID: &str = "/organization_id";

/// What was seen of the identity that a resource stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// It is proven that there is none.
    Absent,
    /// It is there.
    Present(Box<Present>),
}

/// An identity that is there, and what its mark said.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    pub identity: Identity,
    /// The mark, if it is (or was, in a former resource's hands) ours. `None`: wiped, and to be restored.
    pub mark: Option<Mark>,
    /// Whether sessions are still there, where that matters (an inactive identity).
    pub has_sessions: bool,
}

/// One step. Each may be repeated without harm, so that a crash between any two is made good by planning again.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Create(Box<CreateIdentity>),
    Patch {
        id: String,
        operations: Vec<PatchOperation>,
    },
    /// Ends all sessions; otherwise they would come back to life on reactivation.
    EndSessions {
        id: String,
    },
    /// Reads back that the identity is inactive: a user's request that was under way may have undone it.
    ConfirmInactive {
        id: String,
    },
    Delete {
        id: String,
    },
}

/// What is to be done, and what a status may say about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Pointers of what the steps change in the identity, but for the mark.
    pub changes: Vec<String>,
    /// Pointers of what the manifest owns.
    pub owned_paths: Vec<String>,
    /// The traits as the steps leave them: what a refusal is explained by.
    pub traits: Value,
}

/// The plan for a resource that is there.
pub fn plan(claimant: &Claimant, desired: &Desired, observed: &Observed) -> Plan {
    let owned_paths = owned_paths(desired);
    match observed {
        Observed::Absent => plan_creation(claimant, desired, owned_paths),
        Observed::Present(present) => plan_change(claimant, desired, present, owned_paths),
    }
}

/// What a manifest owns and would have to remove later: its leaves. State and schema are owned too, but stay.
fn owned_paths(desired: &Desired) -> Vec<String> {
    let mut paths = Vec::new();
    if desired.traits_policy != TraitsPolicy::CreateOnly {
        paths.extend(json::leaves(TRAITS, &desired.traits));
    }
    paths.extend(json::leaves(METADATA_PUBLIC, &desired.metadata_public));
    paths.extend(json::leaves(METADATA_ADMIN, &desired.metadata_admin));
    paths.extend(desired.external_id.is_some().then(|| EXTERNAL_ID.to_owned()));
    paths.extend(desired.organization_id.is_some().then(|| ORGANIZATION_ID.to_owned()));
    paths.sort_unstable();
    paths
}

fn plan_creation(claimant: &Claimant, desired: &Desired, owned_paths: Vec<String>) -> Plan {
    let mark = claimant.mark(owned_paths.clone(), None);
    let public = json::merge(METADATA_PUBLIC, &Value::Null, &desired.metadata_public, &[], Null::Absent);
    let mut admin = json::merge(METADATA_ADMIN, &Value::Null, &desired.metadata_admin, &[], Null::Absent);
    admin[GROUP] = mark.to_value();
    let create = CreateIdentity {
        schema_id: desired.schema_id.clone(),
        traits: Value::Object(desired.traits.clone()),
        state: Some(desired.state.unwrap_or(State::Active)),
        metadata_public: (!desired.metadata_public.is_empty()).then_some(public),
        metadata_admin: Some(admin),
        external_id: desired.external_id.clone(),
        organization_id: desired.organization_id.clone(),
        ..CreateIdentity::default()
    };
    let mut changes = vec![SCHEMA_ID.to_owned()];
    changes.extend(json::leaves(TRAITS, &desired.traits));
    changes.extend(owned_paths.iter().filter(|path| !pointer::is_within(path, TRAITS)).cloned());
    let traits = create.traits.clone();
    Plan { steps: vec![Step::Create(Box::new(create))], changes, owned_paths, traits }
}

fn plan_change(claimant: &Claimant, desired: &Desired, present: &Present, owned_paths: Vec<String>) -> Plan {
    let identity = &present.identity;
    let owned_before = present.mark.as_ref().map_or(&[][..], |mark| mark.owned_paths.as_slice());
    let mut operations = Vec::new();
    if identity.schema_id != desired.schema_id {
        operations.push(PatchOperation::Replace { path: SCHEMA_ID.into(), value: desired.schema_id.clone().into() });
    }
    let traits = wanted_traits(desired, identity, owned_before);
    json::diff(TRAITS, &identity.traits, &traits, &mut operations);
    diff_metadata(METADATA_PUBLIC, &identity.metadata_public, &desired.metadata_public, owned_before, &mut operations);
    if let Some(state) = desired.state.filter(|state| *state != identity.state) {
        operations.push(PatchOperation::Replace { path: STATE.into(), value: state.as_str().into() });
    }
    for (path, wanted, there) in [
        (EXTERNAL_ID, &desired.external_id, &identity.external_id),
        (ORGANIZATION_ID, &desired.organization_id, &identity.organization_id),
    ] {
        let is_owned = wanted.is_some() || owned_before.iter().any(|owned| owned == path);
        if is_owned && wanted != there {
            operations.push(PatchOperation::Add { path: path.into(), value: wanted.clone().into() });
        }
    }
    let mark = claimant.mark(owned_paths.clone(), present.mark.as_ref());
    let mut admin_operations = Vec::new();
    diff_admin(identity, desired, owned_before, &mark, &mut admin_operations);
    let is_mark = |operation: &PatchOperation| pointer::is_within(operation.path(), &mark_path());
    let changes = operations.iter().chain(admin_operations.iter().filter(|operation| !is_mark(operation)));
    let changes = changes.map(|operation| operation.path().to_owned()).collect();
    operations.extend(admin_operations);

    let id = identity.id.clone();
    let deactivates =
        desired.state == Some(State::Inactive) && (identity.state == State::Active || present.has_sessions);
    let mut steps = Vec::new();
    if !operations.is_empty() {
        steps.push(Step::Patch { id: id.clone(), operations });
    }
    if deactivates {
        steps.push(Step::EndSessions { id: id.clone() });
        steps.push(Step::ConfirmInactive { id });
    }
    Plan { steps, changes, owned_paths, traits }
}

fn wanted_traits(desired: &Desired, identity: &Identity, owned_before: &[String]) -> Value {
    match desired.traits_policy {
        TraitsPolicy::Merge => json::merge(TRAITS, &identity.traits, &desired.traits, owned_before, Null::Value),
        TraitsPolicy::Exact => Value::Object(desired.traits.clone()),
        TraitsPolicy::CreateOnly => identity.traits.clone(),
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

fn mark_path() -> String {
    pointer::join(METADATA_ADMIN, GROUP)
}

fn diff_admin(
    identity: &Identity,
    desired: &Desired,
    owned_before: &[String],
    mark: &Mark,
    operations: &mut Vec<PatchOperation>,
) {
    let there = &identity.metadata_admin;
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

/// The steps for a resource that is being deleted, for each identity whose mark names it.
pub fn plan_deletion(policy: DeletionPolicy, identities: &[Identity]) -> Vec<Step> {
    let steps = identities.iter().map(|identity| {
        let id = identity.id.clone();
        match policy {
            DeletionPolicy::Orphan => Vec::new(),
            DeletionPolicy::Delete => vec![Step::Delete { id }],
            DeletionPolicy::Deactivate => {
                let mut steps = Vec::new();
                if identity.state == State::Active {
                    let value = State::Inactive.as_str().into();
                    let operation = PatchOperation::Replace { path: STATE.into(), value };
                    steps.push(Step::Patch { id: id.clone(), operations: vec![operation] });
                }
                steps.push(Step::EndSessions { id: id.clone() });
                steps.push(Step::ConfirmInactive { id });
                steps
            }
        }
    });
    steps.flatten().collect()
}

/// What an identity that was found means for a resource: its own, one that it may not touch, or none.
///
/// `restorable`: a mark that is missing may be written again, because this process saw the identity marked as ours, or
/// because the status of a resource beside the instance names it. `is_same_person`: see
/// [`super::claim::is_same_person`].
pub fn judge(
    claimant: &Claimant,
    identity: Identity,
    restorable: bool,
    is_same_person: bool,
) -> Result<Option<Present>, Verdict> {
    let present = |identity, mark: Option<Mark>| Ok(Some(Present { identity, mark, has_sessions: false }));
    match claimant.claim(&identity) {
        Claim::Ours(mark) => present(identity, Some(*mark)),
        Claim::Former(mark) if is_same_person => present(identity, Some(*mark)),
        // Somebody else had this name; the new person gets an identity of their own.
        Claim::Former(_) => Ok(None),
        Claim::Unmarked if restorable => present(identity, None),
        Claim::Unmarkable if restorable => Err(Verdict::new(
            Reason::AdoptionRefused,
            format!(
                "metadata_admin of the identity is not an object, so that the operator's mark ({GROUP}) can't be \
                 written into it; set it to null or to an object in Kratos"
            ),
        )),
        Claim::Foreign { neighbour } => Err(conflict(neighbour.as_deref())),
        Claim::Unmarked | Claim::Unmarkable => Err(conflict(None)),
    }
}

/// The one message about identities of others; it names a resource only within the same namespace.
pub fn conflict(neighbour: Option<&str>) -> Verdict {
    let message = match neighbour {
        Some(name) => format!(
            "the identity, or an identifier or address of it, belongs to the KratosIdentity {name} in this \
             namespace; give each identity one resource"
        ),
        None => "the identity, or an identifier or address of it, is taken by an identity that this resource doesn't \
                 manage; use another identifier, or have that identity released"
            .to_owned(),
    };
    Verdict::new(Reason::IdentityConflict, message)
}
