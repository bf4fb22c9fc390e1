//! Servers and connections that fail, and how often requests are sent to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::Writer;
use super::super::{
    Class, Client, ClientConfig, ConfigError, CreateIdentity, IdentityFilter, PatchOperation, RateLimit, Removal,
    UpdateIdentity,
};
use super::{ID, client, config, list, requests, somebody};

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn refusal(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": {"code": status, "message": message}}))
}

/// A server that reads each request, answers with these bytes and hangs up; counts its connections.
async fn hanging_up(answer: &'static [u8]) -> (Writer, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer).await;
        }
    });
    (Client::new(ClientConfig::new(url)).unwrap().on_behalf_of(&somebody()), count)
}

#[tokio::test]
async fn whoever_has_waited_for_the_rate_limit_ahead_is_served_at_once_and_once() {
    let server = server(refusal(500, "")).await;
    let limit = RateLimit { requests_per_second: 2.try_into().unwrap(), burst: 1.try_into().unwrap() };
    let client = Client::new(ClientConfig { rate_limit: Some(limit), ..config(&server) }).unwrap();
    let at_once = client.at_once().await.on_behalf_of(&somebody());
    let begun = Instant::now();
    at_once.delete_identity(ID).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(requests(&server).await, 1);
    at_once.delete_identity(ID).await.unwrap_err();
    assert_eq!(requests(&server).await, 4, "from then on as ever");
    assert!(begun.elapsed() > Duration::from_secs(1), "within the limit: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_failing_server_is_asked_three_times_for_reads_and_deletions_and_once_for_the_rest() {
    let server = server(refusal(500, "")).await;
    let client = client(&server);
    assert_eq!(client.get_identity(ID, &[]).await.unwrap_err().class(), Class::Transient);
    assert_eq!(requests(&server).await, 3);
    client.delete_identity(ID).await.unwrap_err();
    assert_eq!(requests(&server).await, 6);
    let error = client.create_identity(&CreateIdentity::default()).await.unwrap_err();
    assert!(error.outcome_unknown());
    client.update_identity(ID, &UpdateIdentity::default()).await.unwrap_err();
    client.patch_identity(ID, &[PatchOperation::Remove { path: "/x".into() }]).await.unwrap_err();
    client.batch_patch_identities(&[]).await.unwrap_err();
    client.create_recovery_code_for_identity(ID, None, false).await.unwrap_err();
    client.create_recovery_link_for_identity(ID, None, None).await.unwrap_err();
    client.extend_session(ID).await.unwrap_err();
    assert_eq!(requests(&server).await, 13);
}

#[tokio::test]
async fn a_read_that_fails_in_passing_succeeds() {
    let server = MockServer::start().await;
    let serialize = "Unable to serialize access due to a concurrent update in another session";
    for answer in [refusal(500, ""), refusal(400, serialize)] {
        Mock::given(method("DELETE")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    Mock::given(method("DELETE")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    assert_eq!(client(&server).delete_identity(ID).await.unwrap(), Removal::Removed);
    assert_eq!(requests(&server).await, 3);
}

#[tokio::test]
async fn an_instance_that_is_down_sees_one_request() {
    for status in [401, 403, 502, 503, 504] {
        let server = server(refusal(status, "")).await;
        let error = client(&server).get_identity(ID, &[]).await.unwrap_err();
        assert!(error.instance_unavailable(), "{status}");
        assert_eq!(requests(&server).await, 1, "{status}");
    }
}

#[tokio::test]
async fn a_short_throttle_is_sat_out_and_a_long_one_handed_on() {
    let server = MockServer::start().await;
    let throttle = refusal(429, "").insert_header("x-ratelimit-reset", "1");
    Mock::given(method("GET")).respond_with(throttle).up_to_n_times(1).mount(&server).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"id": ID})))
        .mount(&server)
        .await;
    let begun = Instant::now();
    assert!(client(&server).get_identity(ID, &[]).await.unwrap().is_some());
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let server = self::server(refusal(429, "").insert_header("Retry-After", "60")).await;
    let begun = Instant::now();
    let error = client(&server).get_identity(ID, &[]).await.unwrap_err();
    assert_eq!(error.class(), Class::Throttled { retry_after: Duration::from_mins(1) });
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(requests(&server).await, 1);
}

#[tokio::test]
async fn a_server_that_takes_too_long_is_asked_once_and_may_have_done_it() {
    let server = server(ResponseTemplate::new(201).set_delay(Duration::from_secs(30))).await;
    let config = ClientConfig { request_timeout: Duration::from_millis(200), ..config(&server) };
    let client = Client::new(config).unwrap().on_behalf_of(&somebody());
    let create = client.create_identity(&CreateIdentity::default()).await.unwrap_err();
    let get = client.get_identity(ID, &[]).await.unwrap_err();
    for error in [create, get] {
        assert!(error.outcome_unknown() && error.instance_unavailable());
        assert_eq!((error.class(), error.status()), (Class::Transient, None));
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_once_and_nothing_was_sent() {
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
    };
    let client = Client::new(ClientConfig::new(url)).unwrap().on_behalf_of(&somebody());
    let error = client.create_identity(&CreateIdentity::default()).await.unwrap_err();
    assert!(error.instance_unavailable() && !error.outcome_unknown());
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_only_where_that_is_harmless() {
    for answer in [b"".as_slice(), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":"] {
        let (client, connections) = hanging_up(answer).await;
        let error = client.create_identity(&CreateIdentity::default()).await.unwrap_err();
        assert!(error.outcome_unknown() && !error.instance_unavailable());
        assert_eq!(error.class(), Class::Transient);
        assert_eq!(connections.load(Ordering::SeqCst), 1);
        client.get_identity(ID, &[]).await.unwrap_err();
        assert_eq!(connections.load(Ordering::SeqCst), 4);
    }
}

#[tokio::test]
async fn a_server_that_is_no_kratos_never_passes_for_one_without_identities() {
    for answer in [
        ResponseTemplate::new(200).set_body_string("<html>welcome</html>"),
        ResponseTemplate::new(200),
        ResponseTemplate::new(404).set_body_string("404 page not found"),
        ResponseTemplate::new(404).set_body_json(json!({"message": "no such route"})),
    ] {
        let server = server(answer).await;
        let client = client(&server);
        assert!(client.get_identity(ID, &[]).await.unwrap_err().instance_unavailable());
        assert!(list(&client, IdentityFilter::default()).await.unwrap_err().instance_unavailable());
    }
    let server = server(ResponseTemplate::new(404).set_body_string("404 page not found")).await;
    assert!(client(&server).delete_identity(ID).await.unwrap_err().instance_unavailable());
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let server = server(ResponseTemplate::new(200).set_body_bytes(vec![b' '; 65 * 1024 * 1024])).await;
    let error = client(&server).get_identity(ID, &[]).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Rejected, Some(200)));
}

#[tokio::test]
async fn no_more_requests_are_sent_than_the_limit_allows() {
    let server = server(ResponseTemplate::new(204)).await;
    let limit = RateLimit { requests_per_second: 20.try_into().unwrap(), burst: 2.try_into().unwrap() };
    let client = Client::new(ClientConfig { rate_limit: Some(limit), ..config(&server) }).unwrap();
    let client = client.on_behalf_of(&somebody());
    let begun = Instant::now();
    for _ in 0..6 {
        client.clone().delete_identity(ID).await.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(190), "two at once, then four at 50 ms each");
}

#[tokio::test]
async fn a_server_without_tls_is_told_so() {
    let server = server(ResponseTemplate::new(200)).await;
    let url = server.uri().replace("http:", "https:").parse().unwrap();
    let error = Client::new(ClientConfig::new(url)).unwrap().get_identity(ID, &[]).await.unwrap_err();
    assert!(error.instance_unavailable() && !error.outcome_unknown());
    assert!(error.to_string().contains("doesn't speak TLS"), "{error}");
}

#[test]
fn unusable_configurations_are_refused() {
    let good = || ClientConfig::new("http://localhost:4434".parse().unwrap());
    for url in ["ftp://localhost", "http://user:word@localhost", "http://localhost/?a=b", "http://localhost/#a"] {
        let config = ClientConfig { admin_url: url.parse().unwrap(), ..good() };
        assert_eq!(Client::new(config).unwrap_err(), ConfigError::Url { which: "adminURL" });
    }
    let config = ClientConfig { public_url: Some("unix:/socket".parse().unwrap()), ..good() };
    assert_eq!(Client::new(config).unwrap_err(), ConfigError::Url { which: "publicURL" });
    for token in ["", " \n", "two\nlines", "control\u{1}"] {
        let token = Some(super::super::BearerToken { prefix: None, token: token.to_owned().into() });
        assert_eq!(Client::new(ClientConfig { token, ..good() }).unwrap_err(), ConfigError::Token);
    }
    for pem in ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let config = ClientConfig { ca_pem: Some(pem.into()), ..good() };
        assert_eq!(Client::new(config).unwrap_err(), ConfigError::Ca, "{pem}");
    }
    let config = ClientConfig { request_timeout: Duration::ZERO, ..good() };
    assert_eq!(Client::new(config).unwrap_err(), ConfigError::Timeout);
}

#[tokio::test]
async fn a_token_is_sent_with_its_prefix_and_without_white_space_around() {
    for (prefix, token, expected) in
        [(None, "abc\n", "Bearer abc"), (Some("Token"), " abc", "Token abc"), (Some(""), "abc", "abc")]
    {
        let server = server(ResponseTemplate::new(204)).await;
        let token = super::super::BearerToken { prefix: prefix.map(str::to_owned), token: token.to_owned().into() };
        let client =
            Client::new(ClientConfig { token: Some(token), ..config(&server) }).unwrap().on_behalf_of(&somebody());
        client.delete_identity(ID).await.unwrap();
        let seen = server.received_requests().await.unwrap();
        assert_eq!(seen[0].headers["authorization"], expected);
    }
}
