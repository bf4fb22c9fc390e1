//! Why running a plan ended early. Says what happened; `failure` says what an error means.

use std::time::Instant;

use crate::api::ReadyCondition;
use crate::identity::progress;
use crate::kratos::Error;

/// Why a plan wasn't run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A create failed; that was known at the given instant.
    #[error("{error}")]
    Create { error: Error, at: Instant },
    #[error(transparent)]
    Other(#[from] Error),
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
    /// A user's request that was under way made the identity active again.
    #[error("the identity was made active again by a request that was under way")]
    Undone,
    /// Another resource's mark stands where ours was just written.
    #[error("the identity was taken while it was being taken over; it is looked at again")]
    Taken,
}

impl ApplyError {
    /// What is said where somebody else came in between.
    pub fn in_between(&self) -> ReadyCondition {
        if matches!(self, Self::Taken) { progress::taken() } else { progress::active_again() }
    }
}
