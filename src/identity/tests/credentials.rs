//! Links to providers and credentials that must not exist: what a plan does about them, and in which order.

use rstest::rstest;
use serde_json::{Value, json};

use super::builders::{GROUP, admin, claimant, desired, identity, mark, mark_json, now, present};
use crate::api::Reason;
use crate::api::identity::KratosIdentitySpec;
use crate::identity::absent_credentials::Contents;
use crate::identity::desired;
use crate::identity::mark::Mark;
use crate::identity::plan::{Observed, Plan, Present, Step, contents_needed, plan};
use crate::identity::secrets::Secrets;
use crate::kratos::{CredentialType, Identity};

fn link(provider: &str, subject: &str) -> Value {
    json!({"provider": provider, "subject": subject})
}

fn oidc(links: &[(&str, &str)]) -> Value {
    let links: Value = links.iter().map(|(provider, subject)| link(provider, subject)).collect();
    json!({"credentials": {"oidc": links}})
}

fn auto(provider: &str) -> Value {
    json!({"provider": provider, "useAutoLink": true})
}

fn absent(kinds: &[&str]) -> Value {
    json!({"credentials": {"absent": kinds}})
}

/// Ada with these links, of which these are noted as the manifest's, and with these further credentials.
fn ada(identifiers: &[&str], noted: &[(&str, &str)], more: &Value) -> Identity {
    let links: Value = noted.iter().map(|(provider, subject)| link(provider, subject)).collect();
    let paths: Vec<_> = noted.iter().map(|(provider, _)| format!("/credentials/oidc/{provider}")).collect();
    let mut mark = mark_json(&json!({ "ownedPaths": paths }));
    if !noted.is_empty() {
        mark["links"] = json!({ "oidc": links });
    }
    let mut changes = json!({
        "credentials": {"oidc": {"identifiers": identifiers}}, "metadata_admin": {GROUP: mark},
        "traits": {"email": "ada@a.example"},
    });
    json_patch::merge(&mut changes, &json!({ "credentials": more }));
    identity(&changes)
}

fn plan_for(spec: &Value, identity: Identity, contents: Contents) -> Plan {
    let Observed::Present(there) = present(identity) else { panic!("nothing is there") };
    let there = Present { contents: Some(contents), ..*there };
    plan(&claimant(), &desired(spec), &Observed::Present(Box::new(there)), now())
}

/// The steps in few words: what is written of links and of sessions that are to end, what is deleted.
fn told(plan: &Plan) -> Vec<String> {
    let of_mark = |mark: &Value| {
        let links = mark["links"]["oidc"].as_array().into_iter().flatten();
        let providers: Vec<_> = links.filter_map(|link| link["provider"].as_str()).collect();
        let pending = if mark["sessionsPending"] == json!(true) { " pending" } else { "" };
        format!("[{}]{pending}", providers.join(" "))
    };
    let tell = |step: &Step| match step {
        Step::Patch { operations, .. } => {
            let operations = serde_json::to_value(operations).unwrap();
            let of_mark = |operation: &Value| of_mark(&operation["value"]);
            format!("note {}", operations.as_array().unwrap().iter().map(of_mark).collect::<String>())
        }
        Step::Update { update, .. } => {
            let sent = serde_json::to_value(update).unwrap();
            let providers = sent["credentials"]["oidc"]["config"]["providers"].as_array().cloned().unwrap_or_default();
            let subjects: Vec<_> = providers.iter().filter_map(|link| link["subject"].as_str()).collect();
            format!("add {} {}", subjects.join(" "), of_mark(&sent["metadata_admin"][GROUP]))
        }
        Step::DeleteCredential { kind, link, .. } => {
            let which = link.as_ref().map(|link| format!(" {}", link.identifier())).unwrap_or_default();
            format!("delete {}{which}", kind.as_str())
        }
        Step::EndSessions { .. } => "end sessions".to_owned(),
        other => panic!("{other:?}"),
    };
    plan.steps.iter().map(tell).collect()
}

#[test]
fn creation_brings_the_links_in_one_request() {
    let spec = json!({"credentials": {"oidc": [link("google", "g1")], "saml": [link("okta", "o1")]}});
    let plan = plan(&claimant(), &desired(&spec), &Observed::Absent, now());
    let [Step::Create(create)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    let sent = serde_json::to_value(create).unwrap();
    let providers = |subject: Value| json!({"config": {"providers": [subject]}});
    let expected = json!({"oidc": providers(link("google", "g1")), "saml": providers(link("okta", "o1"))});
    assert_eq!(sent["credentials"], expected);
    let links = json!({"oidc": [link("google", "g1")], "saml": [link("okta", "o1")]});
    assert_eq!(sent["metadata_admin"][GROUP]["links"], links);
    assert_eq!(plan.owned_paths, ["/credentials/oidc/google", "/credentials/saml/okta"]);
    assert!(plan.changes.contains(&"/credentials/oidc/google".to_owned()), "{:?}", plan.changes);
    assert!(!format!("{plan:?}").contains("g1"), "a subject shows nowhere");
}

#[rstest]
#[case::added_where_missing(&[], &[], &[("google", "g1")], &["add g1 [google]"])]
#[case::others_are_left_alone(&["gitlab:theirs"], &[], &[("google", "g1")], &["add g1 [google]"])]
#[case::only_what_is_missing(&["google:g1"], &[("google", "g1")], &[("google", "g1"), ("github", "h1")], &["add h1 [github google]"])]
#[case::what_is_there_is_noted(&["google:g1"], &[], &[("google", "g1")], &["note [google]"])]
#[case::what_was_unlinked_is_added_again(&[], &[("google", "g1")], &[("google", "g1")], &["add g1 [google]"])]
#[case::nothing_differs(&["google:g1", "gitlab:theirs"], &[("google", "g1")], &[("google", "g1")], &[])]
#[case::removed_when_it_leaves(&["google:g1", "gitlab:theirs"], &[("google", "g1")], &[],
    &["note [google] pending", "delete oidc google:g1", "end sessions", "note []"])]
#[case::added_before_another_goes(&["google:g1"], &[("google", "g1")], &[("github", "h1")],
    &["add h1 [github google] pending", "delete oidc google:g1", "end sessions", "note [github]"])]
#[case::another_person_at_the_same_provider(&["google:g1"], &[("google", "g1")], &[("google", "g2")],
    &["add g2 [google google] pending", "delete oidc google:g1", "end sessions", "note [google]"])]
#[case::a_users_second_link_to_the_provider_stays(&["google:g1", "google:theirs"], &[("google", "g1")], &[],
    &["note [google] pending", "delete oidc google:g1", "end sessions", "note []"])]
#[case::gone_already(&[], &[("google", "g1")], &[], &["note []"])]
fn links_are_the_manifests_or_somebody_elses(
    #[case] there: &[&str],
    #[case] noted: &[(&str, &str)],
    #[case] wanted: &[(&str, &str)],
    #[case] expected: &[&str],
) {
    let plan = plan_for(&oidc(wanted), ada(there, noted, &json!({})), Contents::default());
    assert_eq!((told(&plan), plan.refusal), (expected.iter().map(|step| (*step).to_owned()).collect(), None));
}

#[test]
fn a_link_comes_in_a_request_that_keeps_everything_else_and_no_password() {
    let there = ada(&[], &[], &json!({"password": {"identifiers": ["ada@a.example"]}}));
    let plan = plan_for(&oidc(&[("google", "g1")]), there, Contents::default());
    let [Step::Update { update, .. }] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(update.traits, json!({"email": "ada@a.example"}));
    assert_eq!(
        (update.credentials.password.is_none(), plan.changes),
        (true, vec!["/credentials/oidc/google".to_owned()])
    );
}

#[test]
fn who_is_taken_over_gets_the_links_with_the_mark_in_one_request_that_is_confirmed() {
    let there = identity(&json!({"credentials": {"oidc": {"identifiers": ["gitlab:theirs"]}}}));
    let there = Observed::Present(Box::new(Present::new(there, Some(Mark::of_adoption(false)))));
    let spec = json!({
        "credentials": {"oidc": [link("google", "g1")]}, "adoption": {"policy": "IfUnowned", "identityID": "id-of-ada"},
    });
    let plan = plan(&claimant(), &desired(&spec), &there, now());
    let [Step::Update { update, .. }, Step::ConfirmMark { .. }] = plan.steps.as_slice() else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!(update.metadata_admin[GROUP]["links"], json!({"oidc": [link("google", "g1")]}));
    assert_eq!(update.credentials.oidc.len(), 1);
}

#[rstest]
#[case::nothing_else(json!({}), Contents::default(), false)]
#[case::a_password_without_a_hash(json!({"password": {"identifiers": ["ada@a.example"]}}), Contents::default(), false)]
#[case::a_second_factor(json!({"totp": {"identifiers": ["id"]}}), Contents { second_factor_key: true, ..Contents::default() }, false)]
#[case::another_link(json!({"saml": {"identifiers": ["okta:o1"]}}), Contents::default(), true)]
#[case::a_password(json!({}), Contents { password: true, ..Contents::default() }, true)]
#[case::a_passkey(json!({}), Contents { other_first_factor: true, ..Contents::default() }, true)]
fn the_last_thing_to_log_in_with_is_kept(#[case] more: Value, #[case] contents: Contents, #[case] goes: bool) {
    let there = || ada(&["google:g1"], &[("google", "g1")], &more);
    for spec in [json!({}), absent(&["OIDC"])] {
        let plan = plan_for(&spec, there(), contents);
        assert_eq!(plan.refusal.map(|condition| condition.reason), (!goes).then_some(Reason::InvalidSpec), "{spec}");
    }
    // What takes its place may come with the same request.
    assert_eq!(plan_for(&oidc(&[("github", "h1")]), there(), contents).refusal, None);
    // Without having read it nothing is taken for granted.
    let plan = plan(&claimant(), &desired(&json!({})), &present(there()), now());
    assert_eq!(plan.refusal.is_none(), more.get("saml").is_some());
}

#[rstest]
#[case::second_factors(&["TOTP", "LookupSecret"], &["delete lookup_secret", "delete totp"])]
#[case::one_of_them(&["TOTP"], &["delete totp"])]
#[case::keys_that_are_a_second_factor(&["WebAuthn"], &["delete webauthn"])]
#[case::every_link(&["OIDC"], &["delete oidc google:g1", "delete oidc gitlab:theirs"])]
#[case::a_password(&["Password"], &["delete password"])]
fn what_must_not_exist_is_deleted_and_the_sessions_end(#[case] kinds: &[&str], #[case] deleted: &[&str]) {
    let second = json!({"identifiers": ["id-of-ada"]});
    let more = json!({"totp": second, "lookup_secret": second, "webauthn": second});
    let contents = Contents { password: true, second_factor_key: true, other_first_factor: true };
    let there = || ada(&["google:g1", "gitlab:theirs"], &[], &more);
    let plan = plan_for(&absent(kinds), there(), contents);
    let middle = deleted.iter().map(|step| (*step).to_owned());
    let expected: Vec<_> = ["note [] pending".to_owned()].into_iter().chain(middle.clone()).collect();
    assert_eq!(told(&plan)[..expected.len()], expected);
    assert_eq!(told(&plan)[expected.len()..], ["end sessions", "note []"]);

    let mut spec = absent(kinds);
    spec["credentials"]["revokeSessions"] = json!(false);
    let quiet = plan_for(&spec, there(), contents);
    let steps: Vec<_> = told(&quiet).into_iter().filter(|step| !step.starts_with("note")).collect();
    assert_eq!(steps, middle.collect::<Vec<_>>(), "no session ends where the manifest says so");
}

#[rstest]
#[case::nothing(json!({}))]
#[case::empty_entries(json!({"totp": {}, "lookup_secret": {"identifiers": []}, "oidc": {"identifiers": []}}))]
#[case::what_the_schema_makes(json!({"password": {"identifiers": ["ada@a.example"]}, "webauthn": {"identifiers": ["ada@a.example"]}}))]
fn what_is_not_there_is_not_deleted(#[case] more: Value) {
    let contents = Contents { other_first_factor: true, ..Contents::default() };
    let mut there = ada(&[], &[], &more);
    admin(&mut there)[GROUP]["password"] = json!({"digest": "", "keyID": ""});
    let plan = plan_for(&absent(&["TOTP", "LookupSecret", "WebAuthn", "OIDC", "SAML", "Password"]), there, contents);
    assert_eq!((plan.steps, plan.changes), (vec![], vec![]));
}

#[test]
fn a_crash_after_any_step_is_made_good() {
    // Deleted, the sessions not ended yet.
    let mut there = ada(&["gitlab:theirs"], &[("google", "g1")], &json!({}));
    admin(&mut there)[GROUP]["sessionsPending"] = json!(true);
    let plan = plan_for(&json!({}), there.clone(), Contents::default());
    assert_eq!(told(&plan), ["note [] pending", "end sessions", "note []"]);
    // Ended, that not noted yet; a password of the same manifest was left pending by a former version.
    admin(&mut there)[GROUP] = mark_json(&json!({"password": {"digest": "d", "keyID": "k", "sessionsPending": true}}));
    let plan = plan_for(&json!({}), there, Contents::default());
    assert_eq!(told(&plan).last().map(String::as_str), Some("note []"));
    assert!(told(&plan).contains(&"end sessions".to_owned()));
}

#[test]
fn marks_of_a_former_version_say_that_sessions_are_to_end() {
    let former = mark(&json!({"password": {"digest": "d", "keyID": "k", "sessionsPending": true}}));
    assert!(former.sessions_pending);
    let written = former.to_value();
    assert_eq!((&written["sessionsPending"], &written["password"]["sessionsPending"]), (&json!(true), &Value::Null));
    assert!(!mark(&json!({"password": {"digest": "d", "keyID": "k"}})).sessions_pending);
}

#[rstest]
#[case::nothing_is_said(json!({}), json!({"webauthn": {}, "password": {}}), &[])]
#[case::second_factors_show_by_themselves(absent(&["TOTP", "LookupSecret"]), json!({"totp": {}, "webauthn": {}}), &[])]
#[case::keys_do_not(absent(&["WebAuthn"]), json!({"webauthn": {}}), &["webauthn"])]
#[case::no_keys(absent(&["WebAuthn"]), json!({"totp": {}}), &[])]
#[case::a_password_besides_a_link(absent(&["Password"]), json!({"password": {}, "oidc": {"identifiers": ["google:g1"]}}), &["password"])]
#[case::a_password_and_nothing_else(absent(&["Password"]), json!({"password": {}}), &["password", "webauthn", "passkey"])]
#[case::every_link(absent(&["OIDC"]), json!({"oidc": {"identifiers": ["google:g1"]}}), &["password", "webauthn", "passkey"])]
#[case::a_link_in_place_of_another(oidc(&[("github", "h1")]), json!({}), &[])]
fn contents_are_asked_for_where_nothing_else_tells(
    #[case] spec: Value,
    #[case] there: Value,
    #[case] expected: &[&str],
) {
    let present = Present::new(identity(&json!({ "credentials": there })), Some(mark(&json!({}))));
    let kinds: Vec<_> = contents_needed(&desired(&spec), &present).into_iter().map(CredentialType::as_str).collect();
    assert_eq!(kinds, expected);
}

#[rstest]
#[case::no_contents(json!({"password": {"identifiers": ["a"]}, "webauthn": {"identifiers": ["a"]}}), Contents::default())]
#[case::a_hash(json!({"password": {"config": {"hashed_password": "$2a$"}}}), Contents { password: true, ..Contents::default() })]
#[case::no_hash(json!({"password": {"config": {"hashed_password": ""}}}), Contents::default())]
#[case::one_that_is_to_migrate(json!({"password": {"config": {"use_password_migration_hook": true}}}), Contents { password: true, ..Contents::default() })]
#[case::both_kinds_of_keys(
    json!({"webauthn": {"config": {"credentials": [{"is_passwordless": false}, {"is_passwordless": true}]}}}),
    Contents { second_factor_key: true, other_first_factor: true, ..Contents::default() }
)]
#[case::a_key_that_logs_in_by_itself(
    json!({"webauthn": {"config": {"credentials": [{"is_passwordless": true}]}}}),
    Contents { other_first_factor: true, ..Contents::default() }
)]
#[case::no_keys(json!({"webauthn": {"config": {"credentials": null}}, "passkey": {"config": {}}}), Contents::default())]
#[case::a_passkey(json!({"passkey": {"config": {"credentials": [{}]}}}), Contents { other_first_factor: true, ..Contents::default() })]
#[case::codes(json!({"code": {"identifiers": ["ada@a.example"]}}), Contents { other_first_factor: true, ..Contents::default() })]
fn contents_are_reduced_to_yes_and_no(#[case] credentials: Value, #[case] expected: Contents) {
    let identity = identity(&json!({ "credentials": credentials }));
    assert_eq!(Contents::of(&identity, true), expected);
    let without_codes = Contents::of(&identity, false).other_first_factor;
    let is_about_codes = identity.credentials.contains_key("code");
    assert_eq!(without_codes, expected.other_first_factor && !is_about_codes, "only the server knows of codes");
}

#[rstest]
#[case::twice(json!({"oidc": [link("google", "g1"), link("google", "g2"), link("google", "g1")]}), "an entry of the provider google twice")]
#[case::of_saml(json!({"saml": [link("okta", "g1"), link("okta", "g1")]}), "spec.credentials.saml has an entry")]
#[case::automatic_twice(json!({"oidc": [auto("google"), auto("google")]}), "an entry of the provider google twice")]
#[case::of_nobody(json!({"oidc": [{"provider": "google"}]}), "either a subject or useAutoLink: true")]
#[case::of_both(json!({"oidc": [{"provider": "google", "subject": "g1", "useAutoLink": true}]}), "either a subject")]
#[case::of_nobody_by_saml(json!({"saml": [auto("okta")]}), "spec.credentials.saml needs a subject")]
#[case::given_and_absent(json!({"oidc": [link("google", "g1")], "absent": ["OIDC"]}), "remove one of the two")]
fn contradictions_are_told_without_subjects(#[case] credentials: Value, #[case] words: &str) {
    let spec = json!({"schemaID": "customer", "credentials": credentials});
    let spec: KratosIdentitySpec = serde_json::from_value(spec).unwrap();
    let condition = desired::parse(&spec, &Secrets::default(), now()).unwrap_err();
    assert_eq!(condition.reason, Reason::InvalidSpec);
    assert!(condition.message.contains(words) && !condition.message.contains("g1"), "{}", condition.message);
}

#[test]
fn one_provider_may_know_a_person_by_several_subjects() {
    let wanted = oidc(&[("google", "g1"), ("google", "g2")]);
    let plan = plan_for(&wanted, ada(&["google:g1"], &[("google", "g1")], &json!({})), Contents::default());
    let updates = plan.steps.iter().filter_map(|step| match step {
        Step::Update { update, .. } => Some(update.credentials.oidc.iter().map(|link| link.subject.as_str()).collect()),
        _ => None,
    });
    assert_eq!(updates.collect::<Vec<Vec<_>>>(), [["g2"]]);
    assert_eq!(plan.changes, ["/credentials/oidc/google"]);
}

/// The plan for a manifest with these entries, of an identity with these links, whose mark notes these as sent.
fn automatic(entries: &Value, there: &[&str], noted: &[(&str, &str)]) -> Plan {
    let sent: Value = noted.iter().map(|(provider, subject)| link(provider, subject)).collect();
    let mut identity = ada(there, &[], &json!({}));
    admin(&mut identity)[GROUP]["autoLinks"] = sent;
    plan_for(&json!({"credentials": {"oidc": entries}}), identity, Contents { password: true, ..Contents::default() })
}

fn noted_automatic(plan: &Plan) -> Vec<Value> {
    let notes = plan.steps.iter().filter_map(|step| match step {
        Step::Update { update, .. } => Some(update.metadata_admin[GROUP]["autoLinks"].clone()),
        Step::Patch { operations, .. } => {
            let value = serde_json::to_value(operations).unwrap();
            Some(value.as_array()?.last()?["value"]["autoLinks"].clone())
        }
        _ => None,
    });
    notes.collect()
}

#[test]
fn a_link_that_the_first_login_makes_is_sent_once_and_noted() {
    let plan = automatic(&json!([auto("google")]), &[], &[]);
    let [Step::Update { update, .. }] = &plan.steps[..] else { panic!("{:?}", plan.steps) };
    let sent =
        json!({"oidc": {"config": {"providers": [{"provider": "google", "subject": "", "use_auto_link": true}]}}});
    assert_eq!(serde_json::to_value(&update.credentials).unwrap(), sent, "the subject is the look's");
    assert_eq!(noted_automatic(&plan), [json!([link("google", "")])]);
    assert_eq!(plan.changes, ["/credentials/oidc/google"]);
    assert_eq!(plan.owned_paths, ["/credentials/oidc/google"]);
}

#[rstest]
#[case::which_waits(&["google:nobody"])]
#[case::which_a_login_has_made(&["google:real"])]
#[case::which_its_person_has_removed(&[])]
fn what_becomes_of_it_is_no_drift(#[case] there: &[&str]) {
    let plan = automatic(&json!([auto("google")]), there, &[("google", "nobody")]);
    assert_eq!(plan.changes, [""; 0]);
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Update { .. } | Step::DeleteCredential { .. })));
}

#[test]
fn one_that_leaves_the_manifest_goes_as_long_as_nobody_made_it() {
    let waits = automatic(&json!([]), &["google:nobody"], &[("google", "nobody")]);
    let removed =
        |step: &Step| matches!(step, Step::DeleteCredential { link: Some(link), .. } if link.subject == "nobody");
    assert!(waits.steps.iter().any(removed), "{:?}", waits.steps);
    let noted = [json!([link("google", "nobody")]), json!(null)];
    assert_eq!(noted_automatic(&waits), noted, "noted until it is gone, then not any more");
    let made = automatic(&json!([]), &["google:real"], &[("google", "nobody")]);
    assert!(!made.steps.iter().any(|step| matches!(step, Step::DeleteCredential { .. })), "{:?}", made.steps);
    assert_eq!(noted_automatic(&made), [json!(null)]);
}

#[test]
fn one_that_nobody_made_lets_nobody_in() {
    let entries = json!({"credentials": {"oidc": [auto("google")], "absent": ["SAML"]}});
    let mut identity = ada(&["google:nobody"], &[], &json!({"saml": {"identifiers": ["okta:theirs"]}}));
    admin(&mut identity)[GROUP]["autoLinks"] = json!([link("google", "nobody")]);
    let plan = plan_for(&entries, identity, Contents::default());
    assert_eq!(plan.refusal.map(|refusal| refusal.reason), Some(Reason::InvalidSpec));
}
