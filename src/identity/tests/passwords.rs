//! Whether a password is sent, what the mark says of it, and which steps follow.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, claimant, identity, mark_json, now, present};
use crate::api::identity::KratosIdentitySpec;
use crate::api::instance::KeyRef;
use crate::api::{ReadyCondition, Reason};
use crate::identity::desired::{self, Desired};
use crate::identity::digest_key::DigestKey;
use crate::identity::plan::{Observed, Plan, Step, plan};
use crate::identity::secrets::{Entry, Secrets};
use crate::kratos::State;

fn parse(password: &Value, value: &str, key_id: &str) -> Result<Desired, ReadyCondition> {
    parse_of(password, value, key_id, 0)
}

/// The same, of an operator that sends no shorter one than `least` characters.
fn parse_of(password: &Value, value: &str, key_id: &str, least: usize) -> Result<Desired, ReadyCondition> {
    let mut spec = json!({
        "schemaID": "customer", "traits": {"email": "ada@a.example"}, "metadataPublic": {"plan": "gold"},
        "credentials": {"password": {"secretKeyRef": {"name": "ada", "key": "password"}}},
    });
    json_patch::merge(&mut spec["credentials"]["password"], password);
    let spec: KratosIdentitySpec = serde_json::from_value(spec).unwrap();
    let mut secrets = Secrets::default().with_key(Arc::new(DigestKey::new(key_id, vec![7; 32]))).with_least(least);
    let reference = KeyRef { name: "ada".into(), key: "password".into() };
    secrets.insert(&reference, Entry::Value(value.as_bytes().to_vec()));
    desired::parse(&spec, &secrets, now())
}

fn desired(password: &Value, value: &str, key_id: &str) -> Desired {
    parse(password, value, key_id).expect("a spec without contradictions")
}

/// The mark that creation writes for this value.
fn noted(value: &str, key_id: &str) -> Value {
    let plan = plan(&claimant(), &desired(&json!({}), value, key_id), &Observed::Absent, now());
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    create.metadata_admin.as_ref().unwrap()[GROUP]["password"].clone()
}

/// Ada's identity, as the manifest has it, with this under `password` in its mark.
fn there(password: &Value) -> Observed {
    let owned = json!(["/metadata_public/plan", "/traits/email"]);
    present(identity(&json!({
        "traits": {"email": "ada@a.example", "nickname": "user's own"}, "metadata_public": {"plan": "gold", "theirs": 1},
        "metadata_admin": {"theirs": 2, GROUP: mark_json(&json!({"ownedPaths": owned, "password": password}))},
        "external_id": "theirs",
    })))
}

fn plan_for(desired: &Desired, noted: &Value) -> Plan {
    plan(&claimant(), desired, &there(noted), now())
}

#[test]
fn creation_sends_it_and_notes_a_digest_that_tells_nothing() {
    let plan = plan(&claimant(), &desired(&json!({}), "s3cret-of-ada", "k1"), &Observed::Absent, now());
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let sent = serde_json::to_value(create).unwrap();
    assert_eq!(sent["credentials"], json!({"password": {"config": {"password": "s3cret-of-ada"}}}));
    let noted = &sent["metadata_admin"][GROUP]["password"];
    assert_eq!((&noted["keyID"], &noted["salt"]), (&json!("k1"), &json!("uid-of-ada")));
    assert!(!noted.to_string().contains("s3cret") && !format!("{plan:?}").contains("s3cret"));
    assert!(plan.changes.contains(&"/credentials/password".to_owned()));
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let plan = plan_for(&desired(&json!({}), "one", "k1"), &noted("one", "k1"));
    assert_eq!(plan.steps, []);
}

#[test]
fn changed_content_is_sent_in_one_request_that_keeps_everything_else_and_ends_the_sessions() {
    let before = noted("one", "k1");
    let plan = plan_for(&desired(&json!({}), "two", "k1"), &before);
    let [Step::Update { id, update }, Step::EndSessions { .. }, Step::Patch { operations, .. }] = plan.steps.as_slice()
    else {
        panic!("{:?}", plan.steps)
    };
    let sent = serde_json::to_value(update).unwrap();
    assert_eq!(id, "id-of-ada");
    assert_eq!(sent["schema_id"], "customer");
    assert_eq!(sent["traits"], json!({"email": "ada@a.example", "nickname": "user's own"}));
    assert_eq!(sent["metadata_public"], json!({"plan": "gold", "theirs": 1}));
    assert_eq!((&sent["metadata_admin"]["theirs"], &sent["external_id"]), (&json!(2), &json!("theirs")));
    assert_eq!(sent["credentials"]["password"]["config"]["password"], "two");
    let mark = &sent["metadata_admin"][GROUP];
    assert_eq!(mark["sessionsPending"], true);
    assert_ne!(mark["password"]["digest"], before["digest"]);
    // The sessions are ended: the mark says no more that they are to be.
    let cleared = serde_json::to_value(&operations[0]).unwrap();
    assert_eq!(cleared["path"], format!("/metadata_admin/{GROUP}"));
    assert_eq!(
        (&cleared["value"]["password"], &cleared["value"]["sessionsPending"]),
        (&noted("two", "k1"), &Value::Null)
    );
    assert_eq!(plan.changes, ["/credentials/password"]);
}

#[test]
fn when_it_was_sent_is_noted_with_it() {
    let mut before = noted("one", "k1");
    assert_eq!(before["sentAt"], "2026-12-24T18:00:00Z");
    before["sentAt"] = json!("2026-11-24T12:00:00Z");
    let kept = plan_for(&desired(&json!({}), "one", "k1"), &before);
    assert_eq!(kept.steps, [], "nothing is written for the sake of a time");
    let plan = plan_for(&desired(&json!({}), "two", "k1"), &before);
    let [Step::Update { update, .. }, ..] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(update.metadata_admin[GROUP]["password"]["sentAt"], "2026-12-24T18:00:00Z");
}

#[rstest]
#[case::as_long(12, true)]
#[case::one_less(13, false)]
fn one_that_is_shorter_than_the_operator_asks_for_is_not_sent(#[case] least: usize, #[case] is_sent: bool) {
    // Twelve characters, of more bytes.
    let short = parse_of(&json!({}), "пароль-парол", "k1", least).expect("a spec");
    let before = noted("one", "k1");
    for plan in [plan(&claimant(), &short, &Observed::Absent, now()), plan_for(&short, &before)] {
        assert_eq!(plan.refusal.is_none(), is_sent, "{:?}", plan.refusal);
        let message = plan.refusal.map(|condition| condition.message).unwrap_or_default();
        assert!(
            is_sent || message.contains("Secret ada, key password") && message.contains("13 characters"),
            "{message}"
        );
        assert!(!message.contains("12") && !message.contains("пароль"), "{message}");
    }
    let sent = plan_for(&short, &noted("пароль-парол", "k1"));
    assert_eq!((sent.refusal, sent.steps.len()), (None, 0), "what was sent already stays");
    let hash = "$2b$04$eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    let hashed = parse_of(&json!({"format": "Hashed"}), hash, "k1", 100).expect("a spec");
    assert_eq!(plan(&claimant(), &hashed, &Observed::Absent, now()).refusal, None, "of a hash nobody can tell");
}

#[test]
fn sessions_that_a_crash_left_are_ended_without_sending_the_password_again() {
    // As marks had it when nothing but a password could bring it about.
    let mut pending = noted("two", "k1");
    pending["sessionsPending"] = json!(true);
    let plan = plan_for(&desired(&json!({}), "two", "k1"), &pending);
    assert!(
        matches!(
            plan.steps.as_slice(),
            [Step::EndSessions { .. }, Step::Patch { .. }]
                | [Step::Patch { .. }, Step::EndSessions { .. }, Step::Patch { .. }]
        ),
        "{:?}",
        plan.steps
    );
    // Under another key, and without the manifest's password, too.
    let plan = plan_for(&desired(&json!({}), "two", "k2"), &pending);
    assert!(plan.steps.iter().any(|step| matches!(step, Step::EndSessions { .. })), "{:?}", plan.steps);
}

#[test]
fn sessions_stay_where_the_manifest_says_so() {
    let plan = plan_for(&desired(&json!({"revokeSessions": false}), "two", "k1"), &noted("one", "k1"));
    assert!(matches!(plan.steps.as_slice(), [Step::Update { .. }]), "{:?}", plan.steps);
}

#[test]
fn the_same_text_in_another_format_is_another_password() {
    let hash = "$2b$04$eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    let plan = plan_for(&desired(&json!({"format": "Hashed"}), hash, "k1"), &noted(hash, "k1"));
    let [Step::Update { update, .. }, ..] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let sent = serde_json::to_value(update).unwrap();
    assert_eq!(sent["credentials"]["password"]["config"], json!({"hashed_password": hash}));
}

#[rstest]
#[case::no_digest(json!({}), Value::Null)]
#[case::another_operators_key(json!({}), noted("one", "k0"))]
#[case::given_once_for_all(json!({"updatePolicy": "CreateOnly"}), noted("one", "k1"))]
fn what_nobody_can_compare_is_noted_and_not_sent(#[case] password: Value, #[case] before: Value) {
    let plan = plan_for(&desired(&password, "two", "k1"), &before);
    let [Step::Patch { operations, .. }] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let operations = serde_json::to_value(operations).unwrap();
    let mut expected = noted("two", "k1");
    match before.get("sentAt") {
        Some(sent_at) => expected["sentAt"] = sent_at.clone(),
        None => drop(expected.as_object_mut().expect("a mark").remove("sentAt")),
    }
    assert_eq!(operations[0]["value"]["password"], expected);
    assert_eq!((operations.as_array().unwrap().len(), plan.changes.len()), (1, 0));
}

#[test]
fn a_password_for_creation_only_is_not_missed_afterwards() {
    let wanted = desired(&json!({"updatePolicy": "CreateOnly"}), "", "k1");
    assert_eq!(
        (wanted.password.is_none(), wanted.lacks.map(|condition| condition.reason)),
        (true, Some(Reason::InvalidSpec))
    );
    let refused = parse(&json!({}), "", "k1").unwrap_err();
    assert_eq!(refused.reason, Reason::InvalidSpec);
}

#[test]
fn a_password_goes_along_with_a_deactivation() {
    let mut wanted = desired(&json!({}), "two", "k1");
    wanted.state = Some(State::Inactive);
    let plan = plan_for(&wanted, &noted("one", "k1"));
    assert!(
        matches!(
            plan.steps.as_slice(),
            [Step::Update { .. }, Step::EndSessions { .. }, Step::Patch { .. }, Step::ConfirmInactive { .. }]
        ),
        "{:?}",
        plan.steps
    );
}

#[rstest]
#[case::no_hash("hunter2-hunter2")]
#[case::an_unknown_kind("$7$abcdefgh$hunter2-hunter2")]
#[case::two_lines("$2b$04$hunter2\n$2b$04$hunter2")]
fn what_is_no_hash_is_refused_without_being_shown(#[case] value: &str) {
    let condition = parse(&json!({"format": "Hashed"}), value, "k1").unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains("Secret ada, key password") && !condition.message.contains("hunter2"));
}

#[test]
fn a_password_that_nobody_types_is_refused() {
    let condition = parse(&json!({}), &"a".repeat(1025), "k1").unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains("1024 bytes"), "{}", condition.message);
}

fn by_hook() -> Desired {
    let spec = json!({"schemaID": "customer", "credentials": {"password": {"format": "MigrationHook"}}});
    let secrets = Secrets::default().with_key(Arc::new(DigestKey::new("k1", vec![7; 32])));
    desired::parse(&serde_json::from_value(spec).unwrap(), &secrets, now()).expect("a spec without contradictions")
}

#[test]
fn a_hook_is_sent_with_the_create_and_notes_no_password() {
    let plan = plan(&claimant(), &by_hook(), &Observed::Absent, now());
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let sent = serde_json::to_value(create).unwrap();
    assert_eq!(sent["credentials"], json!({"password": {"config": {"use_password_migration_hook": true}}}));
    assert!(!create.credentials.is_hashed(), "nobody waits for a hash");
    let later = desired(&json!({}), "s3cret-of-ada", "k1");
    let noted = &sent["metadata_admin"][GROUP]["password"];
    assert!(plan_for(&later, noted).changes.contains(&"/credentials/password".to_owned()), "one given later is sent");
}

#[rstest]
#[case::of_none(json!({"digest": "", "keyID": ""}))]
#[case::of_one_that_was_given(noted("s3cret-of-ada", "k1"))]
#[case::of_nothing(Value::Null)]
fn a_hook_is_not_sent_to_an_identity_that_is_there(#[case] noted: Value) {
    let plan = plan_for(&by_hook(), &noted);
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Update { .. })), "{:?}", plan.steps);
}

#[rstest]
#[case::no_secret(json!({"format": "Cleartext"}), "secretKeyRef is missing")]
#[case::no_secret_for_a_hash(json!({"format": "Hashed"}), "secretKeyRef is missing")]
#[case::a_secret_for_a_hook(json!({"format": "MigrationHook", "secretKeyRef": {"name": "ada", "key": "password"}}), "remove")]
fn a_password_and_its_format_go_together(#[case] password: Value, #[case] words: &str) {
    let spec = json!({"schemaID": "customer", "credentials": {"password": password}});
    let condition = desired::parse(&serde_json::from_value(spec).unwrap(), &Secrets::default(), now()).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(words), "{}", condition.message);
}
