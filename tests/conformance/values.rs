//! What becomes of values on their way through Kratos: numbers, sizes, nulls.

use kratos_operator::kratos::{Class, CreateIdentity};
use serde_json::json;

use crate::fixtures::{kratos, plain, read, replace};

#[tokio::test]
async fn numbers_come_back_as_they_were_written() {
    let (kratos, client) = kratos().await;
    let numbers = [
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "1",
        "1.0",
        "1e3",
        "0.1",
        "123456789012345678901234567890",
        "1.00000000000000000001",
    ];
    for number in numbers {
        let traits = format!(
            r#"{{"schema_id":"plain","traits":{{"n":{number}}},"metadata_admin":{{"n":{number}}}}}"#
        );
        let url = kratos.admin_url().join("admin/identities").unwrap();
        let http = reqwest::Client::new();
        let answer = http
            .post(url.clone())
            .body(traits)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let id = serde_json::from_str::<serde_json::Value>(&answer).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let item = kratos
            .admin_url()
            .join(&format!("admin/identities/{id}"))
            .unwrap();
        let created = http
            .get(item.clone())
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        client
            .patch_identity(
                &id,
                &[
                    replace("/traits/x", json!(1)),
                    replace("/metadata_admin/x", json!(1)),
                ],
            )
            .await
            .unwrap();
        let neighbour = http
            .get(item.clone())
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let patch = format!(r#"[{{"op":"replace","path":"/traits/n","value":{number}}}]"#);
        http.patch(item.clone()).body(patch).send().await.unwrap();
        let patched = http.get(item).send().await.unwrap().text().await.unwrap();
        let n = |text: &str| {
            text.match_indices("\"n\":")
                .map(|(at, _)| text[at + 4..].split([',', '}']).next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        println!(
            "{number}: created {:?} neighbour patched {:?} patched {:?}; here {}",
            n(&created),
            n(&neighbour),
            n(&patched),
            read(&client, &id).await.traits["n"]
        );
    }
}

#[tokio::test]
async fn a_mebibyte_of_traits() {
    let (_, client) = kratos().await;
    for size in [1, 4, 6, 20] {
        let text = "x".repeat(size * 1024 * 1024);
        let created = client.create_identity(&plain(json!({"label": text}))).await;
        println!(
            "create {size} MiB: {:?}",
            created
                .as_ref()
                .map(|_| ())
                .map_err(|error| error.to_string())
        );
        let id = client
            .create_identity(&plain(json!({"label": "small"})))
            .await
            .unwrap()
            .id;
        let patched = client
            .patch_identity(&id, &[replace("/traits/label", json!(text))])
            .await;
        println!(
            "patch {size} MiB: {:?}",
            patched.map(|_| ()).map_err(|error| error.to_string())
        );
        client.delete_identity(&id).await.unwrap();
        if let Ok(created) = created {
            client.delete_identity(&created.id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn null_is_absent_in_metadata_and_a_value_in_traits() {
    let (_, client) = kratos().await;
    let create = CreateIdentity {
        metadata_public: Some(json!(null)),
        ..plain(json!({"a": null}))
    };
    let created = client.create_identity(&create).await.unwrap();
    let after = read(&client, &created.id).await;
    assert_eq!(after.traits, json!({"a": null}));
    assert!(after.metadata_public.is_null());
    let error = client
        .patch_identity(&created.id, &[replace("/traits", json!("no object"))])
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Rejected);
}
