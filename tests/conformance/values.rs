//! What becomes of values on their way through Kratos: numbers, sizes, nulls.

use kratos_operator::kratos::{Class, CreateIdentity};
use serde_json::{Value, json};

use crate::fixtures::{kratos, plain, read, replace};
use crate::testenv::kratos::Kratos;

/// The text of every member `n` of an answer.
fn written(answer: &str) -> Vec<&str> {
    answer.match_indices("\"n\":").filter_map(|(at, name)| answer[at + name.len()..].split([',', '}']).next()).collect()
}

/// A request whose body is given as text, so that numbers are sent exactly as written here.
async fn send(kratos: &Kratos, method: reqwest::Method, path: &str, body: String) -> String {
    let url = kratos.admin_url().join(path).unwrap();
    let answer = reqwest::Client::new().request(method, url).body(body).send().await.unwrap();
    assert!(answer.status().is_success());
    answer.text().await.unwrap()
}

#[tokio::test]
async fn numbers_keep_the_very_digits_that_they_were_written_with() {
    let (kratos, client) = kratos().await;
    let numbers = [
        ("1", json!(1)),
        ("1.0", json!(1.0)),
        ("1e3", json!(1000.0)),
        ("9007199254740993", json!(9_007_199_254_740_993_u64)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        // What is beyond 64 bits is rounded in this client, though not in Kratos.
        ("123456789012345678901234567890", json!(1.234_567_890_123_456_8e29)),
        ("1.00000000000000000001", json!(1.0)),
    ];
    for (number, here) in numbers {
        let body = format!(r#"{{"schema_id":"plain","traits":{{"n":{number}}},"metadata_admin":{{"n":{number}}}}}"#);
        let answer = send(kratos, reqwest::Method::POST, "admin/identities", body).await;
        let id = serde_json::from_str::<Value>(&answer).unwrap()["id"].as_str().unwrap().to_owned();
        let item = format!("admin/identities/{id}");
        let get = async || send(kratos, reqwest::Method::GET, &item, String::new()).await;
        assert_eq!(written(&get().await), [number, number], "after create");
        let patch = [replace("/traits/x", json!(1)), replace("/metadata_admin/x", json!(1))];
        client.patch_identity(&id, &patch).await.unwrap();
        assert_eq!(written(&get().await), [number, number], "after a patch beside it");
        let patch = format!(r#"[{{"op":"replace","path":"/traits/n","value":{number}}}]"#);
        send(kratos, reqwest::Method::PATCH, &item, patch).await;
        assert_eq!(written(&get().await), [number, number], "after a patch of it");
        assert_eq!(read(&client, &id).await.traits.read().unwrap()["n"], here);
    }
}

#[tokio::test]
async fn a_request_may_have_five_mebibytes_and_more_is_rejected() {
    let (_, client) = kratos().await;
    for (mebibytes, fits) in [(1, true), (4, true), (6, false)] {
        let text = json!("x".repeat(mebibytes * 1024 * 1024));
        let created = client.create_identity(&plain(json!({"label": text}))).await;
        let small = client.create_identity(&plain(json!({"label": "small"}))).await.unwrap();
        let patched = client.patch_identity(&small.id, &[replace("/traits/label", text)]).await;
        for identity in [created, patched] {
            match identity {
                Ok(identity) => {
                    assert!(fits);
                    client.delete_identity(&identity.id).await.unwrap();
                }
                Err(error) => {
                    assert!(!fits);
                    assert_eq!(error.class(), Class::Rejected, "{error}");
                    assert!(!error.outcome_unknown());
                }
            }
        }
    }
}

#[tokio::test]
async fn null_is_absent_in_metadata_and_a_value_in_traits() {
    let (_, client) = kratos().await;
    let create = CreateIdentity { metadata_public: Some(json!(null)), ..plain(json!({"a": null})) };
    let created = client.create_identity(&create).await.unwrap();
    let after = read(&client, &created.id).await;
    assert_eq!(after.traits, json!({"a": null}));
    assert!(after.metadata_public.is_null());
    let error = client.patch_identity(&created.id, &[replace("/traits", json!("no object"))]).await.unwrap_err();
    assert_eq!(error.class(), Class::Rejected);
}
