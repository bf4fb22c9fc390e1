//! What the definitions accept and refuse, as a table: put to the client-side validator here, and to a real
//! kube-apiserver among the operator's tests.

use serde_json::{Value, json};

/// How a resource fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Accepted,
    /// By a rule, with this message.
    Refused(&'static str),
    /// By the shape of the field at this path.
    Misshapen(&'static str),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: &'static str,
    pub kind: &'static str,
    /// The spec that is there already, if it is an update.
    pub before: Option<Value>,
    pub spec: Value,
    pub fate: Fate,
}

const PINNED: &str = "instanceRef can't be changed: delete the resource (deletion.policy Orphan keeps the identity) and \
                      make a new one";
const OWNER: &str =
    "ownerName can't be changed: it stands in the mark of every identity; make a new KratosInstance instead";
const ONE_CA: &str = "name either secretKeyRef or configMapKeyRef";
const SELECTOR: &str = "a selector goes with from: Selector, and only with it";
const WINDOW: &str = "notBefore must lie before notAfter";
const FULL_SCAN: &str = "fullScanInterval can't be shorter than resyncInterval";
const EXPIRY: &str = "must be a Go duration between 1m and 8760h";
const NO_RECOVERY: &str = "actions.recovery needs recovery, which says what is issued and into which Secret";
const DURATION: &str = "must be a Go duration between 100ms and 8760h";

fn row(what: &'static str, kind: &'static str, changes: &Value, fate: Fate) -> Row {
    let mut spec = match kind {
        "KratosIdentity" => json!({"schemaID": "customer"}),
        "KratosSessionPolicy" => json!({
            "identities": {"all": true}, "rules": [{"name": "too-old", "maxAge": "720h", "action": "Revoke"}],
        }),
        _ => json!({"adminURL": "http://kratos.example:4434", "ownerName": "production"}),
    };
    let changes = changes.as_object().expect("an object").clone();
    spec.as_object_mut().expect("an object").extend(changes);
    Row { what, kind, before: None, spec, fate }
}

fn identity(what: &'static str, changes: &Value, fate: Fate) -> Row {
    row(what, "KratosIdentity", changes, fate)
}

fn instance(what: &'static str, changes: &Value, fate: Fate) -> Row {
    row(what, "KratosInstance", changes, fate)
}

fn policy(what: &'static str, changes: &Value, fate: Fate) -> Row {
    row(what, "KratosSessionPolicy", changes, fate)
}

/// A policy with one rule.
fn rule(what: &'static str, mut rule: Value, fate: Fate) -> Row {
    rule["name"] = json!("rule");
    if rule.get("action").is_none() {
        rule["action"] = json!("Revoke");
    }
    policy(what, &json!({"rules": [rule]}), fate)
}

/// An update, from the first changes to the second.
fn update(
    make: fn(&'static str, &Value, Fate) -> Row,
    what: &'static str,
    from: &Value,
    to: &Value,
    fate: Fate,
) -> Row {
    let before = make(what, from, Fate::Accepted).spec;
    Row { before: Some(before), ..make(what, to, fate) }
}

/// All rows.
pub fn table() -> Vec<Row> {
    [
        references(),
        adoptions(),
        secrets(),
        credentials(),
        identities(),
        owners(),
        authorities(),
        consents(),
        durations(),
        urls(),
        others(),
        windows(),
        recoveries(),
        policies(),
        session_rules(),
        protections(),
    ]
    .concat()
}

fn references() -> Vec<Row> {
    let named = |name: &str| json!({"instanceRef": {"name": name, "namespace": "identity"}});
    let refused = Fate::Refused(PINNED);
    vec![
        identity("an instance is named", &named("main"), Fate::Accepted),
        identity("no instance is named", &json!({}), Fate::Accepted),
        identity(
            "an instance without a name",
            &json!({"instanceRef": {"namespace": "identity"}}),
            Fate::Misshapen("spec.instanceRef.name"),
        ),
        identity(
            "an instance with an empty name",
            &json!({"instanceRef": {"name": ""}}),
            Fate::Misshapen("spec.instanceRef.name"),
        ),
        update(identity, "an instance is named later", &json!({}), &named("main"), Fate::Accepted),
        update(identity, "the instance stays", &named("main"), &named("main"), Fate::Accepted),
        update(identity, "another instance", &named("main"), &named("other"), refused),
        update(
            identity,
            "the instance of another namespace",
            &named("main"),
            &json!({"instanceRef": {"name": "main", "namespace": "other"}}),
            refused,
        ),
        update(identity, "no namespace any more", &named("main"), &json!({"instanceRef": {"name": "main"}}), refused),
        update(identity, "no instance any more", &named("main"), &json!({}), refused),
    ]
}

fn identities() -> Vec<Row> {
    vec![
        identity("an empty schema id", &json!({"schemaID": ""}), Fate::Misshapen("spec.schemaID")),
        identity("inactive", &json!({"state": "Inactive"}), Fate::Accepted),
        identity("a state in lower case", &json!({"state": "inactive"}), Fate::Misshapen("spec.state")),
        identity("exact traits", &json!({"traitsPolicy": "Exact"}), Fate::Accepted),
        identity(
            "a policy that doesn't exist",
            &json!({"traitsPolicy": "Replace"}),
            Fate::Misshapen("spec.traitsPolicy"),
        ),
        identity(
            "traits of any shape",
            &json!({"traits": {"a": [{"b": null}, 1.5], "0": "", "ключ": {}}}),
            Fate::Accepted,
        ),
        identity("traits that are no object", &json!({"traits": ["mail"]}), Fate::Misshapen("spec.traits")),
        identity(
            "metadata that is no object",
            &json!({"metadataPublic": "gold"}),
            Fate::Misshapen("spec.metadataPublic"),
        ),
        identity("a deletion without a policy", &json!({"deletion": {}}), Fate::Accepted),
        identity("a deletion that keeps the identity", &json!({"deletion": {"policy": "Orphan"}}), Fate::Accepted),
        identity(
            "a deletion that doesn't exist",
            &json!({"deletion": {"policy": "Retain"}}),
            Fate::Misshapen("spec.deletion.policy"),
        ),
        identity("a grace period", &json!({"deletion": {"policy": "Delete", "gracePeriod": "720h"}}), Fate::Accepted),
        identity("a grace period of the default policy", &json!({"deletion": {"gracePeriod": "0s"}}), Fate::Accepted),
        update(
            identity,
            "kept after all",
            &json!({"deletion": {"gracePeriod": "1h"}}),
            &json!({"deletion": {"policy": "Orphan", "gracePeriod": "1h"}}),
            Fate::Accepted,
        ),
        identity(
            "a grace period of what isn't deleted",
            &json!({"deletion": {"policy": "Deactivate", "gracePeriod": "1h"}}),
            Fate::Refused("gracePeriod goes with the policy Delete: what is deactivated isn't deleted"),
        ),
        identity("only observed", &json!({"mode": "Observe"}), Fate::Accepted),
        identity("a mode that doesn't exist", &json!({"mode": "DryRun"}), Fate::Misshapen("spec.mode")),
        identity("an empty external id", &json!({"externalID": ""}), Fate::Misshapen("spec.externalID")),
        identity("an organization", &json!({"organizationID": "0a0b0c0d-1111-2222-3333-444455556666"}), Fate::Accepted),
        identity("an organization by name", &json!({"organizationID": "acme"}), Fate::Misshapen("spec.organizationID")),
        identity("suspended by a word", &json!({"suspend": "yes"}), Fate::Misshapen("spec.suspend")),
    ]
}

fn owners() -> Vec<Row> {
    let owned = |name: &str| json!({ "ownerName": name });
    vec![
        update(instance, "the owner stays", &owned("production"), &owned("production"), Fate::Accepted),
        update(instance, "another owner", &owned("production"), &owned("staging"), Fate::Refused(OWNER)),
        instance("an empty owner", &owned(""), Fate::Misshapen("spec.ownerName")),
        instance("an owner in capitals", &owned("Production"), Fate::Misshapen("spec.ownerName")),
        instance("an owner that ends in a dash", &owned("production-"), Fate::Misshapen("spec.ownerName")),
    ]
}

fn adoptions() -> Vec<Row> {
    let adoption = |changes: Value| {
        let mut adoption = json!({"policy": "IfUnowned"});
        adoption.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        json!({ "adoption": adoption })
    };
    let id = "0a0b0c0d-1111-2222-3333-444455556666";
    let one = Fate::Refused("IfUnowned needs either identifier or identityID");
    let verified = Fate::Refused("verifiedAddresses aren't for adopted identities: remove them, or adoption");
    let mut with_addresses = adoption(json!({"identityID": id}));
    with_addresses["verifiedAddresses"] = json!(["ada@example.com"]);
    vec![
        identity("an adoption by identifier", &adoption(json!({"identifier": "ada@example.com"})), Fate::Accepted),
        identity("an adoption by id", &adoption(json!({ "identityID": id })), Fate::Accepted),
        identity("an adoption of whom?", &adoption(json!({})), one),
        identity("an adoption by two names", &adoption(json!({"identifier": "ada", "identityID": id})), one),
        identity("an adoption with addresses that are said to be verified", &with_addresses, verified),
    ]
}

fn secrets() -> Vec<Row> {
    let password =
        |name: &str| json!({"credentials": {"password": {"secretKeyRef": {"name": name, "key": "password"}}}});
    let elsewhere = Fate::Misshapen("spec.credentials.password.secretKeyRef.name");
    vec![
        identity("a password in a Secret", &password("ada.v2"), Fate::Accepted),
        identity("a Secret whose name leads elsewhere", &password("../identity/ada"), elsewhere),
        identity("a Secret of another namespace", &password("identity/ada"), elsewhere),
    ]
}

fn credentials() -> Vec<Row> {
    let credentials = |credentials: Value| json!({ "credentials": credentials });
    let link = || json!([{"provider": "google", "subject": "1234"}]);
    let password = json!({"secretKeyRef": {"name": "ada", "key": "password"}});
    let both = |what: &str| {
        Fate::Refused(match what {
            "password" => "a password is given and must be absent: remove password, or Password from absent",
            "oidc" => "OIDC links are given and must be absent: remove oidc, or OIDC from absent",
            _ => "SAML links are given and must be absent: remove saml, or SAML from absent",
        })
    };
    let all = json!(["TOTP", "WebAuthn", "LookupSecret", "Password", "OIDC", "SAML"]);
    vec![
        identity("links", &credentials(json!({"oidc": link(), "saml": link()})), Fate::Accepted),
        identity("everything absent", &credentials(json!({"absent": all, "revokeSessions": false})), Fate::Accepted),
        identity(
            "links, and others absent",
            &credentials(json!({"oidc": link(), "absent": ["Password", "SAML"]})),
            Fate::Accepted,
        ),
        identity("no links, and absent", &credentials(json!({"oidc": [], "absent": ["OIDC"]})), Fate::Accepted),
        identity(
            "a password that must be absent",
            &credentials(json!({"password": password, "absent": ["Password"]})),
            both("password"),
        ),
        identity(
            "OIDC links that must be absent",
            &credentials(json!({"oidc": link(), "absent": ["OIDC"]})),
            both("oidc"),
        ),
        identity(
            "SAML links that must be absent",
            &credentials(json!({"saml": link(), "absent": ["TOTP", "SAML"]})),
            both("saml"),
        ),
        identity(
            "a link to whom?",
            &credentials(json!({"oidc": [{"provider": "google"}]})),
            Fate::Misshapen("spec.credentials.oidc[0].subject"),
        ),
        identity(
            "a provider that isn't one",
            &credentials(json!({"oidc": [{"provider": "goo:gle", "subject": "1"}]})),
            Fate::Misshapen("spec.credentials.oidc[0].provider"),
        ),
        identity(
            "too many links",
            &credentials(json!({"saml": vec![link()[0].clone(); 17]})),
            Fate::Misshapen("spec.credentials.saml"),
        ),
        identity(
            "a kind that doesn't exist absent",
            &credentials(json!({"absent": ["Passkey"]})),
            Fate::Misshapen("spec.credentials.absent[0]"),
        ),
    ]
}

fn authorities() -> Vec<Row> {
    let ca = |ca: Value| json!({"tls": {"ca": ca}});
    let key = || json!({"name": "trust", "key": "ca.crt"});
    let both = json!({"secretKeyRef": key(), "configMapKeyRef": key()});
    vec![
        instance("an authority in a Secret", &ca(json!({"secretKeyRef": key()})), Fate::Accepted),
        instance("an authority in a ConfigMap", &ca(json!({"configMapKeyRef": key()})), Fate::Accepted),
        instance("an authority in both", &ca(both), Fate::Refused(ONE_CA)),
        instance("an authority in neither", &ca(json!({})), Fate::Refused(ONE_CA)),
        instance(
            "an authority without a key",
            &ca(json!({"secretKeyRef": {"name": "trust"}})),
            Fate::Misshapen("spec.tls.ca.secretKeyRef.key"),
        ),
    ]
}

fn consents() -> Vec<Row> {
    let allowed = |allowed: Value| json!({ "allowedNamespaces": allowed });
    let labels = || json!({"matchLabels": {"tier": "gold"}});
    vec![
        instance("its own namespace", &allowed(json!({"from": "Same"})), Fate::Accepted),
        instance("all namespaces", &allowed(json!({"from": "All"})), Fate::Accepted),
        instance("selected namespaces", &allowed(json!({"from": "Selector", "selector": labels()})), Fate::Accepted),
        instance("a selection without a selector", &allowed(json!({"from": "Selector"})), Fate::Refused(SELECTOR)),
        instance("a selector for all", &allowed(json!({"from": "All", "selector": labels()})), Fate::Refused(SELECTOR)),
        instance(
            "a selector for its own",
            &allowed(json!({"from": "Same", "selector": labels()})),
            Fate::Refused(SELECTOR),
        ),
        instance(
            "a selector from nowhere",
            &allowed(json!({"selector": labels()})),
            Fate::Misshapen("spec.allowedNamespaces.from"),
        ),
        instance(
            "namespaces from elsewhere",
            &allowed(json!({"from": "None"})),
            Fate::Misshapen("spec.allowedNamespaces.from"),
        ),
    ]
}

fn durations() -> Vec<Row> {
    let fates = [
        ("100ms", Fate::Accepted),
        ("30s", Fate::Accepted),
        ("1h30m", Fate::Accepted),
        ("1.5h", Fate::Accepted),
        ("8760h", Fate::Accepted),
        ("99ms", Fate::Refused(DURATION)),
        ("0s", Fate::Refused(DURATION)),
        ("8760h1s", Fate::Refused(DURATION)),
    ];
    let misshapen = ["7d", "-1s", "", "5", "1 h", "1h 30m", "PT5M"];
    let fields = [
        ("requestTimeout", "spec.requestTimeout"),
        ("resyncInterval", "spec.resyncInterval"),
        ("fullScanInterval", "spec.fullScanInterval"),
    ];
    let mut rows = Vec::new();
    for (full, fate) in [("1h", Fate::Accepted), ("60m", Fate::Accepted), ("59m", Fate::Refused(FULL_SCAN))] {
        let intervals = json!({"resyncInterval": "1h", "fullScanInterval": full});
        rows.push(instance("the whole as often as what is ours", &intervals, fate));
    }
    for (field, path) in fields {
        rows.extend(fates.map(|(text, fate)| instance(text, &json!({ field: text }), fate)));
        rows.extend(misshapen.map(|text| instance(text, &json!({ field: text }), Fate::Misshapen(path))));
    }
    rows
}

fn urls() -> Vec<Row> {
    let accepted = ["http://kratos:4434", "https://kratos.example/some/path/", "http://[::1]:4434"];
    let misshapen = [
        "kratos:4434",
        "ftp://kratos.example",
        "http://",
        "http://a b.example",
        "http://user:password@kratos.example",
        "http://kratos.example?a=b",
        "http://kratos.example#a",
        "",
    ];
    let mut rows = Vec::new();
    for (field, path) in [("adminURL", "spec.adminURL"), ("publicURL", "spec.publicURL")] {
        rows.extend(accepted.map(|url| instance(url, &json!({ field: url }), Fate::Accepted)));
        rows.extend(misshapen.map(|url| instance(url, &json!({ field: url }), Fate::Misshapen(path))));
    }
    rows
}

fn protections() -> Vec<Row> {
    let with = |changes: Value| json!({ "protection": changes });
    vec![
        instance("no protection named", &with(json!({})), Fate::Accepted),
        instance("a protection", &with(json!({"maxDeletions": 20, "window": "10m", "maxMissing": 20})), Fate::Accepted),
        instance("every deletion is held", &with(json!({"maxDeletions": 0})), Fate::Accepted),
        instance(
            "fewer than no deletions",
            &with(json!({"maxDeletions": -1})),
            Fate::Misshapen("spec.protection.maxDeletions"),
        ),
        instance(
            "any number of deletions",
            &with(json!({"maxDeletions": 1_000_001})),
            Fate::Misshapen("spec.protection.maxDeletions"),
        ),
        instance("no window", &with(json!({"window": "0s"})), Fate::Refused(DURATION)),
        instance("a window in days", &with(json!({"window": "7d"})), Fate::Misshapen("spec.protection.window")),
        instance(
            "fewer than none missing",
            &with(json!({"maxMissing": -1})),
            Fate::Misshapen("spec.protection.maxMissing"),
        ),
    ]
}

fn others() -> Vec<Row> {
    let token = |changes: Value| json!({"auth": {"bearerToken": changes}});
    let key = || json!({"name": "kratos", "key": "token"});
    let limit = |limit: Value| json!({ "rateLimit": limit });
    let rules = |rules: Value| json!({ "rules": rules });
    vec![
        instance("a token", &token(json!({"secretKeyRef": key()})), Fate::Accepted),
        instance("a token alone", &token(json!({"secretKeyRef": key(), "prefix": ""})), Fate::Accepted),
        instance(
            "two words before a token",
            &token(json!({"secretKeyRef": key(), "prefix": "a b"})),
            Fate::Misshapen("spec.auth.bearerToken.prefix"),
        ),
        instance("no token", &token(json!({})), Fate::Misshapen("spec.auth.bearerToken.secretKeyRef")),
        instance("a rate", &limit(json!({"requestsPerSecond": 200, "burst": 400})), Fate::Accepted),
        instance(
            "no rate at all",
            &limit(json!({"requestsPerSecond": 0})),
            Fate::Misshapen("spec.rateLimit.requestsPerSecond"),
        ),
        instance(
            "a burst of nothing",
            &limit(json!({"requestsPerSecond": 1, "burst": 0})),
            Fate::Misshapen("spec.rateLimit.burst"),
        ),
        instance(
            "clusters that are gone",
            &json!({"reclaimFrom": ["uid-of-burnt-cluster", "uid-of-drowned-cluster"]}),
            Fate::Accepted,
        ),
        instance(
            "rules",
            &rules(json!([{"expression": "true", "message": "why"}, {"expression": "false"}])),
            Fate::Accepted,
        ),
        instance(
            "a rule without an expression",
            &rules(json!([{"message": "why"}])),
            Fate::Misshapen("spec.rules[0].expression"),
        ),
        instance("an empty rule", &rules(json!([{"expression": ""}])), Fate::Misshapen("spec.rules[0].expression")),
        instance(
            "a rule that is too long",
            &rules(json!([{"expression": "a".repeat(4097)}])),
            Fate::Misshapen("spec.rules[0].expression"),
        ),
        instance(
            "too many rules",
            &rules(json!(vec![json!({"expression": "true"}); 33])),
            Fate::Misshapen("spec.rules"),
        ),
        instance("a cluster without an id", &json!({"reclaimFrom": [""]}), Fate::Misshapen("spec.reclaimFrom[0]")),
    ]
}

fn recoveries() -> Vec<Row> {
    let recovery = |changes: Value| {
        let mut recovery = json!({"type": "Link", "secretName": "ada.way-in"});
        recovery.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        json!({ "recovery": recovery })
    };
    let expires_in = |text: &str| recovery(json!({ "expiresIn": text }));
    let action = json!({"recovery": {"token": "1"}});
    let mut with_action = recovery(json!({}));
    with_action["actions"] = action.clone();
    let mut rows = vec![
        identity("a recovery by link", &recovery(json!({})), Fate::Accepted),
        identity("a recovery by code", &recovery(json!({"type": "Code"})), Fate::Accepted),
        identity("by a letter", &recovery(json!({"type": "Letter"})), Fate::Misshapen("spec.recovery.type")),
        identity("no Secret", &json!({"recovery": {"type": "Link"}}), Fate::Misshapen("spec.recovery.secretName")),
        identity("another one, by a token", &with_action, Fate::Accepted),
        identity("a token for no recovery", &json!({ "actions": action }), Fate::Refused(NO_RECOVERY)),
        identity("no time at all", &expires_in("0s"), Fate::Refused(EXPIRY)),
        identity("less than a minute", &expires_in("59s"), Fate::Refused(EXPIRY)),
        identity("years", &expires_in("8761h"), Fate::Refused(EXPIRY)),
        identity("a minute", &expires_in("1m"), Fate::Accepted),
        identity("a week in days", &expires_in("7d"), Fate::Misshapen("spec.recovery.expiresIn")),
    ];
    for name in ["", "../identity/ada", "identity/ada", "Ada", "a..b", "-ada"] {
        let fate = Fate::Misshapen("spec.recovery.secretName");
        rows.push(identity("a Secret of no name", &recovery(json!({ "secretName": name })), fate));
    }
    rows
}

fn windows() -> Vec<Row> {
    let window = |window: Value| json!({ "validity": window });
    let (first, second) = ("2026-12-01T00:00:00Z", "2027-12-01T00:00:00Z");
    let bad_date = Fate::Misshapen("spec.validity.notAfter");
    vec![
        identity("valid for a time", &window(json!({"notBefore": first, "notAfter": second})), Fate::Accepted),
        identity("valid from a time on", &window(json!({ "notBefore": first })), Fate::Accepted),
        identity("valid until a time", &window(json!({ "notAfter": first })), Fate::Accepted),
        identity("a window that says nothing", &window(json!({})), Fate::Refused("name notBefore, notAfter or both")),
        identity(
            "a window that ends before it begins",
            &window(json!({"notBefore": second, "notAfter": first})),
            Fate::Refused(WINDOW),
        ),
        identity(
            "a window without any time in it",
            &window(json!({"notBefore": first, "notAfter": first})),
            Fate::Refused(WINDOW),
        ),
        identity("a day that doesn't exist", &window(json!({"notAfter": "2027-02-30T00:00:00Z"})), bad_date),
        identity("a date without a time", &window(json!({"notAfter": "2027-12-01"})), bad_date),
        identity("a time in words", &window(json!({"notAfter": "tomorrow"})), bad_date),
        identity("a time as a number", &window(json!({"notAfter": 1_796_083_200})), bad_date),
    ]
}

const NOBODY: &str = "name the identities, or say all: true";
const EMPTY_SELECTOR: &str = "an empty selector would select everything: name labels, or say all: true";
const NO_CONDITION: &str = "a rule needs a condition: without one it would name every session";
const EXTEND_NEEDS: &str = "Extend needs expiresWithin and maxAge";
const EXTEND_ONLY: &str = "Extend goes with expiresWithin, maxAge and expression only";
const ONLY_EXTEND: &str = "expiresWithin goes with Extend only";
const ASSURANCE: &str = "gracePeriod and unenrolled go with minimumAssurance only";

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
            Fate::Refused("must be a Go duration between 1s and 8760h"),
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
        rule("a negative age", json!({"maxAge": "-1h"}), Fate::Misshapen("spec.rules[0].maxAge")),
        rule("an age of ten years", json!({"maxAge": "87600h"}), Fate::Refused(DURATION)),
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
