//! Identities as rules see them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::builders::{GROUP, admin, claimant, desired, identity, marked, now, present, shapes};
use crate::identity::desired as desires;
use crate::identity::digest_key::DigestKey;
use crate::identity::facts::{self, View};
use crate::identity::plan::{self, Observed, Step};
use crate::identity::schema::hides_identifiers;
use crate::identity::secrets::Secrets;
use crate::kratos::{CredentialType, OidcLink};

fn seen_and_left(spec: &Value, observed: &Observed) -> (View, View) {
    let plan = plan::plan(&claimant(), &desired(spec), observed, now());
    let Observed::Present(present) = observed else { panic!("nothing is there") };
    let before = facts::observed(&present.identity, &shapes("email")).expect("it can be read");
    let after = facts::merged(Some(&before), &plan, &shapes("email")).expect("an identity");
    (before, after)
}

#[test]
fn an_identity_that_would_be_created_shows_without_the_mark() {
    let spec =
        json!({"traits": {"email": " Ada@New.example "}, "metadataAdmin": {"costCenter": "42"}, "state": "Inactive"});
    let plan = plan::plan(&claimant(), &desired(&spec), &Observed::Absent, now());
    let view = facts::merged(None, &plan, &shapes("email")).expect("an identity");
    let expected = json!({
        "id": "", "schema_id": "customer", "state": "inactive", "traits": {"email": " Ada@New.example "},
        "metadata_public": {}, "metadata_admin": {"costCenter": "42"},
        "verifiable_addresses": [], "credentials": {"oidc": [], "saml": []},
    });
    assert_eq!(view.identity, expected);
    assert_eq!(view.identifiers, ["ada@new.example"]);
}

#[test]
fn an_identity_shows_with_verified_addresses_and_links_and_every_identifier_that_kratos_keeps() {
    let found = identity(&json!({
        "traits": {"email": "ada@new.example"},
        "verifiable_addresses": [{"id": "x", "value": "ada@new.example", "via": "email", "verified": true, "status": "completed"}],
        "credentials": {
            "password": {"identifiers": ["ada@old.example"]},
            "oidc": {"identifiers": ["google:12:34"]},
            "webauthn": {"identifiers": ["id-of-ada"]},
            "totp": {"identifiers": ["id-of-ada"]},
        },
    }));
    let view = facts::observed(&found, &shapes("email")).expect("it can be read");
    assert_eq!(view.identifiers, ["ada@new.example", "ada@old.example"]);
    assert_eq!(view.identity["credentials"]["oidc"], json!([{"provider": "google", "subject": "12:34"}]));
    let address = json!([{"value": "ada@new.example", "via": "email", "verified": true}]);
    assert_eq!(view.identity["verifiable_addresses"], address);
}

#[test]
fn what_a_plan_leaves_is_what_was_there_with_the_changes() {
    let changes = json!({"traits": {"email": "ada@old.example", "name": "Ada"}, "metadata_public": null});
    let observed = present(marked(&changes, &["/traits/email", "/traits/gone"]));
    let spec = json!({"traits": {"email": "ada@new.example"}, "metadataPublic": {"a/b": 1}, "state": "Inactive"});
    let (before, after) = seen_and_left(&spec, &observed);
    assert_eq!(before.identity["traits"]["email"], "ada@old.example");
    assert_eq!(after.identity["traits"], json!({"email": "ada@new.example", "name": "Ada"}));
    assert_eq!(after.identity["metadata_public"], json!({"a/b": 1}));
    assert_eq!(after.identity["metadata_admin"], json!({}));
    assert_eq!(after.identity["state"], "inactive");
    // Kratos may keep the old one.
    assert_eq!(after.identifiers, ["ada@new.example", "ada@old.example"]);
}

#[test]
fn links_show_as_a_plan_leaves_them() {
    let mut there = marked(&json!({"credentials": {"oidc": {"identifiers": ["google:g1", "gitlab:theirs"]}}}), &[]);
    admin(&mut there)["kratos-operator.dev"]["links"] = json!({"oidc": [{"provider": "google", "subject": "g1"}]});
    let given = |provider: &str, subject: &str| json!([{"provider": provider, "subject": subject}]);
    let spec = json!({"credentials": {"oidc": given("github", "h1"), "saml": given("okta", "o1")}});
    let (before, after) = seen_and_left(&spec, &present(there));
    let links = |of: &[(&str, &str)]| -> Value {
        of.iter().map(|(provider, subject)| json!({"provider": provider, "subject": subject})).collect()
    };
    assert_eq!(before.identity["credentials"]["oidc"], links(&[("google", "g1"), ("gitlab", "theirs")]));
    assert_eq!(after.identity["credentials"]["oidc"], links(&[("gitlab", "theirs"), ("github", "h1")]));
    assert_eq!(after.identity["credentials"]["saml"], links(&[("okta", "o1")]));
    let created = plan::plan(&claimant(), &desired(&spec), &Observed::Absent, now());
    let created = facts::merged(None, &created, &shapes("email")).expect("an identity").identity;
    assert_eq!(created["credentials"], json!({"oidc": links(&[("github", "h1")]), "saml": links(&[("okta", "o1")])}));
    // And where all of them go.
    let (_, after) = seen_and_left(
        &json!({"credentials": {"absent": ["OIDC"]}}),
        &present(identity(&json!({
            "credentials": {"oidc": {"identifiers": ["google:g1"]}},
        }))),
    );
    assert_eq!(after.identity["credentials"]["oidc"], json!([]));
}

#[test]
fn a_plan_without_steps_leaves_the_identity_as_it_is() {
    let observed = present(marked(&json!({"traits": {"email": "ada@old.example"}}), &["/traits/email"]));
    let (before, after) = seen_and_left(&json!({"traits": {"email": "ada@old.example"}}), &observed);
    assert!(before == after);
}

#[test]
fn only_what_carries_nobodys_mark_and_isnt_known_is_adopted() {
    let adopts = |observed: Observed| match observed {
        Observed::Present(present) => facts::adopts(&claimant(), &present),
        Observed::Absent => panic!("nothing is there"),
    };
    assert!(!adopts(present(marked(&json!({}), &[]))));
    assert!(adopts(present(identity(&json!({})))));
    let Observed::Present(mut wiped) = present(identity(&json!({}))) else { panic!("nothing is there") };
    wiped.mark = Some(super::builders::mark(&json!({})));
    assert!(!adopts(Observed::Present(wiped)));
}

#[test]
fn identifiers_in_places_that_arent_followed_are_noticed() {
    let email = || json!({"ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}});
    let within = |traits: Value| json!({"properties": {"traits": traits}});
    let rows = [
        (within(json!({"properties": {"email": email()}})), false),
        (
            within(json!({"properties": {"mails": {"items": email()}}, "allOf": [{"properties": {"a": email()}}]})),
            false,
        ),
        (json!({"$defs": {"mail": email()}, "properties": {"traits": {"$ref": "#/$defs/mail"}}}), false),
        (within(json!({"patternProperties": {"^e": email()}})), true),
        (within(json!({"then": {"properties": {"email": email()}}})), true),
        (within(json!({"properties": {"email": {"$ref": "https://schemas.example/mail"}}})), true),
        (within(json!({"patternProperties": {"^e": {"type": "string"}}})), false),
    ];
    for (schema, expected) in rows {
        assert_eq!(hides_identifiers(&schema), expected, "{schema}");
    }
}

#[test]
fn links_that_the_first_login_makes_and_a_migration_show_as_what_they_are() {
    let spec = json!({"credentials": {
        "oidc": [{"provider": "google", "useAutoLink": true}, {"provider": "okta", "subject": "o1"}],
        "password": {"format": "MigrationHook"},
    }});
    let mut spec = json!({"schemaID": "customer", "credentials": spec["credentials"]});
    let secrets = Secrets::default().with_key(Arc::new(DigestKey::new("k1", vec![7; 32])));
    let parse =
        |spec: &Value| desires::parse(&serde_json::from_value(spec.clone()).unwrap(), &secrets, now()).expect("a spec");
    let automatic = json!({"provider": "google", "subject": "", "use_auto_link": true});
    let okta = json!({"provider": "okta", "subject": "o1"});
    let plan = plan::plan(&claimant(), &parse(&spec), &Observed::Absent, now());
    let view = facts::merged(None, &plan, &shapes("email")).expect("an identity");
    let hook = json!({"use_password_migration_hook": true});
    assert_eq!(view.identity["credentials"], json!({"oidc": [okta, automatic], "saml": [], "password": hook}));

    // Later it is told by the mark, which says what was sent.
    let mut there = marked(&json!({"credentials": {"oidc": {"identifiers": ["google:nobody", "okta:o1"]}}}), &[]);
    admin(&mut there)[GROUP]["autoLinks"] = json!([{"provider": "google", "subject": "nobody"}]);
    let view = facts::observed(&there, &shapes("email")).expect("it can be read");
    let waiting = json!({"provider": "google", "subject": "nobody", "use_auto_link": true});
    assert_eq!(view.identity["credentials"]["oidc"], json!([okta, waiting]));
    // And what a plan takes away is gone.
    spec["credentials"]["oidc"] = json!([okta]);
    let plan = plan::plan(&claimant(), &parse(&spec), &present(there), now());
    let after = facts::merged(Some(&view), &plan, &shapes("email")).expect("an identity");
    assert_eq!(after.identity["credentials"]["oidc"], json!([okta]));
}

#[test]
fn what_is_removed_leaves_no_trace_where_rules_look() {
    let found =
        identity(&json!({"credentials": {"oidc": {"identifiers": ["google:12"]}, "totp": {"identifiers": ["id"]}}}));
    let before = facts::observed(&found, &[]).expect("it can be read");
    let remove = |kind, link| Step::DeleteCredential { id: "id-of-ada".into(), kind, link };
    let link = OidcLink::from_identifier("google:12");
    let steps = vec![remove(CredentialType::Totp, None), remove(CredentialType::Oidc, link)];
    let plan = plan::Plan { steps, ..plan::Plan::default() };
    let after = facts::merged(Some(&before), &plan, &[]).expect("an identity");
    assert_eq!(after.identity["credentials"], json!({"oidc": [], "saml": []}));
}
