//! May a resource take over an identity that exists already? Decides from the identity and its mark alone. Pure.
//!
//! Whether the resource that a mark names still exists only the cluster can tell: [`Finding::FormerOwner`] asks for
//! that. Outside the instance's namespace every refusal has the same message, whatever was found.

use k8s_openapi::jiff::Timestamp;

use super::claim::Claimant;
use super::conflict;
use super::mark::{Found, Mark};
use crate::api::instance::AdoptionFrom;
use crate::api::lifecycle::{Adoption, AdoptionPolicy};
use crate::api::{GROUP, ReadyCondition, Reason};
use crate::base::namespaced_name::NamespacedName;
use crate::kratos::{Identity, identifier};

/// The identity that a manifest takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By a login identifier in lower case, which has to be a verified address.
    Identifier(String),
    /// By a login identifier that is no address, as it was written.
    Name(String),
    /// By its id.
    Identity(String),
    /// By its id in another system.
    External(String),
}

/// What an identity that was found is to a resource that would take it over.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Its own already.
    Ours(Box<Mark>),
    /// Nobody's.
    Unowned,
    /// Nobody's, if the resource that its mark names is gone.
    FormerOwner(Box<FormerOwner>),
    Refused(Refusal),
}

/// An identity whose mark names a resource of our owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerOwner {
    /// Where that resource stood.
    pub key: NamespacedName,
    /// Its uid. Absent: its cluster is gone, and whatever stands in its place inherits it.
    pub uid: Option<String>,
    /// Whether the identity had been adopted, and was inactive when it was found.
    pub found_inactive: bool,
    /// What is to be said if it is still there.
    pub taken: Refusal,
    /// What is to be said although it is gone; `None`: it may be taken over.
    pub refused: Option<Refusal>,
}

/// Why an identity isn't taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Missing,
    /// Several identities have the identifier.
    Ambiguous,
    Unverified,
    /// `metadata_admin` is no object.
    Unmarkable,
    /// Something in it can't be read, so that nothing can be merged into it.
    Unreadable,
    /// It waits for its deletion, and is kept until then.
    Leaving(Timestamp),
    /// It belongs to another resource, which is named where it is a neighbour.
    Taken(Option<String>),
    /// The instance doesn't allow it.
    NotAllowed,
}

/// The identity that a manifest takes over, if it does.
pub fn parse(adoption: Option<&Adoption>) -> Result<Option<Target>, ReadyCondition> {
    let Some(Adoption {
        policy: Some(AdoptionPolicy::IfUnowned),
        identifier,
        identity_id,
        external_id,
        accept_unverified,
    }) = adoption
    else {
        return Ok(None);
    };
    match (identifier.as_deref().map(str::trim), identity_id, external_id) {
        (Some(name), None, None) if *accept_unverified && !identifier::is_address(name) => {
            Ok(Some(Target::Name(name.to_owned())))
        }
        (Some(identifier), None, None) => Ok(Some(Target::Identifier(identifier::lower_case(identifier)))),
        (None, Some(id), None) => Ok(Some(Target::Identity(id.clone()))),
        (None, None, Some(id)) => Ok(Some(Target::External(id.clone()))),
        _ => {
            let message = "adoption needs one of identifier, identityID and externalID; name one of them";
            Err(ReadyCondition::new(Reason::InvalidSpec, message))
        }
    }
}

/// What an identity that was found by `target` is to a claimant.
pub fn examine(claimant: &Claimant, from: AdoptionFrom, target: &Target, identity: &Identity) -> Finding {
    let is_allowed = from == AdoptionFrom::Allowed;
    let mark = match Mark::read(&identity.metadata_admin) {
        Found::Mark(mark) => mark,
        Found::Unreadable => return Finding::Refused(Refusal::Taken(None)),
        Found::NoObject => return Finding::Refused(Refusal::Unmarkable),
        Found::Nothing if !(is_allowed || claimant.beside_instance) => return Finding::Refused(Refusal::NotAllowed),
        Found::Nothing if !is_proven(claimant, target, identity) => return Finding::Refused(Refusal::Unverified),
        Found::Nothing if identity.readable().is_err() => return Finding::Refused(Refusal::Unreadable),
        Found::Nothing => return Finding::Unowned,
    };
    if claimant.is_ours(&mark) {
        return Finding::Ours(mark);
    }
    let is_of_this_cluster = mark.cluster == claimant.cluster;
    if mark.owner != claimant.owner || !(is_of_this_cluster || claimant.is_reclaimed(&mark.cluster)) {
        return Finding::Refused(Refusal::Taken(None));
    }
    let is_neighbours = claimant.is_same_namespace(&mark);
    let is_at_home = is_neighbours || (!is_of_this_cluster && mark.namespace == claimant.namespace);
    let refused = if !(is_allowed || is_at_home) {
        Some(Refusal::NotAllowed)
    } else if let Some(until) = &mark.delete_after {
        Some(Refusal::Leaving(until.0))
    } else if identity.readable().is_err() {
        Some(Refusal::Unreadable)
    } else {
        (!is_proven(claimant, target, identity)).then_some(Refusal::Unverified)
    };
    Finding::FormerOwner(Box::new(FormerOwner {
        key: NamespacedName::new(mark.namespace.as_str(), mark.name.as_str()),
        uid: is_of_this_cluster.then_some(mark.uid),
        found_inactive: mark.found_inactive,
        taken: Refusal::Taken(is_neighbours.then_some(mark.name)),
        refused,
    }))
}

/// Whether an identity may be taken over as far as proof goes: one that is named by an id needs none. Whoever
/// registers a newcomer's address first has not shown that it is theirs. Of a name nobody can show that; beside the instance
/// its administrators may say so, if it isn't an address of the identity.
fn is_proven(claimant: &Claimant, target: &Target, identity: &Identity) -> bool {
    let Identity { verifiable_addresses, recovery_addresses, .. } = identity;
    let is_verified = |named: &str| {
        verifiable_addresses.iter().any(|address| address.verified && identifier::is_same(&address.value, named))
    };
    match target {
        Target::Identity(_) | Target::External(_) => true,
        Target::Identifier(named) => is_verified(named),
        Target::Name(named) => {
            let mut addresses = verifiable_addresses.iter().map(|address| address.value.as_str());
            let mut recovery_addresses = recovery_addresses.iter().map(|address| address.value.as_str());
            let is_it = |address: &str| identifier::is_same(address, named);
            let is_address = addresses.any(is_it) || recovery_addresses.any(is_it);
            is_verified(named) || (claimant.beside_instance && !is_address)
        }
    }
}

impl Refusal {
    /// What is said of it. Outside the instance's namespace it doesn't tell what was found, but for a neighbour's.
    pub fn condition(&self, claimant: &Claimant, from: AdoptionFrom) -> ReadyCondition {
        let refused = |message: String| ReadyCondition::new(Reason::AdoptionRefused, message);
        match self {
            Self::Taken(Some(neighbour)) => conflict::conflict(Some(neighbour)),
            _ if !claimant.beside_instance && from == AdoptionFrom::Same => not_allowed(),
            _ if !claimant.beside_instance => refused(
                "spec.adoption names no identity that this resource may take over: name one that is there and nobody's, by \
                 its id, external id or a verified address; it is looked for at every resync"
                    .to_owned(),
            ),
            Self::Taken(None) => conflict::conflict(None),
            Self::NotAllowed => not_allowed(),
            Self::Missing => refused(
                "Kratos has no identity that spec.adoption names, and none is created; correct spec.adoption, or remove \
                 it to have one created; the operator looks again at every resync"
                    .to_owned(),
            ),
            Self::Ambiguous => {
                refused("several identities have the identifier in spec.adoption; name one by identityID".to_owned())
            }
            Self::Unverified => refused(
                "spec.adoption.identifier isn't a verified address: anybody may have registered it; have it verified, or \
                 use identityID or externalID (for a user name: acceptUnverified)"
                    .to_owned(),
            ),
            Self::Unmarkable => refused(format!(
                "metadata_admin of the identity is no object, so that the operator's mark ({GROUP}) doesn't fit in; set it \
                 to null or to an object in Kratos"
            )),
            Self::Unreadable => refused(
                "something in the identity can't be read (a number beyond a double, a text that is no Unicode, very deep \
                 nesting); correct that in Kratos"
                    .to_owned(),
            ),
            Self::Leaving(until) => refused(format!(
                "the identity belonged to a resource that was deleted, and is kept until {until}; apply that resource again, or \
                 wait until then"
            )),
        }
    }
}

fn not_allowed() -> ReadyCondition {
    let message = "the KratosInstance doesn't let this namespace take over such an identity; ask its administrators for \
                   spec.adoptionFrom: Allowed";
    ReadyCondition::new(Reason::NotPermitted, message)
}
