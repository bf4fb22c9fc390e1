//! What the answer to a batch says about each item. Pure.
//!
//! Servers before v25.4 roll the whole batch back after one conflict, and still call the others created. So after any failure a
//! batch proves nothing. What it calls created is read back, and resent where it doesn't exist. What failed is resent alone, so
//! that its answer is that of a single create. (It may even have conflicted with an item that was rolled back.) A request that
//! was refused as a whole is halved.

use std::collections::HashMap;

use super::super::error::{Class, Error};
use super::super::identifier::lower_case;
use super::super::types::{
    BatchOutcome, CreateIdentity, Identity, PasswordImport, VerifiableAddress, VerifiedAddressImport,
};

/// An item of a batch: its caller, and what is to be created.
pub trait Item {
    fn create(&self) -> &CreateIdentity;
}

/// What follows from an answer. Each item is in exactly one field.
#[derive(Debug)]
pub struct Triaged<T> {
    /// Created, with the id.
    pub created: Vec<(T, String)>,
    /// Called created; must be read back.
    pub doubtful: Vec<(T, String)>,
    /// Failed for good; the caller decides what follows.
    pub failed: Vec<(T, Error)>,
    /// To be resent, in these groups.
    pub again: Vec<Vec<T>>,
    /// To be resent after all others, each alone.
    pub alone: Vec<T>,
}

impl<T> Default for Triaged<T> {
    fn default() -> Self {
        Self { created: Vec::new(), doubtful: Vec::new(), failed: Vec::new(), again: Vec::new(), alone: Vec::new() }
    }
}

/// Sorts the items of a batch by its answer.
pub fn triage<T: Item>(items: Vec<T>, answer: Result<Vec<BatchOutcome>, Error>) -> Triaged<T> {
    match answer {
        Ok(outcomes) => each(items, outcomes),
        Err(error) => whole(items, &error),
    }
}

fn each<T>(items: Vec<T>, outcomes: Vec<BatchOutcome>) -> Triaged<T> {
    let mut sifted = Triaged::default();
    for (item, outcome) in items.into_iter().zip(outcomes) {
        match outcome {
            BatchOutcome::Created { id } => sifted.created.push((item, id)),
            BatchOutcome::Failed(error) if is_final(&error) => sifted.alone.push(item),
            BatchOutcome::Failed(error) => sifted.failed.push((item, error)),
        }
    }
    if !sifted.alone.is_empty() || !sifted.failed.is_empty() {
        sifted.doubtful = std::mem::take(&mut sifted.created);
    }
    sifted
}

/// The request as a whole was refused, or failed.
fn whole<T: Item>(items: Vec<T>, error: &Error) -> Triaged<T> {
    if !is_final(error) {
        // Throttled, down, or unanswered: as for single creates. What may have been carried out isn't resent here.
        let failed = items.into_iter().map(|item| (item, error.clone())).collect();
        return Triaged { failed, ..Triaged::default() };
    }
    let (suspects, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| is_suspect(item.create(), error));
    if matches!(error.unknown_field(), Some("external_id" | "organization_id")) && !suspects.is_empty() {
        // The server accepts this field from none of them.
        let failed = suspects.into_iter().map(|item| (item, error.clone())).collect();
        return Triaged { failed, again: nonempty([others]), ..Triaged::default() };
    }
    halved(suspects, others)
}

/// Halves the suspects, and keeps the others in a group of their own. A single suspect is sent alone.
fn halved<T>(mut suspects: Vec<T>, others: Vec<T>) -> Triaged<T> {
    if suspects.is_empty() && !others.is_empty() {
        // The error points at no item.
        return halved(others, suspects);
    }
    if suspects.len() == 1 {
        return Triaged { again: nonempty([others]), alone: suspects, ..Triaged::default() };
    }
    let second = suspects.split_off(suspects.len() / 2);
    Triaged { again: nonempty([others, suspects, second]), ..Triaged::default() }
}

fn nonempty<T, const N: usize>(groups: [Vec<T>; N]) -> Vec<Vec<T>> {
    groups.into_iter().filter(|group| !group.is_empty()).collect()
}

/// Whether the same request would be refused again, and nothing of it was carried out.
fn is_final(error: &Error) -> bool {
    let is_refused = matches!(error.class(), Class::Rejected | Class::Conflict | Class::NotFound);
    is_refused && !error.outcome_unknown()
}

/// Whether an item may be why a request was refused as a whole.
fn is_suspect(create: &CreateIdentity, error: &Error) -> bool {
    let password = create.credentials.password.as_ref();
    match error.unknown_field() {
        Some("external_id") => create.external_id.is_some(),
        Some("organization_id") => create.organization_id.is_some(),
        _ if error.is_hash_rejected() => matches!(password, Some(PasswordImport::Hashed(_))),
        _ if error.is_password_rejected() => matches!(password, Some(PasswordImport::Cleartext(_))),
        _ => true,
    }
}

/// What reading the doubtful ids shows. `there`: the identities that exist.
pub fn confirm<T>(doubtful: Vec<(T, String)>, mut there: HashMap<String, Identity>) -> (Vec<(T, Identity)>, Vec<T>) {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for (item, id) in doubtful {
        match there.remove(&id) {
            Some(identity) => found.push((item, identity)),
            None => lost.push(item),
        }
    }
    (found, lost)
}

/// The identity that a batch made of an item, as Kratos has it: without what only a read would show (credentials, times,
/// unverified addresses).
pub fn made(create: &CreateIdentity, id: String) -> Identity {
    let CreateIdentity {
        schema_id,
        traits,
        state,
        metadata_public,
        metadata_admin,
        external_id,
        organization_id,
        verifiable_addresses,
        recovery_addresses: _,
        credentials: _,
    } = create;
    Identity {
        id,
        schema_id: schema_id.clone(),
        state: state.unwrap_or_default(),
        traits: traits.clone().into(),
        metadata_public: metadata_public.clone().unwrap_or_default().into(),
        metadata_admin: metadata_admin.clone().unwrap_or_default().into(),
        external_id: external_id.clone(),
        organization_id: organization_id.clone(),
        verifiable_addresses: verifiable_addresses.iter().map(address).collect(),
        ..Identity::default()
    }
}

fn address(given: &VerifiedAddressImport) -> VerifiableAddress {
    let VerifiedAddressImport { value, via, verified, status } = given;
    VerifiableAddress {
        value: lower_case(value.trim()),
        via: via.clone(),
        verified: *verified,
        status: status.clone(),
        ..VerifiableAddress::default()
    }
}
