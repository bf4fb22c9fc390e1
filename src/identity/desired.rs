//! From the raw spec to what is wanted, validated once; nothing after it touches the raw spec. Pure.

use serde_json::{Map, Value};

use super::adoption::{self, Target};
use crate::api::identity::{IdentityState, KratosIdentitySpec, TraitsPolicy};
use crate::api::instance::Mode;
use crate::api::lifecycle::{Adoption, AdoptionPolicy, DeletionPolicy};
use crate::api::{GROUP, Reason, Verdict};
use crate::kratos::State;

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
    /// Absent: created active, then not owned.
    pub state: Option<State>,
    /// The identity that is taken over instead of being created.
    pub adoption: Option<Target>,
}

/// What a manifest says about how it is to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    pub deletion: DeletionPolicy,
    pub mode: Mode,
    pub suspended: bool,
}

/// Splits and validates a spec. `InvalidSpec` where it contradicts itself in a way that the API server can't see.
pub fn parse(spec: &KratosIdentitySpec) -> (Handling, Result<Desired, Verdict>) {
    // In full, so that a new field breaks the build instead of being forgotten. The instance is resolved apart.
    let KratosIdentitySpec {
        instance_ref: _,
        schema_id,
        state,
        traits,
        traits_policy,
        metadata_public,
        metadata_admin,
        external_id,
        organization_id,
        traits_from: _,
        verified_addresses: _,
        credentials: _,
        recovery: _,
        validity: _,
        adoption,
        deletion,
        mode,
        suspend,
        actions: _,
    } = spec;
    let handling = Handling {
        deletion: deletion.clone().unwrap_or_default().policy.unwrap_or(default_deletion(adoption.as_ref())),
        mode: mode.unwrap_or_default(),
        suspended: *suspend,
    };
    if metadata_admin.contains_key(GROUP) {
        let message = format!("metadataAdmin may not hold the key {GROUP}: it is the operator's own; remove it");
        return (handling, Err(Verdict::new(Reason::InvalidSpec, message)));
    }
    let adoption = match adoption::parse(adoption.as_ref()) {
        Ok(adoption) => adoption,
        Err(verdict) => return (handling, Err(verdict)),
    };
    let desired = Desired {
        schema_id: schema_id.clone(),
        traits: traits.clone(),
        traits_policy: traits_policy.unwrap_or_default(),
        metadata_public: metadata_public.clone(),
        metadata_admin: metadata_admin.clone(),
        external_id: external_id.clone(),
        organization_id: organization_id.clone(),
        state: state.map(to_kratos),
        adoption,
    };
    (handling, Ok(desired))
}

/// What was there before its resource stays after it, unless the manifest says otherwise.
fn default_deletion(adoption: Option<&Adoption>) -> DeletionPolicy {
    match adoption.and_then(|adoption| adoption.policy).unwrap_or_default() {
        AdoptionPolicy::IfUnowned => DeletionPolicy::Orphan,
        AdoptionPolicy::Never => DeletionPolicy::Delete,
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
