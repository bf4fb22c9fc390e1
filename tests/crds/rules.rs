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
const DURATION: &str = "must be a Go duration between 100ms and 8760h";

fn row(what: &'static str, kind: &'static str, changes: &Value, fate: Fate) -> Row {
    let mut spec = match kind {
        "KratosIdentity" => json!({"schemaID": "customer"}),
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
        identities(),
        owners(),
        authorities(),
        consents(),
        durations(),
        urls(),
        others(),
        windows(),
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
