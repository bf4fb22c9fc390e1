//! A marker is put wherever a secret or a personal value can be, and may show nowhere.

use std::fmt::{Debug, Display};

use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::{
    AddressImport, BatchItem, BearerToken, Client, ClientConfig, CreateIdentity, CredentialImport, CredentialType,
    Error, Identity, IdentityFilter, OidcLink, Page, PasswordImport, PatchOperation, RecoveryCode, RecoveryLink,
    Secret, Session, UpdateIdentity, VerifiedAddressImport, Writer,
};
use super::{ID, MARKER, client, config, list, somebody};

fn assert_hidden(what: &(impl Debug + ?Sized)) {
    for shown in [format!("{what:?}"), format!("{what:#?}")] {
        assert!(!shown.contains(MARKER), "{shown}");
    }
}

fn assert_silent(error: &(impl Debug + Display)) {
    assert_hidden(error);
    assert!(!error.to_string().contains(MARKER), "{error}");
}

fn marked() -> Value {
    json!({"a": MARKER, MARKER: [MARKER]})
}

fn credentials(password: fn(Secret) -> PasswordImport) -> CredentialImport {
    CredentialImport {
        password: Some(password(Secret::new(MARKER))),
        oidc: vec![OidcLink { provider: "google".into(), subject: MARKER.into() }],
        auto_links: vec![OidcLink { provider: "okta".into(), subject: MARKER.into() }],
        saml: vec![OidcLink { provider: "okta".into(), subject: MARKER.into() }],
    }
}

fn create() -> CreateIdentity {
    CreateIdentity {
        schema_id: "customer".into(),
        traits: marked(),
        metadata_public: Some(marked()),
        metadata_admin: Some(marked()),
        external_id: Some(MARKER.into()),
        verifiable_addresses: vec![VerifiedAddressImport::verified_email(MARKER)],
        recovery_addresses: vec![AddressImport { value: MARKER.into(), via: "email".into() }],
        credentials: credentials(PasswordImport::Cleartext),
        ..CreateIdentity::default()
    }
}

fn identity() -> Identity {
    serde_json::from_value(json!({
        "id": ID,
        "schema_id": "customer",
        "traits": marked(),
        "metadata_public": marked(),
        "metadata_admin": marked(),
        "external_id": MARKER,
        "credentials": {"password": {"identifiers": [MARKER], "config": {"hashed_password": MARKER}}},
        "verifiable_addresses": [{"id": "1", "value": MARKER}],
        "recovery_addresses": [{"id": "1", "value": MARKER}],
    }))
    .unwrap()
}

#[test]
fn requests_hide_what_they_carry() {
    assert_hidden(&create());
    assert_hidden(&BatchItem { create: create(), patch_id: None });
    assert_hidden(&UpdateIdentity {
        traits: marked(),
        metadata_public: marked(),
        metadata_admin: marked(),
        external_id: Some(MARKER.into()),
        credentials: credentials(PasswordImport::Hashed),
        ..UpdateIdentity::default()
    });
    for value in [marked(), json!(MARKER)] {
        assert_hidden(&PatchOperation::Add { path: "/traits/a".into(), value: value.clone() });
        assert_hidden(&PatchOperation::Replace { path: "/traits/a".into(), value });
    }
    assert_hidden(&create().verifiable_addresses);
    assert_hidden(&create().recovery_addresses);
    assert_hidden(&IdentityFilter {
        ids: Some(vec![MARKER.into()]),
        preview_credentials_identifier_similar: Some(MARKER.into()),
        ..IdentityFilter::by_identifier(MARKER)
    });
}

#[test]
fn answers_hide_what_they_carry() {
    assert_hidden(&identity());
    assert_hidden(&identity().credentials);
    assert_hidden(&identity().verifiable_addresses);
    assert_hidden(&identity().recovery_addresses);
    assert_hidden(&Page {
        items: vec![identity()],
        unreadable: 0,
        requested_at: std::time::Instant::now(),
        total: None,
    });
    let device = json!({"id": "1", "ip_address": MARKER, "user_agent": MARKER, "location": MARKER});
    let session = json!({"id": ID, "identity": serde_json::to_value(identity()).unwrap(), "devices": [device]});
    let session: Session = serde_json::from_value(session).unwrap();
    assert_hidden(&session);
    assert_hidden(&session.devices);
    let code = json!({"recovery_link": MARKER, "recovery_code": MARKER, "expires_at": "2026-01-01T00:00:00Z"});
    assert_hidden(&serde_json::from_value::<RecoveryCode>(code.clone()).unwrap());
    assert_hidden(&serde_json::from_value::<RecoveryLink>(code).unwrap());
}

#[test]
fn an_identity_written_again_has_no_contents_of_credentials() {
    let written = serde_json::to_value(identity()).unwrap();
    assert_eq!(written["credentials"]["password"]["identifiers"], json!([MARKER]));
    assert_eq!(written["credentials"]["password"].get("config"), None);
}

#[test]
fn a_request_carries_its_secrets_all_the_same() {
    let written = serde_json::to_value(create()).unwrap();
    assert_eq!(written["credentials"]["password"], json!({"config": {"password": MARKER}}));
    let automatic = json!({"provider": "okta", "subject": MARKER, "use_auto_link": true});
    assert_eq!(
        written["credentials"]["oidc"],
        json!({"config": {"providers": [{"provider": "google", "subject": MARKER}, automatic]}})
    );
    let hashed = serde_json::to_value(credentials(PasswordImport::Hashed)).unwrap();
    assert_eq!(hashed["password"], json!({"config": {"hashed_password": MARKER}}));
}

#[tokio::test]
async fn clients_and_configurations_hide_the_token() {
    let server = MockServer::start().await;
    let mut config = config(&server);
    config.ca_pem = Some(MARKER.into());
    assert_hidden(&config);
    assert_hidden(&BearerToken { prefix: Some(MARKER.into()), token: SecretString::from(MARKER) });
    assert_hidden(&client(&server));
    let url = format!("http://{MARKER}:{MARKER}@localhost/?{MARKER}#{MARKER}").parse().unwrap();
    let config = ClientConfig { public_url: Some(url), ..config };
    assert_hidden(&config);
    assert_silent(&Client::new(config).unwrap_err());
    let token = BearerToken { prefix: None, token: SecretString::from(format!("{MARKER}\n{MARKER}")) };
    let config = ClientConfig { token: Some(token), ..super::config(&server) };
    assert_silent(&Client::new(config).unwrap_err());
}

/// Every kind of request, with the marker in its path, query or body.
async fn errors(client: &Writer) -> Vec<Error> {
    let patch = [PatchOperation::Add { path: "/traits/a".into(), value: marked() }];
    let include = [CredentialType::Oidc];
    vec![
        client.create_identity(&create()).await.unwrap_err(),
        client.batch_patch_identities(&[BatchItem { create: create(), patch_id: None }]).await.unwrap_err(),
        client.update_identity(MARKER, &UpdateIdentity::default()).await.unwrap_err(),
        client.patch_identity(MARKER, &patch).await.unwrap_err(),
        client.get_identity(MARKER, &include).await.unwrap_err(),
        list(client, IdentityFilter::by_identifier(MARKER)).await.unwrap_err(),
        client.delete_identity_credentials(ID, CredentialType::Oidc, Some(MARKER)).await.unwrap_err(),
        client.create_recovery_link_for_identity(MARKER, None, None).await.unwrap_err(),
        client.list_identity_schemas().await.unwrap_err(),
    ]
}

#[tokio::test]
async fn errors_say_nothing_of_what_was_sent_or_answered() {
    let body = json!({"error": {
        "code": 400,
        "status": MARKER,
        "reason": format!("I[#/traits/{MARKER}] S[#/{MARKER}] \"{MARKER}\" is not valid"),
        "message": MARKER,
        "details": {"x": MARKER},
    }});
    for status in [400, 401, 409, 422, 429, 503] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(status).set_body_json(&body).insert_header("Retry-After", "60");
        Mock::given(any()).respond_with(answer).mount(&server).await;
        for error in errors(&client(&server)).await {
            assert_silent(&error);
            assert!(error.to_string().contains(&format!("HTTP {status}")));
            assert!(error.to_string().contains(error.operation()));
        }
    }
}

#[tokio::test]
async fn errors_without_a_proper_answer_say_nothing_either() {
    let server = MockServer::start().await;
    let garbage = ResponseTemplate::new(200).set_body_string(format!("{{\"id\": {{\"{MARKER}\": 1}}}}"));
    Mock::given(any()).respond_with(garbage).mount(&server).await;
    for error in errors(&client(&server)).await {
        assert_silent(&error);
    }
}

#[tokio::test]
async fn connections_and_redirects_that_fail_say_nothing_either() {
    let nowhere = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/{MARKER}", listener.local_addr().unwrap())
    };
    let refused = Client::new(ClientConfig::new(nowhere.parse().unwrap())).unwrap().on_behalf_of(&somebody());
    for error in errors(&refused).await {
        assert_silent(&error);
    }
    let server = MockServer::start().await;
    let redirect = ResponseTemplate::new(302).insert_header("Location", format!("{nowhere}?{MARKER}"));
    Mock::given(any()).respond_with(redirect).mount(&server).await;
    for error in errors(&client(&server)).await {
        assert_silent(&error);
    }
}
