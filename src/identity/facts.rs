//! An identity as rules see it: as it is, as it would be created, as a plan leaves it. Pure.
//!
//! It has no credential's content and not our mark. `credentials` holds the links to providers, as lists of `{provider,
//! subject}`. Lists and metadata are present even if they are empty. A link that the first login makes has `use_auto_link:
//! true`. `password` is `{use_password_migration_hook: true}` if that is sent.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::claim::{Claim, Claimant};
use super::mark::{Found, Mark};
use super::plan::{Plan, Present, Step};
use super::schema::shape::Shape;
use super::{pointer, schema};
use crate::api::GROUP;
use crate::kratos::identifier::{self, lower_case};
use crate::kratos::{
    CreateIdentity, CredentialImport, Identity, OidcLink, PasswordImport, PatchOperation, Readable, UpdateIdentity,
    VerifiedAddressImport,
};

/// An identity as rules see it, and what logs in with it.
#[derive(Clone, PartialEq)]
pub struct View {
    pub identity: Value,
    /// Every login identifier: of the traits, and those that Kratos keeps on the credentials.
    pub identifiers: Vec<String>,
}

/// Whether acting on an identity means to take one over that was there before and isn't known as this resource's.
pub fn adopts(claimant: &Claimant, present: &Present) -> bool {
    let is_marked = matches!(claimant.claim(&present.identity), Claim::Ours(_) | Claim::Former(_));
    present.is_adoption() || (!is_marked && present.mark.is_none())
}

/// An identity that is there. `shapes`: what its schema, or each of several, says of traits. `None`: not all of it can be
/// read, so that no rule can be asked.
pub fn observed(identity: &Identity, shapes: &[Arc<Shape>]) -> Option<View> {
    let Readable { traits, metadata_public, metadata_admin } = identity.readable().ok()?;
    let links = |kind: &str| {
        let identifiers = identity.credentials.get(kind).into_iter().flat_map(|credential| &credential.identifiers);
        identifiers.filter_map(|identifier| OidcLink::from_identifier(identifier)).collect::<Vec<_>>()
    };
    let automatic = match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) => mark.auto_links,
        Found::Nothing | Found::Unreadable | Found::NoObject => Vec::new(),
    };
    let (automatic, oidc): (Vec<_>, Vec<_>) = links("oidc").into_iter().partition(|link| automatic.contains(link));
    let addresses = identity.verifiable_addresses.iter();
    let addresses: Vec<_> = addresses
        .map(|address| json!({"value": address.value, "via": address.via, "verified": address.verified}))
        .collect();
    let view = json!({
        "id": identity.id, "schema_id": identity.schema_id, "state": identity.state.as_str(),
        "traits": traits, "metadata_public": metadata_public, "metadata_admin": metadata_admin,
        "external_id": identity.external_id, "organization_id": identity.organization_id,
        "verifiable_addresses": addresses, "credentials": {"oidc": shown_links(&oidc, &automatic), "saml": links("saml")},
    });
    Some(finish(view, stored(identity), shapes))
}

/// The login identifiers that Kratos keeps, but for those that tell no person apart: links, and keys that are filed
/// under the identity's id.
fn stored(identity: &Identity) -> Vec<String> {
    let kinds = identity.credentials.iter();
    let kinds = kinds.filter(|(kind, _)| ["password", "code", "webauthn"].contains(&kind.as_str()));
    let identifiers = kinds.flat_map(|(_, credential)| credential.identifiers.iter());
    // The answer to a write shows some of them as they were before Kratos trims them.
    identifiers.filter(|identifier| **identifier != identity.id).map(|it| lower_case(it.trim())).collect()
}

/// How many login identifiers Kratos keeps although they left the traits: people still log in with them. `shapes`:
/// what its schema says of traits.
pub fn stale_identifiers(identity: &Identity, shapes: &[Arc<Shape>]) -> usize {
    // Where traits can't be read nobody can say what left them.
    let Ok(traits) = identity.traits.read() else { return 0 };
    let current = schema::identifiers(shapes, traits);
    let mut stale = stored(identity);
    stale.retain(|identifier| !current.contains(identifier));
    stale.sort_unstable();
    stale.dedup();
    stale.len()
}

/// An identity as it would be created.
pub fn created(create: &CreateIdentity, shapes: &[Arc<Shape>]) -> View {
    let addresses: Vec<_> = create.verifiable_addresses.iter().map(shown).collect();
    let CredentialImport { password, oidc, auto_links, saml } = &create.credentials;
    let mut view = json!({
        "id": "", "schema_id": create.schema_id, "state": create.state.unwrap_or_default().as_str(),
        "traits": create.traits, "metadata_public": create.metadata_public, "metadata_admin": create.metadata_admin,
        "external_id": create.external_id, "organization_id": create.organization_id,
        "verifiable_addresses": addresses, "credentials": {"oidc": shown_links(oidc, auto_links), "saml": saml},
    });
    note_hook(password.as_ref(), &mut view);
    finish(view, Vec::new(), shapes)
}

fn shown(address: &VerifiedAddressImport) -> Value {
    json!({"value": lower_case(&address.value), "via": address.via, "verified": address.verified})
}

/// Links as rules see them. `automatic`: those that the first login makes.
fn shown_links(links: &[OidcLink], automatic: &[OidcLink]) -> Vec<Value> {
    links.iter().map(|link| json!(link)).chain(automatic.iter().map(OidcLink::automatic)).collect()
}

/// Whether another system decides who logs in.
fn note_hook(password: Option<&PasswordImport>, identity: &mut Value) {
    match password {
        Some(PasswordImport::MigrationHook) => {
            identity["credentials"]["password"] = json!({"use_password_migration_hook": true});
        }
        Some(PasswordImport::Cleartext(_) | PasswordImport::Hashed(_)) | None => {}
    }
}

/// The identity as a plan leaves it. `before`: as it is, if it is there.
pub fn merged(before: Option<&View>, plan: &Plan, shapes: &[Arc<Shape>]) -> Option<View> {
    let mut view = before.cloned();
    for step in &plan.steps {
        match step {
            Step::Create(create) => view = Some(created(create, shapes)),
            Step::Patch { id: _, operations } => {
                if let Some(view) = &mut view {
                    for operation in operations {
                        apply(operation, &mut view.identity);
                    }
                }
            }
            Step::Update { id: _, update } => {
                if let Some(view) = &mut view {
                    replace(update, &mut view.identity);
                }
            }
            Step::VerifyAddresses { id: _, addresses } => {
                if let Some(found) = view.as_mut().and_then(|view| view.identity["verifiable_addresses"].as_array_mut())
                {
                    let values: Vec<_> = addresses.iter().map(|address| lower_case(&address.value)).collect();
                    let is_among = |value: &str| values.contains(&lower_case(value));
                    found.retain(|address| !address["value"].as_str().is_some_and(is_among));
                    found.extend(addresses.iter().map(shown));
                }
            }
            Step::DeleteCredential { id: _, kind, link } => {
                // What has no place there gets none by being removed.
                let credentials = view.as_mut().and_then(|view| view.identity.get_mut("credentials"));
                let links = credentials.and_then(|credentials| credentials.get_mut(kind.as_str()));
                if let (Some(link), Some(Value::Array(links))) = (link, links) {
                    links.retain(|there| *there != json!(link) && *there != link.automatic());
                }
            }
            Step::For(_)
            | Step::EndSessions { .. }
            | Step::EndSessionsBegunBy { .. }
            | Step::ConfirmInactive { .. }
            | Step::ConfirmMark { .. }
            | Step::IssueRecovery(_)
            | Step::DeleteSecret(_)
            | Step::Delete { .. } => {}
        }
    }
    // What Kratos keeps on the credentials stays there, the new ones come in addition.
    view.map(|view| finish(view.identity, view.identifiers, shapes))
}

/// The identity as a plan leaves it that puts traits back. A login identifier goes where it leaves the traits and another one
/// of its kind takes its place, and its address with it; without one in its place Kratos keeps it.
pub fn put_back(before: &View, plan: &Plan, shapes: &[Arc<Shape>]) -> Option<View> {
    let by_kind = |identity: &Value| schema::identifiers_by_kind(shapes, &identity["traits"]);
    let View { mut identity, mut identifiers } = merged(Some(before), plan, shapes)?;
    let (old, new) = (by_kind(&before.identity), by_kind(&identity));
    let is_gone = |identifier: &str| {
        let is_replaced = |kind: &str| new.iter().any(|(of, _)| of == kind);
        let mut kinds = old.iter().filter(|(_, it)| it == identifier).map(|(kind, _)| kind.as_str()).peekable();
        kinds.peek().is_some() && kinds.all(is_replaced) && !new.iter().any(|(_, it)| it == identifier)
    };
    identifiers.retain(|identifier| !is_gone(identifier));
    if let Some(addresses) = identity["verifiable_addresses"].as_array_mut() {
        let forms = |address: &Value| address["value"].as_str().map(identifier::forms).unwrap_or_default();
        addresses.retain(|address| !forms(address).iter().any(|form| is_gone(form)));
    }
    Some(View { identity, identifiers })
}

/// What a PUT leaves: all but what it doesn't carry. Links are appended.
fn replace(update: &UpdateIdentity, identity: &mut Value) {
    let UpdateIdentity {
        schema_id,
        traits,
        state,
        metadata_public,
        metadata_admin,
        external_id,
        credentials,
        changes: _,
    } = update;
    if let Some(state) = state {
        identity["state"] = json!(state.as_str());
    }
    identity["schema_id"] = json!(schema_id);
    identity["traits"] = traits.clone();
    identity["metadata_public"] = metadata_public.clone();
    identity["metadata_admin"] = metadata_admin.clone();
    identity["external_id"] = json!(external_id);
    let CredentialImport { password, oidc, auto_links, saml } = credentials;
    for (kind, added) in [("oidc", shown_links(oidc, auto_links)), ("saml", shown_links(saml, &[]))] {
        if let Some(links) = identity["credentials"][kind].as_array_mut() {
            links.extend(added);
        }
    }
    note_hook(password.as_ref(), identity);
}

/// The shape that rules can rely on.
fn finish(mut identity: Value, mut identifiers: Vec<String>, shapes: &[Arc<Shape>]) -> View {
    if let Some(members) = identity.as_object_mut() {
        for key in ["metadata_public", "metadata_admin"] {
            if members.get(key).is_none_or(Value::is_null) {
                members.insert(key.to_owned(), Value::Object(Map::new()));
            }
        }
        if let Some(admin) = members.get_mut("metadata_admin").and_then(Value::as_object_mut) {
            admin.remove(GROUP);
        }
        for key in ["external_id", "organization_id"] {
            if members.get(key).is_some_and(Value::is_null) {
                members.remove(key);
            }
        }
    }
    identifiers.extend(schema::identifiers(shapes, &identity["traits"]));
    identifiers.sort_unstable();
    identifiers.dedup();
    View { identity, identifiers }
}

/// Applies one operation. What it goes through is made where it isn't there, as Kratos does.
fn apply(operation: &PatchOperation, identity: &mut Value) {
    let keys = pointer::split(operation.path());
    let Some((last, parents)) = keys.split_last() else { return };
    let mut at = identity;
    for key in parents {
        at = match at {
            Value::Array(items) => match key.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                Some(item) => item,
                None => return,
            },
            Value::Object(members) => members.entry(key.clone()).or_insert(Value::Null),
            other => {
                *other = json!({ key: null });
                &mut other[key]
            }
        };
    }
    match (operation, at) {
        (PatchOperation::Remove { .. }, Value::Object(members)) => {
            members.remove(last);
        }
        (PatchOperation::Remove { .. }, _) => {}
        (PatchOperation::Add { value, .. } | PatchOperation::Replace { value, .. }, Value::Array(items)) => {
            if let Some(item) = last.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                *item = value.clone();
            }
        }
        (PatchOperation::Add { value, .. } | PatchOperation::Replace { value, .. }, other) => {
            if !other.is_object() {
                *other = json!({});
            }
            other[last] = value.clone();
        }
    }
}
