//! What depends on the server's configuration. Each test has a Kratos of its own.

use kratos_operator::kratos::{Class, CreateIdentity, CredentialType, IdentityFilter, Removal};
use serde_json::json;

use crate::fixtures::{PASSWORD, customer_with_password, email, list, plain};
use crate::testenv::kratos::{Kratos, Options};

#[tokio::test]
async fn a_schema_in_use_that_is_removed_breaks_get_and_list_until_it_is_back() {
    let kratos = Kratos::start(Options::default()).await.unwrap();
    let client = kratos.client();
    let created = client.create_identity(&plain(json!({}))).await.unwrap();
    let mut removed = None;
    kratos.restart_with(|options| removed = options.schemas.remove("plain")).await.unwrap();
    let client = kratos.client();
    let get = client.get_identity(&created.id, &[]).await.unwrap_err();
    let listed = list(&client, IdentityFilter::default()).await.unwrap_err();
    for error in [get, listed] {
        assert_eq!((error.class(), error.status()), (Class::Transient, Some(500)));
        assert!(!error.instance_unavailable());
    }
    kratos.restart_with(|options| options.schemas.extend([("plain".into(), removed.unwrap())])).await.unwrap();
    assert!(kratos.client().get_identity(&created.id, &[]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_disabled_recovery_method_is_told_apart_from_an_unknown_identity() {
    let kratos = Kratos::start(Options { recovery: false, ..Options::default() }).await.unwrap();
    let client = kratos.client();
    let created = client.create_identity(&plain(json!({}))).await.unwrap();
    let code = client.create_recovery_code_for_identity(&created.id, None, false).await.unwrap_err();
    let link = client.create_recovery_link_for_identity(&created.id, None, None).await.unwrap_err();
    for error in [code, link] {
        assert!(error.is_method_disabled() && !error.is_identity_unknown());
        assert_eq!((error.class(), error.status()), (Class::NotFound, Some(404)));
    }
}

#[tokio::test]
async fn outside_of_its_window_a_session_is_extended_without_effect() {
    let options = Options { earliest_possible_extend: Some("1h".into()), ..Options::default() };
    let kratos = Kratos::start(options).await.unwrap();
    let client = kratos.client();
    let email = email("window");
    client.create_identity(&customer_with_password(&email)).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    let id = kratos.whoami(&token).await.unwrap().unwrap()["id"].as_str().unwrap().to_owned();
    let before = client.get_session(&id, &[]).await.unwrap().unwrap();
    client.extend_session(&id).await.unwrap();
    let after = client.get_session(&id, &[]).await.unwrap().unwrap();
    assert_eq!(before.expires_at, after.expires_at);
}

#[tokio::test]
async fn while_it_is_down_the_instance_is_unavailable_and_afterwards_everything_is_there() {
    let kratos = Kratos::start(Options::default()).await.unwrap();
    let client = kratos.client();
    let created = client.create_identity(&plain(json!({}))).await.unwrap();
    kratos.stop().unwrap();
    let error = client.get_identity(&created.id, &[]).await.unwrap_err();
    assert!(error.instance_unavailable() && !error.outcome_unknown());
    assert_eq!(error.class(), Class::Transient);
    kratos.start_again().await.unwrap();
    assert!(client.get_identity(&created.id, &[]).await.unwrap().is_some());
}

#[tokio::test]
async fn the_public_port_as_admin_url_is_an_unavailable_instance_and_not_a_missing_identity() {
    use kratos_operator::kratos::{Client, ClientConfig};
    let (kratos, _) = crate::fixtures::kratos().await;
    let client = Client::new(ClientConfig::new(kratos.public_url())).unwrap();
    let error = client.get_identity(crate::fixtures::NOBODY, &[]).await.unwrap_err();
    assert!(error.instance_unavailable());
    let mut wrong = kratos.admin_url();
    wrong.set_path("/somewhere/else");
    let client = Client::new(ClientConfig::new(wrong)).unwrap();
    let error = client.get_identity(crate::fixtures::NOBODY, &[]).await.unwrap_err();
    assert!(error.instance_unavailable());
    assert_ne!(error.class(), Class::NotFound);
}

#[tokio::test]
async fn a_bare_number_as_metadata_breaks_get_and_list_on_sqlite_until_it_is_deleted() {
    use kratos_operator::kratos::{CreateIdentity, Removal};
    let kratos = Kratos::start(Options::default()).await.unwrap();
    let client = kratos.client();
    let healthy = client.create_identity(&plain(json!({}))).await.unwrap();
    let create = CreateIdentity { metadata_admin: Some(json!(5)), ..plain(json!({})) };
    let poison = client.create_identity(&create).await.unwrap();
    let get = client.get_identity(&poison.id, &[]).await.unwrap_err();
    let listed = list(&client, IdentityFilter::default()).await.unwrap_err();
    assert_eq!((get.status(), listed.status()), (Some(500), Some(500)));
    assert!(list(&client, IdentityFilter::by_ids([&healthy.id])).await.is_ok());
    assert_eq!(client.delete_identity(&poison.id).await.unwrap(), Removal::Removed);
    assert!(list(&client, IdentityFilter::default()).await.is_ok());
}

#[tokio::test]
async fn an_empty_entry_that_the_schema_makes_survives_the_deletion_of_its_credential() {
    let login = json!({"type": "string", "ory.sh/kratos": {"credentials": {"webauthn": {"identifier": true}}}});
    let schema = json!({
        "$id": "https://example.com/keyholder.schema.json",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"traits": {"type": "object", "properties": {"login": login}}},
    });
    let mut options = Options::default();
    options.schemas.insert("keyholder".into(), schema);
    let kratos = Kratos::start(options).await.unwrap();
    let client = kratos.client();
    let mut wanted = plain(json!({"login": "ada-holds-no-key"}));
    wanted.schema_id = "keyholder".into();
    let created = client.create_identity(&wanted).await.unwrap();
    let kind = CredentialType::Webauthn;
    let before = client.get_identity(&created.id, &[]).await.unwrap().unwrap();
    assert!(before.credential(kind).is_some(), "there is an entry although no key was ever enrolled");
    // The answer says that it is gone; the entry's presence proves nothing.
    let removal = client.delete_identity_credentials(&created.id, kind, None).await.unwrap();
    assert_eq!(removal, Removal::Removed);
    let after = client.get_identity(&created.id, &[]).await.unwrap().unwrap();
    assert!(after.credential(kind).is_some(), "it survives");
}

#[tokio::test]
async fn what_the_schema_makes_of_security_keys_survives_its_deletion() {
    let mut options = Options::default();
    let login = json!({"type": "string", "ory.sh/kratos": {"credentials": {"webauthn": {"identifier": true}}}});
    let traits = json!({"type": "object", "properties": {"email": login}});
    options.schemas.insert("keys".into(), json!({"type": "object", "properties": {"traits": traits}}));
    let kratos = Kratos::start(options).await.unwrap();
    let client = kratos.client();
    let wanted = CreateIdentity {
        schema_id: "keys".into(),
        traits: json!({"email": email("keys")}),
        ..CreateIdentity::default()
    };
    let created = client.create_identity(&wanted).await.unwrap();
    let kind = CredentialType::Webauthn;
    let keys = async || {
        let read = client.get_identity(&created.id, &[kind]).await.unwrap().unwrap();
        read.credential(kind).unwrap().config.read().unwrap()["credentials"].clone()
    };
    assert!(keys().await.is_null(), "an entry without any key in it");
    assert_eq!(client.delete_identity_credentials(&created.id, kind, None).await.unwrap(), Removal::Removed);
    assert!(keys().await.is_null(), "and there it is again");
}
