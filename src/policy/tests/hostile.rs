//! Whatever Kratos shows of a session or an identity, and whatever a rule says: each session gets a result, and nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{now, parse};
use crate::kratos::Session;
use crate::policy::judge::{Judgement, Mask, judge};
use crate::policy::tally::Tally;

const EXPRESSIONS: &[&str] = &[
    "duration('1h-2h') < duration('1s')",
    "duration('99999999999999999999h') > duration('1s')",
    "duration(identity.traits.a) < now - timestamp(session.issued_at)",
    "timestamp(identity.traits.a) - timestamp(session.expires_at) > duration('-2562047h47m16.854775807s')",
    "timestamp(identity.traits.b) * 1e308 * now == now",
    "int(identity.traits.a) * int(identity.traits.b) > 0 || identity.traits.a % identity.traits.b == 0",
    "-int(identity.traits.a) < 0 && identity.traits.a - identity.traits.b < 0",
    "identity.traits.a[identity.traits.b] == identity.traits[identity.traits.a]",
    "identity.traits.exists(k, identity.traits[k])",
    "identity.traits.a",
    "!identity.traits",
    "session.devices.all(d, d.user_agent.split(identity.traits.a).size() > identity.traits.b)",
    "identity.traits.a.matches('^(.*a){8}$') || identity.traits.a.trim().upperAscii() in identity.traits",
    "session.devices[0].ip_address.contains(string(identity.traits.a))",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        "-?[0-9]{0,22}(\\.[0-9]{0,22})?(h|m|s|-|)",
        "-?[0-9]{1,5}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})",
        prop::sample::select(vec![
            "aal",
            "aal0",
            "aal999",
            "aal-1",
            "AAL2",
            "[::1]:80",
            "::ffff:10.0.0.1",
            "[",
            "1.2.3.4:99999",
            "-"
        ])
        .prop_map(str::to_owned),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("a|b|email", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn times() -> impl Strategy<Value = Value> {
    let extremes = vec!["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00.999999999Z", "0001-01-01T00:00:00Z"];
    prop_oneof![Just(Value::Null), prop::sample::select(extremes).prop_map(Value::from)]
}

fn sessions() -> impl Strategy<Value = Value> {
    let identity = (values(), values(), values(), texts()).prop_map(|(a, b, public, schema)| {
        json!({"id": "00000000-0000-0000-0000-000000000007", "schema_id": schema, "state": "active",
            "traits": {"a": a, "b": b}, "metadata_public": public})
    });
    let device =
        (texts(), texts()).prop_map(|(address, agent)| json!({"id": "d", "ip_address": address, "user_agent": agent}));
    (identity, prop::collection::vec(device, 0..3), times(), times(), times(), texts()).prop_map(
        |(identity, devices, issued, authenticated, expires, level)| {
            json!({"id": "00000000-0000-0000-0000-000000000001", "active": true, "identity": identity, "devices": devices,
                "issued_at": issued, "authenticated_at": authenticated, "expires_at": expires,
                "authenticator_assurance_level": level})
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_session_is_judged(session in sessions()) {
        let Ok(session) = serde_json::from_value::<Session>(session) else { return Ok(()) };
        let expressions = EXPRESSIONS.iter().enumerate();
        let mut rules: Vec<_> = expressions
            .map(|(at, expression)| json!({"name": format!("e{at}"), "expression": expression, "action": "Revoke"}))
            .collect();
        rules.push(json!({"name": "everything", "maxAge": "8760h", "maxConcurrent": 1, "minimumAssurance": "AAL2",
            "gracePeriod": "0s", "allowedNetworks": ["203.0.113.0/24"], "action": "Revoke"}));
        rules.push(json!({"name": "goes-on", "maxAge": "8760h", "expiresWithin": "100ms", "action": "Extend"}));
        let desired = parse(&Value::from(rules)).unwrap();
        let judgement = judge(&desired, None, Mask::MAX, &session, now());
        prop_assert!(matches!(judgement, Judgement::Judged(_)));
        let mut tally = Tally::new(&desired);
        tally.add(&judgement);
        prop_assert_eq!(tally.finish().sessions, 1);
    }
}
