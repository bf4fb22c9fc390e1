//! What Kratos keeps although JSON libraries can't read it, and what can still be done with such an identity.

use futures::TryStreamExt;
use kratos_operator::kratos::{Cause, Class, Expand, IdentityFilter, Member, Removal, SessionFilter, State};
use reqwest::Method;
use serde_json::json;

use crate::fixtures::{PASSWORD, email, kratos, list, read, replace};
use crate::testenv::kratos::Kratos;

/// Objects within objects, that deep.
fn deep(levels: usize) -> Vec<u8> {
    [br#"{"a":"#.repeat(levels), b"1".to_vec(), b"}".repeat(levels)].concat()
}

/// What can't be read, why, and whether Kratos can patch an identity that has it.
fn odd() -> [(Vec<u8>, Cause, bool); 6] {
    [
        (b"1e400".to_vec(), Cause::Number, false),
        (br#""\ud800""#.to_vec(), Cause::Text, true),
        (br#"{"\udc00":1}"#.to_vec(), Cause::Text, true),
        (b"\"\xff\"".to_vec(), Cause::Text, true),
        (deep(200), Cause::Depth, true),
        (deep(9000), Cause::Depth, true),
    ]
}

async fn create(kratos: &Kratos, body: Vec<u8>) -> String {
    let (status, answer) = kratos.raw_bytes(Method::POST, "admin/identities", body).await.unwrap();
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
    let start = answer.windows(6).position(|part| part == b"\"id\":\"").unwrap() + 6;
    String::from_utf8(answer[start..start + 36].to_vec()).unwrap()
}

#[tokio::test]
async fn administrators_can_store_what_cannot_be_read_and_it_is_handed_out_as_it_is() {
    let (kratos, client) = kratos().await;
    for (content, cause, is_patchable) in odd() {
        for field in ["traits", "metadata_public", "metadata_admin"] {
            let start = format!(r#"{{"schema_id":"plain","state":"active","traits":{{}},"{field}":{{"a":1,"b":"#);
            let start = if field == "traits" { start.replace(r#""traits":{},"#, "") } else { start };
            let id = create(kratos, [start.as_bytes(), &content, b"}}"].concat()).await;
            let (_, shown) =
                kratos.raw_bytes(Method::GET, &format!("admin/identities/{id}"), Vec::new()).await.unwrap();
            assert!(shown.windows(content.len()).any(|part| part == content), "it is there byte by byte");

            let before = read(&client, &id).await;
            let (root, opaque) = before.readable().unwrap_err();
            assert_eq!((root, opaque.cause(), opaque.place()[0].as_str()), (&*format!("/{field}"), cause, "b"));
            let listed = list(&client, IdentityFilter::by_ids([&id])).await.unwrap();
            assert_eq!(listed, std::slice::from_ref(&before), "a list shows the same");

            let operations =
                [replace("/state", json!("inactive")), replace("/metadata_admin/mark", json!({"by": "us"}))];
            match client.patch_identity(&id, &operations).await {
                Ok(_) => assert!(is_patchable),
                Err(error) => assert!(!is_patchable && error.is_patch_inapplicable(), "{error}"),
            }
            let written = client.patch_verbatim(&id, &operations).await.unwrap();
            let after = read(&client, &id).await;
            assert_eq!((written.state, after.state), (State::Inactive, State::Inactive));
            assert_eq!(after.metadata_admin.member("mark"), Member::Value(&json!({"by": "us"})));
            let rest = [&after.traits, &after.metadata_public, &after.metadata_admin];
            let rest = rest.into_iter().find(|content| content.opaque().is_some()).unwrap();
            assert_eq!((rest.member("a"), rest.member("b")), (Member::Value(&json!(1)), Member::Unreadable));
            if field != "metadata_admin" {
                assert_eq!(after.readable().unwrap_err(), before.readable().unwrap_err(), "nothing else is changed");
            }
            assert_eq!(client.delete_identity(&id).await.unwrap(), Removal::Removed);
        }
    }
}

#[tokio::test]
async fn anybody_can_register_with_it_and_give_it_to_themselves() {
    let (kratos, client) = kratos().await;
    for (content, cause, _) in odd() {
        let email = email("registered");
        let traits =
            |content: &[u8]| [format!(r#"{{"email":"{email}","name":{{"x":"#).as_bytes(), content, b"}}"].concat();
        kratos.register(&traits(&content), PASSWORD).await.unwrap();
        kratos.login(&email, PASSWORD).await.unwrap().expect("it logs in");
        let found = list(&client, IdentityFilter::by_identifier(&email)).await.unwrap();
        let [found] = &found[..] else { panic!("one identity") };
        let (root, opaque) = found.readable().unwrap_err();
        assert_eq!(
            (root, opaque.cause(), &opaque.place()[..2]),
            ("/traits", cause, &["name".to_owned(), "x".to_owned()][..])
        );
        assert_eq!(found.traits.member("email"), Member::Value(&json!(email)));
        assert_eq!(found.verifiable_addresses[0].value, email);

        let filter = SessionFilter { active: Some(true), expand: vec![Expand::Identity], page_size: None };
        let pages: Vec<_> = client.list_sessions(filter).try_collect().await.unwrap();
        let sessions = pages.iter().flat_map(|page| &page.items);
        let mut own =
            sessions.filter(|session| session.identity.as_ref().is_some_and(|identity| identity.id == found.id));
        assert!(own.next().is_some_and(|session| session.active), "its session is on the page");

        client.delete_identity(&found.id).await.unwrap();

        kratos.register(&traits(b"1"), PASSWORD).await.unwrap();
        let token = kratos.login(&email, PASSWORD).await.unwrap().expect("it logs in");
        let found = list(&client, IdentityFilter::by_identifier(&email)).await.unwrap().remove(0);
        assert!(found.readable().is_ok());
        kratos.change_own_traits_to_bytes(&token, &traits(&content)).await.unwrap();
        assert_eq!(read(&client, &found.id).await.readable().unwrap_err().1.cause(), cause);
        client.delete_identity(&found.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_patch_that_does_not_fit_stays_an_error() {
    let (kratos, client) = kratos().await;
    let id = create(kratos, br#"{"schema_id":"plain","traits":{"x":1e400}}"#.to_vec()).await;
    for operation in [replace("/traits/x", json!(1)), replace("/schema_id", json!("customer"))] {
        let error = client.patch_verbatim(&id, &[operation]).await.unwrap_err();
        assert_eq!(error.class(), Class::Rejected);
    }
    client.delete_identity(&id).await.unwrap();
}
