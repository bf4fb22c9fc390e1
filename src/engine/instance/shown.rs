//! What an identity that a read of the instance shows is to us, and what such reads ask for.

use std::time::Instant;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::controllers::context::Context;
use crate::identity::mark::{Found, Mark};
use crate::instance::Handle;
use crate::instance::counts::{self, Standing};
use crate::instance::handle::Shared;
use crate::kratos::{CredentialType, Identity};

/// What every identity that is listed is to show of its credentials, where any is watched. One kind has all of them named,
/// with their identifiers. This one's contents are public keys; those of others are seeds, codes, hashes and tokens, and
/// aren't asked for.
pub fn watched(shared: &Shared) -> Vec<CredentialType> {
    if shared.managed.watches() { vec![CredentialType::Webauthn] } else { Vec::new() }
}

/// What an identity is to us; one whose grace period runs is looked after.
pub fn take_in(handle: &Handle, identity: &Identity, seen: Instant, context: &Context) -> (Found, Standing) {
    let found = Mark::read(&identity.metadata_admin);
    let (owner, cluster) = (&handle.settings.owner_name, &context.cluster_id);
    let mut standing = counts::standing(&found, owner, cluster, |mark| is_there(mark, context));
    if let Found::Mark(mark) = &found
        && standing == Standing::Orphaned
        && !context.options.works_in(&mark.namespace)
    {
        standing = Standing::Elsewhere;
    }
    match &found {
        Found::Mark(mark) if standing == Standing::Leaving => handle.shared.pending.seen(mark, identity, cluster),
        _ => handle.shared.pending.ended(&identity.id, seen),
    }
    (found, standing)
}

/// Whether the very resource that a mark names is there, whoever reconciles it.
fn is_there(mark: &Mark, context: &Context) -> bool {
    let found = context.identities.get(&ObjectRef::new(&mark.name).within(&mark.namespace));
    found.is_some_and(|found| found.uid().as_ref() == Some(&mark.uid))
}
