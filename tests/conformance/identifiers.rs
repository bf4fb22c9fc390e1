//! How Kratos writes down what people log in with and are reached by, and under which forms it finds them.

use kratos_operator::kratos::identifier::{Taken, lower_case, normalised};
use kratos_operator::kratos::{Client, CreateIdentity, Identity, IdentityFilter};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixtures::{kratos, list, read};

const PASSWORD: Taken<'static> = Taken::Identifier { kind: "password", via: None };
const BY_SMS: Taken<'static> = Taken::Identifier { kind: "code", via: Some("sms") };

async fn made(traits: Value) -> (Client, Identity) {
    let (_, client) = kratos().await;
    let create = CreateIdentity { schema_id: "phone".into(), traits, ..CreateIdentity::default() };
    let id = client.create_identity(&create).await.unwrap().id;
    let identity = read(&client, &id).await;
    ((*client).clone(), identity)
}

fn identifiers<'i>(identity: &'i Identity, kind: &str) -> &'i [String] {
    &identity.credentials[kind].identifiers
}

async fn finds(client: &Client, identifier: &str, identity: &Identity) -> bool {
    let found = list(client, IdentityFilter::by_identifier(identifier)).await.unwrap();
    found.iter().any(|found| found.id == identity.id)
}

/// Ten digits that no other test has.
fn number() -> String {
    format!("415{}{:06}", rand::random_range(2..=9), rand::random_range(0..1_000_000))
}

#[rstest]
#[case::letters_whose_lower_case_differs_between_languages(json!(format!(" İΣΑΣ\u{212a}ẞ{} ", number())))]
#[case::a_number(json!(rand::random_range(1..u32::MAX)))]
#[case::a_fraction(json!(f64::from(rand::random_range(1..u32::MAX)) + 0.5))]
#[tokio::test]
async fn a_name_is_trimmed_and_lowered_letter_by_letter(#[case] name: Value) {
    let (client, identity) = made(json!({ "name": name })).await;
    let expected = normalised(&name, PASSWORD).unwrap();
    assert_eq!(identifiers(&identity, "password"), [expected.as_str()]);
    assert!(finds(&client, &expected, &identity).await);
}

#[tokio::test]
async fn what_is_no_text_is_an_identifier_all_the_same() {
    let (_, client) = kratos().await;
    for name in [json!(true), Value::Null] {
        let traits = json!({ "name": name });
        let create = CreateIdentity { schema_id: "phone".into(), traits, ..CreateIdentity::default() };
        let id = client.create_identity(&create).await.unwrap().id;
        let identity = read(&client, &id).await;
        assert_eq!(identifiers(&identity, "password"), [normalised(&name, PASSWORD).unwrap()]);
        assert!(client.create_identity(&create).await.is_err(), "nobody else may have it");
        client.delete_identity(&id).await.unwrap();
    }
}

#[tokio::test]
async fn a_phone_number_is_e164_for_codes_alone_and_each_form_is_found_by_itself() {
    let digits = number();
    let phone = json!(format!(" +1 ({}) {}-{}", &digits[..3], &digits[3..6], &digits[6..]));
    let (client, identity) = made(json!({ "phone": phone })).await;
    let (written, e164) = (normalised(&phone, PASSWORD).unwrap(), normalised(&phone, BY_SMS).unwrap());
    assert_eq!(e164, format!("+1{digits}"));
    assert_eq!(identifiers(&identity, "password"), [written.as_str()]);
    assert_eq!(identifiers(&identity, "code"), [e164.as_str()]);
    let address = normalised(&phone, Taken::Address { via: "sms" }).unwrap();
    assert_eq!(identity.verifiable_addresses[0].value, lower_case(&address));
    assert!(finds(&client, &written, &identity).await);
    assert!(finds(&client, &e164, &identity).await);
    assert!(!finds(&client, &format!("+1 {digits}"), &identity).await, "nothing is made of what is looked for");
}
