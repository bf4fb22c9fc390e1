//! From a `KratosIdentity`'s raw spec to a validated type. Nothing after this step reads the raw spec. Pure.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};

use super::absent_credentials;
use super::actions::{self, ActionSpec, Wanted};
use super::addresses;
use super::adoption::{self, Target};
use super::json;
use super::links::Links;
use super::password::Password;
use super::person::Identifiers;
use super::recovery::{self, Recovery};
use super::secrets::Secrets;
use super::traits_from;
use super::validity::Phase;
use crate::api::credentials::{self, PasswordUpdatePolicy};
use crate::api::free_object::FreeObject;
use crate::api::identity::{IdentityState, KratosIdentitySpec, TraitsPolicy};
use crate::api::instance::{KeyRef, Mode};
use crate::api::lifecycle::{AdoptionPolicy, Deletion, DeletionPolicy};
use crate::api::{GROUP, ReadyCondition, Reason};
use crate::kratos::{CredentialType, State, VerifiedAddressImport};

/// What a manifest wants of an identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    pub schema_id: String,
    pub traits: Map<String, Value>,
    pub traits_policy: TraitsPolicy,
    pub metadata_public: Map<String, Value>,
    pub metadata_admin: Map<String, Value>,
    pub external_id: Option<String>,
    pub organization_id: Option<String>,
    /// How each is reached is filled in once the schema is known.
    pub verified_addresses: Vec<VerifiedAddressImport>,
    /// Absent: created active, then not owned.
    pub state: Option<State>,
    pub password: Option<Password>,
    /// Links to providers.
    pub links: Links,
    /// OIDC providers at which the first login makes the link.
    pub auto_links: Vec<String>,
    /// What is sent as the subject of such a link: of this reconcile alone, and nobody's.
    pub auto_subject: String,
    /// Kinds of credentials that must not exist.
    pub absent: Vec<CredentialType>,
    /// Whether a link or credential that is removed ends the sessions.
    pub removal_ends_sessions: bool,
    /// What creation lacks, although nothing else needs it any more.
    pub lacks: Option<ReadyCondition>,
    /// The identity that is taken over instead of being created.
    pub adoption: Option<Target>,
    /// How the window of validity stands, where it is what decides on the state.
    pub phase: Option<Phase>,
    /// What is done once per token.
    pub actions: Vec<Wanted>,
    /// The way into the account that is issued.
    pub recovery: Option<Recovery>,
    /// The login identifiers that the manifest asks for; filled in once the schema is known.
    pub identifiers: Identifiers,
}

/// A digest of what a listing would show of it, so that what the manifest changed is told from what somebody else did.
pub fn digest(desired: &Desired) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Desired { schema_id, traits_policy, external_id, organization_id, verified_addresses, state, .. } = desired;
    (schema_id, *traits_policy as u8, external_id, organization_id, state).hash(&mut hasher);
    for address in verified_addresses {
        address.value.hash(&mut hasher);
    }
    for part in [&desired.traits, &desired.metadata_public, &desired.metadata_admin] {
        json::digest_members(part, &mut hasher);
    }
    hasher.finish()
}

/// What a manifest says about how it is to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    pub deletion: DeletionPolicy,
    /// What the manifest says; the instance may say more. Counts with the policy Delete alone.
    pub grace_period: Option<Duration>,
    /// The manifest doesn't say in so many words what a deletion does: an identity that was there before its resource
    /// then stays, even where the manifest doesn't speak of adoption any more.
    pub spares_adopted: bool,
    pub mode: Mode,
    pub suspended: bool,
}

/// How a manifest is to be handled; needs no Secret.
pub fn handling(spec: &KratosIdentitySpec) -> Handling {
    let KratosIdentitySpec { adoption, deletion, mode, suspend, .. } = spec;
    let Deletion { policy, grace_period } = deletion.clone().unwrap_or_default();
    let adopts = adoption.as_ref().and_then(|adoption| adoption.policy) == Some(AdoptionPolicy::IfUnowned);
    let default = if adopts { DeletionPolicy::Orphan } else { DeletionPolicy::Delete };
    Handling {
        deletion: policy.unwrap_or(default),
        spares_adopted: policy.is_none(),
        grace_period: grace_period.map(Into::into),
        mode: mode.unwrap_or_default(),
        suspended: *suspend,
    }
}

/// How the window of validity stands, where it is what decides on the state; needs no Secret.
pub fn phase(spec: &KratosIdentitySpec, now: Timestamp) -> Option<Phase> {
    let validity = spec.validity.as_ref().filter(|_| spec.state != Some(IdentityState::Inactive));
    validity.map(|validity| Phase::at(validity, now))
}

/// The state that a manifest wants at one time, if it owns it; needs no Secret.
pub fn state(spec: &KratosIdentitySpec, now: Timestamp) -> Option<State> {
    phase(spec, now).map(Phase::state).or(spec.state.map(to_kratos))
}

/// The keys of Secrets that a manifest refers to, each once.
pub fn secret_references(spec: &KratosIdentitySpec) -> Vec<KeyRef> {
    let password = spec.credentials.iter().filter_map(|credentials| credentials.password.as_ref());
    let password = password.filter_map(|password| password.secret_key_ref.clone());
    let traits = spec.traits_from.iter().map(|from| from.secret_key_ref.clone());
    let references: BTreeSet<_> = password.chain(traits).collect();
    references.into_iter().collect()
}

/// Validates a spec, with the Secrets that it refers to, at the time `now`. `InvalidSpec` where it contradicts itself in
/// a way that the API server can't see; `SecretNotReady` where a Secret isn't there yet.
pub fn parse(spec: &KratosIdentitySpec, secrets: &Secrets, now: Timestamp) -> Result<Desired, ReadyCondition> {
    // In full, so that a new field breaks the build instead of being forgotten. The instance is resolved apart.
    let KratosIdentitySpec {
        instance_ref: _,
        schema_id,
        state: _,
        traits,
        traits_policy,
        metadata_public,
        metadata_admin,
        external_id,
        organization_id,
        traits_from,
        verified_addresses,
        credentials,
        recovery: _,
        validity: _,
        adoption,
        // Says where the identity comes from, not what it is.
        replaces: _,
        deletion: _,
        mode: _,
        suspend: _,
        actions,
    } = spec;
    let metadata_admin = members("metadataAdmin", metadata_admin)?;
    if metadata_admin.contains_key(GROUP) {
        let message = format!("metadataAdmin may not hold the key {GROUP}: it is the operator's own; remove it");
        return Err(ReadyCondition::new(Reason::InvalidSpec, message));
    }
    let credentials = credentials.clone().unwrap_or_default();
    let (links, auto_links) = Links::parse(&credentials)?;
    let absent = absent_credentials::parse(&credentials)?;
    let credentials::Credentials { password, oidc: _, saml: _, absent: _, revoke_sessions } = credentials;
    let (password, lacks) = parse_password(password.as_ref(), secrets)?;
    let actions = actions.as_ref().map(actions::wanted).unwrap_or_default();
    if password.is_none() && actions.iter().any(|action| action.doing == ActionSpec::SetPassword) {
        let message =
            "actions.setPassword has no password to send: name one in credentials.password, or remove the action";
        // Where only creation needs the password, its Secret may be gone: that is waited for.
        return Err(lacks.unwrap_or_else(|| ReadyCondition::new(Reason::InvalidSpec, message)));
    }
    let read_secrets = secret_references(spec);
    let recovery = recovery::parse(spec, read_secrets.iter().map(|reference| reference.name.as_str()))?;
    let adoption = adoption::parse(adoption.as_ref())?;
    let phase = phase(spec, now);
    let desired = Desired {
        schema_id: schema_id.clone(),
        traits: traits_from::fill(&members("traits", traits)?, traits_from, secrets)?,
        traits_policy: traits_policy.unwrap_or_default(),
        metadata_public: members("metadataPublic", metadata_public)?,
        metadata_admin,
        external_id: external_id.clone(),
        organization_id: organization_id.clone(),
        verified_addresses: addresses::named(verified_addresses),
        state: self::state(spec, now),
        phase,
        password,
        links,
        auto_links,
        auto_subject: String::new(),
        absent,
        removal_ends_sessions: revoke_sessions.unwrap_or(true),
        lacks,
        actions,
        adoption,
        recovery,
        identifiers: Identifiers::default(),
    };
    Ok(desired)
}

/// The members of a field that users shape.
fn members(field: &str, object: &FreeObject) -> Result<Map<String, Value>, ReadyCondition> {
    let too_deep =
        |too_deep| ReadyCondition::new(Reason::InvalidSpec, format!("spec.{field} is {too_deep}; make it flatter"));
    object.members().map_err(too_deep)
}

/// The password; or what creation lacks, where only creation needs one: its Secret may go afterwards.
fn parse_password(
    spec: Option<&credentials::Password>,
    secrets: &Secrets,
) -> Result<(Option<Password>, Option<ReadyCondition>), ReadyCondition> {
    let Some(spec) = spec else { return Ok((None, None)) };
    match Password::parse(spec, secrets) {
        Ok(password) => Ok((Some(password), None)),
        Err(condition) if spec.update_policy == Some(PasswordUpdatePolicy::CreateOnly) => Ok((None, Some(condition))),
        Err(condition) => Err(condition),
    }
}

/// The state as Kratos names it.
pub fn to_kratos(state: IdentityState) -> State {
    match state {
        IdentityState::Active => State::Active,
        IdentityState::Inactive => State::Inactive,
    }
}

/// The state as the resource names it.
pub fn from_kratos(state: State) -> IdentityState {
    match state {
        State::Active => IdentityState::Active,
        State::Inactive => IdentityState::Inactive,
    }
}
