//! What a manifest outside the instance's namespace may not do to an adopted identity: anything that would let somebody else
//! into the account. Decides from the mark, the manifest, the plan and the schema. Pure.
//!
//! Allowed are deactivation, the end of sessions, deletion by the manifest's policy, metadata, and traits that are no way to
//! log in. In the instance's namespace, where administrators own all identities, only verified addresses are refused.

use serde_json::Value;

use super::actions::{ActionSpec, Wanted};
use super::claim::Claimant;
use super::desired::Desired;
use super::plan::{Observed, Plan, Present, Step};
use super::pointer;
use super::schema::{self, shape::Shape};
use crate::api::words::shown;
use crate::api::{ReadyCondition, Reason};
use crate::kratos::{Identity, State};

/// How much of a place is shown, in characters.
const PLACE: usize = 40;

/// Refused where the manifest asks for a way in, whatever there is to be done. The field is named.
pub fn ensure_manifest(claimant: &Claimant, desired: &Desired, observed: &Observed) -> Result<(), ReadyCondition> {
    let Observed::Present(present) = observed else { return Ok(()) };
    let is_adopted = present.mark.as_ref().is_some_and(|mark| mark.adopted);
    if is_adopted && !desired.verified_addresses.is_empty() {
        let message = "spec.verifiedAddresses isn't for an identity that was adopted: remove it";
        return Err(ReadyCondition::new(Reason::InvalidSpec, message));
    }
    if !is_bound(claimant, present) {
        return Ok(());
    }
    match asked_for(desired, present) {
        Some(field) => Err(refused(field)),
        None => Ok(()),
    }
}

/// The same of what the plan would do. `schema`: that of the identity, as a document and as what it says of traits, if it is
/// known.
pub fn ensure_plan(
    claimant: &Claimant,
    (desired, observed): (&Desired, &Observed),
    plan: &Plan,
    schema: Option<(&Value, &Shape)>,
) -> Result<(), ReadyCondition> {
    ensure_manifest(claimant, desired, observed)?;
    let Observed::Present(present) = observed else { return Ok(()) };
    if !is_bound(claimant, present) {
        return Ok(());
    }
    if let Some(what) =
        plan.steps.iter().find_map(opens).or_else(|| plan.changes.iter().find_map(|change| reserved(change)))
    {
        return Err(refused(what));
    }
    match changed_way_in(&present.identity, plan, schema) {
        Some(WayIn::At(path)) => {
            let place = shown(&format!("/traits{path}"), PLACE);
            Err(refused(&format!("a change of {place}, a way in,")))
        }
        Some(WayIn::Hidden) => Err(refused("a change of traits, which may hide a way in,")),
        None => Ok(()),
    }
}

/// Whether the identity was there before its resource, which isn't the administrators'. Where nobody can tell, it was.
fn is_bound(claimant: &Claimant, present: &Present) -> bool {
    !claimant.beside_instance && present.mark.as_ref().is_none_or(|mark| mark.adopted)
}

/// The field of a manifest that would let somebody in.
fn asked_for(desired: &Desired, present: &Present) -> Option<&'static str> {
    // In full, so that a new field breaks the build until it was thought of here.
    let Desired {
        schema_id,
        // What of them leads into the account is asked of the plan.
        traits: _,
        traits_policy: _,
        metadata_public: _,
        metadata_admin: _,
        external_id,
        organization_id,
        verified_addresses: _,
        state,
        password,
        links,
        auto_links,
        auto_subject: _,
        absent,
        removal_ends_sessions: _,
        // Of creation alone: but what is lacking is a password's Secret.
        lacks,
        adoption: _,
        phase: _,
        actions,
        recovery,
        identifiers: _,
    } = desired;
    let identity = &present.identity;
    let was_inactive = present.mark.as_ref().is_none_or(|mark| mark.found_inactive);
    let is_changed = |wanted: &Option<String>, there: &Option<String>| wanted.is_some() && wanted != there;
    let resets = |wanted: &Wanted| match wanted.doing {
        ActionSpec::ResetSecondFactors(_) => Some("spec.actions.resetSecondFactors"),
        ActionSpec::SetPassword => Some("spec.actions.setPassword"),
        ActionSpec::Rewrite => Some("spec.actions.rewrite"),
        ActionSpec::RevokeSessions => None,
    };
    let first = [
        (password.is_some() || lacks.is_some(), "spec.credentials.password"),
        (!links.oidc.is_empty() || !auto_links.is_empty(), "spec.credentials.oidc"),
        (!links.saml.is_empty(), "spec.credentials.saml"),
        (!absent.is_empty(), "spec.credentials.absent"),
        (recovery.is_some(), "spec.recovery"),
        (*schema_id != identity.schema_id, "another spec.schemaID than the identity has"),
        (is_changed(external_id, &identity.external_id), "another spec.externalID than the identity has"),
        (is_changed(organization_id, &identity.organization_id), "another spec.organizationID than the identity has"),
        (*state == Some(State::Active) && was_inactive, "the state Active, since it was found inactive,"),
    ];
    let first = first.into_iter().find_map(|(is_asked_for, field)| is_asked_for.then_some(field));
    first.or_else(|| actions.iter().find_map(resets))
}

/// What a step does that would let somebody in. Traits are checked separately, see [`changed_way_in`].
fn opens(step: &Step) -> Option<&'static str> {
    match step {
        Step::Update { .. } => Some("a change of credentials"),
        Step::VerifyAddresses { .. } => Some("the verification of an address"),
        Step::IssueRecovery(_) => Some("a recovery"),
        Step::DeleteCredential { link: None, .. } => Some("the removal of a credential"),
        // No identity that was there is created; a link that goes is one that the manifest gave; and what is patched are
        // metadata, the state, and what else is asked for by name.
        Step::For(_)
        | Step::Create(_)
        | Step::Patch { .. }
        | Step::DeleteCredential { link: Some(_), .. }
        | Step::EndSessions { .. }
        | Step::EndSessionsBegunBy { .. }
        | Step::ConfirmInactive { .. }
        | Step::ConfirmMark { .. }
        | Step::DeleteSecret(_)
        | Step::Delete { .. } => None,
    }
}

/// What only administrators change: of what has left the manifest, too.
fn reserved(change: &str) -> Option<&'static str> {
    match change {
        "/schema_id" => Some("a change of schemaID"),
        "/external_id" => Some("a change of externalID"),
        "/organization_id" => Some("a change of organizationID"),
        _ => None,
    }
}

/// A trait that leads into the account.
enum WayIn {
    At(String),
    /// Any may.
    Hidden,
}

/// A trait that leads into the account and isn't any more, after the plan, what it is. As it stands: that Kratos takes two
/// ways to write an address for the same is no reason to change it.
fn changed_way_in(identity: &Identity, plan: &Plan, schema: Option<(&Value, &Shape)>) -> Option<WayIn> {
    let Ok(there) = identity.traits.read() else {
        let changes_traits = plan.changes.iter().any(|path| pointer::is_within(path, "/traits"));
        return changes_traits.then_some(WayIn::Hidden);
    };
    if plan.traits == *there {
        return None;
    }
    let Some((_, shape)) = schema.filter(|(document, shape)| !(shape.is_cut() || schema::hides_ways_in(document)))
    else {
        return Some(WayIn::Hidden);
    };
    let (before, after) = (schema::ways_in(shape, there), schema::ways_in(shape, &plan.traits));
    let is_in = |all: &[(String, &Value)], one: &(String, &Value)| all.contains(one);
    let changed =
        after.iter().find(|one| !is_in(&before, one)).or_else(|| before.iter().find(|one| !is_in(&after, one)));
    changed.map(|(path, _)| WayIn::At(path.clone()))
}

/// The condition: which field, and why.
fn refused(what: &str) -> ReadyCondition {
    let message = format!(
        "{what} isn't for an identity adopted outside its KratosInstance's namespace: it could let somebody else in; leave \
         it out, or ask the instance's administrators"
    );
    ReadyCondition::new(Reason::InvalidSpec, message)
}
