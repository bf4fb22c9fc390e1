//! What the statuses of all kinds have in common once they are written: the answer is remembered, and that somebody must act is
//! told.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;

use crate::api::condition;
use crate::kubernetes::mutation_cache::MutationCache;

/// Remembers what a write was answered. `false`: the object is gone, and there is nothing to say of it any more.
pub fn is_written<K>(written: Result<K, kube::Error>, latest: &MutationCache<K>) -> Result<bool, kube::Error>
where
    K: Resource,
{
    match written {
        Ok(written) => {
            latest.note(written);
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why somebody must act, and what to do, where that is so.
pub fn stalled(conditions: &[Condition]) -> Option<(String, String)> {
    let stalled = condition::find(conditions, condition::STALLED)?;
    Some((stalled.reason.clone(), stalled.message.clone()))
}
