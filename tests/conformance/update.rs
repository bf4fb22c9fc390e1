//! `update_identity`.

use kratos_operator::kratos::{
    Class, CreateIdentity, CredentialImport, CredentialType, OidcLink, State, UpdateIdentity,
};
use serde_json::{Value, json};

use crate::fixtures::{NOBODY, PASSWORD, customer, customer_with_password, email, kratos, password, plain, read};

fn update(traits: Value) -> UpdateIdentity {
    UpdateIdentity { schema_id: "customer".into(), traits, ..UpdateIdentity::default() }
}

#[tokio::test]
async fn what_is_left_out_is_cleared_but_for_state_and_credentials() {
    let (kratos, client) = kratos().await;
    let email = email("cleared");
    let wanted = CreateIdentity {
        metadata_public: Some(json!({"plan": "gold"})),
        metadata_admin: Some(json!({"cost": 1})),
        state: Some(State::Inactive),
        ..customer_with_password(&email)
    };
    let created = client.create_identity(&wanted).await.unwrap();
    client.update_identity(&created.id, &update(json!({"email": email}))).await.unwrap();
    let after = read(&client, &created.id).await;
    assert!(after.metadata_public.is_null() && after.metadata_admin.is_null());
    assert_eq!(after.state, State::Inactive);
    let active = UpdateIdentity { state: Some(State::Active), ..update(json!({"email": email})) };
    client.update_identity(&created.id, &active).await.unwrap();
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some());
}

#[tokio::test]
async fn a_password_is_replaced_and_sent_again_undoes_the_users_own() {
    let (kratos, client) = kratos().await;
    let email = email("replaced");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    kratos.change_own_password(&token, "kq8-users-own-choice-of-words").await.unwrap();
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_none());
    let again = UpdateIdentity { credentials: password(PASSWORD), ..update(json!({"email": email})) };
    client.update_identity(&created.id, &again).await.unwrap();
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some());
    assert!(kratos.login(&email, "kq8-users-own-choice-of-words").await.unwrap().is_none());
    assert!(kratos.whoami(&token).await.unwrap().is_some(), "a password set by an admin ends no session");
}

#[tokio::test]
async fn oidc_links_are_appended_and_a_repeated_one_is_a_conflict() {
    let (_, client) = kratos().await;
    let (email, subject) = (email("linked"), email("subject"));
    let created = client.create_identity(&customer(&email)).await.unwrap();
    let link = |provider: &str| {
        let oidc = vec![OidcLink { provider: provider.into(), subject: subject.clone() }];
        let credentials = CredentialImport { oidc, ..CredentialImport::default() };
        UpdateIdentity { credentials, ..update(json!({"email": email})) }
    };
    client.update_identity(&created.id, &link("google")).await.unwrap();
    client.update_identity(&created.id, &link("github")).await.unwrap();
    let after = read(&client, &created.id).await;
    let mut identifiers = after.credential(CredentialType::Oidc).unwrap().identifiers.clone();
    identifiers.sort();
    assert_eq!(identifiers, [format!("github:{subject}"), format!("google:{subject}")]);
    let error = client.update_identity(&created.id, &link("github")).await.unwrap_err();
    assert_eq!(error.class(), Class::Conflict);
}

#[tokio::test]
async fn an_external_id_is_ignored_without_a_word() {
    let (_, client) = kratos().await;
    let email = email("external");
    let created = client.create_identity(&customer(&email)).await.unwrap();
    let wanted = UpdateIdentity { external_id: Some("crm-1".into()), ..update(json!({"email": email})) };
    let answer = client.update_identity(&created.id, &wanted).await.unwrap();
    assert_eq!(answer.external_id, None);
}

#[tokio::test]
async fn the_schema_can_change_where_the_traits_obey_the_new_one() {
    let (_, client) = kratos().await;
    let email = email("moved");
    let created = client.create_identity(&customer(&email)).await.unwrap();
    let to = |traits: Value| UpdateIdentity { schema_id: "employee".into(), ..update(traits) };
    let error = client.update_identity(&created.id, &to(json!({"email": email}))).await.unwrap_err();
    assert!(error.is_traits_rejected());
    let traits = json!({"email": email, "department": "ops"});
    let moved = client.update_identity(&created.id, &to(traits)).await.unwrap();
    assert_eq!(moved.schema_id, "employee");
}

#[tokio::test]
async fn failures_are_told_apart() {
    let (_, client) = kratos().await;
    let (one, other) = (email("one"), email("other"));
    let created = client.create_identity(&customer(&one)).await.unwrap();
    client.create_identity(&customer(&other)).await.unwrap();
    let ask = async |id: &str, update: UpdateIdentity| client.update_identity(id, &update).await.unwrap_err();
    assert_eq!(ask(NOBODY, update(json!({"email": one}))).await.class(), Class::NotFound);
    assert_eq!(ask("no uuid", update(json!({"email": one}))).await.class(), Class::NotFound);
    assert_eq!(ask(&created.id, update(json!({"email": other}))).await.class(), Class::Conflict);
    assert!(ask(&created.id, update(json!({"email": 1}))).await.is_traits_rejected());
    let unknown = UpdateIdentity { schema_id: "nobody-has-this".into(), ..update(json!({"email": one})) };
    assert!(ask(&created.id, unknown).await.is_schema_unknown());
}

#[tokio::test]
async fn an_update_does_not_move_updated_at() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&plain(json!({"label": "before"}))).await.unwrap();
    let before = read(&client, &created.id).await;
    let wanted = UpdateIdentity { schema_id: "plain".into(), ..update(json!({"label": "after"})) };
    client.update_identity(&created.id, &wanted).await.unwrap();
    let after = read(&client, &created.id).await;
    assert_eq!(after.traits.read().unwrap()["label"], "after");
    assert_eq!(before.updated_at, after.updated_at);
}
