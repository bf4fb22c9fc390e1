//! What is kept of an instance's protection: what is persisted before anything is done by it, and what of it the status shows.
//! Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::api::protection::{Held, LastRelease, ProtectionStatus, Released, Reservation};
use crate::instance::release_value;

/// How many uids of deletions that may be under way are kept: as many as `--concurrency` lets be under way. One that falls out
/// counts twice. So no more are granted at the same time; the others, which may go, have the next round.
pub const KEPT_GRANTS: usize = 1024;
/// How many namespaces are named whose deletions are held. Where there are more, those of all are.
pub const KEPT_HOLDING: usize = 256;
/// As the definition says of the same lists in a status; no version keeps more.
const MOST_RESERVATIONS: usize = 640;
const MOST_EARLIER: usize = 15;
/// The longest name of a namespace, the longest uid and the longest value, in bytes: 256 characters are kept of a value.
const LONGEST_NAMESPACE: usize = 63;
const LONGEST_UID: usize = 64;
const LONGEST_VALUE: usize = 1024;
/// The status has no larger numbers.
const LARGEST: u32 = i32::MAX.unsigned_abs();

/// What is kept. The fields are those of a status that holds all of it (see [`ProtectionStatus`]).
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// How many resources that are being deleted are held.
    pub held: u32,
    /// The namespaces whose deletions are held. None while `held` is above zero: those of every namespace are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holding: Vec<Held>,
    /// Above zero: so many identities are gone from Kratos, and nothing is made or deleted there.
    pub missing: u32,
    /// Of the identities that were gone when that was released, how many are still to be made again.
    pub recreating: u32,
    /// The deletions that count within the window.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<Reservation>,
    /// Uids of resources whose deletion was counted, and may be under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
    /// Namespaces whose deletions were released, for as long as those are under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<Released>,
    /// Which values of the release annotation were served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_release: Option<LastRelease>,
    /// Namespaces whose held deletions were let go without touching their identities, for as long as those are under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Released>,
    /// Which values of the keep annotation were served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_keep: Option<LastRelease>,
}

impl State {
    /// Reads what [`Self::text`] wrote. Whoever may write there may have written anything: what no version writes isn't taken
    /// for a state. What a newer version keeps beside is left out.
    pub fn read(text: &str) -> Option<Self> {
        // A struct is read from a list as well.
        let is_object = text.trim_start().starts_with('{');
        let state: Self = if is_object { serde_json::from_str(text).ok()? } else { return None };
        state.is_plausible().then_some(state)
    }

    /// As it is written. Nothing in it can fail to be.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a status holds: all of it, where it is kept there; else what people act on.
    pub fn of_status(status: Option<&ProtectionStatus>) -> Self {
        let Some(status) = status.cloned() else { return Self::default() };
        let ProtectionStatus {
            held,
            holding,
            missing,
            recreating,
            last_release,
            last_keep,
            reserved,
            granted,
            released,
            kept,
        } = status;
        let (last_release, last_keep) =
            (last_release.map(release_value::shortened), last_keep.map(release_value::shortened));
        Self { held, holding, missing, recreating, reserved, granted, released, last_release, kept, last_keep }
    }

    /// What people act on, for the status: nothing that one more deletion changes.
    pub fn shown(&self) -> ProtectionStatus {
        let without_earlier = |last: &LastRelease| LastRelease { earlier: Vec::new(), ..last.clone() };
        ProtectionStatus {
            held: self.held,
            holding: self.holding.clone(),
            missing: self.missing,
            recreating: self.recreating,
            last_release: self.last_release.as_ref().map(without_earlier),
            last_keep: self.last_keep.as_ref().map(without_earlier),
            ..ProtectionStatus::default()
        }
    }

    /// All of it, for a status that it is kept in.
    pub fn in_full(&self) -> ProtectionStatus {
        let Self { held, holding, missing, recreating, reserved, granted, released, last_release, kept, last_keep } =
            self.clone();
        ProtectionStatus {
            held,
            holding,
            missing,
            recreating,
            last_release,
            last_keep,
            reserved,
            granted,
            released,
            kept,
        }
    }

    /// Whether a status could hold all of it.
    fn is_plausible(&self) -> bool {
        let Self { held, holding, missing, recreating, reserved, granted, released, last_release, kept, last_keep } =
            self;
        let mut counts = holding.iter().map(|held| held.count).chain([*held, *missing, *recreating]);
        let mut reserved_counts = reserved.iter().flat_map(|entry| [Some(entry.count), entry.most]).flatten();
        let is_name = |name: &str| name.len() <= LONGEST_NAMESPACE;
        let lists = [
            holding.iter().map(|held| held.namespace.as_str()).collect::<Vec<_>>(),
            released.iter().map(|released| released.namespace.as_str()).collect(),
            kept.iter().map(|kept| kept.namespace.as_str()).collect(),
        ];
        let are_names = |names: &[&str]| {
            let different: HashSet<_> = names.iter().collect();
            names.len() <= KEPT_HOLDING && different.len() == names.len() && names.iter().all(|name| is_name(name))
        };
        let is_served = |last: &LastRelease| {
            let mut values = last.token.iter().chain(&last.earlier);
            last.earlier.len() <= MOST_EARLIER && values.all(|value| value.len() <= LONGEST_VALUE)
        };
        counts.all(|count| count <= LARGEST)
            && reserved_counts.all(|count| (1..=LARGEST).contains(&count))
            && lists.iter().all(|names| are_names(names))
            && reserved.len() <= MOST_RESERVATIONS
            && reserved.iter().filter_map(|entry| entry.namespace.as_deref()).all(is_name)
            && granted.len() <= KEPT_GRANTS
            && granted.iter().all(|uid| uid.len() <= LONGEST_UID)
            && last_release.iter().chain(last_keep).all(is_served)
    }
}
