//! What a failure of Kratos means for a resource, from real answers over a real connection.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::api::condition::State;
use crate::api::messages::faults;
use crate::api::{ReadyCondition, Reason};
use crate::engine::failure::{self, ReconcileError, Sent, classify, schema_not_found, unsupported};
use crate::identity::schema::shape::Shape;
use crate::kratos::{Client, ClientConfig, CreateIdentity, CredentialType, Error, Initiator, WriteCause, Writer};

/// What the server says, and what nobody else may.
const MARKER: &str = "S3CRET";

fn client(url: &str) -> Writer {
    let config = ClientConfig { request_timeout: Duration::from_secs(1), ..ClientConfig::new(url.parse().unwrap()) };
    let somebody = Initiator {
        kind: "KratosIdentity",
        namespace: "team".to_owned(),
        name: "ada".to_owned(),
        uid: "uid-of-ada".to_owned(),
        generation: None,
        cause: WriteCause::Spec,
        trace_id: None,
    };
    Client::new(config).unwrap().on_behalf_of(&Arc::new(somebody))
}

/// The error of a create that is answered so.
async fn failed(answer: ResponseTemplate) -> Error {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    client(&server.uri()).create_identity(&CreateIdentity::default()).await.unwrap_err()
}

fn kratos(status: u16, reason: &str) -> ResponseTemplate {
    let error = json!({"code": status, "reason": format!("{reason} {MARKER}"), "message": MARKER});
    ResponseTemplate::new(status).set_body_json(json!({ "error": error }))
}

fn sent<'a>(schema: Option<(&'a Value, &'a Shape)>, traits: &'a Value) -> Sent<'a> {
    Sent { schema_id: "customer", schema, traits: Some(traits), manifest: traits.as_object(), external_id: false }
}

/// An error without its message, and the message.
fn told(failure: ReconcileError) -> (&'static str, Reason, Option<Duration>, String) {
    match failure {
        ReconcileError::Waiting(ReadyCondition { reason, message }) => ("Waiting", reason, None, message),
        ReconcileError::Queued(ReadyCondition { reason, message }) => ("Queued", reason, None, message),
        ReconcileError::Unread(ReadyCondition { reason, message }) => ("Unread", reason, None, message),
        ReconcileError::Down(ReadyCondition { reason, message }) => ("Down", reason, None, message),
        ReconcileError::Refused(ReadyCondition { reason, message }) => ("Refused", reason, None, message),
        ReconcileError::Retry { condition: ReadyCondition { reason, message }, after } => {
            ("Retry", reason, after, message)
        }
        ReconcileError::Kubernetes(error) => panic!("{error}"),
    }
}

#[rstest]
#[case::down(kratos(503, ""), "Down", Reason::KratosUnavailable)]
#[case::a_gateway(kratos(502, ""), "Down", Reason::KratosUnavailable)]
#[case::a_wrong_token(kratos(401, ""), "Down", Reason::KratosUnavailable)]
#[case::a_token_of_too_little(kratos(403, ""), "Down", Reason::KratosUnavailable)]
#[case::a_strangers_answer(ResponseTemplate::new(404).set_body_string(MARKER), "Down", Reason::KratosUnavailable)]
#[case::a_redirect(ResponseTemplate::new(302).insert_header("location", "/login"), "Down", Reason::KratosUnavailable)]
#[case::too_slow(kratos(500, "").set_delay(Duration::from_secs(3)), "Down", Reason::KratosUnavailable)]
#[case::a_failure(kratos(500, ""), "Retry", Reason::KratosUnavailable)]
#[case::another_write(kratos(400, "Unable to serialize access"), "Retry", Reason::KratosUnavailable)]
#[case::gone(kratos(404, ""), "Retry", Reason::Progressing)]
#[case::changed_in_between(kratos(400, "An error occured when applying the JSON patch"), "Retry", Reason::Progressing)]
#[case::taken(kratos(409, ""), "Refused", Reason::IdentityConflict)]
#[case::an_unknown_schema(kratos(400, "Unable to find JSON Schema ID"), "Refused", Reason::SchemaNotFound)]
#[case::traits(kratos(400, "I[#/traits/mail] S[#/properties]"), "Refused", Reason::TraitsRejected)]
#[case::a_new_field(kratos(400, "json: unknown field \"external_id\""), "Refused", Reason::UnsupportedByServer)]
#[case::anything_else(kratos(400, "no"), "Refused", Reason::KratosRejected)]
#[case::too_large(kratos(413, ""), "Refused", Reason::KratosRejected)]
#[tokio::test]
async fn each_failure_has_one_meaning(#[case] answer: ResponseTemplate, #[case] how: &str, #[case] reason: Reason) {
    let error = failed(answer).await;
    let traits = json!({ "mail": MARKER });
    let (told_how, told_reason, after, message) = told(classify(&error, sent(None, &traits), 0));
    assert_eq!((told_how, told_reason, after), (how, reason, None));
    assert!(!message.contains(MARKER), "{message}");
    assert_eq!(faults(&ReadyCondition::new(reason, message.as_str())), [""; 0], "{message}");
    let stalls = reason.state() == State::Stalled;
    assert_eq!(stalls, how == "Refused", "what stalls waits for a person, and nothing else does");
}

#[rstest]
#[case::too_slow(kratos(500, "").set_delay(Duration::from_secs(3)))]
#[case::a_failure(kratos(500, ""))]
#[case::a_gateway(kratos(504, ""))]
#[case::a_guard_before_it(ResponseTemplate::new(403).set_body_string(MARKER))]
#[tokio::test]
async fn what_fails_again_and_again_while_others_are_served_is_its_own_fault(#[case] answer: ResponseTemplate) {
    let error = failed(answer).await;
    assert!(error.may_be_its_own());
    let after = |times| {
        let (how, reason, _, message) = told(classify(&error, Sent::default(), times));
        assert!(!message.contains(MARKER), "{message}");
        assert_eq!(faults(&ReadyCondition::new(reason, message.as_str())), [""; 0], "{message}");
        assert_eq!(message.contains("each time, although Kratos serves others"), times >= 5, "{message}");
        (how, reason)
    };
    assert_eq!(after(1), ("Retry", Reason::KratosUnavailable));
    assert_eq!(after(4), ("Retry", Reason::KratosUnavailable), "a server may fail over all writes for a while");
    assert_eq!(after(5), ("Retry", Reason::KratosRejected));
}

#[tokio::test]
async fn no_connection_is_nobodys_own_fault() {
    let error = client("http://127.0.0.1:1").create_identity(&CreateIdentity::default()).await.unwrap_err();
    assert!(error.instance_suspect() && !error.may_be_its_own());
}

/// New servers keep the last thing to log in with, by a count of their own.
#[tokio::test]
async fn a_credential_that_the_server_keeps_is_the_last_one() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(kratos(400, "")).mount(&server).await;
    let deleted = client(&server.uri()).delete_identity_credentials("id", CredentialType::Password, None).await;
    let (how, reason, _, message) = told(classify(&deleted.unwrap_err(), Sent::default(), 0));
    assert_eq!((how, reason), ("Refused", Reason::InvalidSpec));
    assert!(message.contains("without anything to log in with") && !message.contains(MARKER), "{message}");
}

#[tokio::test]
async fn nobody_at_that_address_is_an_instance_that_is_down() {
    let error = client("http://127.0.0.1:9").create_identity(&CreateIdentity::default()).await.unwrap_err();
    let (how, reason, _, message) = told(classify(&error, Sent::default(), 0));
    assert_eq!((how, reason), ("Down", Reason::KratosUnavailable));
    assert!(message.contains("create_identity"), "it says what was tried: {message}");
}

#[rstest]
#[case::as_long_as_it_says(Some("7"), 7)]
#[case::a_while_if_it_does_not(None, 5)]
#[tokio::test]
async fn a_throttling_server_is_left_alone(#[case] header: Option<&str>, #[case] seconds: u64) {
    let answer = kratos(429, "");
    let answer = match header {
        Some(value) => answer.insert_header("retry-after", value),
        None => answer,
    };
    let (how, reason, after, message) = told(classify(&failed(answer).await, Sent::default(), 0));
    assert_eq!(faults(&ReadyCondition::new(reason, message.as_str())), [""; 0], "{message}");
    assert_eq!((how, reason, after), ("Retry", Reason::Throttled, Some(Duration::from_secs(seconds))));
}

#[tokio::test]
async fn rejected_traits_are_explained_by_the_schema() {
    let schema = json!({"properties": {"traits": {"properties": {"age": {"type": "integer"}}}}});
    let traits = json!({ "age": MARKER });
    let error = failed(kratos(400, "I[#/traits/age] S[#/properties]")).await;
    let (_, _, _, message) = told(classify(&error, sent(Some((&schema, &Shape::of(&schema))), &traits), 0));
    assert!(message.contains("/traits/age (type: integer)") && message.contains("customer"), "{message}");
    assert!(!message.contains(MARKER), "{message}");
}

#[rstest]
#[case("external_id", "externalID")]
#[case("organization_id", "organizationID")]
#[case("another field", "another field")]
fn a_field_is_called_as_in_the_manifest(#[case] field: &str, #[case] expected: &str) {
    let condition = unsupported(field);
    assert_eq!(condition.reason, Reason::UnsupportedByServer);
    assert!(condition.message.contains(expected) && !condition.message.contains('_'), "{}", condition.message);
}

#[test]
fn a_missing_schema_is_named() {
    let condition = schema_not_found("custommer");
    assert_eq!(condition.reason, Reason::SchemaNotFound);
    assert!(condition.message.contains("\"custommer\""), "{}", condition.message);
}

#[test]
fn a_condition_alone_is_a_refusal() {
    let failure = ReconcileError::from(ReadyCondition::new(Reason::NotPermitted, "no"));
    assert!(matches!(failure, ReconcileError::Refused(condition) if condition.reason == Reason::NotPermitted));
}

fn condition() -> ReadyCondition {
    ReadyCondition::new(Reason::NotPermitted, "no")
}

#[rstest]
#[case::refused(ReconcileError::Refused(condition()), "Retry")]
#[case::unread(ReconcileError::Unread(condition()), "Retry")]
#[case::waiting(ReconcileError::Waiting(condition()), "Retry")]
#[case::much_later(ReconcileError::Retry { condition: condition(), after: Some(Duration::from_mins(5)) }, "Retry")]
#[case::its_turn_comes(ReconcileError::Queued(condition()), "Queued")]
#[case::tried_anyway(ReconcileError::Down(condition()), "Down")]
fn what_failed_besides_is_tried_again_whatever_the_rest_waits_for(
    #[case] failure: ReconcileError,
    #[case] expected: &str,
) {
    let (how, reason, after, message) = told(failure.into_retry(&ReconcileError::Down(failure::unavailable())));
    assert_eq!((how, reason, after, message.as_str()), (expected, Reason::NotPermitted, None, "no"));
}

#[test]
fn whoever_asked_to_be_called_later_is() {
    let (later, sooner) = (Duration::from_secs(40), Duration::from_secs(2));
    let failure = ReconcileError::Retry { condition: condition(), after: Some(sooner) };
    let (_, _, after, _) =
        told(failure.into_retry(&ReconcileError::Retry { condition: failure::unavailable(), after: Some(later) }));
    assert_eq!(after, Some(later));
}
