//! The identity schemas that an instance serves: read seldom and kept.

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::identity::schema::identifiers;
use crate::instance::schemas::Schemas;
use crate::kratos::{Client, ClientConfig};

struct Server {
    kratos: MockServer,
    client: Client,
}

impl Server {
    /// A Kratos that serves these schemas.
    async fn start(ids: &[&str]) -> Self {
        let kratos = MockServer::start().await;
        let client = Client::new(ClientConfig::new(kratos.uri().parse().unwrap())).unwrap();
        let server = Self { kratos, client };
        server.serve(ids).await;
        server
    }

    async fn serve(&self, ids: &[&str]) {
        self.kratos.reset().await;
        let login = json!({"ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}});
        let schema = json!({"properties": {"traits": {"properties": {"mail": login}}}});
        let schemas: Vec<Value> = ids.iter().map(|id| json!({"id": id, "schema": schema})).collect();
        let answer =
            ResponseTemplate::new(200).set_body_json(&schemas).insert_header("x-total-count", ids.len().to_string());
        Mock::given(any()).respond_with(answer).mount(&self.kratos).await;
    }

    async fn requests(&self) -> usize {
        self.kratos.received_requests().await.unwrap_or_default().len()
    }
}

#[tokio::test]
async fn nothing_is_known_before_they_are_read() {
    let schemas = Schemas::default();
    assert_eq!(schemas.ids(), None);
    assert!(schemas.known("customer").is_none());
}

#[tokio::test]
async fn they_are_read_once_and_known_with_their_identifiers() {
    let server = Server::start(&["employee", "customer"]).await;
    let schemas = Schemas::default();
    schemas.refresh(&server.client).await.unwrap();
    let read = server.requests().await;
    assert_eq!(schemas.ids(), Some(vec!["customer".to_owned(), "employee".to_owned()]));
    let customer = schemas.get(&server.client, "customer").await.unwrap().unwrap();
    let found = identifiers(std::slice::from_ref(&customer.shape), &json!({"mail": "m", "other": "x"}));
    assert_eq!(found, ["m"]);
    assert!(customer.document["properties"]["traits"].is_object());
    assert_eq!(server.requests().await, read, "no further request");
}

#[tokio::test]
async fn one_that_is_not_known_is_asked_for_but_not_at_every_turn() {
    let server = Server::start(&["customer"]).await;
    let schemas = Schemas::default();
    assert!(schemas.get(&server.client, "employee").await.unwrap().is_none());
    let read = server.requests().await;
    assert!(read > 0);
    for _ in 0..5 {
        assert!(schemas.get(&server.client, "employee").await.unwrap().is_none());
    }
    assert_eq!(server.requests().await, read);
    server.serve(&["customer", "employee"]).await;
    schemas.refresh(&server.client).await.unwrap();
    assert!(schemas.get(&server.client, "employee").await.unwrap().is_some(), "a refresh does read them");
}

#[tokio::test]
async fn a_failure_leaves_those_that_are_known() {
    let server = Server::start(&["customer"]).await;
    let schemas = Schemas::default();
    schemas.refresh(&server.client).await.unwrap();
    server.kratos.reset().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).mount(&server.kratos).await;
    assert!(schemas.refresh(&server.client).await.is_err());
    assert!(schemas.get(&server.client, "customer").await.unwrap().is_some());
}
