//! Addresses that are marked as verified: which of the traits they are, and what is still to be done. Pure.
//!
//! An address is named by its position in the manifest, never by its value.

use serde_json::Value;

use super::schema::{self, shape::Shape};
use crate::api::{ReadyCondition, Reason};
use crate::kratos::identifier::{self, Taken};
use crate::kratos::{Identity, PatchOperation, VerifiedAddressImport};

/// Where an identity keeps them.
pub const VERIFIABLE_ADDRESSES: &str = "/verifiable_addresses";

/// The addresses as the manifest names them. How each is reached isn't known before the schema is: see [`resolve`].
pub fn named(addresses: &[String]) -> Vec<VerifiedAddressImport> {
    let named = addresses.iter().map(|address| VerifiedAddressImport {
        via: String::new(),
        ..VerifiedAddressImport::verified_email(address.trim())
    });
    named.collect()
}

/// Finds each address among those that the schema lets be verified. `InvalidSpec` for one that isn't there.
pub fn resolve(addresses: &mut [VerifiedAddressImport], shape: &Shape, traits: &Value) -> Result<(), ReadyCondition> {
    let known = if addresses.is_empty() { Vec::new() } else { schema::verifiable_addresses(shape, traits) };
    for (position, address) in addresses.iter_mut().enumerate() {
        let asked = Value::from(address.value.as_str());
        let is_it = |value: &str, via| identifier::normalised(&asked, Taken::Address { via }).as_deref() == Some(value);
        let Some((value, via)) = known.iter().find(|(value, via)| is_it(value, via)) else {
            let message = format!(
                "spec.verifiedAddresses[{position}] is none of the addresses that the schema takes from the \
                 manifest's traits to be verified; correct it, or remove it"
            );
            return Err(ReadyCondition::new(Reason::InvalidSpec, message));
        };
        (address.value, address.via) = (value.clone(), via.clone());
    }
    Ok(())
}

/// Whether something is left to be verified: an address that is there unverified, or that a change of the traits may
/// bring. One that the user has put another in place of is the user's.
pub fn is_due(identity: &Identity, wanted: &[VerifiedAddressImport], traits_change: bool) -> bool {
    wanted.iter().any(|wanted| {
        let there = identity.verifiable_addresses.iter().find(|there| is_same(&there.value, &there.via, wanted));
        there.map_or(traits_change, |there| !there.verified)
    })
}

/// What marks the addresses as verified: whole elements are replaced, since the server merges them by value.
pub fn operations(identity: &Identity, wanted: &[VerifiedAddressImport]) -> Vec<PatchOperation> {
    let there = identity.verifiable_addresses.iter().enumerate();
    let due = there.filter(|(_, there)| !there.verified).filter_map(|(position, there)| {
        let wanted = wanted.iter().find(|wanted| is_same(&there.value, &there.via, wanted))?;
        Some((position, there, wanted))
    });
    due.map(|(position, there, wanted)| {
        let mut address = there.clone();
        // As Kratos finds it in the traits: it keeps it in lower case, and wouldn't know it again.
        address.value.clone_from(&wanted.value);
        address.verified = true;
        address.status = "completed".into();
        let value = serde_json::to_value(&address).unwrap_or(Value::Null);
        PatchOperation::Replace { path: format!("{VERIFIABLE_ADDRESSES}/{position}"), value }
    })
    .collect()
}

fn is_same(value: &str, via: &str, wanted: &VerifiedAddressImport) -> bool {
    identifier::lower_case(value) == identifier::lower_case(&wanted.value) && via == wanted.via
}
