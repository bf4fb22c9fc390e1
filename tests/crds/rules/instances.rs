//! Rows about `KratosInstance`.

use serde_json::{Value, json};

use super::{DURATION, Fate, Row, instance, update};

const OWNER: &str =
    "ownerName can't be changed: it stands in the mark of every identity; make a new KratosInstance instead";
const ONE_CA: &str = "name either secretKeyRef or configMapKeyRef";
const SELECTOR: &str = "a selector goes with from: Selector, and only with it";
const FULL_SCAN: &str = "fullScanInterval can't be shorter than resyncInterval";

/// The rows.
pub fn rows() -> Vec<Row> {
    [owners(), authorities(), consents(), durations(), urls(), protections(), others()].concat()
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
        ("87600h", Fate::Accepted),
        ("99ms", Fate::Refused(DURATION)),
        ("0s", Fate::Refused(DURATION)),
        ("87600h1s", Fate::Refused(DURATION)),
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

const TOTAL: &str = "maxDeletionsTotal can't be less than maxDeletions (20 where it is left out)";

fn protections() -> Vec<Row> {
    let with = |changes: Value| json!({ "protection": changes });
    vec![
        instance("no protection named", &with(json!({})), Fate::Accepted),
        instance("a protection", &with(json!({"maxDeletions": 20, "window": "10m", "maxMissing": 20})), Fate::Accepted),
        instance(
            "a total of deletions",
            &with(json!({"maxDeletions": 20, "maxDeletionsTotal": 20, "window": "10m"})),
            Fate::Accepted,
        ),
        instance(
            "a total that is less than what one namespace may",
            &with(json!({"maxDeletions": 20, "maxDeletionsTotal": 19})),
            Fate::Refused(TOTAL),
        ),
        instance(
            "a total that is less than what one namespace may where that isn't said",
            &with(json!({"maxDeletionsTotal": 19})),
            Fate::Refused(TOTAL),
        ),
        instance(
            "any total of deletions",
            &with(json!({"maxDeletionsTotal": 5_000_001})),
            Fate::Misshapen("spec.protection.maxDeletionsTotal"),
        ),
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
