//! `get_identity` and `list_identities`.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use kratos_operator::kratos::{Class, Consistency, CredentialType, IDS_PER_REQUEST, IdentityFilter};
use serde_json::json;

use crate::fixtures::{NOBODY, PASSWORD, customer, customer_with_password, email, kratos, list, password, plain, read};
use kratos_operator::kratos::CreateIdentity;

#[tokio::test]
async fn an_unknown_and_a_malformed_id_are_both_none() {
    let (_, client) = kratos().await;
    for id in [NOBODY, "5e7b1a58-6a32-4a1e-9b63-4f5f5b1e6a10", "no uuid", "%2e%2e", "?x=y"] {
        assert_eq!(client.get_identity(id, &[]).await.unwrap(), None, "{id}");
    }
}

#[tokio::test]
async fn an_id_that_would_name_another_path_is_not_sent() {
    let (_, client) = kratos().await;
    for id in ["", ".", "..", "a/b"] {
        assert_eq!(client.get_identity(id, &[]).await.unwrap_err().class(), Class::Rejected);
        assert_eq!(client.delete_identity(id).await.unwrap_err().class(), Class::Rejected);
    }
}

#[tokio::test]
async fn contents_of_credentials_come_only_where_asked_for() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&customer_with_password(&email("contents"))).await.unwrap();
    let config = |identity: kratos_operator::kratos::Identity| {
        identity.credential(CredentialType::Password).map(|credential| credential.config.is_null())
    };
    assert_eq!(config(read(&client, &created.id).await), Some(true));
    let asked = client.get_identity(&created.id, &[CredentialType::Password, CredentialType::Oidc]).await;
    assert_eq!(config(asked.unwrap().unwrap()), Some(false));
    let listed = list(&client, IdentityFilter::by_ids([&created.id])).await.unwrap().remove(0);
    assert_eq!(config(listed), None, "a list has no credentials at all");
    let filter =
        IdentityFilter { include_credential: vec![CredentialType::Password], ..IdentityFilter::by_ids([&created.id]) };
    assert_eq!(config(list(&client, filter).await.unwrap().remove(0)), Some(false));
}

#[tokio::test]
async fn a_list_holds_metadata_admin() {
    let (_, client) = kratos().await;
    let wanted = CreateIdentity { metadata_admin: Some(json!({"mark": 1})), ..plain(json!({})) };
    let created = client.create_identity(&wanted).await.unwrap();
    let listed = list(&client, IdentityFilter::by_ids([&created.id])).await.unwrap();
    assert_eq!(listed[0].metadata_admin, json!({"mark": 1}));
}

#[tokio::test]
async fn pages_follow_the_link_to_the_end_each_identity_once() {
    let (_, client) = kratos().await;
    let mut made = BTreeSet::new();
    for number in 0..7 {
        made.insert(client.create_identity(&plain(json!({"label": number.to_string()}))).await.unwrap().id);
    }
    let before = std::time::Instant::now();
    let filter = IdentityFilter { page_size: Some(3), consistency: Consistency::Strong, ..IdentityFilter::default() };
    let pages: Vec<_> = client.list_identities(filter).try_collect().await.unwrap();
    assert!(pages.len() >= 3);
    assert!(pages.iter().all(|page| page.requested_at >= before && page.items.len() <= 3));
    assert!(pages.windows(2).all(|pair| pair[0].requested_at <= pair[1].requested_at));
    let ids: Vec<_> = pages.into_iter().flat_map(|page| page.items).map(|identity| identity.id).collect();
    let unique: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), unique.len());
    assert!(made.is_subset(&unique));
}

#[tokio::test]
async fn ids_nobody_has_are_left_out_without_a_word() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&plain(json!({}))).await.unwrap();
    assert!(list(&client, IdentityFilter::by_ids([NOBODY])).await.unwrap().is_empty());
    let found = list(&client, IdentityFilter::by_ids([NOBODY, &created.id])).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, created.id);
}

#[tokio::test]
async fn no_ids_list_nothing_and_many_are_asked_for_in_parts() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&plain(json!({}))).await.unwrap();
    assert!(list(&client, IdentityFilter::by_ids(Vec::<String>::new())).await.unwrap().is_empty());
    let mut ids = vec![NOBODY.to_owned(); IDS_PER_REQUEST];
    ids.push(created.id.clone());
    let pages: Vec<_> = client.list_identities(IdentityFilter::by_ids(ids)).try_collect().await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn one_malformed_id_fails_the_whole_list() {
    let (_, client) = kratos().await;
    let error = list(&client, IdentityFilter::by_ids([NOBODY, "no uuid"])).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Rejected, Some(400)));
}

#[tokio::test]
async fn an_identifier_is_found_in_any_case_and_with_blanks_around() {
    let (_, client) = kratos().await;
    let email = email("Lookup");
    let created = client.create_identity(&customer(&email)).await.unwrap();
    for written in [email.clone(), email.to_uppercase(), format!("  {email} ")] {
        let found = list(&client, IdentityFilter::by_identifier(written)).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, created.id);
        assert!(found[0].credential(CredentialType::Password).is_some(), "with credentials, without contents");
    }
    let part = email.split('@').next().unwrap();
    assert!(list(&client, IdentityFilter::by_identifier(part)).await.unwrap().is_empty());
    let similar =
        IdentityFilter { preview_credentials_identifier_similar: Some(part.into()), ..IdentityFilter::default() };
    assert_eq!(list(&client, similar).await.unwrap().len(), 1);
}

#[tokio::test]
async fn exact_and_similar_identifiers_together_are_rejected() {
    let (_, client) = kratos().await;
    let filter = IdentityFilter {
        preview_credentials_identifier_similar: Some("a".into()),
        ..IdentityFilter::by_identifier("a")
    };
    assert_eq!(list(&client, filter).await.unwrap_err().class(), Class::Rejected);
}

#[tokio::test]
async fn an_organization_filter_is_ignored_by_this_version() {
    let (_, client) = kratos().await;
    let wanted = CreateIdentity { credentials: password(PASSWORD), ..customer(&email("organization")) };
    let created = client.create_identity(&wanted).await.unwrap();
    let filter = IdentityFilter { organization_id: Some(NOBODY.into()), ..IdentityFilter::by_ids([&created.id]) };
    assert_eq!(list(&client, filter).await.unwrap().len(), 1);
}
