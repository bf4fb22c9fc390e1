//! Which parts of a schema speak of a value, and what that costs.

use proptest::prelude::*;

use super::*;

/// How many parts a schema has, and how often a value is visited where these are its traits.
fn cost(schema: &Value, traits: &Value) -> (usize, usize) {
    let shape = Shape::of(schema);
    let mut visits = 0;
    shape.visit(traits, &mut |_, _| visits += 1);
    (shape.parts.len(), visits)
}

fn login() -> Value {
    json!({"ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}})
}

#[test]
fn parts_that_share_others_are_gone_through_once() {
    let layers = 100;
    let mut definitions = serde_json::Map::new();
    for layer in 0..layers {
        let next = json!({"$ref": format!("#/definitions/{}", layer + 1)});
        definitions.insert(layer.to_string(), json!({"allOf": [next, next, {"anyOf": [next, next]}]}));
    }
    definitions.insert(layers.to_string(), login());
    let schema = json!({"definitions": definitions, "properties": {"traits": {"$ref": "#/definitions/0"}}});
    let (parts, visits) = cost(&schema, &json!("x"));
    // The whole, the traits, the last, and six of each layer.
    assert_eq!((parts, visits), (3 + 6 * layers, 1));
}

#[test]
fn a_schema_that_refers_to_itself_many_times_costs_what_the_value_has() {
    let children = 20;
    let again = json!({"$ref": "#/definitions/person"});
    let mut properties: serde_json::Map<_, _> = (0..children).map(|n| (format!("child{n}"), again.clone())).collect();
    properties.insert("mail".to_owned(), login());
    let person = json!({"properties": properties, "anyOf": [again, again], "items": again});
    let schema = json!({"definitions": {"person": person}, "properties": {"traits": again}});
    let deep =
        (0..90).fold(json!({"mail": "x"}), |inner, n| json!({"mail": "x", format!("child{}", n % children): inner}));
    let (parts, visits) = cost(&schema, &deep);
    assert_eq!((parts, visits), (3 + children + 1 + 3, 91));
}

#[test]
fn a_null_is_an_empty_object_where_the_schema_wants_one_and_takes_no_null() {
    let (object, nothing) = (json!({"type": "object"}), json!({"type": "null"}));
    let rows = [
        (object.clone(), json!({})),
        (json!({"$ref": "#/definitions/name"}), json!({})),
        (json!({"allOf": [{"title": "a name"}, object]}), json!({})),
        (json!({"type": ["object"]}), json!({})),
        (json!({"type": ["object", "null"]}), json!(null)),
        (json!({"anyOf": [object, nothing]}), json!(null)),
        (json!({"type": "string"}), json!(null)),
        (json!({}), json!(null)),
    ];
    for (name, expected) in rows {
        let inner = json!({"type": "object", "properties": {"name": name}});
        let schema = json!({
            "definitions": {"name": object},
            "properties": {"traits": {"properties": {"name": name, "inner": inner}}},
        });
        let mut traits = json!({"name": null, "inner": {"name": null}, "other": null}).as_object().cloned().unwrap();
        Shape::of(&schema).without_emptied_objects(&mut traits);
        let expected = json!({"name": expected, "inner": {"name": expected}, "other": null});
        assert_eq!(Value::Object(traits), expected, "{schema}");
    }
}

#[test]
fn references_are_resolved_from_the_document_they_stand_in() {
    let rows = [
        (json!({"$ref": "#/definitions/mail"}), false),
        (json!({"$ref": "#mail"}), false),
        (json!({"$ref": "mail.json"}), false),
        (json!({"$ref": "https://schemas.example/customer.json#/definitions/mail"}), false),
        (json!({"$ref": "#/definitions/a~1b%25"}), false),
        (json!({"$ref": "#/definitions/embedded/properties/mail"}), false),
        (json!({"$ref": "#/definitions/nothing"}), true),
        (json!({"$ref": "https://schemas.example/other.json#/mail"}), true),
        (json!({"$ref": 7}), true),
        (json!({"$recursiveRef": "#"}), true),
    ];
    for (mail, is_cut) in rows {
        let schema = json!({
            "$id": "https://schemas.example/customer.json",
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {
                "mail": login(), "a/b%": login(),
                "anchored": {"$id": "#mail", "allOf": [login()]},
                "named": {"$id": "mail.json", "allOf": [login()]},
                "embedded": {
                    "$id": "https://elsewhere.example/embedded.json", "definitions": {"own": login()},
                    "properties": {"mail": {"$ref": "#/definitions/own"}},
                },
            },
            "properties": {"traits": {"properties": {"mail": mail}}},
        });
        let shape = Shape::of(&schema);
        let mut found = 0;
        shape.visit(&json!({"mail": "x"}), &mut |_, value| found += usize::from(*value == json!("x")));
        assert_eq!((found, shape.is_cut()), (usize::from(!is_cut), is_cut), "{mail}");
    }
}

#[test]
fn a_schema_whose_id_is_of_no_use_is_gone_through_without_its_references() {
    let traits = json!({"properties": {"mail": login(), "phone": {"$ref": "#/definitions/phone"}}});
    let schema = json!({"$id": "http://[", "definitions": {"phone": login()}, "properties": {"traits": traits}});
    let shape = Shape::of(&schema);
    let mut found = Vec::new();
    shape.visit(&json!({"mail": "m", "phone": "p"}), &mut |_, value| found.push(value.clone()));
    assert_eq!((found, shape.is_cut()), (vec![json!("m")], true));
}

/// Schemas of a few definitions that refer to each other, in circles too.
fn schemas() -> impl Strategy<Value = Value> {
    let reference = (0..6_usize).prop_map(|to| json!({"$ref": format!("#/definitions/{to}")}));
    let leaf = prop_oneof![reference, Just(login()), Just(json!(true)), Just(json!({"$ref": "elsewhere"}))];
    let part = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| json!({"allOf": parts})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| json!({"oneOf": parts})),
            prop::collection::btree_map("[ab]", inner.clone(), 1..3).prop_map(|parts| json!({"properties": parts})),
            inner.prop_map(|part| json!({"items": part})),
        ]
    });
    prop::collection::vec(part, 6).prop_map(|parts| {
        let definitions: serde_json::Map<_, _> =
            parts.into_iter().enumerate().map(|(at, part)| (at.to_string(), part)).collect();
        json!({"definitions": definitions, "properties": {"traits": {"$ref": "#/definitions/0"}}})
    })
}

fn traits() -> impl Strategy<Value = Value> {
    Just(json!("x")).prop_recursive(5, 32, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|members| json!(members)),
        ]
    })
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// What is told of a value by the letter: every way through the schema, circles left out.
fn told(root: &Value, schema: &Value, value: &Value, on_the_way: &mut Vec<*const Value>) -> bool {
    if on_the_way.contains(&std::ptr::from_ref(schema)) {
        return false;
    }
    on_the_way.push(schema);
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| root.pointer(to.strip_prefix('#')?));
    let all = schema.get("allOf").into_iter().chain(schema.get("oneOf")).filter_map(Value::as_array).flatten();
    let found = schema.get(EXTENSION).is_some()
        || target.into_iter().chain(all).any(|part| told(root, part, value, on_the_way));
    let below = |part: &Value, inner: &Value| told(root, part, inner, &mut Vec::new());
    let found = found
        || match value {
            Value::Array(items) => schema.get("items").is_some_and(|part| items.iter().any(|item| below(part, item))),
            Value::Object(members) => members.iter().any(|(key, member)| {
                schema.get("properties").and_then(|parts| parts.get(key)).is_some_and(|part| below(part, member))
            }),
            _ => false,
        };
    on_the_way.pop();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_found_is_what_the_schema_says_and_costs_no_more_than_both_have(schema in schemas(), traits in traits()) {
        let (parts, visits) = cost(&schema, &traits);
        prop_assert!(parts <= count(&schema));
        prop_assert!(visits <= parts * count(&traits));
        let start = &schema["properties"]["traits"];
        prop_assert_eq!(visits > 0, told(&schema, start, &traits, &mut Vec::new()));
    }
}
