//! States of the operator's world, computed when they are scraped: from the stores of the watches, so that they are right after
//! a restart and on a standby, and from what is known of each instance at run time.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Error};
use std::sync::{Arc, OnceLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::shared::informers::Informers;
use super::shared::options::Options;
use crate::api::Reason;
use crate::api::condition::{self, State};
use crate::api::instance::KratosInstanceStatus;
use crate::api::session_policy::KratosSessionPolicy;
use crate::base::flow::leadership::Leadership;
use crate::base::namespaced_name::NamespacedName;
use crate::engine::policy::inputs::instance_key;
use crate::instance::Registry;
use crate::kubernetes::selector;

const KINDS: [&str; 3] = ["KratosIdentity", "KratosInstance", "KratosSessionPolicy"];
/// A word that is none of ours: somebody else's, or another version's.
const OTHER: &str = "Other";

/// One that can't be read is told so.
const UNREADABLE: (&str, &str) = ("false", "InvalidSpec");
/// It wasn't reconciled yet.
const NOT_LOOKED_AT: (&str, &str) = ("unknown", "");

/// See the module. Says that there is nothing until it is told of what.
#[derive(Clone, Default)]
pub struct Scrape(Arc<OnceLock<Scraped>>);

/// What is scraped.
pub struct Scraped {
    pub seen: Arc<Informers>,
    pub registry: Arc<Registry>,
    pub leadership: Leadership,
    pub options: Arc<Options>,
}

/// How many resources of a kind stand so, by Ready's status and reason.
type Tally = HashMap<(&'static str, &'static str), usize>;

impl Scrape {
    pub fn of(&self, scraped: Scraped) {
        // It is told once.
        let _ = self.0.set(scraped);
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Scrape").finish()
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let scraped = self.0.get();
        resources(&mut encoder, scraped)?;
        leader(&mut encoder, scraped)?;
        let instances = scraped.map(instances).unwrap_or_default();
        let mut gauge = |name, help, unit: Option<Unit>, value: fn(&Instance) -> Option<f64>| -> Result<(), Error> {
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for (key, instance) in &instances {
                if let Some(value) = value(instance) {
                    family.encode_family(&[("instance", key.as_str())])?.encode_gauge(&value)?;
                }
            }
            Ok(())
        };
        let help = "1 while Kratos gives no usable answer, so that nothing but probes is sent to it";
        gauge("kratos_operator_circuit_breaker_open", help, None, |instance| instance.is_open.map(f64::from))?;
        let help = "Deletions that the instance's protection holds until they are released";
        gauge("kratos_operator_deletions_held", help, None, |instance| Some(f64::from(instance.held)))?;
        let help = "Sessions that rules name, and that policies don't end since they are more than their limit";
        gauge("kratos_operator_revocations_held", help, None, |instance| Some(instance.revocations_held))?;
        let help = "Identities that are gone from Kratos, where those are so many that none is made again";
        gauge("kratos_operator_identities_missing", help, None, |instance| Some(f64::from(instance.missing)))?;
        let help = "When the last resync that is known began, in seconds since 1970";
        let name = "kratos_operator_last_resync_timestamp";
        gauge(name, help, Some(Unit::Seconds), |instance| instance.resynced)?;
        let help = "How often the instance is to be resynced";
        gauge("kratos_operator_resync_interval", help, Some(Unit::Seconds), |instance| instance.resync_interval)
    }
}

/// As client-go says it; nothing where nobody is elected.
fn leader(encoder: &mut DescriptorEncoder<'_>, scraped: Option<&Scraped>) -> Result<(), Error> {
    let Some(scraped) = scraped.filter(|scraped| scraped.leadership.is_elected()) else { return Ok(()) };
    let (name, is_leading) =
        (selector::lease_name(&scraped.options.watch_selector), u32::from(scraped.leadership.is_leading()));
    let help = "Whether this process leads: 1, or 0 while it stands by; by the Lease's name";
    let mut family = encoder.encode_descriptor("leader_election_master_status", help, None, MetricType::Gauge)?;
    family.encode_family(&[("name", name.as_str())])?.encode_gauge(&is_leading)
}

fn resources(encoder: &mut DescriptorEncoder<'_>, scraped: Option<&Scraped>) -> Result<(), Error> {
    let help = "KratosIdentity, KratosInstance and KratosSessionPolicy resources, by status and reason of their condition Ready";
    let mut family = encoder.encode_descriptor("kratos_operator_resources", help, None, MetricType::Gauge)?;
    let tallies = scraped.map(tallies).unwrap_or_default();
    for (kind, tally) in KINDS.into_iter().zip(&tallies) {
        let mut all: BTreeMap<_, _> = known().map(|known| (known, 0)).collect();
        all.extend(tally.iter().map(|(stands, count)| (*stands, *count)));
        for ((ready, reason), count) in all {
            let labels = [("kind", kind), ("ready", ready), ("reason", reason)];
            family.encode_family(&labels)?.encode_gauge(&count)?;
        }
    }
    Ok(())
}

/// Every way of standing that there can be: each is said from the start.
fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_reason = |reason: Reason| {
        let ready: &'static [&'static str] = match (reason, reason.state()) {
            // Whoever stays Ready says so, too.
            (Reason::Suspended | Reason::SecretNotReady | Reason::InstanceNotReady, _) => &["true", "false"],
            (_, State::Done) => &["true"],
            (_, State::Retrying | State::Stalled) => &["false"],
        };
        ready.iter().map(move |ready| (*ready, reason.as_str()))
    };
    condition::OF_READY.into_iter().flat_map(of_reason).chain([NOT_LOOKED_AT])
}

/// In the order of [`KINDS`].
fn tallies(scraped: &Scraped) -> [Tally; 3] {
    let (identities, instances, policies) =
        (scraped.seen.identities.state(), scraped.seen.instances.state(), scraped.seen.policies.state());
    let own = identities.iter().filter(|object| scraped.seen.is_own(&***object));
    let identities = own.map(|object| match &object.0 {
        Ok(identity) => stands(identity.status.as_ref().map(|status| &status.conditions)),
        Err(_) => UNREADABLE,
    });
    let instances = instances.iter().map(|object| match &object.0 {
        Ok(instance) => stands(instance.status.as_ref().map(|status| &status.conditions)),
        Err(_) => UNREADABLE,
    });
    let policies = policies.iter().map(|object| match &object.0 {
        Ok(policy) => stands(policy.status.as_ref().map(|status| &status.conditions)),
        Err(_) => UNREADABLE,
    });
    [tally(identities), tally(instances), tally(policies)]
}

fn tally(all: impl Iterator<Item = (&'static str, &'static str)>) -> Tally {
    let mut tally = Tally::new();
    for stands in all {
        *tally.entry(stands).or_default() += 1;
    }
    tally
}

/// By the conditions of its status, if it has one.
fn stands(conditions: Option<&Vec<Condition>>) -> (&'static str, &'static str) {
    let ready = conditions.and_then(|conditions| condition::find(conditions, condition::READY));
    let Some(ready) = ready else {
        let is_suspended = conditions.is_some_and(|conditions| condition::is_true(conditions, condition::SUSPENDED));
        return if is_suspended { ("false", Reason::Suspended.as_str()) } else { NOT_LOOKED_AT };
    };
    let known = condition::OF_READY.into_iter().map(Reason::as_str).find(|known| *known == ready.reason);
    let status = match ready.status.as_str() {
        "True" => "true",
        "False" => "false",
        _ => "unknown",
    };
    (status, known.unwrap_or(OTHER))
}

/// One instance, as far as gauges go.
#[derive(Default)]
struct Instance {
    /// Whether the circuit breaker is open; `None`: this process asks nothing of its Kratos.
    is_open: Option<bool>,
    held: u32,
    missing: u32,
    revocations_held: f64,
    resynced: Option<f64>,
    /// `None`: this process doesn't resync it.
    resync_interval: Option<f64>,
}

/// Those that count, by namespace and name.
fn instances(scraped: &Scraped) -> BTreeMap<String, Instance> {
    let mut found = BTreeMap::new();
    for object in &scraped.seen.instances.state() {
        let key = NamespacedName::of(&**object);
        if !scraped.options.instance_namespaces.contains(&key.namespace) {
            continue;
        }
        let status = object.0.as_ref().ok().and_then(|instance| instance.status.as_ref());
        found.insert(key.to_string(), instance(&key, status, scraped));
    }
    for object in &scraped.seen.policies.state() {
        if let Ok(policy) = &object.0
            && let Some(sessions) = held_revocations(policy)
            && let Some(key) = instance_key(policy, scraped.seen.default_instance.as_ref())
            && let Some(instance) = found.get_mut(&key.to_string())
        {
            instance.revocations_held += sessions;
        }
    }
    found
}

fn instance(key: &NamespacedName, status: Option<&KratosInstanceStatus>, scraped: &Scraped) -> Instance {
    let protection = status.and_then(|status| status.protection.as_ref());
    let handle = scraped.registry.handle(key);
    // The status is written once a day where nothing else changes.
    let seen =
        handle.as_ref().and_then(|handle| handle.shared.counts.resynced()).map(|resynced| resynced.last.started_at);
    let told = status.and_then(|status| status.last_resync.as_ref()).map(|last| last.started_at.clone());
    Instance {
        is_open: handle.as_ref().map(|handle| !handle.shared.circuit_breaker.allows_requests()),
        resync_interval: handle.map(|handle| handle.settings.resync_interval.as_secs_f64()),
        held: protection.map_or(0, |protection| protection.held),
        missing: protection.map_or(0, |protection| protection.missing),
        revocations_held: 0.0,
        resynced: seen.into_iter().chain(told).map(|at| at.0.as_duration().as_secs_f64()).reduce(f64::max),
    }
}

/// How many sessions a policy doesn't end since they are more than its limit.
fn held_revocations(policy: &KratosSessionPolicy) -> Option<f64> {
    let status = policy.status.as_ref()?;
    let stalled = condition::find(&status.conditions, condition::STALLED)?;
    #[allow(clippy::cast_precision_loss, reason = "nobody has so many sessions")]
    let matched = status.last_run.as_ref()?.matched as f64;
    (stalled.reason == Reason::RevocationsHeld.as_str()).then_some(matched)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use super::*;

    fn ready(status: &str, reason: &str) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
        let condition = crate::api::ReadyCondition::new(Reason::Reconciled, "");
        condition::set(&mut conditions, condition::READY, true, &condition, 1, now);
        (conditions[0].status, conditions[0].reason) = (status.to_owned(), reason.to_owned());
        conditions
    }

    #[test]
    fn a_resource_stands_as_its_condition_says_in_words_that_are_ours() {
        for (status, reason, stands_so) in [
            ("True", "Reconciled", ("true", "Reconciled")),
            ("False", "DeletionHeld", ("false", "DeletionHeld")),
            ("Unknown", "Progressing", ("unknown", "Progressing")),
            ("True", "ada@example.com", ("true", "Other")),
            ("ada@example.com", "Reconciled", ("unknown", "Reconciled")),
        ] {
            assert_eq!(stands(Some(&ready(status, reason))), stands_so);
        }
        assert_eq!(stands(None), NOT_LOOKED_AT);
        assert_eq!(stands(Some(&Vec::new())), NOT_LOOKED_AT);
    }

    #[test]
    fn each_way_of_standing_is_said_once() {
        let all: Vec<_> = known().collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(all.contains(&("true", "Suspended")) && all.contains(&("false", "Suspended")));
    }

    #[test]
    fn a_hundred_thousand_are_counted_within_moments() {
        let conditions = [ready("True", "Reconciled"), ready("False", "IdentitiesMissing")];
        let all = || conditions.iter().cycle().take(100_000);
        let took = (0..5).map(|_| {
            let begun = Instant::now();
            let tally = tally(all().map(|conditions| stands(Some(conditions))));
            assert_eq!(tally.values().copied().collect::<Vec<_>>(), [50_000, 50_000]);
            begun.elapsed()
        });
        let took = took.min().expect("five times");
        println!("100,000 resources: {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
