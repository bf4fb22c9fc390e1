//! The status of an instance.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use rstest::rstest;

use crate::api::condition::{self, READY};
use crate::api::instance::{
    ForeignCluster, IdentityCounts, KratosInstance, KratosInstanceStatus, LastResync, PendingDeletions,
};
use crate::api::protection::ProtectionStatus;
use crate::api::{ReadyCondition, Reason};
use crate::base::kube_error::Right;
use crate::base::namespaced_name::NamespacedName;
use crate::instance::counts::{Known, Resynced};
use crate::instance::readiness;
use crate::instance::status::{self, Cluster};

const CLUSTER: Cluster<'_> = Cluster { id: "uid-of-cluster", is_claimed: false };

fn next(
    current: Option<&KratosInstanceStatus>,
    reason: Reason,
    schemas: Option<&[&str]>,
    generation: i64,
    second: i64,
) -> KratosInstanceStatus {
    let schemas = schemas.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    let now = Timestamp::from_second(second).unwrap();
    let condition = ReadyCondition::new(reason, "because");
    status::next(current, &condition, CLUSTER, schemas, (generation, Some("asked-now")), now)
}

#[test]
fn what_was_seen_is_written_where_it_belongs() {
    let status = next(None, Reason::Reconciled, Some(&["customer"]), 3, 100);
    let KratosInstanceStatus {
        observed_generation,
        ref last_handled_reconcile_at,
        ref conditions,
        ref cluster_id,
        ref schemas,
        ref identities,
        ref foreign_clusters,
        ref former_namespaces,
        ref reclaimed_namespaces,
        ref last_resync,
        ref protection,
        ref pending_deletions,
    } = status;
    assert_eq!((identities, pending_deletions, foreign_clusters.len(), last_resync), (&None, &None, 0, &None));
    assert_eq!((former_namespaces.len(), reclaimed_namespaces.len()), (0, 0));
    assert_eq!((observed_generation, last_handled_reconcile_at.as_deref()), (Some(3), Some("asked-now")));
    assert_eq!((cluster_id.as_deref(), schemas.as_slice()), (Some("uid-of-cluster"), &["customer".to_owned()][..]));
    assert!(condition::is_true(conditions, READY) && conditions.len() == 1);
    assert_eq!(*protection, None, "nobody knows how it stands");
    assert_eq!(next(Some(&status), Reason::Reconciled, Some(&["customer"]), 3, 200), status, "no heartbeat");
}

#[test]
fn how_the_protection_stands_is_taken_in_where_it_is_known_and_takes_away_what_an_earlier_version_kept() {
    let stands = || Some(ProtectionStatus { held: 3, ..ProtectionStatus::default() });
    let noted = |stands: Option<ProtectionStatus>, current: Option<&ProtectionStatus>| {
        let mut status = next(None, Reason::Reconciled, None, 1, 100);
        status::note_protection(&mut status, stands, current);
        status.protection
    };
    let nothing = ProtectionStatus::default();
    let before = ProtectionStatus { granted: vec!["uid".into()], ..ProtectionStatus::default() };
    assert_eq!(noted(None, Some(&before)), None, "it stays as it is");
    assert_eq!(noted(stands(), None), stands());
    assert_eq!(noted(stands(), Some(&before)), stands());
    assert_eq!(noted(Some(nothing.clone()), Some(&before)), Some(nothing.clone()));
    assert_eq!(noted(Some(nothing), None), None, "that nothing has happened needn't be written");
}

#[test]
fn while_a_probe_is_waited_for_it_is_said_what_closed_the_gate() {
    let spec = serde_json::json!({"adminURL": "http://admin.example:4434", "ownerName": "production"});
    let mut instance = KratosInstance::new("default", serde_json::from_value(spec).expect("a spec"));
    let told = readiness::unavailable(&instance, Some("create_identity: HTTP 403"));
    assert!(told.message.starts_with("create_identity: HTTP 403; it is probed"), "{}", told.message);
    // The first that is said stays, so that a status isn't written with each probe.
    let now = Timestamp::from_second(100).unwrap();
    instance.status = Some(status::next(None, &told, CLUSTER, None, (1, None), now));
    assert_eq!(readiness::unavailable(&instance, Some("get_identity: HTTP 500")), told);
}

#[test]
fn schemas_that_could_not_be_read_stay_listed() {
    let before = next(None, Reason::Reconciled, Some(&["customer"]), 3, 100);
    let after = next(Some(&before), Reason::KratosUnavailable, None, 3, 200);
    assert_eq!(after.schemas, before.schemas);
    assert_eq!(next(Some(&before), Reason::Reconciled, Some(&[]), 3, 200).schemas, Vec::<String>::new());
}

#[rstest]
#[case(Reason::Reconciled, true)]
#[case(Reason::NotPermitted, true)]
#[case(Reason::KratosUnavailable, false)]
#[case(Reason::SecretNotReady, false)]
#[case(Reason::InstanceNotReady, false)]
fn a_request_is_served_once_it_led_somewhere(#[case] reason: Reason, #[case] expected: bool) {
    let status = next(None, reason, None, 3, 100);
    assert_eq!(status.last_handled_reconcile_at.is_some(), expected);
    assert_eq!(status.observed_generation, Some(3));
}

fn resynced(unmanaged: u64, foreign: u64, hour: i64) -> Resynced {
    Resynced {
        drifted: 1,
        orphaned: 2,
        unmanaged,
        foreign_clusters: vec![ForeignCluster { id: "theirs".into(), identities: foreign }],
        former_namespaces: Vec::new(),
        last: LastResync { started_at: Time(Timestamp::from_second(hour * 3600).unwrap()), requests: 7 },
    }
}

/// So many resources have an identity, and that many grace periods run.
fn known(managed: u64, count: u64) -> Known {
    let pending = PendingDeletions { count, next: (count > 0).then(|| Time(Timestamp::from_second(99).unwrap())) };
    Known { managed, pending, is_settled: false }
}

/// The status after a resync within the first hour, and after what comes.
fn noted(status: &mut KratosInstanceStatus, counted: (Resynced, Known), is_written: bool, second: i64) {
    let now = Timestamp::from_second(second).unwrap();
    status::note_counts(status, counted, is_written, Duration::from_hours(2), now);
}

#[rstest]
#[case::the_same_an_hour_later(5, 6, 1, false)]
#[case::the_same_a_day_later(5, 6, 24, true)]
#[case::other_counts(4, 6, 1, true)]
#[case::other_clusters(5, 7, 1, true)]
#[case::other_counts_sooner_than_a_resync_can_be(4, 6, 0, false)]
fn a_resync_is_told_where_it_is_news(
    #[case] unmanaged: u64,
    #[case] foreign: u64,
    #[case] hour: i64,
    #[case] told: bool,
) {
    let mut status = KratosInstanceStatus::default();
    noted(&mut status, (resynced(5, 6, 0), known(8, 0)), false, 10);
    let before = status.clone();
    let as_of = Some(Time(Timestamp::from_second(10).unwrap()));
    let counts = IdentityCounts { managed: 8, drifted: 1, orphaned: 2, unmanaged: 5, as_of };
    assert_eq!((&before.identities, &before.pending_deletions), (&Some(counts), &Some(known(8, 0).pending)));
    assert_eq!(
        (&before.foreign_clusters, &before.last_resync),
        (&resynced(5, 6, 0).foreign_clusters, &Some(resynced(5, 6, 0).last))
    );
    let next = resynced(unmanaged, foreign, hour);
    noted(&mut status, (next.clone(), known(8, 0)), false, 20);
    let expected = if told { Some(next.last) } else { before.last_resync.clone() };
    assert_eq!((status.last_resync.clone(), status != before), (expected, told));
}

#[rstest]
#[case::within_a_crowd(Known { is_settled: false, ..known(9, 0) }, false, None)]
#[case::once_it_has_come(Known { is_settled: true, ..known(9, 0) }, false, Some((9, 0, 10)))]
#[case::with_another_write(known(9, 1), true, Some((9, 1, 10)))]
#[case::nothing_new(Known { is_settled: true, ..known(8, 0) }, false, None)]
#[case::a_grace_period_alone(Known { is_settled: true, ..known(8, 1) }, false, Some((8, 1, 10)))]
#[case::a_grace_period_within_a_crowd(known(8, 1), false, None)]
fn what_the_watch_knows_is_told_between_resyncs(
    #[case] now: Known,
    #[case] is_written: bool,
    #[case] expected: Option<(u64, u64, i64)>,
) {
    let mut status = KratosInstanceStatus::default();
    noted(&mut status, (resynced(5, 6, 0), known(8, 0)), false, 1);
    let before = status.clone();
    noted(&mut status, (resynced(5, 6, 0), now.clone()), is_written, 10);
    let shown = |status: &KratosInstanceStatus| {
        let counts = status.identities.clone().unwrap();
        (counts.managed, status.pending_deletions.clone().unwrap().count, counts.as_of.unwrap().0.as_second())
    };
    assert_eq!((status != before).then(|| shown(&status)), expected);
    assert_eq!(status.last_resync, before.last_resync);
    // The next resync tells whatever it is.
    noted(&mut status, (resynced(5, 6, 1), now.clone()), false, 3600);
    assert_eq!((shown(&status).0, shown(&status).1), (now.managed, now.pending.count));
}

#[test]
fn a_cluster_id_that_somebody_named_is_checked_by_what_was_noted_and_never_noted_over_it() {
    let key = NamespacedName::new("identity", "main");
    let named = |id| Cluster { id, is_claimed: true };
    let told = |current: Option<&KratosInstanceStatus>, cluster| {
        status::next(
            current,
            &ReadyCondition::new(Reason::Reconciled, ""),
            cluster,
            None,
            (1, None),
            Timestamp::UNIX_EPOCH,
        )
    };
    let first = told(None, named("uid-one"));
    assert_eq!(first.cluster_id.as_deref(), Some("uid-one"));
    assert_eq!(status::mistaken(None, named("uid-two"), &key), None, "nothing was noted yet");
    assert_eq!(status::mistaken(Some(&first), named("uid-one"), &key), None);
    let condition = status::mistaken(Some(&first), named("uid-two"), &key).expect("it is another one");
    assert_eq!((condition.reason, condition.reason.state()), (Reason::ClusterMismatch, condition::State::Stalled));
    for word in ["uid-one", "uid-two", "--cluster-id", "kubectl patch kinst main -n identity"] {
        assert!(condition.message.contains(word), "{word}: {}", condition.message);
    }
    assert_eq!(told(Some(&first), named("uid-two")).cluster_id.as_deref(), Some("uid-one"));
    // What the API server says of itself is true, whatever was noted: a status that came from elsewhere.
    assert_eq!(status::mistaken(Some(&first), CLUSTER, &key), None);
    assert_eq!(told(Some(&first), CLUSTER).cluster_id.as_deref(), Some("uid-of-cluster"));
}

#[test]
fn rights_that_lack_are_named_beside_ready_and_gone_once_they_are_granted() {
    let right = |number: usize| Right {
        namespace: Some(format!("team-{number:02}")),
        group: String::new(),
        resource: "secrets".to_owned(),
        verb: "list".to_owned(),
    };
    let none = BTreeSet::new();
    let mut status = next(None, Reason::Reconciled, None, 3, 100);
    let before = status.clone();
    status::note_lacking(&mut status, &[right(1)], &none, 3, Timestamp::UNIX_EPOCH);
    let told = condition::find(&status.conditions, condition::PERMISSIONS_MISSING).expect("it is told");
    assert!(told.message.contains("may not list secrets in namespace team-01;"), "{}", told.message);
    assert!(condition::is_true(&status.conditions, READY) && !told.message.contains("being deleted"));
    let unread = Right { resource: "namespaces".to_owned(), verb: "get".to_owned(), ..right(3) };
    for (lacking, leaving) in [(vec![right(3)], BTreeSet::from(["team-03".to_owned()])), (vec![unread], none.clone())] {
        status::note_lacking(&mut status, &lacking, &leaving, 3, Timestamp::UNIX_EPOCH);
        let told = condition::find(&status.conditions, condition::PERMISSIONS_MISSING).expect("it is told");
        assert!(told.message.contains("Namespace team-03 is being deleted"), "{}", told.message);
    }
    let many: Vec<_> = (0..40).map(right).collect();
    status::note_lacking(&mut status, &many, &none, 3, Timestamp::UNIX_EPOCH);
    let told = condition::find(&status.conditions, condition::PERMISSIONS_MISSING).expect("it is told");
    assert!(told.message.contains("team-11, and 28 more;") && !told.message.contains("team-12"), "{}", told.message);
    status::note_lacking(&mut status, &[], &none, 3, Timestamp::UNIX_EPOCH);
    assert_eq!(status, before);
}

#[test]
fn a_suspended_instance_stays_as_ready_as_it_was_and_waits_for_nothing() {
    let ready = next(None, Reason::Reconciled, None, 3, 100);
    let suspended = next(Some(&ready), Reason::Suspended, None, 4, 200);
    let of = |status: &KratosInstanceStatus, type_: &str| {
        condition::find(&status.conditions, type_).map(|found| (found.status.clone(), found.reason.clone()))
    };
    let said = |status: &str, reason: &str| Some((status.to_owned(), reason.to_owned()));
    assert_eq!(of(&suspended, "Ready"), said("True", "Suspended"));
    assert_eq!(of(&suspended, "Suspended"), said("True", "Suspended"));
    assert_eq!((suspended.observed_generation, of(&suspended, "Reconciling")), (Some(4), None));

    let away = next(Some(&ready), Reason::KratosUnavailable, None, 4, 200);
    let suspended = next(Some(&away), Reason::Suspended, None, 5, 300);
    assert_eq!((of(&suspended, "Ready"), of(&suspended, "Reconciling")), (said("False", "Suspended"), None));

    let born = next(None, Reason::Suspended, None, 1, 100);
    assert_eq!((of(&born, "Ready"), of(&born, "Suspended")), (None, said("True", "Suspended")));
    assert!(born.cluster_id.is_some() && born.last_handled_reconcile_at.is_some());

    let resumed = next(Some(&suspended), Reason::Reconciled, None, 6, 400);
    assert_eq!((of(&resumed, "Ready"), of(&resumed, "Suspended")), (said("True", "Reconciled"), None));
}

#[test]
fn the_next_secret_that_lacks_is_told_of() {
    let now = Timestamp::from_second(100).unwrap();
    let lacks = |current: Option<&KratosInstanceStatus>, what: &str| {
        let condition = ReadyCondition::new(Reason::SecretNotReady, what);
        status::next(current, &condition, CLUSTER, None, (1, None), now)
    };
    let first = lacks(None, "Secret own, key tls.crt: it doesn't exist; the operator waits for it");
    let second = lacks(Some(&first), "Secret gateway, key key: it doesn't exist; the operator waits for it");
    let told = condition::find(&second.conditions, "Reconciling").unwrap();
    assert!(told.message.starts_with("Secret gateway"), "{}", told.message);
}

#[rstest]
#[case::nothing(Reason::InvalidSpec, "rule 1", Reason::InvalidSpec, "rule 1", false)]
#[case::another_fault(Reason::InvalidSpec, "rule 1", Reason::InvalidSpec, "rule 2", true)]
#[case::another_reason(Reason::InvalidSpec, "rule 1", Reason::Reconciled, "rule 1", true)]
#[case::another_number(Reason::DeletionHeld, "3 are held", Reason::DeletionHeld, "4 are held", false)]
fn an_event_tells_of_another_reason_and_of_another_fault_in_the_manifest(
    #[case] before: Reason,
    #[case] said: &str,
    #[case] now: Reason,
    #[case] says: &str,
    #[case] expected: bool,
) {
    let at = Timestamp::from_second(100).unwrap();
    let status = status::next(None, &ReadyCondition::new(before, said), CLUSTER, None, (1, None), at);
    assert_eq!(status::is_news(Some(&status), &ReadyCondition::new(now, says)), expected);
    assert!(status::is_news(None, &ReadyCondition::new(now, says)), "of whoever was never looked at");
}

#[test]
fn an_empty_list_is_written_as_nothing_so_that_a_merge_patch_removes_it() {
    let status = next(None, Reason::Reconciled, Some(&["customer"]), 3, 100);
    let written = serde_json::to_value(&status).unwrap();
    assert_eq!(written["schemas"], serde_json::json!(["customer"]));
    assert_eq!(written["foreignClusters"], serde_json::Value::Null);
    assert!(written.as_object().unwrap().contains_key("foreignClusters"), "left out it would stay");
    assert_eq!(serde_json::from_value::<KratosInstanceStatus>(written).unwrap(), status, "and it is read as none");
}
