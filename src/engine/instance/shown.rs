//! What Kratos shows of an instance: what an identity that is read is to us, and what such reads ask for.

use std::time::Instant;

use super::surroundings::Surroundings;
use crate::identity::mark::{Found, Mark};
use crate::instance::Handle;
use crate::instance::counts::{self, Ownership};
use crate::instance::handle::Shared;
use crate::kratos::{CredentialType, Identity};

/// What every identity that is listed is to show of its credentials, where any is watched. One kind has all of them named,
/// with their identifiers. This one's contents are public keys; those of others are seeds, codes, hashes and tokens, and
/// aren't asked for.
pub fn watched(shared: &Shared) -> Vec<CredentialType> {
    if shared.managed.watches() { vec![CredentialType::Webauthn] } else { Vec::new() }
}

/// Whose an identity is; one whose grace period runs is noted.
pub fn take_in(handle: &Handle, identity: &Identity, seen: Instant, around: &dyn Surroundings) -> (Found, Ownership) {
    let found = Mark::read(&identity.metadata_admin);
    let (owner, cluster) = (&handle.settings.owner_name, &around.terms().cluster_id);
    let mut standing = counts::ownership(&found, owner, cluster, |mark| around.is_there(mark));
    if let Found::Mark(mark) = &found
        && standing == Ownership::Orphaned
        && !around.terms().works_in(&mark.namespace)
    {
        standing = Ownership::Elsewhere;
    }
    match &found {
        Found::Mark(mark) if standing == Ownership::Leaving => {
            handle.shared.grace_periods.seen(mark, identity, cluster);
        }
        _ => handle.shared.grace_periods.ended(&identity.id, seen),
    }
    (found, standing)
}
