//! The identity schemas that an instance serves: read in the background, kept, and said to be missing where they are.

use serde_json::{Value, json};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::identity::schema::identifiers;
use crate::instance::schemas::{Known, Schemas};
use crate::kratos::{Client, ClientConfig, SchemaFault};

struct Server {
    kratos: MockServer,
    client: Client,
    schemas: Schemas,
}

impl Server {
    /// A Kratos that serves these schemas, none of which was read.
    async fn start(ids: &[&str]) -> Self {
        let kratos = MockServer::start().await;
        let client = Client::new(ClientConfig::new(kratos.uri().parse().unwrap())).unwrap();
        let server = Self { kratos, client, schemas: Schemas::default() };
        server.serve(ids).await;
        server
    }

    async fn serve(&self, ids: &[&str]) {
        let schemas: Vec<Value> = ids.iter().map(|id| json!({"id": id, "schema": schema()})).collect();
        let answer =
            ResponseTemplate::new(200).set_body_json(&schemas).insert_header("x-total-count", ids.len().to_string());
        self.answer(answer).await;
    }

    async fn answer(&self, answer: ResponseTemplate) {
        self.kratos.reset().await;
        Mock::given(any()).respond_with(answer).mount(&self.kratos).await;
    }

    async fn read(&self) -> bool {
        self.schemas.read(&self.client).await
    }

    async fn requests(&self) -> usize {
        self.kratos.received_requests().await.unwrap_or_default().len()
    }
}

fn schema() -> Value {
    let login = json!({"ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}});
    json!({"properties": {"traits": {"properties": {"mail": login}}}})
}

#[tokio::test]
async fn they_are_read_once_and_known_with_their_identifiers() {
    let server = Server::start(&["employee", "customer"]).await;
    assert!(server.schemas.ids().is_none() && server.schemas.known("customer").is_none());
    assert!(server.read().await, "that is news");
    let read = server.requests().await;
    assert_eq!(server.schemas.ids(), Some(vec!["customer".to_owned(), "employee".to_owned()]));
    assert!(server.schemas.settled().await);
    let Known::Schema(customer) = server.schemas.find("customer").await else { panic!("it is served") };
    let found = identifiers(std::slice::from_ref(&customer.shape), &json!({"mail": "m", "other": "x"}));
    assert_eq!(found, ["m"]);
    assert!(matches!(server.schemas.find("nobodys").await, Known::Absent));
    assert_eq!(server.requests().await, read, "nobody who asks makes a request");
    assert!(!server.read().await, "nothing new");
    server.serve(&["customer"]).await;
    assert!(server.read().await);
    assert!(server.schemas.known("employee").is_none());
}

#[tokio::test]
async fn a_failure_leaves_those_that_are_known_and_says_where_it_was() {
    let server = Server::start(&["customer"]).await;
    server.read().await;
    for (answer, why) in [
        (ResponseTemplate::new(503), "HTTP 503"),
        (ResponseTemplate::new(200).set_body_string("<html>S3CRET</html>"), "not an answer of Kratos"),
        (ResponseTemplate::new(200).set_body_json(json!([])), "names none"),
        (ResponseTemplate::new(200).set_body_json(json!([{"name": "S3CRET"}])), "names none"),
        (ResponseTemplate::new(200).set_body_bytes(vec![b' '; 17 * 1024 * 1024]), "too large"),
    ] {
        server.answer(answer).await;
        server.read().await;
        let failure = server.schemas.failure().expect("a failure");
        assert!(failure.contains(why) && failure.contains(&server.kratos.uri()), "{failure}");
        assert!(!failure.contains("S3CRET"), "{failure}");
        assert!(matches!(server.schemas.find("customer").await, Known::Schema(_)), "{why}");
        assert!(server.schemas.settled().await);
    }
    assert!(matches!(server.schemas.find("employee").await, Known::Unread), "nobody knows whether it is served");
    server.serve(&["customer"]).await;
    assert!(server.read().await);
    assert_eq!(server.schemas.failure(), None);
}

#[tokio::test]
async fn where_none_was_read_nothing_is_said_of_any() {
    let server = Server::start(&[]).await;
    server.read().await;
    assert!(matches!(server.schemas.find("customer").await, Known::Unread));
    assert!(!server.schemas.settled().await);
    assert_eq!(server.schemas.ids(), None);
}

#[tokio::test]
async fn one_that_is_of_no_use_is_missed_by_nobody_else() {
    let server = Server::start(&[]).await;
    let large = format!("{{\"title\": \"{}\"}}", "x".repeat(1024 * 1024));
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let items = [
        ("good", schema().to_string()),
        ("large", large),
        ("number", "{\"maximum\": 1e400}".to_owned()),
        ("deep", format!("{{\"enum\": {deep}}}")),
        ("text", "\"S3CRET\"".to_owned()),
        ("last", "true".to_owned()),
    ];
    let items = items.map(|(id, schema)| format!("{{\"id\": \"{id}\", \"schema\": {schema}}}"));
    let body = format!("[{}, 7, {{\"id\": \"none\"}}]", items.join(", "));
    server.answer(ResponseTemplate::new(200).set_body_string(body).insert_header("x-total-count", "7")).await;
    assert!(server.read().await);
    assert_eq!(server.schemas.failure(), None);
    for id in ["good", "last"] {
        assert!(matches!(server.schemas.find(id).await, Known::Schema(_)), "{id}");
    }
    for (id, expected) in [
        ("large", SchemaFault::TooLarge),
        ("number", SchemaFault::NotJson),
        ("deep", SchemaFault::NotJson),
        ("text", SchemaFault::NotASchema),
        ("none", SchemaFault::NotASchema),
    ] {
        let Known::Faulty(fault) = server.schemas.find(id).await else { panic!("{id}") };
        assert_eq!(fault, expected, "{id}");
        assert!(server.schemas.usable(id).is_none());
    }
}

#[tokio::test]
async fn where_the_server_fails_over_the_list_those_that_somebody_misses_are_read_by_themselves() {
    let server = Server::start(&[]).await;
    server.answer(ResponseTemplate::new(500).set_body_json(json!({"error": {"code": 500}}))).await;
    server.read().await;
    assert!(matches!(server.schemas.find("customer").await, Known::Unread));
    server.kratos.reset().await;
    let single = ResponseTemplate::new(200).set_body_json(schema());
    Mock::given(path("/schemas/customer")).respond_with(single).mount(&server.kratos).await;
    let failed = ResponseTemplate::new(500).set_body_json(json!({"error": {"code": 500}}));
    Mock::given(any()).respond_with(failed).mount(&server.kratos).await;
    assert!(server.read().await);
    assert!(matches!(server.schemas.find("customer").await, Known::Schema(_)));
    assert!(server.schemas.failure().is_some(), "the list is still to be had");
}
