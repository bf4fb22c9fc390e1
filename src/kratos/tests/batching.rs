//! The batcher with scripted servers: who gets which answer, and what is sent.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::super::{BatchMode, Batcher, Class, Client, CreateIdentity, Error, Identity};
use super::{client, somebody};
use crate::base::flow::fair_semaphore::FairSemaphore;

fn create(name: &str) -> CreateIdentity {
    CreateIdentity {
        schema_id: "customer".into(),
        traits: json!({"email": name}),
        metadata_admin: Some(json!({"mark": name})),
        ..CreateIdentity::default()
    }
}

/// What was sent, in order: `POST`, or `PATCH` and how many were in it.
async fn sent(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let line = |request: &Request| match request.body_json::<Value>() {
        Ok(body) if body["identities"].is_array() => format!("PATCH {}", body["identities"].as_array().unwrap().len()),
        _ => request.method.to_string(),
    };
    requests.iter().map(line).collect()
}

/// Creates at the same time; each announces itself.
async fn together(server: &MockServer, names: &[&str]) -> Vec<Result<Identity, Error>> {
    let (batcher, collects) = Batcher::new(Client::clone(&client(server)), Arc::new(FairSemaphore::new(2)));
    tokio::spawn(collects);
    let expected = batcher.expect("team");
    let all = join_all(
        names.iter().map(async |name| batcher.create(&create(name), (BatchMode::Batched, "team"), &somebody()).await),
    );
    join(all, async { drop(expected) }).await.0
}

/// A server that creates single identities slowly enough for others to gather; `batch` answers batches.
async fn server(batch: impl Fn(&[Value]) -> ResponseTemplate + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    let single = |request: &Request| {
        let body: Value = request.body_json().unwrap();
        let name = body["traits"]["email"].as_str().unwrap().to_owned();
        if name == "bad" {
            let error = json!({"error": {"code": 400, "reason": "I[#/traits/email] S[#/x] no"}});
            return ResponseTemplate::new(400).set_body_json(error);
        }
        let answer = json!({"id": name, "schema_id": "customer", "state": "active", "traits": body["traits"]});
        ResponseTemplate::new(201).set_body_json(answer).set_delay(Duration::from_millis(50))
    };
    Mock::given(method("POST")).and(path("/admin/identities")).respond_with(single).mount(&server).await;
    let batch = move |request: &Request| {
        let body: Value = request.body_json().unwrap();
        batch(body["identities"].as_array().unwrap())
    };
    Mock::given(method("PATCH")).and(path("/admin/identities")).respond_with(batch).mount(&server).await;
    server
}

fn name(item: &Value) -> &str {
    item["create"]["traits"]["email"].as_str().unwrap()
}

fn outcomes(items: &[Value], outcome: impl Fn(&str) -> Value) -> ResponseTemplate {
    let outcomes: Vec<_> = items.iter().map(|item| outcome(name(item))).collect();
    ResponseTemplate::new(200).set_body_json(json!({"identities": outcomes}))
}

#[tokio::test]
async fn a_lone_create_is_a_plain_one_and_those_that_come_together_are_a_batch() {
    let server = server(|items| outcomes(items, |name| json!({"action": "create", "identity": name}))).await;
    together(&server, &["alone"]).await[0].as_ref().unwrap();
    let answers = together(&server, &["a", "b", "c"]).await;
    let found: Vec<_> =
        answers.into_iter().map(|answer| answer.unwrap()).map(|it| (it.id, it.metadata_admin)).collect();
    assert_eq!(found, ["a", "b", "c"].map(|name| (name.to_owned(), json!({"mark": name}).into())), "each has its own");
    assert_eq!(sent(&server).await, ["POST", "PATCH 3"]);
}

#[tokio::test]
async fn a_newer_server_names_the_guilty_and_the_others_are_read_back() {
    let server = server(|items| {
        outcomes(items, |name| match name {
            "bad" => json!({"action": "error", "error": {"code": 400, "reason": "bad"}}),
            name => json!({"action": "create", "identity": name}),
        })
    })
    .await;
    let there = json!([{"id": "a"}, {"id": "b", "metadata_admin": {"mark": "b"}}, {"id": "c"}]);
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_json(there)).mount(&server).await;
    let answers = together(&server, &["a", "b", "bad", "c"]).await;
    assert!(answers[2].as_ref().unwrap_err().is_traits_rejected(), "as if it had been alone");
    assert!(answers.iter().enumerate().all(|(number, answer)| answer.is_ok() == (number != 2)));
    assert_eq!(sent(&server).await, ["PATCH 4", "GET", "POST"]);
}

#[tokio::test]
async fn where_reading_back_fails_nobody_knows_and_nothing_is_sent_again() {
    let server = server(|items| {
        outcomes(items, |name| match name {
            "bad" => json!({"action": "error", "error": {"code": 409}}),
            name => json!({"action": "create", "identity": name}),
        })
    })
    .await;
    let down = ResponseTemplate::new(503).set_body_json(json!({"error": {"code": 503}}));
    Mock::given(method("GET")).respond_with(down).mount(&server).await;
    let answers = together(&server, &["a", "b", "bad"]).await;
    let (b, bad) = (answers[1].as_ref().unwrap_err(), answers[2].as_ref().unwrap_err());
    assert!(b.outcome_unknown() && b.instance_unavailable(), "{b}");
    assert!(bad.is_kept_back() && bad.instance_unavailable() && !bad.outcome_unknown(), "{bad}");
    assert_eq!(sent(&server).await, ["PATCH 3", "GET"]);
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_alone_is() {
    let server = server(|_| {
        ResponseTemplate::new(429).insert_header("Retry-After", "7").set_body_json(json!({"error": {"code": 429}}))
    })
    .await;
    let names: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let answers = together(&server, &names).await;
    let throttled = Class::Throttled { retry_after: Duration::from_secs(7) };
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap_err().class() == throttled));
    let sent = sent(&server).await;
    assert!(sent.len() <= 4, "{sent:?}");
}

#[tokio::test]
async fn one_that_is_to_be_alone_or_is_large_is_sent_by_itself() {
    let server = server(|items| outcomes(items, |name| json!({"action": "create", "identity": name}))).await;
    let (batcher, collects) = Batcher::new(Client::clone(&client(&server)), Arc::new(FairSemaphore::new(2)));
    tokio::spawn(collects);
    let large = CreateIdentity { metadata_public: Some(json!("x".repeat(200_000))), ..create("large") };
    let creates = [(create("a"), BatchMode::Batched), (create("b"), BatchMode::Alone), (large, BatchMode::Batched)];
    let answers =
        join_all(creates.iter().map(async |(create, mode)| batcher.create(create, (*mode, "team"), &somebody()).await))
            .await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(sent(&server).await, ["POST", "POST", "POST"]);
}

#[tokio::test]
async fn who_does_not_wait_any_more_takes_nothing_from_the_others() {
    let server = server(|items| {
        outcomes(items, |name| json!({"action": "create", "identity": name})).set_delay(Duration::from_millis(50))
    })
    .await;
    let (batcher, collects) = Batcher::new(Client::clone(&client(&server)), Arc::new(FairSemaphore::new(2)));
    tokio::spawn(collects);
    let ask = |name: &'static str| {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.create(&create(name), (BatchMode::Batched, "team"), &somebody()).await })
    };
    let expected = batcher.expect("team");
    let [left, early, stays] = [ask("left"), ask("early"), ask("stays")];
    // Until each create is queued.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    early.abort();
    assert!(early.await.unwrap_err().is_cancelled());
    drop(expected);
    while !sent(&server).await.iter().any(|line| line.starts_with("PATCH")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    left.abort();
    assert_eq!(stays.await.unwrap().unwrap().id, "stays");
    assert_eq!(sent(&server).await, ["PATCH 2"], "one was gone before");
}
