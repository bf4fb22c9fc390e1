//! Each write that is sent gets one audit record, with its outcome.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{ID, config, somebody};
use crate::kratos::audit::paths_of;
use crate::kratos::{
    Auditor, Client, ClientConfig, CreateIdentity, CredentialImport, OidcLink, PasswordImport, PatchOperation, Record,
    Writer,
};

/// A record: operation, identity, paths, outcome, status, attempt.
type Told = (&'static str, Option<String>, Vec<String>, &'static str, Option<u16>, u64);

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Told>>);

impl Auditor for Notes {
    fn record(&self, record: &Record<'_>) {
        let Record { operation, initiator, identity, session: _, paths, outcome, status, attempt } = *record;
        assert_eq!(initiator, &*somebody());
        let told = (operation, identity.map(str::to_owned), paths.to_vec(), outcome.as_str(), status, attempt);
        self.0.lock().unwrap().push(told);
    }
}

impl Notes {
    fn outcomes(&self) -> Vec<(&'static str, Option<u16>, u64)> {
        self.0.lock().unwrap().iter().map(|told| (told.3, told.4, told.5)).collect()
    }
}

fn audited(config: ClientConfig) -> (Writer, Arc<Notes>) {
    let notes = Arc::<Notes>::default();
    let config = ClientConfig { auditor: Some(Arc::clone(&notes) as _), ..config };
    (Client::new(config).unwrap().on_behalf_of(&somebody()), notes)
}

async fn answering(answer: ResponseTemplate) -> (MockServer, Writer, Arc<Notes>) {
    let server = MockServer::start().await;
    Mock::given(path(format!("/admin/identities/{ID}"))).respond_with(answer.clone()).mount(&server).await;
    Mock::given(path("/admin/identities")).respond_with(answer).mount(&server).await;
    let (writer, notes) = audited(config(&server));
    (server, writer, notes)
}

fn patch() -> [PatchOperation; 1] {
    [PatchOperation::Replace { path: "/traits/email".to_owned(), value: json!("m4rk3r-of-a-secret") }]
}

fn error(status: u16) -> ResponseTemplate {
    let error = json!({"error": {"code": status, "message": "no"}});
    ResponseTemplate::new(status).set_body_json(error)
}

#[tokio::test]
async fn a_create_is_told_with_its_id_and_what_it_sets() {
    let (_server, writer, notes) = answering(ResponseTemplate::new(201).set_body_json(json!({"id": ID}))).await;
    let create = CreateIdentity {
        schema_id: "customer".to_owned(),
        traits: json!({"email": "m4rk3r-of-a-secret", "name": {"first": "x", "a/b~c": "y"}, "list": [1, {"z": 2}]}),
        metadata_admin: Some(json!({"mark": {"deep": 1}, "other": 2})),
        ..CreateIdentity::default()
    };
    writer.create_identity(&create).await.unwrap();
    writer.get_identity(ID, &[]).await.unwrap();
    let told = notes.0.lock().unwrap().clone();
    let expected = [
        "/schema_id",
        "/traits/email",
        "/traits/list",
        "/traits/name/a~1b~0c",
        "/traits/name/first",
        "/metadata_admin/mark",
        "/metadata_admin/other",
    ];
    assert_eq!(told.len(), 1, "reads aren't told: {told:?}");
    let (operation, identity, paths, outcome, status, attempt) = told[0].clone();
    assert_eq!(
        (operation, identity.as_deref(), outcome, status, attempt),
        ("create_identity", Some(ID), "ok", Some(201), 1)
    );
    assert_eq!(paths, expected);
}

#[rstest]
#[case::password(|all: &mut CredentialImport| all.password = Some(PasswordImport::MigrationHook), "/credentials/password")]
#[case::link(|all: &mut CredentialImport| all.oidc.push(link()), "/credentials/oidc")]
#[case::link_by_itself(|all: &mut CredentialImport| all.auto_links.push(link()), "/credentials/oidc")]
#[case::saml_link(|all: &mut CredentialImport| all.saml.push(link()), "/credentials/saml")]
fn each_credential_of_a_create_is_a_path(#[case] set: impl FnOnce(&mut CredentialImport), #[case] path: &str) {
    let mut create = CreateIdentity { schema_id: "customer".to_owned(), ..CreateIdentity::default() };
    set(&mut create.credentials);
    assert!(paths_of(&create).iter().any(|found| found == path), "{:?}", paths_of(&create));
}

fn link() -> OidcLink {
    OidcLink { provider: "google".to_owned(), subject: "m4rk3r-of-a-secret".to_owned() }
}

#[rstest]
#[case::refused(error(400), "rejected", 400)]
#[case::in_conflict(error(409), "conflict", 409)]
#[case::gone(error(404), "not_found", 404)]
#[case::throttled(error(429), "throttled", 429)]
#[case::failed_in_the_middle(error(500), "unanswered", 500)]
#[case::garbage(ResponseTemplate::new(200).set_body_string("<p>hello</p>"), "unanswered", 200)]
#[case::a_gateway_that_says_no(ResponseTemplate::new(403), "transient", 403)]
#[case::a_redirect(ResponseTemplate::new(307).insert_header("location", "/elsewhere"), "transient", 307)]
#[tokio::test]
async fn a_write_that_fails_is_told_once(#[case] answer: ResponseTemplate, #[case] outcome: &str, #[case] status: u16) {
    let (_server, writer, notes) = answering(answer).await;
    writer.patch_identity(ID, &patch()).await.unwrap_err();
    assert_eq!(notes.outcomes(), [(outcome, Some(status), 1)]);
    assert_eq!(notes.0.lock().unwrap()[0].2, ["/traits/email"]);
}

#[tokio::test]
async fn each_time_a_deletion_is_sent_is_told() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE")).respond_with(error(500)).up_to_n_times(1).mount(&server).await;
    Mock::given(method("DELETE")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let (writer, notes) = audited(config(&server));
    writer.delete_identity(ID).await.unwrap();
    assert_eq!(notes.outcomes(), [("unanswered", Some(500), 1), ("ok", Some(204), 2)]);
}

#[tokio::test]
async fn what_is_given_up_is_told_as_unanswered_and_what_was_never_sent_is_not() {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    let (server, writer, notes) = answering(slow).await;
    let operations = patch();
    let request = writer.patch_identity(ID, &operations);
    tokio::select! {
        _ = request => panic!("it is slow"),
        () = async {
            while server.received_requests().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    assert_eq!(notes.outcomes(), [("unanswered", None, 1)]);

    let (writer, notes) = audited(ClientConfig::new("http://127.0.0.1:9".parse().unwrap()));
    writer.patch_identity(ID, &patch()).await.unwrap_err();
    writer.delete_identity("a/b").await.unwrap_err();
    assert_eq!(notes.outcomes(), []);
}
