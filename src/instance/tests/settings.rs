//! From an instance's spec to settings.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderValue;
use rstest::rstest;
use serde_json::{Value, json};

use crate::api::definitions::filled;
use crate::api::instance::{AdmissionRule, AdoptionFrom, KeyRef, KratosInstanceSpec, Mode};
use crate::api::{ReadyCondition, Reason};
use crate::instance::headers::{Header, HeaderSource};
use crate::instance::protection::Limits;
use crate::instance::settings::{self, Connection, Grace, KeyIn, Settings, TokenRef};
use crate::kratos::RateLimit;

fn parse(changes: &Value) -> Result<Settings, ReadyCondition> {
    let mut spec = json!({"adminURL": "https://admin.example:4434", "ownerName": "production"});
    json_patch::merge(&mut spec, changes);
    settings::parse(&serde_json::from_value::<KratosInstanceSpec>(spec).unwrap())
}

fn key(name: &str, key: &str) -> KeyRef {
    KeyRef { name: name.into(), key: key.into() }
}

#[test]
fn what_the_definition_fills_in_is_what_an_absent_field_stands_for() {
    let filled = filled("KratosInstance", &json!({}));
    assert_eq!(filled["requestTimeout"], "30s");
    assert_eq!(parse(&json!({})), parse(&filled));
}

#[test]
fn everything_that_a_spec_says_is_set_where_it_belongs() {
    let allowed = json!({"from": "All"});
    let parsed = parse(&json!({
        "publicURL": "https://public.example/kratos",
        "auth": {"bearerToken": {"prefix": "Token", "secretKeyRef": {"name": "kratos", "key": "token"}}},
        "tls": {
            "ca": {"configMapKeyRef": {"name": "trust", "key": "ca.crt"}},
            "clientCertificate": {"secretRef": {"name": "operator-tls"}},
        },
        "headers": [{"name": "X-Gateway", "value": "a"}, {"name": "X-Key", "secretKeyRef": {"name": "gateway", "key": "key"}}],
        "proxyURL": "socks5h://proxy.example:9050",
        "requestTimeout": "1m30s",
        "rateLimit": {"requestsPerSecond": 200, "burst": 400},
        "resyncInterval": "2h",
        "fullScanInterval": "3h",
        "mode": "Observe",
        "reclaimFrom": ["uid-of-burnt-cluster"],
        "allowedNamespaces": allowed,
        "rules": [{"expression": "true", "message": "nobody"}],
        "adoptionFrom": "Allowed",
        "trustClientAddress": true,
        "protection": {
            "maxDeletions": 3, "maxDeletionsTotal": 8, "window": "1h", "maxMissing": 7, "minimumGracePeriod": "24h",
        },
        "defaults": {"deletion": {"gracePeriod": "72h"}},
    }));
    let connection = Connection {
        admin_url: "https://admin.example:4434".parse().unwrap(),
        public_url: Some("https://public.example/kratos".parse().unwrap()),
        token: Some(TokenRef { prefix: "Token".into(), secret: key("kratos", "token") }),
        certificate_authority: Some(KeyIn::ConfigMap(key("trust", "ca.crt"))),
        client_certificate: Some("operator-tls".into()),
        headers: vec![
            header("x-gateway", HeaderSource::Here(HeaderValue::from_static("a"))),
            header("x-key", HeaderSource::Secret(key("gateway", "key"))),
        ],
        proxy_url: Some("socks5h://proxy.example:9050".parse().unwrap()),
        request_timeout: Duration::from_secs(90),
        rate_limit: Some(limit(200, 400)),
    };
    let expected = Settings {
        connection,
        resync_interval: Duration::from_hours(2),
        full_scan_interval: Duration::from_hours(3),
        mode: Mode::Observe,
        owner_name: "production".into(),
        reclaim_from: vec!["uid-of-burnt-cluster".into()],
        reclaim_namespaces: Vec::new(),
        allowed_namespaces: Some(serde_json::from_value(allowed).unwrap()),
        rules: vec![AdmissionRule { expression: "true".into(), message: Some("nobody".into()) }],
        adoption_from: AdoptionFrom::Allowed,
        trust_client_address: true,
        protection: Limits {
            max_deletions: 3,
            max_deletions_total: 8,
            window: Duration::from_hours(1),
            max_missing: 7,
        },
        grace: Grace { default: Duration::from_hours(72), minimum: Duration::from_hours(24) },
    };
    assert_eq!(parsed, Ok(expected));
}

fn header(name: &'static str, value: HeaderSource) -> Header {
    Header { name: http::HeaderName::from_static(name), value }
}

fn limit(requests_per_second: u32, burst: u32) -> RateLimit {
    RateLimit {
        requests_per_second: NonZeroU32::new(requests_per_second).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

#[test]
fn what_a_spec_leaves_out_is_enforced_every_five_minutes_without_limit_token_or_guests() {
    let connection = Connection {
        admin_url: "https://admin.example:4434".parse().unwrap(),
        public_url: None,
        token: None,
        certificate_authority: None,
        client_certificate: None,
        headers: Vec::new(),
        proxy_url: None,
        request_timeout: Duration::from_secs(30),
        rate_limit: None,
    };
    let expected = Settings {
        connection,
        resync_interval: Duration::from_mins(5),
        full_scan_interval: Duration::from_hours(24),
        mode: Mode::Enforce,
        owner_name: "production".into(),
        reclaim_from: Vec::new(),
        reclaim_namespaces: Vec::new(),
        allowed_namespaces: None,
        rules: Vec::new(),
        adoption_from: AdoptionFrom::Same,
        trust_client_address: false,
        protection: Limits {
            max_deletions: 20,
            max_deletions_total: 100,
            window: Duration::from_mins(10),
            max_missing: 20,
        },
        grace: Grace::default(),
    };
    assert_eq!(parse(&json!({})), Ok(expected));
}

#[rstest]
#[case::given(json!({"requestsPerSecond": 2, "burst": 7}), Some(limit(2, 7)))]
#[case::a_burst_of_as_many(json!({"requestsPerSecond": 2}), Some(limit(2, 2)))]
#[case::none_at_all(json!({"requestsPerSecond": 0}), None)]
fn rates_are_limited(#[case] rate_limit: Value, #[case] expected: Option<RateLimit>) {
    assert_eq!(parse(&json!({ "rateLimit": rate_limit })).unwrap().connection.rate_limit, expected);
}

#[rstest]
#[case::by_default(json!({}), "Bearer")]
#[case::another_word(json!({"prefix": "ory_pat"}), "ory_pat")]
#[case::the_token_alone(json!({"prefix": ""}), "")]
fn a_token_has_a_word_before_it(#[case] changes: Value, #[case] expected: &str) {
    let mut token = json!({"secretKeyRef": {"name": "kratos", "key": "token"}});
    json_patch::merge(&mut token, &changes);
    let settings = parse(&json!({"auth": {"bearerToken": token}})).unwrap();
    assert_eq!(settings.connection.token.unwrap().prefix, expected);
}

#[rstest]
#[case::a_secret(json!({"secretKeyRef": {"name": "a", "key": "b"}}), Ok(KeyIn::Secret(key("a", "b"))))]
#[case::a_config_map(json!({"configMapKeyRef": {"name": "c", "key": "d"}}), Ok(KeyIn::ConfigMap(key("c", "d"))))]
#[case::neither(json!({}), Err(Reason::InvalidSpec))]
#[case::both(json!({"secretKeyRef": {"name": "a", "key": "b"}, "configMapKeyRef": {"name": "c", "key": "d"}}), Err(Reason::InvalidSpec))]
fn a_certificate_authority_is_in_one_place(#[case] ca: Value, #[case] expected: Result<KeyIn, Reason>) {
    let found = parse(&json!({"tls": {"ca": ca}}));
    let found = found.map(|settings| settings.connection.certificate_authority.unwrap());
    assert_eq!(found.map_err(|condition| condition.reason), expected);
}

#[rstest]
#[case::no_url("kratos")]
#[case::another_scheme("ftp://admin.example")]
#[case::no_host("http://")]
#[case::a_password("http://S3CRET:S3CRET@admin.example")]
#[case::a_user("http://S3CRET@admin.example")]
#[case::a_file("file:///etc/S3CRET")]
fn a_url_that_is_none_is_refused_without_being_quoted(
    #[case] url: &str,
    #[values("adminURL", "publicURL")] field: &str,
) {
    let condition = parse(&json!({ field: url })).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(field) && !condition.message.contains("S3CRET"), "{}", condition.message);
}

#[test]
fn every_secret_is_known_by_name() {
    let key = |name: &str| json!({"name": name, "key": "k"});
    let settings = parse(&json!({
        "auth": {"bearerToken": {"secretKeyRef": key("token")}},
        "tls": {"ca": {"secretKeyRef": key("ca")}, "clientCertificate": {"secretRef": {"name": "certificate"}}},
        "headers": [{"name": "X-A", "secretKeyRef": key("header")}, {"name": "X-B", "value": "b"}],
    }));
    let settings = settings.unwrap();
    assert_eq!(settings.connection.secrets().into_iter().collect::<Vec<_>>(), ["ca", "certificate", "header", "token"]);
    let settings = parse(&json!({"tls": {"ca": {"configMapKeyRef": key("ca")}}})).unwrap();
    assert!(settings.connection.secrets().is_empty(), "a ConfigMap is none");
}

#[rstest]
fn a_header_that_is_not_the_manifests_to_set_is_refused(
    #[values(
        "Authorization",
        "Host",
        "User-Agent",
        "Accept",
        "accept-encoding",
        "Content-Type",
        "CONTENT-LENGTH",
        "Expect",
        "Range",
        "If-Match",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "HTTP2-Settings",
        "Proxy-Authorization",
        "proxy-anything",
        "no name",
        "",
        "ä"
    )]
    name: &str,
) {
    let condition = parse(&json!({"headers": [{"name": name, "value": "S3CRET"}]})).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(&format!("{name:?}")) && !condition.message.contains("S3CRET"), "{condition:?}");
}

#[rstest]
#[case::twice(json!([{"name": "X-A", "value": "S3CRET"}, {"name": "x-a", "value": "S3CRET"}]), "named twice")]
#[case::two_lines(json!([{"name": "X-A", "value": "S3CRET\r\nHost: S3CRET"}]), "can't be sent")]
#[case::not_ascii(json!([{"name": "X-A", "value": "S3CRET ä"}]), "can't be sent")]
#[case::empty(json!([{"name": "X-A", "value": " "}]), "no value")]
#[case::neither(json!([{"name": "X-A"}]), "either value or secretKeyRef")]
#[case::both(json!([{"name": "X-A", "value": "S3CRET", "secretKeyRef": {"name": "a", "key": "b"}}]), "either value or secretKeyRef")]
fn a_header_of_no_use_is_refused_without_being_quoted(#[case] headers: Value, #[case] words: &str) {
    let condition = parse(&json!({ "headers": headers })).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(words) && !condition.message.contains("S3CRET"), "{condition:?}");
}

#[rstest]
#[case("ftp://proxy.example", "correct it")]
#[case("socks4://proxy.example", "correct it")]
#[case("http://", "correct it")]
#[case("proxy.example:3128", "correct it")]
#[case("http://S3CRET@proxy.example", "remove them")]
#[case("socks5://S3CRET:S3CRET@proxy.example", "remove them")]
fn a_proxy_that_is_none_is_refused_without_being_quoted(#[case] url: &str, #[case] words: &str) {
    let condition = parse(&json!({ "proxyURL": url })).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    let said = condition.message;
    assert!(said.starts_with("proxyURL") && said.contains(words) && !said.contains("S3CRET"), "{said}");
}

#[rstest]
#[case::a_token(json!({"auth": {"bearerToken": {"secretKeyRef": {"name": "a", "key": "b"}}}}), false)]
#[case::a_secret_header(json!({"headers": [{"name": "X-A", "secretKeyRef": {"name": "a", "key": "b"}}]}), false)]
#[case::a_header_that_is_no_secret(json!({"headers": [{"name": "X-A", "value": "a"}]}), true)]
#[case::nothing_secret(json!({}), true)]
fn nothing_out_of_a_secret_is_said_where_a_proxy_reads_along(
    #[case] mut changes: Value,
    #[case] is_fine: bool,
    #[values("http://proxy.example:3128", "socks5://proxy.example")] proxy: &str,
) {
    json_patch::merge(&mut changes, &json!({ "proxyURL": proxy }));
    assert!(parse(&changes).is_ok(), "TLS goes through");
    json_patch::merge(&mut changes, &json!({"adminURL": "http://admin.example:4434"}));
    let parsed = parse(&changes);
    assert_eq!(parsed.is_ok(), is_fine, "{parsed:?}");
    if let Err(condition) = parsed {
        assert!(
            condition.reason == Reason::InvalidSpec && condition.message.contains("make adminURL https"),
            "{condition:?}"
        );
    }
}

#[rstest]
#[case::beside_the_instance_the_manifests_word(Some(1), true, 1)]
#[case::beside_it_nothing_said(None, true, 2)]
#[case::elsewhere_a_shorter_one_is_raised(Some(1), false, 3)]
#[case::elsewhere_at_once_is_raised(Some(0), false, 3)]
#[case::elsewhere_the_default_is_raised(None, false, 3)]
#[case::elsewhere_a_longer_one_stays(Some(9), false, 9)]
fn a_grace_period_is_the_manifests_else_the_default_and_elsewhere_no_shorter_than_it_may_be(
    #[case] own: Option<u64>,
    #[case] beside_instance: bool,
    #[case] expected: u64,
) {
    let grace = Grace { default: Duration::from_hours(2), minimum: Duration::from_hours(3) };
    assert_eq!(grace.period(own.map(Duration::from_hours), beside_instance), Duration::from_hours(expected));
    let own = own.map(Duration::from_hours);
    assert_eq!(
        Grace::default().period(own, beside_instance),
        own.unwrap_or_default(),
        "without any of it, none is added"
    );
}
