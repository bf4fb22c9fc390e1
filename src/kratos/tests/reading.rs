//! Shared reads with scripted servers: who gets which answer, and what is requested.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::super::{Client, Error, Identity, Reader};
use super::client;

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A server that answers single reads slowly enough for others to gather; `shared` answers shared ones.
async fn server(shared: impl Fn(&[String]) -> ResponseTemplate + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    let single = |request: &Request| {
        let id = request.url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        let answer = match id {
            // These don't exist.
            id if id.ends_with('9') || id == "none" => ResponseTemplate::new(404)
                .set_body_json(json!({"error": {"code": 404, "message": "Unable to locate the resource"}})),
            id => ResponseTemplate::new(200).set_body_json(json!({"id": id, "traits": {"read": "alone"}})),
        };
        answer.set_delay(Duration::from_millis(50))
    };
    Mock::given(method("GET")).and(path_regex("^/admin/identities/.+")).respond_with(single).mount(&server).await;
    let shared = move |request: &Request| {
        let ids = request.url.query_pairs().filter(|(name, _)| name == "ids");
        shared(&ids.map(|(_, id)| id.into_owned()).collect::<Vec<_>>())
    };
    Mock::given(method("GET")).and(path("/admin/identities")).respond_with(shared).mount(&server).await;
    server
}

/// All but those that don't exist.
fn shown(ids: &[String]) -> ResponseTemplate {
    let there = ids.iter().filter(|id| !id.ends_with('9')).map(|id| json!({"id": id, "traits": {"read": "together"}}));
    ResponseTemplate::new(200).set_body_json(there.collect::<Value>())
}

/// Reads at the same time, as far as possible; the first is sent before the others come.
async fn together(server: &MockServer, ids: &[String]) -> Vec<Result<Option<Identity>, Error>> {
    let (reader, collects) = Reader::new(Client::clone(&client(server)));
    tokio::spawn(collects);
    let first = async { reader.read(&ids[0]).await };
    let others = async {
        while server.received_requests().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        join_all(ids[1..].iter().map(|id| reader.read(id))).await
    };
    let (first, others) = tokio::join!(first, others);
    [first].into_iter().chain(others).collect()
}

/// How many ids each request had; 0 for single reads.
async fn asked(server: &MockServer) -> Vec<usize> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|request| request.url.query_pairs().filter(|(name, _)| name == "ids").count()).collect()
}

fn found(answers: Vec<Result<Option<Identity>, Error>>) -> Vec<Option<String>> {
    answers.into_iter().map(|answer| answer.unwrap().map(|identity| identity.id)).collect()
}

#[tokio::test]
async fn a_lone_one_is_a_plain_read_and_those_that_come_meanwhile_share_the_next() {
    let server = server(shown).await;
    let ids: Vec<_> = (100..108).map(id).collect();
    let answers = found(together(&server, &ids).await);
    assert_eq!(answers, ids.into_iter().map(Some).collect::<Vec<_>>(), "each has its own");
    assert_eq!(asked(&server).await, [0, 7]);
}

#[tokio::test]
async fn one_that_is_not_shown_is_read_by_itself_before_it_is_gone_and_what_is_no_id_spoils_nothing() {
    let server = server(shown).await;
    let ids = [id(100), id(101), id(109), "none".into(), id(102)];
    let answers = found(together(&server, &ids).await);
    assert_eq!(answers, [Some(id(100)), Some(id(101)), None, None, Some(id(102))]);
    assert_eq!(asked(&server).await, [0, 3, 0, 0]);
}

#[tokio::test]
async fn an_identity_that_the_server_fails_over_is_no_matter_of_the_others() {
    let server = server(|_| ResponseTemplate::new(500).set_body_json(json!({"error": {"code": 500}}))).await;
    let ids = [id(100), id(101), id(102)];
    let answers = found(together(&server, &ids).await);
    assert_eq!(answers, ids.map(Some));
    let asked = asked(&server).await;
    assert_eq!(asked.iter().filter(|ids| **ids == 0).count(), 3, "{asked:?}");
}

#[tokio::test]
async fn a_server_that_is_down_is_not_asked_for_each() {
    let server = server(|_| ResponseTemplate::new(503).set_body_json(json!({"error": {"code": 503}}))).await;
    let ids: Vec<_> = (100..108).map(id).collect();
    let answers = together(&server, &ids).await;
    assert!(answers[1..].iter().all(|answer| answer.as_ref().unwrap_err().instance_unavailable()));
    let asked = asked(&server).await;
    assert!(asked[1..].iter().all(|ids| *ids == 7), "{asked:?}");
}
