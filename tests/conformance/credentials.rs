//! `delete_identity_credentials`.

use kratos_operator::kratos::{
    Class, CreateIdentity, CredentialImport, CredentialType, IdentityFilter, OidcLink, Removal, UpdateIdentity,
};
use serde_json::json;

use crate::fixtures::{NOBODY, PASSWORD, add, customer, customer_with_password, email, kratos, list, read};

#[tokio::test]
async fn a_second_factor_is_deleted_once_and_is_absent_then() {
    let (kratos, client) = kratos().await;
    let email = email("second-factor");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    let kind = CredentialType::LookupSecret;
    assert_eq!(client.delete_identity_credentials(&created.id, kind, None).await.unwrap(), Removal::WasAbsent);
    assert!(!kratos.enrol_lookup_secret(&token).await.unwrap().is_empty());
    assert!(read(&client, &created.id).await.credential(kind).is_some());
    assert_eq!(client.delete_identity_credentials(&created.id, kind, None).await.unwrap(), Removal::Removed);
    assert!(read(&client, &created.id).await.credential(kind).is_none());
    assert_eq!(client.delete_identity_credentials(&created.id, kind, None).await.unwrap(), Removal::WasAbsent);
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some(), "the password is kept");
    assert!(kratos.whoami(&token).await.unwrap().is_some(), "and so are the sessions");
}

#[tokio::test]
async fn of_an_unknown_identity_it_is_absent() {
    let (_, client) = kratos().await;
    for kind in [CredentialType::Totp, CredentialType::LookupSecret, CredentialType::Webauthn, CredentialType::Oidc] {
        let removal = client.delete_identity_credentials(NOBODY, kind, Some("google:1")).await.unwrap();
        assert_eq!(removal, Removal::WasAbsent);
    }
}

#[tokio::test]
async fn a_password_is_not_deleted_by_this_version() {
    let (kratos, client) = kratos().await;
    let email = email("first-factor");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let error = client.delete_identity_credentials(&created.id, CredentialType::Password, None).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Rejected, Some(400)));
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some());
}

#[tokio::test]
async fn oidc_links_are_deleted_one_by_one_even_the_last_one() {
    let (_, client) = kratos().await;
    let subject = email("subject");
    let links: Vec<_> =
        ["google", "github"].map(|provider| OidcLink { provider: provider.into(), subject: subject.clone() }).into();
    let credentials = CredentialImport { oidc: links.clone(), ..CredentialImport::default() };
    let created = client.create_identity(&CreateIdentity { credentials, ..customer(&email("oidc")) }).await.unwrap();
    let delete = async |identifier: Option<&str>| {
        client.delete_identity_credentials(&created.id, CredentialType::Oidc, identifier).await
    };
    let left =
        async || read(&client, &created.id).await.credential(CredentialType::Oidc).map(|it| it.identifiers.clone());

    assert_eq!(delete(None).await.unwrap_err().class(), Class::Rejected, "which one?");
    assert_eq!(delete(Some("google:somebody-else")).await.unwrap(), Removal::WasAbsent);
    assert_eq!(delete(Some(&links[0].identifier())).await.unwrap(), Removal::Removed);
    assert_eq!(left().await.unwrap(), [links[1].identifier()]);
    assert_eq!(delete(Some(&links[1].identifier())).await.unwrap(), Removal::Removed);
    assert_eq!(left().await.unwrap_or_default(), Vec::<String>::new());
}

#[tokio::test]
async fn one_time_codes_are_named_lookup_secret_and_not_lookup() {
    let (kratos, client) = kratos().await;
    let email = email("lookup");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    kratos.enrol_lookup_secret(&token).await.unwrap();
    for (name, expected) in [("lookup", 404), ("lookup_secret", 204)] {
        let path = format!("admin/identities/{}/credentials/{name}", created.id);
        let (status, _) = kratos.raw(reqwest::Method::DELETE, &path, &serde_json::json!(null)).await.unwrap();
        assert_eq!(status, expected);
    }
}

#[tokio::test]
async fn every_write_moves_the_credentials_updated_at_so_that_it_says_nothing() {
    let (kratos, client) = kratos().await;
    let email = email("anew");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let times = async || {
        let identity = read(&client, &created.id).await;
        identity.credential(CredentialType::Password).unwrap().updated_at
    };
    let before = times().await;
    assert!(before.is_some());
    client.patch_identity(&created.id, &[add("/metadata_admin/a", serde_json::json!(1))]).await.unwrap();
    assert_ne!(before, times().await);
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some(), "the password is the same");
}

#[tokio::test]
async fn time_based_one_time_passwords_are_deleted_likewise() {
    let (kratos, client) = kratos().await;
    let email = email("totp");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    let totp = kratos.enrol_totp(&token).await.unwrap();
    let session = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    kratos.step_up_by_totp(&session, &totp).await.unwrap();
    let kind = CredentialType::Totp;
    assert_eq!(read(&client, &created.id).await.credential(kind).unwrap().identifiers.concat(), created.id);
    assert_eq!(client.delete_identity_credentials(&created.id, kind, None).await.unwrap(), Removal::Removed);
    assert!(read(&client, &created.id).await.credential(kind).is_none());
    let session = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    assert!(kratos.step_up_by_totp(&session, &totp).await.is_err());
}

#[tokio::test]
async fn a_listing_with_the_contents_of_webauthn_names_every_kind_and_shows_no_other_contents() {
    let (kratos, client) = kratos().await;
    let (email, subject) = (email("named"), email("subject"));
    let link = OidcLink { provider: "google".into(), subject: subject.clone() };
    let credentials = CredentialImport { oidc: vec![link], ..crate::fixtures::password(PASSWORD) };
    let created = client.create_identity(&CreateIdentity { credentials, ..customer(&email) }).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    kratos.enrol_totp(&token).await.unwrap();
    kratos.enrol_lookup_secret(&token).await.unwrap();
    let filter = |include_credential: Vec<_>| IdentityFilter {
        include_credential,
        ..IdentityFilter::by_ids([created.id.as_str()])
    };
    let listed = list(&client, filter(vec![CredentialType::Webauthn])).await.unwrap().remove(0);
    let expected = [
        ("lookup_secret", created.id.clone()),
        ("oidc", format!("google:{subject}")),
        ("password", email),
        ("totp", created.id.clone()),
    ];
    let found: Vec<_> = listed.credentials.iter().map(|(kind, it)| (kind.as_str(), it.identifiers.concat())).collect();
    assert_eq!(found, expected);
    assert!(listed.credentials.values().all(|credential| credential.config.is_null()));
    // Why no other kind's contents are asked for.
    let codes = list(&client, filter(vec![CredentialType::LookupSecret])).await.unwrap().remove(0);
    let codes = &codes.credential(CredentialType::LookupSecret).unwrap().config.read().unwrap()["recovery_codes"];
    assert!(codes[0]["code"].is_string(), "codes in clear text");
    assert!(list(&client, filter(vec![])).await.unwrap().remove(0).credentials.is_empty());
}

#[tokio::test]
async fn of_saml_this_version_has_not_heard() {
    let (_, client) = kratos().await;
    let filter = IdentityFilter { include_credential: vec![CredentialType::Saml], ..IdentityFilter::by_ids([NOBODY]) };
    assert_eq!(list(&client, filter).await.unwrap_err().class(), Class::Rejected);
    let link = OidcLink { provider: "okta".into(), subject: email("subject") };
    let credentials = CredentialImport { saml: vec![link], ..CredentialImport::default() };
    let email = email("saml");
    let error = client.create_identity(&CreateIdentity { credentials: credentials.clone(), ..customer(&email) }).await;
    assert_eq!(error.unwrap_err().class(), Class::Rejected);
    let created = client.create_identity(&customer(&email)).await.unwrap();
    let traits = json!({ "email": email });
    let update = UpdateIdentity { schema_id: "customer".into(), traits, credentials, ..UpdateIdentity::default() };
    let answer = client.update_identity(&created.id, &update).await.unwrap();
    assert!(answer.credential(CredentialType::Saml).is_none(), "ignored without a word");
}

#[tokio::test]
async fn a_link_belongs_to_one_identity() {
    let (_, client) = kratos().await;
    let links = vec![OidcLink { provider: "google".into(), subject: email("subject") }];
    let credentials = CredentialImport { oidc: links, ..CredentialImport::default() };
    let with_link = |email: &str| CreateIdentity { credentials: credentials.clone(), ..customer(email) };
    client.create_identity(&with_link(&email("first"))).await.unwrap();
    let second = email("second");
    assert_eq!(client.create_identity(&with_link(&second)).await.unwrap_err().class(), Class::Conflict);
    let created = client.create_identity(&customer(&second)).await.unwrap();
    let traits = json!({"email": second, "newsletter": true});
    let update = UpdateIdentity { schema_id: "customer".into(), traits, credentials, ..UpdateIdentity::default() };
    assert_eq!(client.update_identity(&created.id, &update).await.unwrap_err().class(), Class::Conflict);
    assert_eq!(read(&client, &created.id).await.traits, json!({ "email": second }), "nothing of it was done");
}
