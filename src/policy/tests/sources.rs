//! How sessions are read, from a server that reports a total (v1.3) and from one that doesn't (v26). Requests are counted at
//! the server.

use std::sync::Arc;

use futures::TryStreamExt;
use rstest::rstest;
use serde_json::json;
use uuid::Uuid;
use wiremock::matchers::{method, path, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::engine::policy::source::Source;
use crate::kratos::{Client, ClientConfig};
use crate::policy::desired::Needs;
use crate::policy::reachable::{Reachability, Reachable};

/// A server with `sessions` sessions, each of another identity, in pages of at most `largest`.
async fn server(sessions: usize, largest: usize, tells_the_total: bool) -> MockServer {
    let server = MockServer::start().await;
    let list = move |request: &Request| {
        let query = |wanted: &str| {
            let found = request.url.query_pairs().find(|(name, _)| name == wanted);
            found.and_then(|(_, value)| value.parse::<usize>().ok())
        };
        let start = query("page_token").unwrap_or_default();
        let end = sessions.min(start + query("page_size").unwrap_or(largest).min(largest));
        let items: Vec<_> = (start..end).map(|at| json!({"id": Uuid::from_u128(at as u128).to_string()})).collect();
        let mut answer = ResponseTemplate::new(200).set_body_json(items);
        if tells_the_total {
            answer = answer.insert_header("X-Total-Count", sessions.to_string());
        }
        if end < sessions {
            answer = answer.insert_header("Link", format!("</admin/sessions?page_token={end}>; rel=\"next\""));
        }
        answer
    };
    Mock::given(method("GET")).and(path("/admin/sessions")).respond_with(list).mount(&server).await;
    let own = ResponseTemplate::new(200).set_body_json(json!([]));
    let of_identity = path_regex("^/admin/identities/.+/sessions$");
    Mock::given(method("GET")).and(of_identity).respond_with(own).mount(&server).await;
    server
}

/// Requests for pages without identities, for pages with identities, and for single identities' sessions.
async fn requests(server: &MockServer) -> [usize; 3] {
    let mut requests = [0; 3];
    for request in server.received_requests().await.unwrap() {
        let is_expanded = request.url.query_pairs().any(|(name, _)| name == "expand");
        let is_of_one = request.url.path() != "/admin/sessions";
        requests[if is_of_one { 2 } else { usize::from(is_expanded) }] += 1;
    }
    requests
}

#[rstest]
#[case::the_server_says_few(12, 1000, true, 10, [1, 1, 0])]
#[case::the_server_says_many(5000, 1000, true, 10, [1, 0, 10])]
#[case::few_are_counted(12, 1000, false, 10, [2, 1, 0])]
#[case::none_are(0, 1000, false, 10, [2, 1, 0])]
#[case::as_many_as_make_pages_dear(60, 1000, false, 10, [2, 0, 10])]
#[case::one_less(59, 1000, false, 10, [2, 1, 0])]
#[case::many_are_counted_no_further_than_that(5000, 1000, false, 10, [2, 0, 10])]
#[case::in_pages_that_are_smaller_than_asked_for(1000, 250, false, 100, [4, 0, 100])]
#[case::and_all_of_them(500, 250, false, 100, [3, 2, 0])]
#[tokio::test]
async fn the_cheaper_way_is_taken(
    #[case] sessions: usize,
    #[case] largest: usize,
    #[case] tells_the_total: bool,
    #[case] identities: u128,
    #[case] expected: [usize; 3],
) {
    let server = server(sessions, largest, tells_the_total).await;
    let client = Client::new(ClientConfig::new(server.uri().parse().unwrap())).unwrap();
    let reach =
        Some(Arc::new(Reachable::new((1..=identities).map(|id| (Uuid::from_u128(id), Reachability::Admitted)))));
    let source = Source::new(Needs { identity: true, devices: false }, &reach);
    let found: Vec<_> = source.sessions(&client).await.unwrap().try_collect().await.unwrap();
    assert_eq!(requests(&server).await, expected);
    let count: usize = found.iter().map(Vec::len).sum();
    assert_eq!(count, if expected[2] == 0 { sessions } else { 0 });
}
