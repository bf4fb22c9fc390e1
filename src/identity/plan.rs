//! From desired and observed to a list of steps. Pure: the plan is data, with everything resolved in it.
//!
//! `apply` runs the steps in order and decides nothing. Mode Observe shows the plan instead of running it.

mod action_steps;
mod change;
mod creation;
mod credentials;
mod deletion;
mod judgement;
mod outside;
mod recovery;
mod step;

pub use credentials::{contents_needed, last_first_factor};
pub use deletion::{Leaving, plan_deletion, plan_keeping};
pub use judgement::judge;
pub use outside::{Taking, put_back, take_away};
pub use recovery::{note, plan_recovery};
pub use step::{CREDENTIALS, Observed, PASSWORD, Plan, Present, STATE, Step};

use k8s_openapi::jiff::Timestamp;

use self::step::{EXTERNAL_ID, METADATA_ADMIN, METADATA_PUBLIC, OIDC, ORGANIZATION_ID, TRAITS};
use super::claim::Claimant;
use super::desired::Desired;
use super::json;
use super::opaque;
use super::pointer;
use crate::api::identity::TraitsPolicy;

/// The plan for a resource that is there, at the time `now`.
pub fn plan(claimant: &Claimant, desired: &Desired, observed: &Observed, now: Timestamp) -> Plan {
    let owned_paths = owned_paths(desired);
    match observed {
        Observed::Absent => creation::plan(claimant, desired, owned_paths, now),
        Observed::Present(present) => match present.identity.readable() {
            Ok(there) => change::plan(claimant, desired, present, there, owned_paths, now),
            Err(unreadable) => {
                let refusal = Some(opaque::condition(unreadable, &owned_paths, None));
                Plan { owned_paths, refusal, ..Plan::default() }
            }
        },
    }
}

/// What a manifest owns and would have to remove later: its leaves. State and schema are owned too, but stay.
pub fn owned_paths(desired: &Desired) -> Vec<String> {
    let mut paths = Vec::new();
    if desired.traits_policy != TraitsPolicy::CreateOnly {
        paths.extend(json::leaves(TRAITS, &desired.traits));
    }
    paths.extend(json::leaves(METADATA_PUBLIC, &desired.metadata_public));
    paths.extend(json::leaves(METADATA_ADMIN, &desired.metadata_admin));
    paths.extend(desired.external_id.is_some().then(|| EXTERNAL_ID.to_owned()));
    paths.extend(desired.organization_id.is_some().then(|| ORGANIZATION_ID.to_owned()));
    paths.extend(desired.links.paths());
    paths.extend(desired.auto_links.iter().map(|provider| pointer::join(OIDC, provider)));
    paths.sort_unstable();
    paths.dedup();
    paths
}
