//! Rows about `KratosInstance`.

use serde_json::{Value, json};

use super::{DURATION, Fate, Row, instance, update};

const OWNER: &str =
    "ownerName can't be changed: it stands in the mark of every identity; make a new KratosInstance instead";
const ONE_CA: &str = "name either secretKeyRef or configMapKeyRef";
const SOME_TLS: &str = "name ca, clientCertificate or both";
const ONE_VALUE: &str = "name either value or secretKeyRef";
const TOKEN: &str = "the token has a field of its own: spec.auth.bearerToken";
const OWN: &str = "the operator sets this header itself, or relies on its absence; remove it";
const OF_THE_CONNECTION: &str = "this header is the connection's or a proxy's own; remove it";
const ONCE: &str = "a header is named once, whatever its case";
const SELECTOR: &str = "a selector goes with from: Selector, and only with it";
const FULL_SCAN: &str = "fullScanInterval can't be shorter than resyncInterval";

/// The rows.
pub fn rows() -> Vec<Row> {
    [
        owners(),
        authorities(),
        consents(),
        durations(),
        urls(),
        headers(),
        refused_headers(),
        proxies(),
        protections(),
        others(),
    ]
    .concat()
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
            "a certificate of the operator's",
            &json!({"tls": {"clientCertificate": {"secretRef": {"name": "operator-tls"}}}}),
            Fate::Accepted,
        ),
        instance(
            "a certificate of the operator's that is nowhere",
            &json!({"tls": {"clientCertificate": {}}}),
            Fate::Misshapen("spec.tls.clientCertificate.secretRef"),
        ),
        instance("nothing about TLS", &json!({"tls": {}}), Fate::Refused(SOME_TLS)),
        instance(
            "an authority without a key",
            &ca(json!({"secretKeyRef": {"name": "trust"}})),
            Fate::Misshapen("spec.tls.ca.secretKeyRef.key"),
        ),
    ]
}

fn headers() -> Vec<Row> {
    let with = |headers: Value| json!({ "headers": headers });
    let key = || json!({"name": "gateway", "key": "key"});
    let one = |name: &str, value: &str| json!([{"name": name, "value": value}]);
    vec![
        instance(
            "headers",
            &with(json!([{"name": "X-Gateway", "value": "a b"}, {"name": "X-Key", "secretKeyRef": key()}])),
            Fate::Accepted,
        ),
        instance(
            "a header with two values",
            &with(json!([{"name": "X-A", "value": "a", "secretKeyRef": key()}])),
            Fate::Refused(ONE_VALUE),
        ),
        instance("a header without a value", &with(json!([{"name": "X-A"}])), Fate::Refused(ONE_VALUE)),
        instance(
            "a header twice",
            &with(json!([{"name": "X-A", "value": "a"}, {"name": "x-a", "value": "b"}])),
            Fate::Refused(ONCE),
        ),
        instance("a header of two words", &with(one("X A", "a")), Fate::Misshapen("spec.headers[0].name")),
        instance("a header with a colon", &with(one("X-A:", "a")), Fate::Misshapen("spec.headers[0].name")),
        instance("a header without a name", &with(one("", "a")), Fate::Misshapen("spec.headers[0].name")),
        instance("a value of two lines", &with(one("X-A", "a\r\nb")), Fate::Misshapen("spec.headers[0].value")),
        instance("a value with space around it", &with(one("X-A", " a")), Fate::Misshapen("spec.headers[0].value")),
        instance("an empty value", &with(one("X-A", "")), Fate::Misshapen("spec.headers[0].value")),
        instance("a value that isn't ASCII", &with(one("X-A", "ä")), Fate::Misshapen("spec.headers[0].value")),
    ]
}

fn refused_headers() -> Vec<Row> {
    let own =
        ["Host", "User-Agent", "Accept", "accept-encoding", "Content-Type", "CONTENT-LENGTH", "Expect", "If-Match"];
    let of_the_connection = [
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "upgrade",
        "HTTP2-Settings",
        "Proxy-Authorization",
        "proxy-anything",
    ];
    let row = |name: &'static str, message: &'static str| {
        instance(name, &json!({"headers": [{"name": name, "value": "a"}]}), Fate::Refused(message))
    };
    let mut rows = vec![row("Authorization", TOKEN), row("authorization", TOKEN)];
    rows.extend(own.map(|name| row(name, OWN)));
    rows.extend(of_the_connection.map(|name| row(name, OF_THE_CONNECTION)));
    rows
}

fn proxies() -> Vec<Row> {
    let accepted =
        ["http://proxy.example:3128", "https://proxy.example/", "socks5://[::1]:1080", "socks5h://proxy.example"];
    let misshapen = [
        "proxy.example:3128",
        "ftp://proxy.example",
        "socks4://proxy.example",
        "http://",
        "http://user:password@proxy.example",
        "http://proxy.example/path",
        "http://proxy.example?a=b",
        "",
    ];
    let mut rows = Vec::new();
    rows.extend(accepted.map(|url| instance(url, &json!({ "proxyURL": url }), Fate::Accepted)));
    rows.extend(misshapen.map(|url| instance(url, &json!({ "proxyURL": url }), Fate::Misshapen("spec.proxyURL"))));
    rows
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
        ("315360000s", Fate::Accepted),
        ("315360000000ms", Fate::Accepted),
    ];
    // What Go doesn't take, and what is more than it can hold.
    let odd =
        ["7d", "-1s", "", "5", "1 h", "1h 30m", "PT5M", "2562048h", "99999999999999999999h", "9999999999999999ms"];
    let fields = ["requestTimeout", "resyncInterval", "fullScanInterval"];
    let mut rows = Vec::new();
    for (full, fate) in [("1h", Fate::Accepted), ("60m", Fate::Accepted), ("59m", Fate::Refused(FULL_SCAN))] {
        let intervals = json!({"resyncInterval": "1h", "fullScanInterval": full});
        rows.push(instance("the whole as often as what is ours", &intervals, fate));
    }
    for field in fields {
        rows.extend(fates.map(|(text, fate)| instance(text, &json!({ field: text }), fate)));
        rows.extend(odd.map(|text| instance(text, &json!({ field: text }), Fate::Refused(DURATION))));
    }
    let days = json!({"resyncInterval": "1d", "fullScanInterval": "1h"});
    let long = json!({"resyncInterval": "1h".repeat(17)});
    rows.push(instance("a long text", &long, Fate::Misshapen("spec.resyncInterval")));
    rows.push(instance("one of two in days", &days, Fate::Refused(DURATION)));
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
        instance("a least grace period", &with(json!({"minimumGracePeriod": "72h"})), Fate::Accepted),
        instance("no least grace period", &with(json!({"minimumGracePeriod": "0s"})), Fate::Accepted),
        instance(
            "a least grace period of days",
            &with(json!({"minimumGracePeriod": "3d"})),
            Fate::Refused("must be a duration such as 72h or 1h30m, at least 0s and at most 87600h"),
        ),
        instance(
            "a grace period for those who say nothing",
            &json!({"defaults": {"deletion": {"gracePeriod": "72h"}}}),
            Fate::Accepted,
        ),
        instance(
            "a grace period of a hundred years",
            &json!({"defaults": {"deletion": {"gracePeriod": "876000h"}}}),
            Fate::Refused("must be a duration such as 72h or 1h30m, at least 0s and at most 87600h"),
        ),
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
        instance("a window in days", &with(json!({"window": "7d"})), Fate::Refused(DURATION)),
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
        instance("a suspended one", &json!({"suspend": true}), Fate::Accepted),
        instance("one that is perhaps suspended", &json!({"suspend": "yes"}), Fate::Misshapen("spec.suspend")),
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
            &rules(json!([{"expression": "true", "message": "why"}, {"expression": "false", "message": "no"}])),
            Fate::Accepted,
        ),
        instance(
            "a rule without an expression",
            &rules(json!([{"message": "why"}])),
            Fate::Misshapen("spec.rules[0].expression"),
        ),
        instance(
            "a rule that says nothing to whom it refuses",
            &rules(json!([{"expression": "true"}])),
            Fate::Misshapen("spec.rules[0].message"),
        ),
        instance(
            "a rule that says an empty text",
            &rules(json!([{"expression": "true", "message": ""}])),
            Fate::Misshapen("spec.rules[0].message"),
        ),
        instance(
            "an empty rule",
            &rules(json!([{"expression": "", "message": "why"}])),
            Fate::Misshapen("spec.rules[0].expression"),
        ),
        instance(
            "a rule that is too long",
            &rules(json!([{"expression": "a".repeat(4097), "message": "why"}])),
            Fate::Misshapen("spec.rules[0].expression"),
        ),
        instance(
            "too many rules",
            &rules(json!(vec![json!({"expression": "true", "message": "why"}); 33])),
            Fate::Misshapen("spec.rules"),
        ),
        instance("a cluster without an id", &json!({"reclaimFrom": [""]}), Fate::Misshapen("spec.reclaimFrom[0]")),
    ]
}
