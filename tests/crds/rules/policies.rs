//! Rows about `KratosSessionPolicy`.

use serde_json::{Value, json};

use super::{DURATION, Fate, Row, policy};

const NOBODY: &str = "name the identities, or say all: true";
const EMPTY_SELECTOR: &str = "an empty selector would select everything: name labels, or say all: true";
const NO_CONDITION: &str = "a rule needs a condition: without one it would name every session";
const EXTEND_NEEDS: &str = "Extend needs expiresWithin and maxAge";
const EXTEND_ONLY: &str = "Extend goes with expiresWithin, maxAge and expression only";
const ONLY_EXTEND: &str = "expiresWithin goes with Extend only";
const ASSURANCE: &str = "gracePeriod and unenrolled go with minimumAssurance only";

/// The rows.
pub fn rows() -> Vec<Row> {
    [policies(), session_rules()].concat()
}

/// A policy with one rule.
fn rule(what: &'static str, mut rule: Value, fate: Fate) -> Row {
    rule["name"] = json!("rule");
    if rule.get("action").is_none() {
        rule["action"] = json!("Revoke");
    }
    policy(what, &json!({"rules": [rule]}), fate)
}

fn policies() -> Vec<Row> {
    let identities = |identities: Value| json!({ "identities": identities });
    vec![
        policy("all identities", &json!({}), Fate::Accepted),
        policy("nobody", &identities(json!({})), Fate::Refused(NOBODY)),
        policy("not all", &identities(json!({"all": false})), Fate::Refused(NOBODY)),
        policy("by label", &identities(json!({"selector": {"matchLabels": {"team": "ops"}}})), Fate::Accepted),
        policy("by an empty selector", &identities(json!({"selector": {}})), Fate::Refused(EMPTY_SELECTOR)),
        policy(
            "by an empty selector of namespaces",
            &identities(json!({"namespaceSelector": {"matchLabels": {}}})),
            Fate::Refused("an empty namespaceSelector would select everything: name labels, or say all: true"),
        ),
        policy("by schema", &identities(json!({"schemaIDs": ["employee"]})), Fate::Accepted),
        policy("by no schema", &identities(json!({"schemaIDs": []})), Fate::Misshapen("spec.identities.schemaIDs")),
        policy("by expression", &identities(json!({"expression": "identity.state == 'inactive'"})), Fate::Accepted),
        policy("neither rule nor action", &json!({"rules": []}), Fate::Refused("name at least one rule, or an action")),
        policy("an action alone", &json!({"rules": [], "actions": {"revokeAll": {"token": "1"}}}), Fate::Accepted),
        policy("an empty action", &json!({"actions": {}}), Fate::Refused("name the action")),
        policy(
            "an action without a token",
            &json!({"actions": {"revokeAll": {}}}),
            Fate::Misshapen("spec.actions.revokeAll.token"),
        ),
        policy("every second", &json!({"interval": "1s"}), Fate::Accepted),
        policy(
            "all the time",
            &json!({"interval": "10ms"}),
            Fate::Refused("must be a duration such as 72h or 1h30m, at least 1s and at most 87600h"),
        ),
        policy("a limit", &json!({"limit": {"maxRevocations": 1}}), Fate::Accepted),
        policy(
            "no limit at all",
            &json!({"limit": {"maxRevocations": 0}}),
            Fate::Misshapen("spec.limit.maxRevocations"),
        ),
        policy("a mode that there isn't", &json!({"mode": "observe"}), Fate::Misshapen("spec.mode")),
    ]
}

fn session_rules() -> Vec<Row> {
    let extend = |changes: Value| {
        let mut rule = json!({"action": "Extend", "expiresWithin": "2h", "maxAge": "720h"});
        rule.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        rule
    };
    let assured = |changes: Value| {
        let mut rule = json!({"minimumAssurance": "AAL2"});
        rule.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        rule
    };
    vec![
        rule("no condition", json!({}), Fate::Refused(NO_CONDITION)),
        rule("an age", json!({"maxAge": "720h"}), Fate::Accepted),
        rule("a negative age", json!({"maxAge": "-1h"}), Fate::Refused(DURATION)),
        rule("an age of ten years", json!({"maxAge": "87600h"}), Fate::Accepted),
        rule("an age of more than ten years", json!({"maxAge": "87601h"}), Fate::Refused(DURATION)),
        rule("a count", json!({"maxConcurrent": 3}), Fate::Accepted),
        rule("no session at all", json!({"maxConcurrent": 0}), Fate::Misshapen("spec.rules[0].maxConcurrent")),
        rule("a second factor", assured(json!({"gracePeriod": "1h", "unenrolled": "Revoke"})), Fate::Accepted),
        rule("a third factor", json!({"minimumAssurance": "AAL3"}), Fate::Misshapen("spec.rules[0].minimumAssurance")),
        rule("grace for nothing", json!({"maxAge": "1h", "gracePeriod": "1h"}), Fate::Refused(ASSURANCE)),
        rule("unenrolled in nothing", json!({"maxAge": "1h", "unenrolled": "Ignore"}), Fate::Refused(ASSURANCE)),
        rule("networks", json!({"allowedNetworks": ["203.0.113.0/24", "2001:db8::/32"]}), Fate::Accepted),
        rule("no network", json!({"allowedNetworks": []}), Fate::Misshapen("spec.rules[0].allowedNetworks")),
        rule(
            "a name as a network",
            json!({"allowedNetworks": ["office"]}),
            Fate::Misshapen("spec.rules[0].allowedNetworks[0]"),
        ),
        rule("an expression", json!({"expression": "session.active"}), Fate::Accepted),
        rule("a huge expression", json!({"expression": "a".repeat(4097)}), Fate::Misshapen("spec.rules[0].expression")),
        rule("an extension", extend(json!({"expression": "true"})), Fate::Accepted),
        rule(
            "an extension without end",
            json!({"action": "Extend", "expiresWithin": "2h"}),
            Fate::Refused(EXTEND_NEEDS),
        ),
        rule("an extension at any time", json!({"action": "Extend", "maxAge": "2h"}), Fate::Refused(EXTEND_NEEDS)),
        rule("an extension of the few", extend(json!({"maxConcurrent": 1})), Fate::Refused(EXTEND_ONLY)),
        rule("what ends soon is revoked", json!({"expiresWithin": "2h"}), Fate::Refused(ONLY_EXTEND)),
        rule("another action", json!({"maxAge": "1h", "action": "Warn"}), Fate::Misshapen("spec.rules[0].action")),
        policy(
            "a rule without a name",
            &json!({"rules": [{"maxAge": "1h", "action": "Revoke"}]}),
            Fate::Misshapen("spec.rules[0].name"),
        ),
    ]
}
