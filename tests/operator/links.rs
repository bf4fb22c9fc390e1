//! Links to providers: added, removed, left alone, and the last credential to log in with kept. There is no provider here: the
//! tests read what Kratos holds.

use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::{CreateIdentity, CredentialImport, CredentialType, OidcLink, UpdateIdentity};
use rstest::rstest;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of, merge};
use crate::testenv::process::eventually;

const CREATE: &str = "POST /admin/identities";
const PUT: &str = "PUT /admin/identities/{id}";
const UNLINK: &str = "DELETE /admin/identities/{id}/credentials/oidc";
const END_SESSIONS: &str = "DELETE /admin/identities/{id}/sessions";

/// Tests share a Kratos: subjects and addresses are of this test alone.
fn subject(scene: &Scene, name: &str) -> String {
    format!("subject-of-{name}-{}", scene.namespace)
}

fn email(scene: &Scene, name: &str) -> String {
    format!("{name}@{}.example", scene.namespace)
}

/// A customer with links, as `provider: whose subject`.
fn linked(scene: &Scene, name: &str, links: &[(&str, &str)]) -> Value {
    let link = |(provider, whose): &(&str, &str)| json!({"provider": provider, "subject": subject(scene, whose)});
    json!({
        "schemaID": "customer", "traits": {"email": email(scene, name)},
        "credentials": {"oidc": links.iter().map(link).collect::<Value>()},
    })
}

/// The links that Kratos holds, sorted, as `provider:whose`.
async fn links(scene: &Scene, resource: &KratosIdentity) -> Vec<String> {
    let found = scene.admin().get_identity(&id_of(resource), &[CredentialType::Oidc]).await.expect("Kratos answers");
    let credential = found.expect("it is there").credentials.remove("oidc").unwrap_or_default();
    let providers = credential.config.read().unwrap()["providers"].as_array().cloned().unwrap_or_default();
    // Where the last one was removed Kratos shows an empty one.
    let providers: Vec<_> = providers.into_iter().filter(|link| link["provider"] != "").collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut held: Vec<_> =
        providers.iter().map(|link| format!("{}:{}", text(&link["provider"]), text(&link["subject"]))).collect();
    let mut named = credential.identifiers;
    held.sort();
    named.sort();
    assert_eq!(held, named, "what is named is what is held");
    let shorten = |link: String| link.replace("subject-of-", "").replace(&format!("-{}", scene.namespace), "");
    held.into_iter().map(shorten).collect()
}

/// Links an identity behind the operator's back, as its user does by signing in there.
async fn link_in_kratos(scene: &Scene, resource: &KratosIdentity, provider: &str, whose: &str) {
    let there = scene.in_kratos(resource).await;
    let oidc = vec![OidcLink { provider: provider.into(), subject: subject(scene, whose) }];
    let update = UpdateIdentity {
        schema_id: there.schema_id,
        traits: there.traits.read().unwrap().clone(),
        state: Some(there.state),
        metadata_public: there.metadata_public.read().unwrap().clone(),
        metadata_admin: there.metadata_admin.read().unwrap().clone(),
        external_id: None,
        credentials: CredentialImport { oidc, ..CredentialImport::default() },
        changes: Vec::new(),
    };
    scene.admin().update_identity(&there.id, &update).await.expect("it is linked");
}

fn owned(resource: &KratosIdentity) -> Vec<String> {
    let owned = resource.status.as_ref().map(|status| status.owned_paths.clone()).unwrap_or_default();
    owned.into_iter().filter(|path| path.starts_with("/credentials")).collect()
}

#[tokio::test]
async fn a_person_comes_with_links_in_one_request_and_they_follow_the_manifest() {
    let scene = Scene::settled().await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada"), ("github", "ada")])).await;
    let ada = scene.ready("ada").await;
    assert_eq!(scene.proxy.counts(), [(CREATE.to_owned(), 1)].into());
    assert_eq!(links(&scene, &ada).await, ["github:ada", "google:ada"]);
    assert_eq!(owned(&ada), ["/credentials/oidc/github", "/credentials/oidc/google"]);
    let session = scene.logged_in(&ada, &email(&scene, "ada")).await;
    link_in_kratos(&scene, &ada, "gitlab", "ada").await;

    // Nothing differs: nothing is written.
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());

    // Added later, and the session stays.
    let spec = linked(&scene, "ada", &[("google", "ada"), ("github", "ada"), ("okta", "ada")]);
    scene.identity("ada", spec).await;
    scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["github:ada", "gitlab:ada", "google:ada", "okta:ada"]);
    assert_eq!((scene.proxy.count(PUT), scene.kratos_writes()), (1, 1), "one write: {:?}", scene.proxy.counts());
    assert!(scene.is_logged_in(&session).await);

    // One goes and another comes; what the user linked stays, and so does everything else.
    scene.count_from_now();
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada-again"), ("okta", "ada")])).await;
    let resource = scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["gitlab:ada", "google:ada-again", "okta:ada"]);
    assert_eq!((scene.proxy.count(PUT), scene.proxy.count(UNLINK)), (1, 2));
    assert!(!scene.is_logged_in(&session).await, "what is removed ends the sessions");
    let put = scene.proxy.seen().iter().position(|seen| seen.label == PUT);
    let unlinked = scene.proxy.seen().iter().position(|seen| seen.label == UNLINK);
    assert!(put < unlinked, "added before another is removed");
    assert_eq!(owned(&resource), ["/credentials/oidc/google", "/credentials/oidc/okta"]);
    let password = "correct-horse-battery-4711";
    let email = email(&scene, "ada");
    let session = scene.kratos.login(&email, password).await.unwrap().expect("the password is kept");

    // Sessions stay where the manifest says so.
    let mut spec = linked(&scene, "ada", &[]);
    spec["credentials"] = json!({"revokeSessions": false});
    scene.identity("ada", spec).await;
    scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["gitlab:ada"]);
    assert!(scene.is_logged_in(&session).await);
    scene.count_from_now();
    scene.request_reconcile("ada").await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    scene.shows_nowhere(&ada, "subject-of-ada").await;
}

#[tokio::test]
async fn the_last_thing_to_log_in_with_stays_until_there_is_another() {
    let scene = Scene::settled().await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada")])).await;
    let ada = scene.ready("ada").await;
    let there = scene.in_kratos(&ada).await;
    assert!(there.credentials.contains_key("password"), "an entry that the schema makes, without a password");
    let mut without = linked(&scene, "ada", &[]);
    without["metadataPublic"] = json!({"plan": "gold"});
    scene.identity("ada", without).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("without anything to log in with") && message.contains("first"), "{message}");
    scene.stays_refused("ada", "InvalidSpec").await;
    assert_eq!(links(&scene, &ada).await, ["google:ada"]);
    assert_eq!(scene.in_kratos(&ada).await.metadata_public, Value::Null, "nothing is half done");
    // With a password it may go.
    let session = scene.logged_in(&ada, &email(&scene, "ada")).await;
    scene.request_reconcile("ada").await;
    scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, [""; 0]);
    assert!(!scene.is_logged_in(&session).await);
    assert_eq!(scene.in_kratos(&ada).await.metadata_public, json!({"plan": "gold"}));
    // What reading it showed is shown to nobody.
    scene.shows_nowhere(&ada, "$2a$").await;
    scene.shows_nowhere(&ada, "subject-of-ada").await;
}

#[tokio::test]
async fn a_link_that_another_identity_has_is_a_conflict_that_tells_nothing_and_does_nothing() {
    let scene = Scene::settled().await;
    scene.identity("grace", linked(&scene, "grace", &[("google", "grace")])).await;
    let grace = scene.ready("grace").await;
    scene.identity("ada", linked(&scene, "ada", &[("github", "ada")])).await;
    let ada = scene.ready("ada").await;
    let before = scene.in_kratos(&ada).await;
    let mut spec = linked(&scene, "ada", &[("google", "grace")]);
    spec["metadataPublic"] = json!({"plan": "gold"});
    scene.identity("ada", spec).await;
    let message = scene.stalled("ada", "IdentityConflict").await;
    assert!(!message.contains("grace"), "{message}");
    let after = scene.in_kratos(&ada).await;
    assert_eq!((&after.metadata_public, &after.metadata_admin), (&before.metadata_public, &before.metadata_admin));
    assert_eq!(links(&scene, &ada).await, ["github:ada"]);
    // Nor is anybody made with it.
    scene.identity("eve", linked(&scene, "eve", &[("google", "grace")])).await;
    assert_eq!(scene.stalled("eve", "IdentityConflict").await, message);
    assert_eq!(
        scene.ours().await.iter().filter(|found| found.traits.read().unwrap()["email"] == email(&scene, "eve")).count(),
        0
    );
    assert_eq!(links(&scene, &grace).await, ["google:grace"]);
    // Once it is free whoever waits for it has it, without being asked.
    scene.delete("eve").await;
    scene.gone("eve").await;
    scene.delete("grace").await;
    scene.gone("grace").await;
    scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["google:grace"]);
}

#[tokio::test]
async fn an_instances_rules_see_links_as_they_would_be_left() {
    let scene = Scene::shared().await;
    let rule = json!({"expression": "identity.credentials.oidc.all(link, link.provider != 'github')", "message": "not by GitHub"});
    scene.instance(json!({"allowedNamespaces": {"from": "All"}, "rules": [rule]})).await;
    let tenant = scene.other_namespace("tenant", &[]).await;
    scene.identity_in(&tenant, "ada", linked(&scene, "ada", &[("google", "ada")])).await;
    let ada = scene.ready_in(&tenant, "ada").await;
    scene.settle().await;
    scene.identity_in(&tenant, "ada", linked(&scene, "ada", &[("google", "ada"), ("github", "ada")])).await;
    scene.stalled_in(&tenant, "ada", "NotPermitted").await;
    assert_eq!(scene.kratos_requests(), 0, "the manifest alone breaks the rule");
    // What is linked already doesn't get in by any other change.
    scene.identity_in(&tenant, "ada", linked(&scene, "ada", &[("google", "ada")])).await;
    scene.ready_in(&tenant, "ada").await;
    link_in_kratos(&scene, &ada, "github", "ada").await;
    scene.identity_in(&tenant, "ada", linked(&scene, "ada", &[("google", "ada"), ("okta", "ada")])).await;
    scene.stalled_in(&tenant, "ada", "NotPermitted").await;
    assert_eq!(links(&scene, &ada).await, ["github:ada", "google:ada"]);
    scene.settle_again("beside").await;
    assert_eq!(scene.proxy.count(PUT), 0);
}

#[tokio::test]
async fn an_entry_that_is_there_twice_is_told_and_nothing_is_sent() {
    let scene = Scene::settled().await;
    let ada = scene.identity("ada", linked(&scene, "ada", &[("google", "ada"), ("google", "ada")])).await;
    let message = scene.stalled("ada", "InvalidSpec").await;
    assert!(message.contains("an entry of the provider google twice"), "{message}");
    scene.settle_again("beside").await;
    assert_eq!(scene.proxy.count(CREATE), 1, "only the one beside it");
    scene.shows_nowhere(&ada, "subject-of-ada").await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada")])).await;
    let ada = scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["google:ada"]);
}

#[tokio::test]
async fn who_is_taken_over_keeps_its_own_links_and_gets_the_manifests() {
    let scene = Scene::settled().await;
    let oidc = vec![OidcLink { provider: "google".into(), subject: subject(&scene, "ada") }];
    let planted = CreateIdentity {
        schema_id: "customer".into(),
        traits: json!({"email": email(&scene, "ada")}),
        credentials: CredentialImport { oidc, ..CredentialImport::default() },
        ..CreateIdentity::default()
    };
    let planted = scene.admin().create_identity(&planted).await.expect("it is made");
    let mut spec = linked(&scene, "ada", &[("github", "ada")]);
    spec.as_object_mut().unwrap().remove("traits");
    merge(&mut spec, json!({"adoption": {"policy": "IfUnowned", "identityID": planted.id}}));
    scene.count_from_now();
    scene.identity("ada", spec.clone()).await;
    let ada = scene.ready("ada").await;
    assert_eq!(id_of(&ada), planted.id);
    assert_eq!((scene.proxy.count(PUT), scene.kratos_writes()), (1, 1), "mark and link in one request");
    assert_eq!(links(&scene, &ada).await, ["github:ada", "google:ada"]);
    // Nothing of its own goes with what is the manifest's.
    spec["credentials"] = json!({});
    scene.identity("ada", spec).await;
    let ada = scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["google:ada"]);
}

#[tokio::test]
async fn a_link_that_was_removed_behind_our_back_is_back_within_an_interval() {
    let scene = Scene::shared().await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada"), ("github", "ada")])).await;
    let ada = scene.ready("ada").await;
    let identifier = format!("google:{}", subject(&scene, "ada"));
    let (admin, id) = (scene.admin(), id_of(&ada));
    let removed = admin.delete_identity_credentials(&id, CredentialType::Oidc, Some(&identifier)).await;
    removed.expect("it is unlinked");
    let back = eventually("the link is back", WITHIN, async || {
        (links(&scene, &ada).await == ["github:ada", "google:ada"]).then_some(())
    });
    back.await.unwrap_or_else(|error| panic!("{error}\n{}", scene.whole_log()));
    let note = scene.event(&ada, "DriftCorrected").await;
    assert!(note.starts_with("1 field(s)"), "{note}");
}

#[tokio::test]
async fn who_only_looks_sees_where_links_would_change_and_not_to_whom() {
    let scene = Scene::settled().await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada"), ("gitlab", "ada")])).await;
    scene.ready("ada").await;
    let mut spec = linked(&scene, "ada", &[("github", "ada"), ("gitlab", "ada")]);
    merge(&mut spec, json!({"mode": "Observe"}));
    spec["credentials"]["absent"] = json!(["TOTP"]);
    scene.count_from_now();
    scene.identity("ada", spec).await;
    let expected = ["/credentials/oidc/github", "/credentials/oidc/google"];
    let drifts = |ada: &KratosIdentity| (ada.status.as_ref()?.drift == expected).then_some(());
    let ada = scene.until("ada", "the drift", drifts).await;
    assert_eq!(scene.kratos_writes(), 0);
    scene.shows_nowhere(&ada, "subject-of-ada").await;
}

#[tokio::test]
async fn a_link_whose_answer_was_lost_is_not_added_twice() {
    let scene = Scene::settled().await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada")])).await;
    let ada = scene.ready("ada").await;
    scene.count_from_now();
    scene.proxy.on(PUT).once().lose_answer();
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada"), ("github", "ada")])).await;
    scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["github:ada", "google:ada"]);
    assert_eq!(scene.proxy.count(PUT), 1);
}

#[tokio::test]
async fn killed_anywhere_in_a_change_of_links_it_is_brought_to_its_end() {
    let mut scene = Scene::own().await.with_instance().await;
    // With a request unsent, or carried out and unanswered.
    let places = [
        ("unadded", PUT, true),
        ("added", PUT, false),
        ("unremoved", UNLINK, true),
        ("removed", UNLINK, false),
        ("unended", END_SESSIONS, true),
        ("ended", END_SESSIONS, false),
        ("unnoted", "PATCH /admin/identities/{id}", true),
    ];
    for (name, at, unsent) in places {
        scene.identity(name, linked(&scene, name, &[("google", name)])).await;
        let resource = scene.ready(name).await;
        let session = scene.logged_in(&resource, &email(&scene, name)).await;
        let held = if unsent { scene.proxy.on(at).hold() } else { scene.proxy.on(at).hold_answer() };
        scene.identity(name, linked(&scene, name, &[("github", name)])).await;
        held.held().await;
        scene.operator().kill();
        scene.proxy.clear_faults();
        scene.operator().restart().expect("it starts");
        scene.ready(name).await;
        scene.request_reconcile(name).await;
        assert_eq!(links(&scene, &resource).await, [format!("github:{name}")]);
        assert!(!scene.is_logged_in(&session).await, "the sessions are ended whatever happened: {name}");
        let mark = scene.in_kratos(&resource).await.metadata_admin.read().unwrap()["kratos-operator.dev"].clone();
        assert_eq!(mark["sessionsPending"], Value::Null, "{name}");
        assert_eq!(mark["links"], json!({"oidc": [{"provider": "github", "subject": subject(&scene, name)}]}));
        scene.count_from_now();
        scene.request_reconcile(name).await;
        assert_eq!(scene.kratos_writes(), 0, "{name}: {:?}", scene.proxy.counts());
    }
}

#[rstest]
#[case::saml(json!({"saml": [{"provider": "okta", "subject": "1234"}]}), "SAML links")]
#[case::no_password(json!({"absent": ["Password"]}), "type password")]
#[case::no_links(json!({"absent": ["TOTP", "OIDC"]}), "type oidc")]
#[tokio::test]
async fn what_needs_a_newer_server_is_told_before_anything_is_written(#[case] credentials: Value, #[case] what: &str) {
    let scene = Scene::settled().await;
    let mut spec = linked(&scene, "ada", &[]);
    scene.identity("ada", spec.clone()).await;
    let ada = scene.ready("ada").await;
    scene.logged_in(&ada, &email(&scene, "ada")).await;
    link_in_kratos(&scene, &ada, "gitlab", "ada").await;
    scene.count_from_now();
    spec["credentials"] = credentials;
    merge(&mut spec, json!({"metadataPublic": {"plan": "gold"}}));
    scene.identity("ada", spec).await;
    let message = scene.stalled("ada", "UnsupportedByServer").await;
    assert!(message.contains(what) && message.contains("v25.4"), "{message}");
    scene.stays_refused("ada", "UnsupportedByServer").await;
    assert_eq!(links(&scene, &ada).await, ["gitlab:ada"]);
    assert_eq!(scene.proxy.count(PUT) + scene.proxy.count(UNLINK), 0);
}

#[tokio::test]
async fn one_provider_may_know_a_person_by_several_subjects_of_which_each_comes_and_goes_by_itself() {
    let scene = Scene::settled().await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "ada"), ("google", "work")])).await;
    let ada = scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["google:ada", "google:work"]);
    assert_eq!(owned(&ada), ["/credentials/oidc/google"]);
    link_in_kratos(&scene, &ada, "google", "home").await;
    scene.identity("ada", linked(&scene, "ada", &[("google", "work"), ("google", "leave")])).await;
    scene.ready("ada").await;
    assert_eq!(links(&scene, &ada).await, ["google:home", "google:leave", "google:work"]);
}
