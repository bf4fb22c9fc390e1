//! The operations on sessions, with sessions of real logins.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use kratos_operator::kratos::{Class, CreateIdentity, Expand, Identity, Removal, Session, SessionFilter, Writer};
use serde_json::json;

use crate::fixtures::{NOBODY, PASSWORD, customer_with_password, email, kratos, replace};
use crate::testenv::kratos::Kratos;

/// Somebody with this many sessions, and their tokens.
async fn logged_in(kratos: &Kratos, client: &Writer, sessions: usize) -> (Identity, Vec<String>) {
    let email = email("session");
    let create = CreateIdentity { metadata_admin: Some(json!({"mark": 1})), ..customer_with_password(&email) };
    let identity = client.create_identity(&create).await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..sessions {
        tokens.push(kratos.login(&email, PASSWORD).await.unwrap().unwrap());
    }
    (identity, tokens)
}

async fn session_id(kratos: &Kratos, token: &str) -> String {
    kratos.whoami(token).await.unwrap().unwrap()["id"].as_str().unwrap().to_owned()
}

async fn all(client: &Writer, filter: SessionFilter) -> Vec<Session> {
    let pages: Vec<_> = client.list_sessions(filter).try_collect().await.unwrap();
    pages.into_iter().flat_map(|page| page.items).collect()
}

#[tokio::test]
async fn a_login_shows_in_every_listing() {
    let (kratos, client) = kratos().await;
    let (identity, tokens) = logged_in(kratos, &client, 1).await;
    let id = session_id(kratos, &tokens[0]).await;
    let session = client.get_session(&id, &[]).await.unwrap().unwrap();
    assert!(session.active && session.identity.is_none() && session.devices.is_empty());
    assert!(session.authenticated_at.is_some() && session.issued_at.is_some() && session.expires_at.is_some());
    assert_eq!(session.authenticator_assurance_level, "aal1");
    assert_eq!(session.authentication_methods[0].method, "password");
    assert!(session.authentication_methods[0].completed_at.is_some());

    let expanded = client.get_session(&id, &[Expand::Identity, Expand::Devices]).await.unwrap().unwrap();
    let expanded_identity = expanded.identity.unwrap();
    assert_eq!(expanded_identity.id, identity.id);
    assert!(expanded_identity.metadata_admin.is_null(), "the mark isn't there");
    assert_eq!(expanded.devices.len(), 1);
    assert!(expanded.devices[0].ip_address.is_some());

    assert!(all(&client, SessionFilter::default()).await.iter().any(|it| it.id == id && it.identity.is_none()));
    let filter = SessionFilter { expand: vec![Expand::Identity], active: Some(true), ..SessionFilter::default() };
    let listed = all(&client, filter).await.into_iter().find(|it| it.id == id).unwrap();
    assert_eq!(listed.identity.unwrap().id, identity.id);
    let own = client.list_identity_sessions(&identity.id, None).await.unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].devices.len(), 1);
}

#[tokio::test]
async fn pages_follow_the_link_each_session_once() {
    let (kratos, client) = kratos().await;
    let (identity, tokens) = logged_in(kratos, &client, 5).await;
    let mut made = BTreeSet::new();
    for token in &tokens {
        made.insert(session_id(kratos, token).await);
    }
    let filter = SessionFilter { page_size: Some(2), ..SessionFilter::default() };
    let ids: Vec<_> = all(&client, filter).await.into_iter().map(|session| session.id).collect();
    let unique: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), unique.len());
    assert!(made.is_subset(&unique));
    let own = client.list_identity_sessions(&identity.id, None).await.unwrap();
    assert_eq!(own.into_iter().map(|session| session.id).collect::<BTreeSet<_>>(), made);
}

#[tokio::test]
async fn the_links_of_one_identitys_sessions_are_wrong_and_pages_begin_at_one() {
    let (kratos, client) = kratos().await;
    let (identity, _) = logged_in(kratos, &client, 3).await;
    let page = async |page: &str| {
        let path = format!("admin/identities/{}/sessions?per_page=1{page}", identity.id);
        let (_, body) = kratos.raw(reqwest::Method::GET, &path, &json!(null)).await.unwrap();
        body[0]["id"].as_str().map(str::to_owned)
    };
    assert_eq!(page("").await, page("&page=1").await);
    assert_eq!(page("&page=0").await, page("&page=1").await);
    let ids: BTreeSet<_> = [page("&page=1").await, page("&page=2").await, page("&page=3").await].into();
    assert_eq!(ids.len(), 3);
    assert_eq!(page("&page=4").await, None);
}

#[tokio::test]
async fn nobody_has_no_sessions() {
    let (_, client) = kratos().await;
    assert!(client.list_identity_sessions(NOBODY, None).await.unwrap().is_empty());
    assert_eq!(client.list_identity_sessions("no uuid", None).await.unwrap_err().class(), Class::Rejected);
    assert_eq!(client.get_session(NOBODY, &[]).await.unwrap(), None);
    assert_eq!(client.get_session("no uuid", &[]).await.unwrap_err().class(), Class::Rejected);
    assert_eq!(client.disable_session(NOBODY).await.unwrap(), Removal::WasAbsent);
    assert_eq!(client.disable_session("no uuid").await.unwrap_err().class(), Class::Rejected);
    assert_eq!(client.delete_identity_sessions(NOBODY).await.unwrap(), Removal::WasAbsent);
    assert_eq!(client.extend_session(NOBODY).await.unwrap_err().class(), Class::NotFound);
}

#[tokio::test]
async fn a_disabled_session_is_over_at_once_and_stays_listed_as_inactive() {
    let (kratos, client) = kratos().await;
    let (identity, tokens) = logged_in(kratos, &client, 2).await;
    let id = session_id(kratos, &tokens[0]).await;
    assert_eq!(client.disable_session(&id).await.unwrap(), Removal::Removed);
    assert_eq!(client.disable_session(&id).await.unwrap(), Removal::Removed, "again: the same");
    assert!(kratos.whoami(&tokens[0]).await.unwrap().is_none());
    assert!(kratos.whoami(&tokens[1]).await.unwrap().is_some());
    let own = async |active| client.list_identity_sessions(&identity.id, active).await.unwrap();
    assert_eq!(own(None).await.len(), 2);
    assert_eq!(own(Some(true)).await.len(), 1);
    let inactive = own(Some(false)).await;
    assert_eq!((inactive.len(), &inactive[0].id, inactive[0].active), (1, &id, false));
}

#[tokio::test]
async fn deleting_all_sessions_of_an_identity_says_the_second_time_that_there_were_none() {
    let (kratos, client) = kratos().await;
    let (identity, tokens) = logged_in(kratos, &client, 2).await;
    assert_eq!(client.delete_identity_sessions(&identity.id).await.unwrap(), Removal::Removed);
    for token in &tokens {
        assert!(kratos.whoami(token).await.unwrap().is_none());
    }
    assert_eq!(client.delete_identity_sessions(&identity.id).await.unwrap(), Removal::WasAbsent);
    assert!(client.list_identity_sessions(&identity.id, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_extended_session_ends_later_and_an_ended_one_is_extended_without_a_word() {
    let (kratos, client) = kratos().await;
    let (_, tokens) = logged_in(kratos, &client, 1).await;
    let id = session_id(kratos, &tokens[0]).await;
    let before = client.get_session(&id, &[]).await.unwrap().unwrap();
    let extended = client.extend_session(&id).await.unwrap().expect("this version answers the session");
    assert!(extended.expires_at > before.expires_at);
    client.disable_session(&id).await.unwrap();
    let disabled = client.get_session(&id, &[]).await.unwrap().unwrap();
    assert!(client.extend_session(&id).await.is_ok());
    let after = client.get_session(&id, &[]).await.unwrap().unwrap();
    assert!(!after.active, "it stays disabled");
    assert!(after.expires_at > disabled.expires_at, "and yet ends later");
}

#[tokio::test]
async fn active_considers_the_identitys_state_only_with_the_identity_expanded() {
    let (kratos, client) = kratos().await;
    let (identity, tokens) = logged_in(kratos, &client, 1).await;
    let id = session_id(kratos, &tokens[0]).await;
    client.patch_identity(&identity.id, &[replace("/state", json!("inactive"))]).await.unwrap();
    let plain = client.get_session(&id, &[]).await.unwrap().unwrap();
    let expanded = client.get_session(&id, &[Expand::Identity]).await.unwrap().unwrap();
    assert_eq!((plain.active, expanded.active), (true, false));
}

#[tokio::test]
async fn a_second_factor_raises_the_sessions_assurance() {
    let (kratos, client) = kratos().await;
    let (identity, tokens) = logged_in(kratos, &client, 1).await;
    let codes = kratos.enrol_lookup_secret(&tokens[0]).await.unwrap();
    let first = session_id(kratos, &tokens[0]).await;
    let first = client.get_session(&first, &[]).await.unwrap().unwrap();
    assert_eq!(first.authenticator_assurance_level, "aal2", "enrolling counts as giving it");

    let email = identity.traits.read().unwrap()["email"].as_str().unwrap();
    let token = kratos.login(email, PASSWORD).await.unwrap().unwrap();
    let id = session_id(kratos, &token).await;
    let session = async || client.get_session(&id, &[]).await.unwrap().unwrap();
    assert_eq!(session().await.authenticator_assurance_level, "aal1");
    kratos.step_up(&token, &codes[0]).await.unwrap();
    let session = session().await;
    assert_eq!(session.authenticator_assurance_level, "aal2");
    let methods: Vec<_> = session.authentication_methods.iter().map(|it| (&*it.method, &*it.aal)).collect();
    assert!(methods.contains(&("password", "aal1")), "{methods:?}");
    assert!(methods.contains(&("lookup_secret", "aal2")), "{methods:?}");
}

#[tokio::test]
async fn devices_are_what_the_client_says_and_private_addresses_are_dropped() {
    let (kratos, client) = kratos().await;
    let (identity, _) = logged_in(kratos, &client, 0).await;
    let email = identity.traits.read().unwrap()["email"].as_str().unwrap();
    let device = async |headers: &[(&'static str, &'static str)]| {
        let token = kratos.login_from(headers, email, PASSWORD).await.unwrap().unwrap();
        let id = session_id(kratos, &token).await;
        let session = client.get_session(&id, &[Expand::Devices]).await.unwrap().unwrap();
        session.devices.into_iter().next().unwrap()
    };
    let kiosk = device(&[("User-Agent", "kiosk/1"), ("X-Forwarded-For", "203.0.113.7")]).await;
    assert_eq!((kiosk.ip_address.as_deref(), kiosk.user_agent.as_deref()), (Some("203.0.113.7"), Some("kiosk/1")));
    let private = device(&[("X-Forwarded-For", "10.1.2.3")]).await;
    assert_eq!(private.ip_address, None);
    let direct = device(&[]).await.ip_address.unwrap();
    assert!(direct.starts_with("127.0.0.1:"), "{direct}");
}
