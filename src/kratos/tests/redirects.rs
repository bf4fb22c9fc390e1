//! Redirects: followed only for schemas, and never with the token; with headers only within the admin URL's origin.

use serde_json::json;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::{Client, ClientConfig, PatchOperation};
use super::{ID, MARKER, client, config, requests};

fn redirect(to: &str) -> ResponseTemplate {
    ResponseTemplate::new(307).insert_header("Location", to)
}

/// The `Authorization` headers that a server has seen, in order.
async fn tokens(server: &MockServer) -> Vec<Option<String>> {
    let requests = server.received_requests().await.unwrap();
    let token = |request: &wiremock::Request| {
        request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned())
    };
    requests.iter().map(token).collect()
}

#[tokio::test]
async fn schemas_are_found_in_two_hops_and_only_the_admin_url_sees_the_token() {
    let (admin, public) = (MockServer::start().await, MockServer::start().await);
    Mock::given(path("/schemas")).respond_with(redirect("/admin/schemas")).mount(&admin).await;
    Mock::given(path("/admin/schemas"))
        .respond_with(redirect(&format!("{}/schemas?page=0", public.uri())))
        .mount(&admin)
        .await;
    let schemas = json!([{"id": "customer", "schema": {"type": "object"}}]);
    Mock::given(method("GET"))
        .and(path("/schemas"))
        .respond_with(ResponseTemplate::new(200).set_body_json(schemas))
        .mount(&public)
        .await;
    let listed = client(&admin).list_identity_schemas().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(tokens(&admin).await, [Some(format!("Bearer {MARKER}")), None]);
    assert_eq!(tokens(&public).await, [None]);
}

#[tokio::test]
async fn a_public_url_is_asked_directly_and_without_the_token() {
    let (admin, public) = (MockServer::start().await, MockServer::start().await);
    Mock::given(path("/base/schemas"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!(null)))
        .mount(&public)
        .await;
    // An id that can't be in a path is encoded as Kratos does it itself: in base64.
    Mock::given(path("/base/schemas/YS9i"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"type": "object"})))
        .mount(&public)
        .await;
    let public_url = format!("{}/base/", public.uri()).parse().unwrap();
    let client = Client::new(ClientConfig { public_url: Some(public_url), ..config(&admin) }).unwrap();
    assert!(client.list_identity_schemas().await.unwrap().is_empty());
    assert!(client.get_identity_schema("a/b").await.unwrap().is_some());
    assert_eq!(tokens(&public).await, [None, None]);
    assert_eq!(requests(&admin).await, 0);
}

#[tokio::test]
async fn more_schemas_than_fit_a_page_are_read_to_the_end() {
    let server = MockServer::start().await;
    for (page, items) in [("0", json!([{"id": "a", "schema": {}}])), ("1", json!([{"id": "b", "schema": {}}]))] {
        Mock::given(wiremock::matchers::query_param("page", page))
            .respond_with(ResponseTemplate::new(200).set_body_json(items).insert_header("X-Total-Count", "2"))
            .mount(&server)
            .await;
    }
    let listed = client(&server).list_identity_schemas().await.unwrap();
    assert_eq!(listed.iter().map(|container| &*container.id).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_redirect_that_leads_in_circles_or_nowhere_is_an_unavailable_instance() {
    for location in ["/schemas", "file:///etc/passwd", "::"] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(redirect(location)).mount(&server).await;
        let error = client(&server).list_identity_schemas().await.unwrap_err();
        assert!(error.instance_unavailable());
        assert!(requests(&server).await <= 5);
    }
}

#[tokio::test]
async fn no_other_operation_follows_a_redirect() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    Mock::given(any()).respond_with(redirect(&elsewhere.uri())).mount(&server).await;
    let client = client(&server);
    let patch = [PatchOperation::Remove { path: "/traits/x".into() }];
    for error in [
        client.get_identity(ID, &[]).await.unwrap_err(),
        client.delete_identity(ID).await.unwrap_err(),
        client.patch_identity(ID, &patch).await.unwrap_err(),
        client.get_session(ID, &[]).await.unwrap_err(),
        client.create_recovery_link_for_identity(ID, None, None).await.unwrap_err(),
    ] {
        assert_eq!(error.status(), Some(307));
        assert!(error.instance_unavailable() && !error.outcome_unknown());
    }
    assert_eq!(requests(&elsewhere).await, 0);
    assert_eq!(requests(&server).await, 5, "and none is repeated");
}

/// Which requests had the header, in order.
async fn had_header(server: &MockServer) -> Vec<bool> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|request| request.headers.contains_key("x-gateway")).collect()
}

fn with_header(config: ClientConfig) -> ClientConfig {
    let headers = [("x-gateway", MARKER)].map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    ClientConfig { headers: headers.into_iter().collect(), ..config }
}

#[tokio::test]
async fn headers_go_along_a_redirect_within_the_admin_urls_origin_and_no_further() {
    let (admin, elsewhere) = (MockServer::start().await, MockServer::start().await);
    Mock::given(path("/schemas")).respond_with(redirect("/within")).mount(&admin).await;
    Mock::given(path("/within")).respond_with(redirect(&format!("{}/out", elsewhere.uri()))).mount(&admin).await;
    Mock::given(path("/out")).respond_with(redirect(&format!("{}/back", admin.uri()))).mount(&elsewhere).await;
    let schemas = json!([{"id": "customer", "schema": {"type": "object"}}]);
    let answer = ResponseTemplate::new(200).set_body_json(schemas);
    Mock::given(path("/back")).respond_with(answer).mount(&admin).await;
    let client = Client::new(with_header(config(&admin))).unwrap();
    assert_eq!(client.list_identity_schemas().await.unwrap().len(), 1);
    assert_eq!(had_header(&admin).await, [true, true, false], "whoever was led elsewhere stays a stranger");
    assert_eq!(had_header(&elsewhere).await, [false]);
    assert_eq!(tokens(&admin).await, [Some(format!("Bearer {MARKER}")), None, None]);
}

#[tokio::test]
async fn a_public_url_gets_no_headers_even_of_the_same_origin() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(json!(null))).mount(&server).await;
    let public_url = Some(format!("{}/public", server.uri()).parse().unwrap());
    let client = Client::new(ClientConfig { public_url, ..with_header(config(&server)) }).unwrap();
    assert!(client.list_identity_schemas().await.unwrap().is_empty());
    let _ = client.get_identity(ID, &[]).await;
    assert_eq!(had_header(&server).await, [false, true]);
}
