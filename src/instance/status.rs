//! From how an instance stands to the status of its `KratosInstance` that is written. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::counts::{Known, Resynced};
use crate::api::condition::{self, State};
use crate::api::instance::{IdentityCounts, KratosInstanceStatus, LastResync};
use crate::api::protection::ProtectionStatus;
use crate::api::words::shown;
use crate::api::{ReadyCondition, Reason};
use crate::base::kube_error::Right;
use crate::base::namespaced_name::NamespacedName;

/// A resync that found what is written already is written after so long, and not sooner: nobody is told the time.
const TOLD_ANYWAY: SignedDuration = SignedDuration::from_hours(24);
/// How many schemas a status lists, and how long an id it shows.
const SHOWN_SCHEMAS: usize = 1024;
const SHOWN_LENGTH: usize = 1024;
/// How much is shown of a cluster's id, in characters: a uid.
const ID: usize = 36;
/// How a message begins that is about schemas.
pub const ABOUT_SCHEMAS: &str = "identity schemas can't be read";

/// A status as it is compared and written by whoever doesn't know how the protection stands, nor keeps who reclaimed what: that has
/// a writer of its own.
pub fn without_others(status: KratosInstanceStatus) -> KratosInstanceStatus {
    KratosInstanceStatus { protection: None, reclaimed_namespaces: Vec::new(), ..status }
}

/// Takes in how the protection stands; `None`: as the status says already. What `current` says of it is compared with that. So
/// what an earlier version kept there goes, once it is kept elsewhere.
pub fn note_protection(
    status: &mut KratosInstanceStatus,
    stands: Option<ProtectionStatus>,
    current: Option<&ProtectionStatus>,
) {
    // That nothing has happened yet needn't be written.
    status.protection = stands.filter(|stands| current.is_some() || *stands != ProtectionStatus::default());
}

/// Which cluster this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cluster<'a> {
    pub id: &'a str,
    /// Whether somebody named it; nobody asked the API server then.
    pub is_claimed: bool,
}

/// Why an instance can't be used by an operator that was told another cluster's id than the one whose identities it has: with
/// that it would take nobody for its own, and mark whoever is new as another cluster's.
pub fn mistaken(
    current: Option<&KratosInstanceStatus>,
    cluster: Cluster<'_>,
    key: &NamespacedName,
) -> Option<ReadyCondition> {
    let noted = current?.cluster_id.as_deref().filter(|noted| cluster.is_claimed && *noted != cluster.id)?;
    let NamespacedName { namespace, name } = key;
    let message = format!(
        "the operator has --cluster-id={}, and this instance's identities are of cluster {} (status.clusterID): nothing is sent \
         to Kratos. Start the operator with what `kubectl get namespace kube-system \
         -o jsonpath='{{.metadata.uid}}'` prints. If that is what it was started with, the resource came from another \
         cluster: `kubectl patch kinst {name} -n {namespace} --subresource=status --type=merge \
         -p '{{\"status\":{{\"clusterID\":null}}}}'`",
        shown(cluster.id, ID),
        shown(noted, ID)
    );
    Some(ReadyCondition::new(Reason::ClusterMismatch, message))
}

/// The status after a reconcile. `schemas`: what Kratos serves, if that is known.
pub fn next(
    current: Option<&KratosInstanceStatus>,
    condition: &ReadyCondition,
    cluster: Cluster<'_>,
    schemas: Option<Vec<String>>,
    (generation, requested_at): (i64, Option<&str>),
    now: Timestamp,
) -> KratosInstanceStatus {
    let mut status = current.cloned().unwrap_or_default();
    status.observed_generation = Some(generation);
    if condition.reason.state() != State::Retrying
        && let Some(requested_at) = requested_at
    {
        status.last_handled_reconcile_at = Some(requested_at.to_owned());
    }
    if condition.reason == Reason::Suspended {
        condition::suspend(&mut status.conditions, condition, generation, now);
    } else {
        condition::clear(&mut status.conditions, condition::SUSPENDED);
        forget_another_matter(&mut status.conditions, condition);
        condition::summarize(&mut status.conditions, condition, generation, now);
    }
    // What was noted is what a claim is checked by.
    if !cluster.is_claimed || status.cluster_id.is_none() {
        status.cluster_id = Some(cluster.id.to_owned());
    }
    if let Some(mut schemas) = schemas {
        schemas.retain(|id| id.len() <= SHOWN_LENGTH);
        schemas.truncate(SHOWN_SCHEMAS);
        status.schemas = schemas;
    }
    status
}

/// What is retried for the same reason keeps its first message. The admin API and the schemas are two matters, which may
/// be in trouble one after the other.
fn forget_another_matter(conditions: &mut Vec<Condition>, condition: &ReadyCondition) {
    let is_about_schemas = |message: &str| message.starts_with(ABOUT_SCHEMAS);
    let told = condition::find(conditions, condition::RECONCILING);
    let is_another = |told: &Condition| {
        // One after another goes of those that hold an instance which is being deleted.
        let is_another_number = condition.reason == Reason::Progressing && told.message != condition.message;
        is_another_number || is_about_schemas(&told.message) != is_about_schemas(&condition.message)
    };
    if told.is_some_and(is_another) {
        condition::clear(conditions, condition::RECONCILING);
    }
}

/// How many rights a message names.
const NAMED_RIGHTS: usize = 12;

/// Whether a condition is worth an event: where the reason changed, or something else is wrong with the manifest. (The number
/// of held deletions changes the message too, without an event each time.)
pub fn is_news(before: Option<&KratosInstanceStatus>, condition: &ReadyCondition) -> bool {
    let conditions = before.map_or(&[][..], |status| &status.conditions);
    let told = [condition::STALLED, condition::RECONCILING, condition::READY];
    let told = told.into_iter().find_map(|type_| condition::find(conditions, type_));
    told.is_none_or(|told| {
        told.reason != condition.reason.as_str()
            || condition.reason == Reason::InvalidSpec && told.message != condition.message
    })
}

/// Says which rights the operator lacks. Whatever takes none of them goes on, so that this is beside Ready. `leaving`: the
/// namespaces that are known to be on their way out.
pub fn note_lacking(
    status: &mut KratosInstanceStatus,
    lacking: &[Right],
    leaving: &BTreeSet<String>,
    generation: i64,
    now: Timestamp,
) {
    if lacking.is_empty() {
        return condition::clear(&mut status.conditions, condition::PERMISSIONS_MISSING);
    }
    let named: Vec<_> = lacking.iter().take(NAMED_RIGHTS).map(Right::to_string).collect();
    let more = lacking.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    let left = left_behind(lacking, leaving).join(", ");
    let left = if left.is_empty() {
        left
    } else {
        format!(
            ". Namespace {left} is being deleted, or its roles are gone: what carries the operator's finalizer there waits \
             for rights; docs/namespaced-mode.md says how it gets them for a moment, or goes without"
        )
    };
    let named = named.join(", ");
    let message = format!("the operator may not {named}{more}; grant it what `kratos-operator rbac` prints{left}");
    let condition = ReadyCondition::new(Reason::Forbidden, message);
    condition::set(&mut status.conditions, condition::PERMISSIONS_MISSING, true, &condition, generation, now);
}

/// The namespaces in which nothing can be finished: they are being deleted and something is refused in them, or not even they
/// themselves may be read any more.
fn left_behind<'a>(lacking: &'a [Right], leaving: &BTreeSet<String>) -> Vec<&'a str> {
    let is_left = |right: &&Right| {
        right.namespace.as_ref().is_some_and(|namespace| right.resource == "namespaces" || leaving.contains(namespace))
    };
    let left: BTreeSet<_> = lacking.iter().filter(is_left).filter_map(|right| right.namespace.as_deref()).collect();
    left.into_iter().take(NAMED_RIGHTS).collect()
}

/// Takes in what a resync came to and what is known beside it, where that is news. What somebody wanted listed in between, sooner
/// than half an interval after what is told already, waits for the next regular one. `is_written`: the status is going to be
/// written in any case, so that it says how many there are now.
pub fn note_counts(
    status: &mut KratosInstanceStatus,
    (resynced, known): (Resynced, Known),
    is_written: bool,
    interval: Duration,
    now: Timestamp,
) {
    let Resynced { drifted, orphaned, unmanaged, foreign_clusters, former_namespaces, last } = resynced;
    let Known { managed, pending, is_settled } = known;
    let since = |shown: &LastResync| last.started_at.0.duration_since(shown.started_at.0);
    let since = status.last_resync.as_ref().map(since);
    let as_of = Some(Time(whole_second(now)));
    let counted = IdentityCounts { managed, drifted, orphaned, unmanaged, as_of };
    let is_same = |shown: &IdentityCounts| counted == IdentityCounts { as_of: counted.as_of.clone(), ..shown.clone() };
    let is_known = status.identities.as_ref().is_some_and(is_same)
        && status.pending_deletions.as_ref() == Some(&pending)
        && status.foreign_clusters == foreign_clusters
        && status.former_namespaces == former_namespaces;
    let is_other =
        |shown: &IdentityCounts| shown.managed != managed || status.pending_deletions.as_ref() != Some(&pending);
    let is_news = is_settled && status.identities.as_ref().is_some_and(is_other);
    let soonest = if is_known { TOLD_ANYWAY } else { SignedDuration::try_from(interval / 2).unwrap_or(TOLD_ANYWAY) };
    if since.is_none_or(|since| since >= soonest) {
        (status.identities, status.pending_deletions) = (Some(counted), Some(pending));
        status.foreign_clusters = foreign_clusters;
        status.former_namespaces = former_namespaces;
        status.last_resync = Some(last);
    } else if let Some(shown) = &mut status.identities
        && (is_written || is_news)
    {
        (shown.managed, shown.as_of) = (managed, counted.as_of);
        status.pending_deletions = Some(pending);
    }
}

/// Times are written in whole seconds.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
