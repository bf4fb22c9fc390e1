//! Every message that a `KratosIdentity` gets, with the worst that people may have written into it.

use serde_json::{Map, Value, json};

use super::builders::{claimant, mark, marked, now};
use crate::api::identity::TraitFrom;
use crate::api::instance::{AdoptionFrom, KeyRef};
use crate::api::messages::{VALUE, hold, hostile};
use crate::api::recovery::RecoveryType;
use crate::api::{KratosIdentityStatus, ReadyCondition, Reason, condition};
use crate::base::kube_error::Right;
use crate::base::namespaced_name::NamespacedName;
use crate::controllers::identity::{record, unreadable};
use crate::controllers::secrets::operator_key;
use crate::engine::failure;
use crate::engine::identity::inputs::{not_permitted, not_ready, pinned_to};
use crate::engine::identity::{admission, schemas, succession};
use crate::identity::adoption::Refusal;
use crate::identity::conflict;
use crate::identity::desired;
use crate::identity::opaque;
use crate::identity::plan;
use crate::identity::progress;
use crate::identity::recovery::{self, SecretObservation};
use crate::identity::schema::shape::Shape;
use crate::identity::secrets::{self, Secrets};
use crate::identity::status::{self, Observation, Outcome, RecoveryObservation, Subject};
use crate::identity::{schema, traits_from};
use crate::instance::rules;
use crate::kratos::{Content, SchemaFault, State};

/// The condition for a spec that contradicts itself.
fn refused(spec: &Value) -> ReadyCondition {
    let mut whole = json!({"schemaID": hostile(), "traits": {"mail": VALUE}});
    json_patch::merge(&mut whole, spec);
    let spec = serde_json::from_value(whole).expect("a spec");
    match desired::parse(&spec, &Secrets::default(), now()) {
        Err(condition) => condition,
        Ok(_) => panic!("it contradicts itself: {spec:?}"),
    }
}

fn secret(changes: &Value) -> recovery::Recovery {
    let mut recovery = json!({"type": "Link", "secretName": "n".repeat(250)});
    json_patch::merge(&mut recovery, changes);
    let spec = serde_json::from_value(json!({"schemaID": "customer", "recovery": recovery})).expect("a spec");
    recovery::parse(&spec, [].into_iter()).expect("it can be written").expect("a recovery")
}

fn of_specs() -> Vec<(&'static str, ReadyCondition)> {
    let name = hostile();
    let twice = json!([{"provider": name, "subject": VALUE}, {"provider": name, "subject": VALUE}]);
    vec![
        ("the mark's key", refused(&json!({"metadataAdmin": {"kratos-operator.dev": VALUE}}))),
        ("a link twice", refused(&json!({"credentials": {"oidc": twice}}))),
        ("a link of nobody", refused(&json!({"credentials": {"oidc": [{"provider": name}]}}))),
        (
            "a link that makes itself, of SAML",
            refused(&json!({"credentials": {"saml": [{"provider": name, "useAutoLink": true}]}})),
        ),
        ("no password to send", refused(&json!({"actions": {"setPassword": {"token": VALUE}}}))),
        (
            "adoption of several",
            refused(&json!({"adoption": {"policy": "IfUnowned", "identifier": VALUE, "externalID": VALUE}})),
        ),
        (
            "given and absent",
            refused(&json!({"credentials": {"absent": ["OIDC"], "oidc": [{"provider": name, "subject": VALUE}]}})),
        ),
        ("a link's flow", refused(&json!({"recovery": {"type": "Link", "secretName": "a", "flowType": "API"}}))),
        ("no name of a Secret", refused(&json!({"recovery": {"type": "Link", "secretName": name}}))),
    ]
}

fn of_recoveries() -> Vec<(&'static str, ReadyCondition)> {
    let wanted = secret(&json!({}));
    let issued = |expires_at: &str| {
        let noted = json!({"recovery": {
            "type": "Link", "secretName": wanted.secret_name, "startedAt": "2026-12-24T17:00:00Z",
            "issuedAt": "2026-12-24T17:00:00Z", "expiresAt": expires_at,
        }});
        mark(&noted).recovery
    };
    let (running, over) = (issued("2026-12-24T19:00:00Z"), issued("2026-12-24T17:30:00Z"));
    let recovery_state =
        |noted, state, is_there| recovery::recovery_state(&wanted, noted, state, is_there, None, now()).condition;
    vec![
        ("issued", recovery_state(running.as_ref(), State::Active, true)),
        ("its Secret is gone", recovery_state(running.as_ref(), State::Active, false)),
        ("expired", recovery_state(over.as_ref(), State::Active, false)),
        ("inactive", recovery_state(running.as_ref(), State::Inactive, false)),
        ("locked out", recovery::locked_out()),
        ("disabled", recovery::disabled(RecoveryType::Link)),
        ("switched off", recovery::switched_off()),
        ("can't be written", recovery::unwritable(&hostile(), Some(403))),
        (
            "somebody else's",
            recovery::ensure_writable(Some(&wanted), None, State::Active, &SecretObservation::Foreign).unwrap_err(),
        ),
    ]
}

fn of_adoptions() -> Vec<(&'static str, ReadyCondition)> {
    let beside = crate::identity::claim::Claimant { beside_instance: true, ..claimant() };
    let refusals = [
        ("taken", Refusal::Taken(None)),
        ("taken by a neighbour", Refusal::Taken(Some(hostile()))),
        ("missing", Refusal::Missing),
        ("several", Refusal::Ambiguous),
        ("unverified", Refusal::Unverified),
        ("unmarkable", Refusal::Unmarkable),
        ("unreadable", Refusal::Unreadable),
        ("leaving", Refusal::Leaving(now())),
        ("not allowed", Refusal::NotAllowed),
    ];
    let mut found: Vec<_> =
        refusals.iter().map(|(what, refusal)| (*what, refusal.condition(&beside, AdoptionFrom::Same))).collect();
    found.push(("from elsewhere", Refusal::Missing.condition(&claimant(), AdoptionFrom::Same)));
    found.push(("from elsewhere, allowed", Refusal::Missing.condition(&claimant(), AdoptionFrom::Allowed)));
    found
}

/// What is waited for, and what has changed meanwhile.
fn of_progress() -> Vec<(&'static str, ReadyCondition)> {
    let name = hostile();
    vec![
        ("deleted meanwhile", progress::deleted()),
        ("changed meanwhile", progress::changed()),
        ("written meanwhile", progress::written()),
        ("put right in vain", progress::put_right()),
        ("active again", progress::active_again()),
        ("taken meanwhile", progress::taken()),
        ("wiped meanwhile", progress::wiped()),
        ("a turn to adopt", progress::turn_to_adopt()),
        ("a turn to hash", progress::turn_to_hash()),
        ("not listed yet", progress::unlisted()),
        ("not listed yet, whom it replaces", progress::unlisted_former()),
        ("not noted yet", progress::unnoted()),
        ("a create without an answer", progress::unsettled()),
        ("a late create", progress::late()),
        ("another operator's", progress::not_own()),
        ("an instance without its finalizer", progress::unheld()),
        ("a namespace that was made anew", progress::another_namespace()),
        ("not counted yet", progress::uncounted()),
        ("after one that can't be read", progress::after(&name, succession::UNREAD)),
        ("after one that holds its identity", progress::after(&name, succession::HOLDS)),
    ]
}

/// What modules say that do something.
fn of_others() -> Vec<(&'static str, ReadyCondition)> {
    let name = hostile();
    let right = Right {
        namespace: Some("n".repeat(63)),
        group: "kratos-operator.dev".to_owned(),
        resource: "kratossessionpolicies/status".to_owned(),
        verb: "patch".to_owned(),
    };
    let key = |what: &str| operator_key::not_ready(&"n".repeat(63), what);
    vec![
        ("a right lacks", record::forbidden(&right)),
        ("no instance named", failure::unnamed()),
        ("another instance named", pinned_to(&name)),
        ("a field that can't be read", unreadable::condition(&name)),
        ("a schema that isn't known yet", schemas::unread(&NamespacedName::new(name.clone(), name.as_str()))),
        ("a schema that hides identifiers", admission::unaskable_of_schema(&name)),
        ("an identity of such a schema", admission::unaskable_of_identity()),
        ("names that lead in a circle", succession::invalid(succession::CIRCLE)),
        ("a name of another instance", succession::invalid(succession::ELSEWHERE)),
        ("the second that replaces", succession::second(&name, &name)),
        ("another's key", key(operator_key::FOREIGN)),
        ("no right to the key", key(operator_key::FORBIDDEN)),
        ("a key that can't be read", key(operator_key::UNREADABLE)),
    ]
}

fn opaque_content() -> ReadyCondition {
    let text = format!("{{\"{VALUE}\": 1e999}}");
    let content: Content = serde_json::from_str(&text).expect("it is kept");
    let opaque = content.opaque().expect("it can't be read");
    opaque::condition(("/metadata_public", opaque), &[format!("/metadata_public/{}", "k".repeat(300))], None)
}

/// What stands beside Ready, of an identity that is there.
fn of_statuses() -> Vec<(&'static str, ReadyCondition)> {
    let subject = Subject { generation: 1, requested_at: None, current: None };
    let seen = Observation::Present {
        identity: Box::new(marked(&json!({}), &[])),
        owned_paths: Vec::new(),
        drift: vec![format!("/traits/{}", hostile())],
        stale_identifiers: 9_999_999,
        is_changed: false,
    };
    let condition = ReadyCondition::new(Reason::Observed, "looked at");
    let outcome = Outcome { condition, instance: None, seen, recovery: RecoveryObservation::Nothing };
    let next = status::next(subject, outcome, now());
    let suspended = status::suspended(subject, RecoveryObservation::Nothing, now());
    let message = |status: &KratosIdentityStatus, type_: &str| {
        condition::find(&status.conditions, type_).expect("it is there").message.clone()
    };
    vec![
        ("drift", ReadyCondition::new(Reason::DriftObserved, message(&next, condition::DRIFTED))),
        (
            "stale identifiers",
            ReadyCondition::new(Reason::StaleIdentifiers, message(&next, condition::STALE_IDENTIFIERS)),
        ),
        ("suspended", ReadyCondition::new(Reason::Suspended, message(&suspended, condition::SUSPENDED))),
    ]
}

#[test]
fn every_message_is_short_and_of_use_and_shows_no_value() {
    let name = hostile();
    let reference = KeyRef { name: name.clone(), key: name.clone() };
    let schema = json!({"properties": {"traits": {
        "properties": {"mail": {"type": "integer"}}, "required": [name.clone()], "additionalProperties": false,
    }}});
    let traits: Map<_, _> = (0..50).map(|at| (format!("{at}{name}"), json!(VALUE))).collect();
    let mut traits = Value::Object(traits);
    traits["mail"] = json!(VALUE);
    let key = NamespacedName::new(name.clone(), name.as_str());
    let from = json!([{"path": format!("/{}", "p".repeat(1000)), "secretKeyRef": {"name": "a", "key": "b"}}]);
    let from: Vec<TraitFrom> = serde_json::from_value(from).expect("references");
    let shadowed = Map::from_iter([("p".repeat(1000), json!(VALUE))]);
    let traits_from = traits_from::fill(&shadowed, &from, &Secrets::default()).unwrap_err();
    let explained =
        |schema: Option<(&Value, &Shape)>| schema::explain(&name, schema, &traits, traits.as_object().expect("traits"));
    let mut table = vec![
        (
            "traits that don't fit",
            ReadyCondition::new(Reason::TraitsRejected, explained(Some((&schema, &Shape::of(&schema))))),
        ),
        ("traits that nobody can explain", ReadyCondition::new(Reason::TraitsRejected, explained(None))),
        ("a schema that isn't served", failure::schema_not_found(&name)),
        ("a schema of no use", failure::schema_of_no_use(&name, SchemaFault::NotJson)),
        ("a field that is too new", failure::unsupported(&name)),
        ("the instance is down", failure::unavailable()),
        ("replaced", conflict::replaced(&name)),
        ("nobody can tell whose", conflict::person_unknown()),
        ("taken", conflict::taken(false)),
        ("taken, perhaps by its external id", conflict::taken(true)),
        ("a neighbour's", conflict::conflict(Some(&name))),
        ("the last first factor", plan::last_first_factor()),
        ("a Secret's value", secrets::invalid(&reference, "is longer than 64 KiB")),
        ("no instance", not_ready(&key, "doesn't exist; the operator waits for it")),
        ("no consent", not_permitted(&key, &name)),
        ("rules of no use", rules::unaskable()),
        ("a trait twice", traits_from),
        ("what can't be read", opaque_content()),
    ];
    table.extend(of_specs());
    table.extend(of_recoveries());
    table.extend(of_adoptions());
    table.extend(of_statuses());
    table.extend(of_progress());
    table.extend(of_others());
    let reasons = [
        Reason::TraitsRejected,
        Reason::SchemaNotFound,
        Reason::UnsupportedByServer,
        Reason::KratosUnavailable,
        Reason::KratosRejected,
        Reason::AdoptionRefused,
        Reason::Replaced,
        Reason::IdentityConflict,
        Reason::InvalidSpec,
        Reason::InstanceNotReady,
        Reason::NotPermitted,
        Reason::SecretNotReady,
        Reason::RecoveryIssued,
        Reason::RecoveryExpired,
        Reason::RecoveryDisabled,
        Reason::RecoverySecretGone,
        Reason::IdentityInactive,
        Reason::DriftObserved,
        Reason::StaleIdentifiers,
        Reason::Suspended,
        Reason::Progressing,
        Reason::Forbidden,
    ];
    hold(&table, &reasons);
}
