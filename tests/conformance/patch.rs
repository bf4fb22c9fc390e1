//! `patch_identity`: what can be changed at all, and what it answers. Pointers and odd keys are in `pointers`.

use kratos_operator::kratos::{Class, CreateIdentity, CredentialType, IdentityFilter, State};
use serde_json::json;

use crate::fixtures::{
    NOBODY, PASSWORD, add, contact, customer, customer_with_password, email, kratos, list, plain, read, remove, replace,
};

#[tokio::test]
async fn an_unknown_identity_is_not_found_whatever_the_patch() {
    let (_, client) = kratos().await;
    for id in [NOBODY, "5e7b1a58-6a32-4a1e-9b63-4f5f5b1e6a10", "no uuid"] {
        for patch in [vec![], vec![replace("/state", json!("inactive"))], vec![remove("/traits/nothing")]] {
            assert_eq!(client.patch_identity(id, &patch).await.unwrap_err().class(), Class::NotFound);
        }
    }
}

#[tokio::test]
async fn an_external_id_is_taken_silently_and_has_no_effect() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&plain(json!({}))).await.unwrap();
    for patch in [add("/external_id", json!("crm-1")), replace("/external_id", json!("crm-1"))] {
        let answer = client.patch_identity(&created.id, &[patch]).await.unwrap();
        assert_eq!(answer.external_id, None);
        assert_eq!(read(&client, &created.id).await.external_id, None);
    }
}

#[tokio::test]
async fn an_organization_is_set_by_a_patch() {
    let (_, client) = kratos().await;
    let organization = "6e1e1c0e-0d41-4a6c-8e27-7f5f8b7f2b11";
    for patch in [add("/organization_id", json!(organization)), replace("/organization_id", json!(organization))] {
        let created = client.create_identity(&plain(json!({}))).await.unwrap();
        let answer = client.patch_identity(&created.id, &[patch]).await.unwrap();
        assert_eq!(answer.organization_id.as_deref(), Some(organization));
        assert_eq!(read(&client, &created.id).await.organization_id.as_deref(), Some(organization));
    }
}

#[tokio::test]
async fn state_metadata_traits_and_schema_change_in_one_request() {
    let (_, client) = kratos().await;
    let email = email("all");
    let created = client.create_identity(&customer(&email)).await.unwrap();
    let patch = [
        replace("/state", json!("inactive")),
        replace("/schema_id", json!("employee")),
        replace("/metadata_admin/mark", json!({"owner": "us"})),
        replace("/metadata_public/plan", json!("gold")),
        add("/traits/department", json!("ops")),
        replace("/traits/name/first", json!("Ada")),
    ];
    client.patch_identity(&created.id, &patch).await.unwrap();
    let after = read(&client, &created.id).await;
    assert_eq!((after.state, after.schema_id.as_str()), (State::Inactive, "employee"));
    assert_eq!(after.metadata_admin, json!({"mark": {"owner": "us"}}));
    assert_eq!(after.metadata_public, json!({"plan": "gold"}));
    assert_eq!(after.traits, json!({"email": email, "department": "ops", "name": {"first": "Ada"}}));
}

#[tokio::test]
async fn one_operation_that_does_not_fit_undoes_all() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&plain(json!({"label": "before"}))).await.unwrap();
    let patch = [replace("/traits/label", json!("after")), remove("/traits/nothing")];
    let error = client.patch_identity(&created.id, &patch).await.unwrap_err();
    assert_eq!(error.class(), Class::Rejected);
    assert!(error.is_patch_inapplicable());
    assert_eq!(read(&client, &created.id).await.traits.read().unwrap()["label"], "before");
}

#[tokio::test]
async fn an_unknown_schema_and_bad_traits_are_told_apart() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&customer(&email("apart"))).await.unwrap();
    let ask = async |patch| client.patch_identity(&created.id, &[patch]).await.unwrap_err();
    let unknown = ask(replace("/schema_id", json!("nobody-has-this"))).await;
    assert_eq!((unknown.class(), unknown.status()), (Class::Rejected, Some(400)));
    assert!(unknown.is_schema_unknown());
    let bad = ask(replace("/traits/age", json!(-1))).await;
    assert_eq!((bad.class(), bad.status()), (Class::Rejected, Some(400)));
    assert!(bad.is_traits_rejected());
    let state = ask(replace("/state", json!("asleep"))).await;
    assert_eq!((state.class(), state.status()), (Class::Rejected, Some(400)));
}

#[tokio::test]
async fn test_move_and_copy_are_refused_and_so_are_id_and_credentials() {
    let (kratos, client) = kratos().await;
    let created = client.create_identity(&plain(json!({"label": "x"}))).await.unwrap();
    let path = format!("admin/identities/{}", created.id);
    for patch in [
        json!({"op": "test", "path": "/traits/label", "value": "x"}),
        json!({"op": "move", "from": "/traits/label", "path": "/traits/other"}),
        json!({"op": "copy", "from": "/traits/label", "path": "/traits/other"}),
        json!({"op": "replace", "path": "/id", "value": NOBODY}),
        json!({"op": "replace", "path": "/credentials", "value": {}}),
    ] {
        let (status, _) = kratos.raw(reqwest::Method::PATCH, &path, &json!([patch])).await.unwrap();
        assert_eq!(status, 400);
    }
}

#[tokio::test]
async fn credentials_below_their_denied_path_are_taken_silently_and_kept() {
    let (kratos, client) = kratos().await;
    let email = email("kept");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let _ = client.patch_identity(&created.id, &[remove("/credentials/password")]).await;
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some());
}

#[tokio::test]
async fn metadata_is_cleared_by_null_and_not_by_remove() {
    let (_, client) = kratos().await;
    let wanted = CreateIdentity {
        metadata_public: Some(json!({"plan": "gold"})),
        metadata_admin: Some(json!({"cost": 1})),
        ..plain(json!({}))
    };
    let created = client.create_identity(&wanted).await.unwrap();
    client.patch_identity(&created.id, &[remove("/metadata_public"), remove("/metadata_admin")]).await.unwrap();
    let after = read(&client, &created.id).await;
    assert_eq!(after.metadata_public, json!({"plan": "gold"}));
    assert_eq!(after.metadata_admin, json!({"cost": 1}));
    let nulls = [replace("/metadata_public", json!(null)), replace("/metadata_admin", json!(null))];
    client.patch_identity(&created.id, &nulls).await.unwrap();
    let after = read(&client, &created.id).await;
    assert!(after.metadata_public.is_null() && after.metadata_admin.is_null());
}

#[tokio::test]
async fn an_identifier_or_an_address_of_somebody_else_is_a_conflict() {
    let (_, client) = kratos().await;
    let (one, other) = (email("one"), email("other"));
    let created = client.create_identity(&customer(&one)).await.unwrap();
    client.create_identity(&customer(&other)).await.unwrap();
    let patch = [replace("/traits/email", json!(other))];
    assert_eq!(client.patch_identity(&created.id, &patch).await.unwrap_err().class(), Class::Conflict);
    let (one, other) = (email("one"), email("other"));
    let created = client.create_identity(&contact(&one)).await.unwrap();
    client.create_identity(&contact(&other)).await.unwrap();
    let patch = [replace("/traits/email", json!(other))];
    assert_eq!(client.patch_identity(&created.id, &patch).await.unwrap_err().class(), Class::Conflict);
}

#[tokio::test]
async fn a_new_address_is_unverified_until_its_whole_element_is_replaced() {
    let (_, client) = kratos().await;
    let (old, new) = (email("old"), email("new"));
    let created = client.create_identity(&customer(&old)).await.unwrap();
    client.patch_identity(&created.id, &[replace("/traits/email", json!(new))]).await.unwrap();
    let before = read(&client, &created.id).await;
    assert_eq!(before.verifiable_addresses.len(), 1);
    let mut address = before.verifiable_addresses[0].clone();
    assert_eq!((address.value.as_str(), address.verified), (new.as_str(), false));
    address.verified = true;
    address.status = "completed".into();
    let patch = [replace("/verifiable_addresses/0", serde_json::to_value(&address).unwrap())];
    client.patch_identity(&created.id, &patch).await.unwrap();
    let after = read(&client, &created.id).await;
    assert!(after.verifiable_addresses[0].verified);
    assert_eq!(after.verifiable_addresses[0].value, new);
}

#[tokio::test]
async fn an_identifier_that_changes_or_leaves_beside_another_logs_in_no_more() {
    let (kratos, client) = kratos().await;
    let (first, second) = (email("first"), email("second"));
    let mut wanted = customer_with_password(&first);
    let username = format!("user-{:x}", rand::random::<u64>());
    wanted.traits["username"] = json!(username);
    let created = client.create_identity(&wanted).await.unwrap();
    client.patch_identity(&created.id, &[replace("/traits/email", json!(second))]).await.unwrap();
    assert!(kratos.login(&first, PASSWORD).await.unwrap().is_none());
    assert!(kratos.login(&second, PASSWORD).await.unwrap().is_some());
    client.patch_identity(&created.id, &[remove("/traits/username")]).await.unwrap();
    let read = read(&client, &created.id).await;
    assert!(read.traits.read().unwrap().get("username").is_none());
    let identifiers = &read.credential(CredentialType::Password).unwrap().identifiers;
    assert!(!identifiers.contains(&username), "{identifiers:?}");
    assert!(kratos.login(&username, PASSWORD).await.unwrap().is_none());
    assert!(list(&client, IdentityFilter::by_identifier(username)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_inactive_identity_is_locked_out_until_it_is_active_again_and_its_sessions_with_it() {
    let (kratos, client) = kratos().await;
    let email = email("locked");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let token = kratos.login(&email, PASSWORD).await.unwrap().unwrap();
    client.patch_identity(&created.id, &[replace("/state", json!("inactive"))]).await.unwrap();
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_none());
    assert!(kratos.whoami(&token).await.unwrap().is_none());
    client.patch_identity(&created.id, &[replace("/state", json!("active"))]).await.unwrap();
    assert!(kratos.whoami(&token).await.unwrap().is_some(), "the old session is back");
}

#[tokio::test]
async fn where_no_identifier_is_left_the_last_ones_stay_and_still_log_in() {
    let (kratos, client) = kratos().await;
    let email = email("last");
    let created = client.create_identity(&customer_with_password(&email)).await.unwrap();
    let patch = [replace("/schema_id", json!("plain")), replace("/traits", json!({}))];
    client.patch_identity(&created.id, &patch).await.unwrap();
    let after = read(&client, &created.id).await;
    assert_eq!(after.traits, json!({}));
    assert!(after.verifiable_addresses.is_empty());
    let password = after.credential(CredentialType::Password).unwrap();
    assert_eq!(password.identifiers, std::slice::from_ref(&email));
    assert!(kratos.login(&email, PASSWORD).await.unwrap().is_some());
    let found = list(&client, IdentityFilter::by_identifier(&email)).await.unwrap();
    assert_eq!(found[0].id, created.id);
}
