//! Tests of the pure part of policies: tables, and properties that hold for all sessions.

mod addresses;
mod desires;
mod enrolments;
mod expression_results;
mod hostile;
mod judgements;
mod messages;
mod sources;
mod statuses;
mod tallies;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::desired::{self, Desired, PolicyScope};
use super::judge::{Judgement, Mask, RuleMatch, judge};
use crate::api::ReadyCondition;
use crate::api::session_policy::KratosSessionPolicySpec;
use crate::base::namespaced_name::NamespacedName;
use crate::kratos::Session;

const NOW: &str = "2026-11-24T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn scope() -> PolicyScope {
    PolicyScope { instance: NamespacedName::new("identity", "default"), beside_instance: true, trusts_addresses: true }
}

/// A policy about everybody, with these rules.
fn spec(rules: &Value) -> KratosSessionPolicySpec {
    serde_json::from_value(json!({"identities": {"all": true}, "rules": rules})).unwrap()
}

fn parse(rules: &Value) -> Result<Desired, ReadyCondition> {
    desired::parse(&spec(rules), &scope())
}

/// A session of ada's, an hour old, with one factor; with these changes.
#[allow(clippy::needless_pass_by_value, reason = "written where it stands")]
fn session(changes: Value) -> Session {
    let mut session = json!({
        "id": Uuid::from_u128(1).to_string(), "active": true,
        "issued_at": "2026-11-24T11:00:00Z", "authenticated_at": "2026-11-24T11:00:00Z",
        "expires_at": "2026-11-25T11:00:00Z", "authenticator_assurance_level": "aal1",
        "authentication_methods": [{"method": "password", "aal": "aal1", "completed_at": "2026-11-24T11:00:00Z"}],
        "identity": {
            "id": Uuid::from_u128(7).to_string(), "schema_id": "employee", "state": "active",
            "traits": {"email": "ada@example.com", "department": "ops"},
        },
        "devices": [{"id": "d", "ip_address": "203.0.113.7:4711", "user_agent": "curl/8"}],
    });
    json_patch::merge(&mut session, &changes);
    serde_json::from_value(session).unwrap()
}

fn see(desired: &Desired, changes: Value) -> Judgement {
    judge(desired, None, Mask::MAX, &session(changes), now())
}

fn rule_match(desired: &Desired, changes: Value) -> RuleMatch {
    match see(desired, changes) {
        Judgement::Judged(rule_match) => rule_match,
        other => panic!("{other:?}"),
    }
}
