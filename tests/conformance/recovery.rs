//! `create_recovery_code_for_identity` and `create_recovery_link_for_identity`.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kratos_operator::kratos::{Class, CreateIdentity, State};
use secrecy::ExposeSecret;

use crate::fixtures::{NOBODY, customer, email, kratos, plain};

#[tokio::test]
async fn a_code_comes_with_its_page_and_its_end() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&customer(&email("code"))).await.unwrap();
    let hour = Some(Duration::from_hours(1));
    let code = client.create_recovery_code_for_identity(&created.id, hour, false).await.unwrap();
    assert_eq!(code.recovery_code.expose_secret().len(), 6);
    assert!(code.recovery_link.expose_secret().contains("flow="));
    assert!(is_in_about_an_hour(code.expires_at.unwrap()));
    let debug = format!("{code:?}");
    assert!(!debug.contains(code.recovery_code.expose_secret()) && !debug.contains("flow="));
}

#[tokio::test]
async fn a_link_comes_with_its_token_and_its_end_and_each_is_another_one() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&customer(&email("link"))).await.unwrap();
    let hour = Some(Duration::from_hours(1));
    let link = client.create_recovery_link_for_identity(&created.id, hour, None).await.unwrap();
    assert!(link.recovery_link.expose_secret().contains("token="));
    assert!(is_in_about_an_hour(link.expires_at.unwrap()));
    assert!(!format!("{link:?}").contains("token="));
    let other = client.create_recovery_link_for_identity(&created.id, None, None).await.unwrap();
    assert_ne!(link.recovery_link.expose_secret(), other.recovery_link.expose_secret());
}

fn is_in_about_an_hour(time: Timestamp) -> bool {
    (3500..3700).contains(&(time.as_second() - Timestamp::now().as_second()))
}

#[tokio::test]
async fn an_unknown_identity_is_told_apart_for_both() {
    let (_, client) = kratos().await;
    let code = client.create_recovery_code_for_identity(NOBODY, None, false).await.unwrap_err();
    assert_eq!((code.class(), code.status()), (Class::NotFound, Some(404)));
    let link = client.create_recovery_link_for_identity(NOBODY, None, None).await.unwrap_err();
    assert_eq!((link.class(), link.status()), (Class::Rejected, Some(400)));
    assert!(code.is_identity_unknown() && link.is_identity_unknown());
    assert!(!code.is_method_disabled() && !link.is_method_disabled());
    let malformed = client.create_recovery_link_for_identity("no uuid", None, None).await.unwrap_err();
    assert_eq!(malformed.class(), Class::Rejected);
}

#[tokio::test]
async fn no_time_at_all_is_rejected() {
    let (_, client) = kratos().await;
    let created = client.create_identity(&customer(&email("no-time"))).await.unwrap();
    let none = Some(Duration::ZERO);
    let code = client.create_recovery_code_for_identity(&created.id, none, false).await.unwrap_err();
    let link = client.create_recovery_link_for_identity(&created.id, none, None).await.unwrap_err();
    assert_eq!((code.class(), link.class()), (Class::Rejected, Class::Rejected));
}

#[tokio::test]
async fn it_is_issued_for_inactive_identities_and_those_without_an_address_as_well() {
    let (_, client) = kratos().await;
    let inactive = CreateIdentity { state: Some(State::Inactive), ..customer(&email("inactive")) };
    for wanted in [inactive, plain(serde_json::json!({}))] {
        let created = client.create_identity(&wanted).await.unwrap();
        client.create_recovery_code_for_identity(&created.id, None, false).await.unwrap();
        client.create_recovery_link_for_identity(&created.id, None, None).await.unwrap();
    }
}
