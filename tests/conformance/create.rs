//! `create_identity` and `delete_identity`.

use kratos_operator::kratos::{
    Class, CreateIdentity, CredentialImport, OidcLink, PasswordImport, Removal, Secret, State, VerifiedAddressImport,
};
use serde_json::json;

use crate::fixtures::{
    PASSWORD, contact, customer, customer_with_password, email, kratos, list, password, plain, read,
};
use kratos_operator::kratos::{CredentialType, IdentityFilter};

#[tokio::test]
async fn traits_come_back_as_written_while_addresses_and_identifiers_are_lower_cased() {
    let (_, client) = kratos().await;
    let email = email("Ada");
    let created = client.create_identity(&customer(&email)).await.unwrap();
    let read = read(&client, &created.id).await;
    for identity in [&created, &read] {
        assert_eq!(identity.traits, json!({"email": email}));
        assert_eq!(identity.verifiable_addresses[0].value, email.to_lowercase());
        assert!(!identity.verifiable_addresses[0].verified);
        assert_eq!(identity.recovery_addresses[0].value, email.to_lowercase());
    }
    let password = read.credential(CredentialType::Password).unwrap();
    assert_eq!(password.identifiers, [email.to_lowercase()]);
}

#[tokio::test]
async fn metadata_and_state_are_in_the_answer_and_read_back() {
    let (_, client) = kratos().await;
    let wanted = CreateIdentity {
        metadata_public: Some(json!({"plan": "gold"})),
        metadata_admin: Some(json!({"cost": "42"})),
        state: Some(State::Inactive),
        ..customer(&email("metadata"))
    };
    let created = client.create_identity(&wanted).await.unwrap();
    assert_eq!(created.metadata_admin, json!({"cost": "42"}));
    let read = read(&client, &created.id).await;
    assert_eq!(read.metadata_admin, json!({"cost": "42"}));
    assert_eq!(read.metadata_public, json!({"plan": "gold"}));
    assert_eq!(read.state, State::Inactive);
}

#[tokio::test]
async fn an_external_id_is_refused_by_name() {
    let (_, client) = kratos().await;
    let wanted = CreateIdentity { external_id: Some("crm-1".into()), ..customer(&email("external")) };
    let error = client.create_identity(&wanted).await.unwrap_err();
    assert_eq!((error.class(), error.unknown_field()), (Class::Rejected, Some("external_id")));
}

#[tokio::test]
async fn an_organization_is_refused_by_name() {
    let (_, client) = kratos().await;
    let organization = Some("6e1e1c0e-0d41-4a6c-8e27-7f5f8b7f2b11".into());
    let wanted = CreateIdentity { organization_id: organization, ..customer(&email("organization")) };
    let error = client.create_identity(&wanted).await.unwrap_err();
    assert_eq!((error.class(), error.unknown_field()), (Class::Rejected, Some("organization_id")));
}

#[tokio::test]
async fn an_unknown_schema_is_rejected_and_told_apart() {
    let (_, client) = kratos().await;
    let wanted = CreateIdentity { schema_id: "nobody-has-this".into(), ..customer(&email("schema")) };
    let error = client.create_identity(&wanted).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Rejected, Some(400)));
    assert!(error.is_schema_unknown() && !error.is_traits_rejected());
}

#[tokio::test]
async fn traits_against_the_schema_are_rejected_without_showing_them() {
    let (_, client) = kratos().await;
    let mut wanted = customer(&email("traits"));
    wanted.traits["age"] = json!(-4711);
    let error = client.create_identity(&wanted).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Rejected, Some(400)));
    assert!(error.is_traits_rejected() && !error.is_schema_unknown());
    assert!(!format!("{error} {error:?}").contains("4711"));
}

#[tokio::test]
async fn a_login_identifier_that_exists_is_a_conflict_whatever_its_case() {
    let (_, client) = kratos().await;
    let email = email("twice");
    client.create_identity(&customer(&email)).await.unwrap();
    let error = client.create_identity(&customer(&email.to_uppercase())).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Conflict, Some(409)));
}

#[tokio::test]
async fn an_address_that_exists_is_a_conflict_even_where_it_is_no_login_identifier() {
    let (_, client) = kratos().await;
    let email = email("contact");
    client.create_identity(&contact(&email)).await.unwrap();
    let error = client.create_identity(&contact(&email)).await.unwrap_err();
    assert_eq!(error.class(), Class::Conflict);
    // And the way that leads back from a conflict elsewhere finds nothing here.
    assert!(list(&client, IdentityFilter::by_identifier(&email)).await.unwrap().is_empty());
}

#[tokio::test]
async fn without_anything_unique_the_same_identity_is_created_twice() {
    let (_, client) = kratos().await;
    let wanted = plain(json!({"label": "one of two"}));
    let first = client.create_identity(&wanted).await.unwrap();
    let second = client.create_identity(&wanted).await.unwrap();
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn an_address_can_be_created_as_verified() {
    let (_, client) = kratos().await;
    let email = email("Verified");
    let wanted = CreateIdentity {
        verifiable_addresses: vec![VerifiedAddressImport::verified_email(email.to_lowercase())],
        ..customer(&email)
    };
    let created = client.create_identity(&wanted).await.unwrap();
    let read = read(&client, &created.id).await;
    assert_eq!(read.verifiable_addresses.len(), 1);
    assert!(read.verifiable_addresses[0].verified);
    assert_eq!(read.verifiable_addresses[0].status, "completed");
}

#[tokio::test]
async fn a_cleartext_password_logs_in() {
    let (kratos, client) = kratos().await;
    let email = email("cleartext");
    client.create_identity(&customer_with_password(&email)).await.unwrap();
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some());
    assert!(kratos.login(&email, "another").await.unwrap().is_none());
}

#[tokio::test]
async fn an_imported_hash_logs_in_and_is_then_replaced_by_the_servers_own_kind() {
    let (kratos, client) = kratos().await;
    let email = email("hashed");
    // SHA-256 of a salt and the password "kratos-conformance".
    let hash = "$sha256$pf=e1NBTFR9e1BBU1NXT1JEfQ==$cGVwcGVyMTIzNA==$bqvoBD4Vy5pRnh5cmG64TsYeZ2Y0GG9dXGduRbwV5a0=";
    let import =
        CredentialImport { password: Some(PasswordImport::Hashed(Secret::new(hash))), ..CredentialImport::default() };
    let wanted = CreateIdentity { credentials: import, ..customer(&email) };
    let created = client.create_identity(&wanted).await.unwrap();
    let hash_of = async || {
        let read = client.get_identity(&created.id, &[CredentialType::Password]).await.unwrap().unwrap();
        read.credential(CredentialType::Password).unwrap().config.read().unwrap()["hashed_password"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(hash_of().await, hash);
    assert!(kratos.login(&email, "kratos-conformance").await.unwrap().is_some());
    assert!(hash_of().await.starts_with("$2a$"));
}

#[tokio::test]
async fn a_hash_of_no_known_kind_is_rejected_and_told_apart() {
    let (_, client) = kratos().await;
    let import = CredentialImport {
        password: Some(PasswordImport::Hashed(Secret::new("no hash at all"))),
        ..CredentialImport::default()
    };
    let wanted = CreateIdentity { credentials: import, ..customer(&email("hash")) };
    let error = client.create_identity(&wanted).await.unwrap_err();
    assert!(error.is_hash_rejected() && error.class() == Class::Rejected);
}

#[tokio::test]
async fn an_oidc_link_is_imported_and_found_by_provider_and_subject() {
    let (_, client) = kratos().await;
    let link = OidcLink { provider: "google".into(), subject: email("subject") };
    let import = CredentialImport { oidc: vec![link.clone()], ..CredentialImport::default() };
    let wanted = CreateIdentity { credentials: import, ..customer(&email("oidc")) };
    let created = client.create_identity(&wanted).await.unwrap();
    let read = read(&client, &created.id).await;
    assert_eq!(read.credential(CredentialType::Oidc).unwrap().identifiers, [link.identifier()]);
    let found = list(&client, IdentityFilter::by_identifier(link.identifier())).await.unwrap();
    assert_eq!(found.iter().map(|identity| &identity.id).collect::<Vec<_>>(), [&created.id]);
}

#[tokio::test]
async fn an_identity_without_a_password_has_a_password_credential_nevertheless() {
    let (_, client) = kratos().await;
    let without = client.create_identity(&customer(&email("without"))).await.unwrap();
    let with = CreateIdentity { credentials: password(PASSWORD), ..customer(&email("with")) };
    let with = client.create_identity(&with).await.unwrap();
    for (id, expected) in [(without.id, false), (with.id, true)] {
        let bulk = read(&client, &id).await;
        assert!(!bulk.credential(CredentialType::Password).unwrap().has_password_hash());
        let asked = client.get_identity(&id, &[CredentialType::Password]).await.unwrap().unwrap();
        assert_eq!(asked.credential(CredentialType::Password).unwrap().has_password_hash(), expected);
    }
}

#[tokio::test]
async fn deleting_twice_says_that_it_was_absent_and_takes_the_sessions_along() {
    let (kratos, client) = kratos().await;
    let email = email("deleted");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    assert!(kratos.whoami(&token).await.unwrap().is_some());
    assert_eq!(client.delete_identity(&created.id).await.unwrap(), Removal::Removed);
    assert_eq!(client.delete_identity(&created.id).await.unwrap(), Removal::WasAbsent);
    assert!(kratos.whoami(&token).await.unwrap().is_none());
    assert!(client.get_identity(&created.id, &[]).await.unwrap().is_none());
}
