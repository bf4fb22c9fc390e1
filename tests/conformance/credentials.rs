//! `delete_identity_credentials`.

use kratos_operator::kratos::{Class, CreateIdentity, CredentialImport, CredentialType, OidcLink, Removal};

use crate::fixtures::{NOBODY, PASSWORD, add, customer, customer_with_password, email, kratos, read};

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
