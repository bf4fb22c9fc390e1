//! What a `KratosInstance` is told of a spec that can't be used, with the worst that people may have written into it. What says
//! which command to type (deletions that are held, another cluster's id) is as long as the command.

use serde_json::{Value, json};

use crate::api::instance::AdmissionRule;
use crate::api::messages::{VALUE, hold, hostile};
use crate::api::words::NAME;
use crate::api::{Reason, Verdict};
use crate::instance::{rules, settings, standing};

fn refused(changes: &Value) -> Verdict {
    let mut spec = json!({"adminURL": "http://admin.example:4434", "ownerName": hostile()});
    json_patch::merge(&mut spec, changes);
    settings::parse(&serde_json::from_value(spec).expect("a spec")).expect_err("it can't be used")
}

fn header(name: &str, more: &Value) -> Verdict {
    let mut header = json!({ "name": name });
    json_patch::merge(&mut header, more);
    refused(&json!({ "headers": [header.clone(), header] }))
}

#[test]
fn every_message_about_a_spec_is_short_and_of_use_and_shows_no_value() {
    let (secret, value) = (json!({"secretKeyRef": {"name": hostile(), "key": hostile()}}), json!({ "value": VALUE }));
    let rule = |expression: &str| {
        let rules: Vec<AdmissionRule> =
            serde_json::from_value(json!([{"expression": expression, "message": VALUE}])).expect("a rule");
        rules::parse(&rules).expect_err("it can't be asked")
    };
    let table = [
        ("no URL", refused(&json!({"adminURL": format!("http://u:{VALUE}@admin.example")}))),
        ("no public URL", refused(&json!({ "publicURL": hostile() }))),
        ("no proxy", refused(&json!({ "proxyURL": VALUE }))),
        ("a proxy with a password", refused(&json!({"proxyURL": format!("http://u:{VALUE}@proxy.example")}))),
        (
            "a proxy that reads along",
            refused(
                &json!({"proxyURL": "http://proxy.example", "headers": [{"name": "X-Key", "secretKeyRef": {"name": "a", "key": "b"}}]}),
            ),
        ),
        ("an authority of nowhere", refused(&json!({"tls": {"ca": {}}}))),
        ("no name of a header", header(&hostile(), &value)),
        ("a long name of a header", header(&"x".repeat(NAME * 20), &value)),
        ("a header twice", header("X-Key", &secret)),
        ("a header of nothing", header("X-Key", &json!({}))),
        ("a header with two lines", header("X-Key", &json!({"value": format!("{VALUE}\nb")}))),
        ("the token", header("Authorization", &value)),
        ("the operator's own", header("User-Agent", &value)),
        ("the connection's own", header("Proxy-Authorization", &value)),
        ("a rule that is no CEL", rule(&format!("identity.id == '{VALUE}' &&"))),
        ("a rule that looks at nothing", rule(&format!("identity.{} == 1", "f".repeat(3000)))),
        ("suspended", standing::suspended()),
    ];
    hold(&table, &[Reason::InvalidSpec, Reason::Suspended]);
}
