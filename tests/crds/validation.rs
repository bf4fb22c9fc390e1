//! The table of rules, put to the client-side validator: rules by kube's, shapes by a JSON Schema validator.

use kratos_operator::api::definitions;
use kube::core::cel::Validator;
use serde_json::{Value, json};

use crate::rules::{Fate, Row, table};

/// The schema of a kind.
fn schema(kind: &str) -> Value {
    let crds = definitions::all().into_iter().map(|crd| serde_json::to_value(crd).unwrap());
    let mut crd = crds.into_iter().find(|crd| crd["spec"]["names"]["kind"] == kind).expect("a definition");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

fn object(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": kind,
        "metadata": {"name": "ada", "namespace": "team-a"}, "spec": spec,
    })
}

/// Where an object isn't of the schema's shape, as in `spec.reclaimFrom[0]`; what is missing is named by itself.
fn misshapen(schema: &Value, object: &Value) -> Vec<String> {
    let validator = jsonschema::options().should_validate_formats(true).build(schema).expect("a schema");
    let places = validator.iter_errors(object).map(|error| {
        let mut place = String::new();
        for part in error.instance_path().as_str().split('/').skip(1) {
            let is_index = part.parse::<usize>().is_ok();
            let (before, after) = if is_index { ("[", "]") } else { (".", "") };
            place.extend([before, part, after]);
        }
        if let jsonschema::error::ValidationErrorKind::Required { property } = error.kind() {
            place.extend([".", property.as_str().unwrap_or_default()]);
        }
        place.trim_start_matches('.').to_owned()
    });
    places.collect()
}

fn fails(row: &Row) -> Option<String> {
    let (schema, object) = (schema(row.kind), object(row.kind, &row.spec));
    let before = row.before.as_ref().map(|spec| self::object(row.kind, spec));
    let places = misshapen(&schema, &object);
    let rules = match Validator::new().validate(&schema, &object, before.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    };
    let holds = match row.fate {
        Fate::Accepted => places.is_empty() && rules.is_empty(),
        Fate::Refused(message) => places.is_empty() && rules == [message],
        // The server checks no further where the shape is wrong.
        Fate::Misshapen(path) => places.contains(&path.to_owned()),
    };
    (!holds).then(|| format!("{} ({}): {:?}, but {places:?} {rules:?}", row.what, row.spec, row.fate))
}

#[test]
fn the_definitions_accept_and_refuse_what_they_should() {
    let failed: Vec<_> = table().iter().filter_map(fails).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What the rules say to an update by which another instance is named.
fn renaming(before: &Value, to: &Value) -> Vec<String> {
    let schema = schema("KratosIdentity");
    let (mut old, mut new) = (object("KratosIdentity", &json!({})), object("KratosIdentity", &json!({})));
    for (object, reference) in [(&mut old, &json!({"name": "mistaken"})), (&mut new, to)] {
        object["spec"] = json!({"schemaID": "customer", "instanceRef": reference});
        object["status"] = before.clone();
    }
    match Validator::new().validate(&schema, &new, Some(&old)) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

#[test]
fn another_instance_may_be_named_while_the_status_says_that_nothing_was_made() {
    let ready = |status: &str, reason: &str| json!({"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-11-24T12:00:00Z"});
    let other = json!({"name": "right", "namespace": "identity"});
    for reason in ["InstanceNotReady", "NotPermitted"] {
        let open = json!({"observedGeneration": 1, "conditions": [ready("False", reason)]});
        assert_eq!(renaming(&open, &other), Vec::<String>::new(), "{reason}");
        for (what, changes) in [
            ("an instance was chosen", json!({"instance": {"name": "mistaken"}})),
            ("there is an identity", json!({"identityID": "0a0b0c0d-1111-2222-3333-444455556666"})),
            ("it was ready", json!({"conditions": [ready("True", reason)]})),
            ("it waits for something else", json!({"conditions": [ready("False", "Progressing")]})),
            ("nobody has looked", json!({"observedGeneration": -1, "conditions": []})),
        ] {
            let mut status = open.clone();
            status.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
            let refused = renaming(&status, &other);
            assert!(
                refused.len() == 1 && refused[0].starts_with("instanceRef can't be changed"),
                "{what}: {refused:?}"
            );
            assert_eq!(renaming(&status, &json!({"name": "mistaken"})), Vec::<String>::new(), "{what}");
        }
    }
}
