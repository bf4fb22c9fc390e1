//! What v25.4 and later answer differently from v1.3.1, and every form of pages.

use futures::TryStreamExt;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::{
    BatchItem, BatchOutcome, Class, CreateIdentity, CredentialImport, CredentialType, IDS_PER_REQUEST, IdentityFilter,
    OidcLink, Removal, SessionFilter, State,
};
use super::{ID, client, list, requests};

fn identity(id: &str) -> Value {
    json!({"id": id, "schema_id": "customer", "traits": {}, "state": "active"})
}

fn create() -> CreateIdentity {
    CreateIdentity {
        schema_id: "customer".into(),
        traits: json!({"email": "ada@example.com"}),
        external_id: Some("crm-1".into()),
        organization_id: Some(ID.into()),
        ..CreateIdentity::default()
    }
}

#[tokio::test]
async fn pages_are_smaller_than_asked_for_and_the_link_leads_on() {
    let server = MockServer::start().await;
    let page = |items: Value, link: &str| ResponseTemplate::new(200).set_body_json(items).insert_header("Link", link);
    let at = || Mock::given(method("GET")).and(path("/admin/identities")).and(query_param("page_size", "500"));
    at().and(query_param_is_missing("page_token"))
        .respond_with(page(
            json!([identity("1")]),
            "</admin/identities?page_size=1&page_token=first>; rel=\"first\",\
             <https://elsewhere.example.com/admin/identities?page_size=1&page_token=a%26b%3D>; rel=\"next\"",
        ))
        .mount(&server)
        .await;
    at().and(query_param("page_token", "a&b="))
        .respond_with(page(json!([]), "</admin/identities?page_token=c>; rel=next"))
        .mount(&server)
        .await;
    at().and(query_param("page_token", "c"))
        .respond_with(page(json!([identity("2")]), "</admin/identities?page_token=first>; rel=\"first\""))
        .mount(&server)
        .await;
    let pages: Vec<_> = client(&server).list_identities(IdentityFilter::default()).try_collect().await.unwrap();
    let sizes: Vec<_> = pages.iter().map(|page| page.items.len()).collect();
    assert_eq!(sizes, [1, 0, 1], "an empty page isn't the end");
    assert_eq!(requests(&server).await, 3);
}

#[tokio::test]
async fn a_page_that_leads_to_itself_is_an_error_and_not_read_for_ever() {
    let server = MockServer::start().await;
    let body = json!([{"id": ID}]);
    let answer = ResponseTemplate::new(200).set_body_json(body).insert_header("Link", "<?page_token=x>; rel=\"next\"");
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    let client = client(&server);
    assert!(list(&client, IdentityFilter::default()).await.is_err());
    let sessions: Result<Vec<_>, _> = client.list_sessions(SessionFilter::default()).try_collect().await;
    assert!(sessions.is_err());
    assert_eq!(requests(&server).await, 4);
}

#[tokio::test]
async fn every_part_of_a_filter_is_asked_for() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/admin/identities"))
        .and(query_param("organization_id", ID))
        .and(query_param("credentials_identifier", "ada+x@example.com"))
        .and(query_param("include_credential", "oidc"))
        .and(query_param("page_size", "7"))
        .and(query_param("consistency", "strong"))
        .and(query_param("ids", "1"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([identity("1")])))
        .mount(&server)
        .await;
    let filter = IdentityFilter {
        ids: Some(vec!["1".into()]),
        organization_id: Some(ID.into()),
        include_credential: vec![CredentialType::Oidc],
        page_size: Some(7),
        consistency: super::super::Consistency::Strong,
        ..IdentityFilter::by_identifier("ada+x@example.com")
    };
    assert_eq!(list(&client(&server), filter).await.unwrap().len(), 1);
}

#[tokio::test]
async fn many_ids_are_asked_for_in_parts_whose_urls_stay_below_8_kib() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_json(json!(null))).mount(&server).await;
    let client = client(&server);
    let filter = IdentityFilter::by_ids(vec![ID; 2 * IDS_PER_REQUEST + 1]);
    assert!(list(&client, filter).await.unwrap().is_empty());
    let asked = server.received_requests().await.unwrap();
    let counts: Vec<_> =
        asked.iter().map(|request| request.url.query_pairs().filter(|(name, _)| name == "ids").count()).collect();
    assert_eq!(counts, [IDS_PER_REQUEST, IDS_PER_REQUEST, 1]);
    assert!(asked.iter().all(|request| request.url.as_str().len() < 8 * 1024));
}

#[tokio::test]
async fn external_id_and_organization_are_sent_and_read_back() {
    let server = MockServer::start().await;
    let sent = json!({
        "schema_id": "customer",
        "traits": {"email": "ada@example.com"},
        "external_id": "crm-1",
        "organization_id": ID,
    });
    let mut answer = identity(ID);
    answer["external_id"] = json!("crm-1");
    answer["organization_id"] = json!(ID);
    answer["a_field_of_tomorrow"] = json!({"x": 1});
    answer["credentials"] = json!(null);
    answer["verifiable_addresses"] = json!(null);
    answer["created_at"] = json!("not a time");
    answer["updated_at"] = json!("0001-01-01T00:00:00Z");
    Mock::given(method("POST"))
        .and(path("/admin/identities"))
        .and(body_json(sent))
        .respond_with(ResponseTemplate::new(201).set_body_json(answer))
        .mount(&server)
        .await;
    let created = client(&server).create_identity(&create()).await.unwrap();
    assert_eq!(created.external_id.as_deref(), Some("crm-1"));
    assert_eq!(created.organization_id.as_deref(), Some(ID));
    assert_eq!((created.created_at, created.updated_at), (None, None));
    assert_eq!(created.state, State::Active);
}

#[test]
fn states_are_read_as_kratos_means_them() {
    let state = |text: Value| {
        let identity: super::super::Identity = serde_json::from_value(json!({"id": ID, "state": text})).unwrap();
        identity.state
    };
    assert_eq!([state(json!("active")), state(json!(null))], [State::Active; 2]);
    assert_eq!([state(json!("inactive")), state(json!("asleep")), state(json!(""))], [State::Inactive; 3]);
}

#[tokio::test]
async fn items_of_a_batch_fail_alone_each_with_its_own_class() {
    let server = MockServer::start().await;
    let conflict = json!({"code": 409, "status": "Conflict", "reason": "exists", "message": "exists"});
    let traits = json!({"code": 400, "reason": "I[#/traits/age] S[#/x] must be >= 0", "message": "malformed"});
    let answer = json!({"identities": [
        {"action": "error", "patch_id": ID, "error": conflict},
        {"action": "create", "identity": "1", "patch_id": null},
        {"action": "error", "error": traits},
    ]});
    Mock::given(method("PATCH"))
        .and(path("/admin/identities"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&server)
        .await;
    let items = vec![BatchItem { create: create(), patch_id: None }; 3];
    let answers = client(&server).batch_patch_identities(&items).await.unwrap();
    let class = |index: usize| match &answers[index].outcome {
        BatchOutcome::Created { .. } => None,
        BatchOutcome::Failed(error) => Some(error.class()),
    };
    assert_eq!([class(0), class(1), class(2)], [Some(Class::Conflict), None, Some(Class::Rejected)]);
    assert_eq!(answers[0].patch_id.as_deref(), Some(ID));
    let BatchOutcome::Failed(error) = &answers[2].outcome else { panic!() };
    assert!(error.is_traits_rejected());
}

#[tokio::test]
async fn a_batch_answer_that_does_not_fit_the_items_may_have_been_carried_out() {
    for answer in [
        json!({"identities": []}),
        json!({"identities": [{"action": "create"}]}),
        json!({"identities": [{"action": "update", "identity": "1"}]}),
        json!({"identities": [null]}),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("PATCH"))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&server)
            .await;
        let items = [BatchItem { create: create(), patch_id: None }];
        let error = client(&server).batch_patch_identities(&items).await.unwrap_err();
        assert!(error.outcome_unknown());
        assert_eq!(requests(&server).await, 1);
    }
}

#[tokio::test]
async fn first_factors_can_be_deleted_and_an_identifier_is_escaped() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE"))
        .and(path(format!("/admin/identities/{ID}/credentials/password")))
        .respond_with(ResponseTemplate::new(204))
        .mount(&server)
        .await;
    Mock::given(method("DELETE"))
        .and(path(format!("/admin/identities/{ID}/credentials/saml")))
        .and(query_param("identifier", "corp:a&b=c d"))
        .respond_with(ResponseTemplate::new(204))
        .mount(&server)
        .await;
    let client = client(&server);
    let delete = async |kind, identifier| client.delete_identity_credentials(ID, kind, identifier).await.unwrap();
    assert_eq!(delete(CredentialType::Password, None).await, Removal::Removed);
    assert_eq!(delete(CredentialType::Saml, Some("corp:a&b=c d")).await, Removal::Removed);
}

#[tokio::test]
async fn an_extended_session_may_come_without_a_body() {
    let server = MockServer::start().await;
    Mock::given(method("PATCH"))
        .and(path(format!("/admin/sessions/{ID}/extend")))
        .respond_with(ResponseTemplate::new(204))
        .mount(&server)
        .await;
    assert_eq!(client(&server).extend_session(ID).await.unwrap(), None);
}

#[tokio::test]
async fn sessions_of_one_identity_are_counted_through_their_pages() {
    let server = MockServer::start().await;
    let session = |id: &str| json!({"id": id, "active": true, "devices": null, "authentication_methods": null});
    for (page, items) in [("1", json!([session("a"), session("b")])), ("2", json!([session("b"), session("c")]))] {
        Mock::given(method("GET"))
            .and(path(format!("/admin/identities/{ID}/sessions")))
            .and(query_param("page", page))
            .respond_with(ResponseTemplate::new(200).set_body_json(items).insert_header("X-Total-Count", "3"))
            .mount(&server)
            .await;
    }
    let sessions = client(&server).list_identity_sessions(ID, Some(true)).await.unwrap();
    assert_eq!(sessions.iter().map(|session| &*session.id).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(requests(&server).await, 2);
}

#[tokio::test]
async fn an_identity_is_read_by_its_external_id() {
    let server = MockServer::start().await;
    let at = path("/admin/identities/by/external/crm%204711");
    let found = ResponseTemplate::new(200).set_body_json(identity(ID));
    Mock::given(method("GET")).and(at).respond_with(found).mount(&server).await;
    let client = client(&server);
    let found = client.get_identity_by_external_id("crm 4711").await.unwrap();
    assert_eq!(found.map(|identity| identity.id).as_deref(), Some(ID));
    assert!(client.get_identity_by_external_id("crm/4711").await.is_err(), "it would be another path");
}

#[test]
fn what_the_first_login_links_goes_beside_other_links() {
    let link = |subject: &str| OidcLink { provider: "google".into(), subject: subject.into() };
    let import =
        CredentialImport { oidc: vec![link("g1")], auto_links: vec![link("nobody")], ..CredentialImport::default() };
    let expected = json!({"oidc": {"config": {"providers": [
        {"provider": "google", "subject": "g1"},
        {"provider": "google", "subject": "nobody", "use_auto_link": true},
    ]}}});
    assert_eq!(serde_json::to_value(import).unwrap(), expected);
}
