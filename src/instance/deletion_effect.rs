//! What the deletion of a resource does to its identity, as far as manifest and status tell. Pure.
//!
//! The reconcile of the deletion decides; this is for those who must know before.

use kube::ResourceExt;

use super::protection::Deletion;
use crate::api::KratosIdentity;
use crate::api::instance::Mode;
use crate::api::lifecycle::{AdoptionPolicy, DeletionPolicy};

/// Whether a resource that is deleted has an identity that is touched then.
pub fn loses_its_identity(resource: &KratosIdentity) -> bool {
    let spec = &resource.spec;
    let Some(status) = resource.status.as_ref().filter(|status| status.identity_id.is_some()) else { return false };
    let adopts = spec.adoption.as_ref().and_then(|adoption| adoption.policy) == Some(AdoptionPolicy::IfUnowned);
    let is_kept = match spec.deletion.as_ref().and_then(|deletion| deletion.policy) {
        Some(policy) => policy == DeletionPolicy::Orphan,
        None => adopts || status.adopted == Some(true),
    };
    !is_kept && !spec.suspend && spec.mode.unwrap_or_default() != Mode::Observe
}

/// The deletion of a resource, if it is being deleted.
pub fn deletion_of(resource: &KratosIdentity) -> Option<Deletion> {
    let at = resource.metadata.deletion_timestamp.as_ref()?.0;
    Some(Deletion { namespace: resource.namespace()?, uid: resource.uid()?, at })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::nothing_said(json!({}), json!({}), true)]
    #[case::no_identity(json!({}), json!({"identityID": null}), false)]
    #[case::kept(json!({"deletion": {"policy": "Orphan"}}), json!({}), false)]
    #[case::deactivated(json!({"deletion": {"policy": "Deactivate"}}), json!({}), true)]
    #[case::postponed(json!({"deletion": {"gracePeriod": "1h"}}), json!({}), true)]
    #[case::suspended(json!({"suspend": true}), json!({}), false)]
    #[case::observing(json!({"mode": "Observe"}), json!({}), false)]
    #[case::adopts(json!({"adoption": {"policy": "IfUnowned", "identifier": "i"}}), json!({}), false)]
    #[case::adopts_never(json!({"adoption": {"policy": "Never"}}), json!({}), true)]
    #[case::was_adopted(json!({}), json!({"adopted": true}), false)]
    #[case::was_adopted_and_said(json!({"deletion": {"policy": "Delete"}}), json!({"adopted": true}), true)]
    fn what_is_touched_is_known_beforehand(#[case] spec: Value, #[case] status: Value, #[case] expected: bool) {
        let mut resource = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity", "metadata": {"name": "ada"},
            "spec": {"schemaID": "customer"}, "status": {"identityID": "00000000-0000-4000-8000-00000000000a"},
        });
        json_patch::merge(&mut resource, &json!({"spec": spec, "status": status}));
        assert_eq!(loses_its_identity(&serde_json::from_value(resource).unwrap()), expected);
    }
}
