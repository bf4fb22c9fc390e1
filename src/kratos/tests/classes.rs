//! Tables: what follows from each answer and failure.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::super::error::{Class, Error};
use super::super::fault::retry_after;
use super::super::kind::Kind;
use super::super::retry::is_repeatable;
use super::super::transport::{ProxyRoute, refusal};

fn answer(status: u16, body: &str) -> Error {
    let status = StatusCode::from_u16(status).unwrap();
    Error::new("an_operation", refusal(status, &HeaderMap::new(), body.as_bytes(), ProxyRoute::Direct))
}

/// Kratos' error answer with this reason and message.
fn kratos(status: u16, reason: &str, message: &str) -> Error {
    answer(status, &json!({"error": {"code": status, "reason": reason, "message": message}}).to_string())
}

const MALFORMED: &str = "The request was malformed or contained invalid parameters";

#[test]
fn each_status_has_its_class() {
    let throttled = Class::Throttled { retry_after: Duration::from_secs(5) };
    for (status, class, unavailable, unknown) in [
        (400, Class::Rejected, false, false),
        (401, Class::Transient, true, false),
        (403, Class::Transient, true, false),
        (404, Class::NotFound, false, false),
        (405, Class::Rejected, false, false),
        (408, Class::Transient, false, true),
        (409, Class::Conflict, false, false),
        (413, Class::Rejected, false, false),
        (422, Class::Rejected, false, false),
        (429, throttled, false, false),
        (499, Class::Transient, false, true),
        (500, Class::Transient, false, true),
        (501, Class::Transient, false, true),
        (502, Class::Transient, true, true),
        (503, Class::Transient, true, true),
        (504, Class::Transient, true, true),
    ] {
        let error = kratos(status, "", "");
        assert_eq!(error.class(), class, "{status}");
        assert_eq!(error.instance_unavailable(), unavailable, "{status}");
        assert_eq!(error.outcome_unknown(), unknown, "{status}");
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.is_unauthorized(), matches!(status, 401 | 403));
    }
}

#[test]
fn a_strangers_404_or_409_says_nothing_about_an_identity() {
    for body in ["404 page not found", "", "<html>", "{}", r#"{"error":"not found"}"#, r#"{"error":{}}"#] {
        for status in [404, 409] {
            let error = answer(status, body);
            assert_eq!(error.class(), Class::Transient, "{body}");
            assert!(error.instance_unavailable());
            assert!(!error.outcome_unknown());
        }
    }
    let plain = answer(400, "Client sent an HTTP request to an HTTPS server.\n");
    assert_eq!((plain.class(), plain.instance_unavailable()), (Class::Transient, true));
    assert!(plain.to_string().contains("make the URL https"), "{plain}");
    assert_eq!(answer(400, "<html>").class(), Class::Rejected);
    assert_eq!(answer(413, "<html>").class(), Class::Rejected);
    assert!(answer(502, "<html>").instance_unavailable());
}

#[test]
fn each_failure_without_an_answer_has_its_class() {
    let foreign = |status| Kind::Foreign(status);
    for (kind, class, unavailable, unknown) in [
        (Kind::Unsendable("why"), Class::Rejected, false, false),
        (Kind::KeptBack, Class::Transient, true, false),
        (Kind::NotLeading, Class::Transient, false, true),
        (Kind::Connect("refused".into()), Class::Transient, true, false),
        (Kind::Tls("expired".into()), Class::Transient, true, false),
        (Kind::Timeout, Class::Transient, true, true),
        (Kind::Interrupted, Class::Transient, false, true),
        (Kind::NoHttp { detail: "noise".into(), by_proxy: false }, Class::Transient, false, true),
        (Kind::NoHttp { detail: "noise".into(), by_proxy: true }, Class::Transient, false, true),
        (Kind::WantsTls(StatusCode::BAD_REQUEST), Class::Transient, true, false),
        (foreign(StatusCode::OK), Class::Transient, true, true),
        (foreign(StatusCode::NOT_FOUND), Class::Transient, true, false),
        (Kind::TooLarge(StatusCode::OK), Class::Rejected, false, true),
        (Kind::Redirected(StatusCode::FOUND), Class::Transient, true, false),
    ] {
        let error = Error::new("an_operation", kind);
        assert_eq!(error.class(), class, "{error}");
        assert_eq!(error.instance_unavailable(), unavailable, "{error}");
        assert_eq!(error.outcome_unknown(), unknown, "{error}");
    }
}

#[test]
fn a_concurrent_update_is_transient_and_nothing_was_written() {
    let text = "Unable to serialize access due to a concurrent update in another session";
    let error = kratos(400, "", text);
    assert_eq!((error.class(), error.outcome_unknown()), (Class::Transient, false));
    assert!(!error.instance_unavailable());
}

#[test]
fn a_body_that_is_too_large_is_final_whatever_its_status() {
    for status in [400, 413, 500] {
        let error = kratos(status, "", "http: request body too large");
        assert_eq!((error.class(), error.outcome_unknown()), (Class::Rejected, false), "{status}");
    }
}

#[test]
fn kratos_texts_are_told_apart() {
    assert_eq!(kratos(400, "", "json: unknown field \"external_id\"").unknown_field(), Some("external_id"));
    let organization = kratos(400, "json: unknown field \"organization_id\"", MALFORMED);
    assert_eq!(organization.unknown_field(), Some("organization_id"));
    assert_eq!(kratos(400, "", "json: unknown field \"zzz\"").unknown_field(), Some("another field"));
    let traits = kratos(400, "I[#/traits/age] S[#/properties] must be >= 0 but found -1", MALFORMED);
    assert!(traits.is_traits_rejected());
    assert!(kratos(400, "Unable to find JSON Schema ID: x", MALFORMED).is_schema_unknown());
    assert!(kratos(404, "could not find identity", "Unable to locate the resource").is_identity_unknown());
    assert!(kratos(400, "The requested identity id does not exist.", MALFORMED).is_identity_unknown());
    let disabled = "This endpoint was disabled by system administrator. Please check your url.";
    assert!(kratos(404, disabled, "The requested resource could not be found").is_method_disabled());
    let hash = "The imported password does not match any known hash format. For more information";
    assert!(kratos(400, hash, MALFORMED).is_hash_rejected());
    for spelling in ["An error occured when applying the JSON patch", "An error occurred when applying the JSON patch"]
    {
        assert!(kratos(400, spelling, "missing value").is_patch_inapplicable());
    }
}

#[test]
fn a_trait_that_quotes_kratos_is_still_a_trait() {
    let quoted = "I[#/traits/a] S[#] \"Unable to serialize access due to a concurrent update\" is not valid";
    let error = kratos(400, quoted, MALFORMED);
    assert!(error.is_traits_rejected());
    assert_eq!(error.class(), Class::Rejected);
}

#[test]
fn the_message_names_operation_status_and_remedy() {
    for (error, expected) in [
        (kratos(409, "", ""), "an_operation: HTTP 409, a value of the identity exists already in another one"),
        (kratos(401, "", ""), "an_operation: HTTP 401, not authorized; check the instance's token"),
        (
            kratos(400, "", "json: unknown field \"external_id\""),
            "an_operation: HTTP 400, the server has no external ids; it must be v25.4 or later",
        ),
        (
            Error::new("an_operation", Kind::Connect("connection refused".into())),
            "an_operation: no connection to Kratos (connection refused); check the URL and that the server runs",
        ),
        (
            Error::new("an_operation", Kind::Redirected(StatusCode::TEMPORARY_REDIRECT)),
            "an_operation: HTTP 307, a redirect, which is not followed; the URL must be the admin API's own",
        ),
    ] {
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.operation(), "an_operation");
    }
}

#[test]
fn the_servers_wish_to_be_left_alone_is_understood_in_each_form() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let read = |pairs: &[(&'static str, &'static str)]| {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        retry_after(&headers, now).map(|time| time.as_secs())
    };
    assert_eq!(read(&[]), None);
    assert_eq!(read(&[("retry-after", "7")]), Some(7));
    assert_eq!(read(&[("retry-after", "0")]), Some(0));
    assert_eq!(read(&[("retry-after", "Fri, 15 Jan 2027 08:00:30 GMT")]), Some(30));
    assert_eq!(read(&[("retry-after", "Fri, 15 Jan 2027 07:00:00 GMT")]), Some(0), "in the past");
    assert_eq!(read(&[("retry-after", "soon")]), None);
    assert_eq!(read(&[("retry-after", "-1")]), None);
    assert_eq!(read(&[("x-ratelimit-reset", "9")]), Some(9));
    assert_eq!(read(&[("x-ratelimit-reset", "1800000012")]), Some(12), "a point in time");
    assert_eq!(read(&[("x-ratelimit-reset", "9"), ("retry-after", "7")]), Some(7));
    assert_eq!(read(&[("retry-after", "soon"), ("x-ratelimit-reset", "9")]), Some(9));
    assert_eq!(read(&[("retry-after", "99999999")]), Some(3600), "an hour at most");
}

#[test]
fn only_reads_and_deletions_are_repeated_and_only_where_it_helps() {
    let throttled = |seconds| {
        Error::new(
            "an_operation",
            Kind::Answer {
                status: StatusCode::TOO_MANY_REQUESTS,
                fault: super::super::fault::Fault::Other,
                retry_after: Some(Duration::from_secs(seconds)),
            },
        )
    };
    let interrupted = Error::new("an_operation", Kind::Interrupted);
    for method in [Method::GET, Method::DELETE] {
        assert!(is_repeatable(&method, &interrupted));
        assert!(is_repeatable(&method, &kratos(500, "", "")));
        assert!(is_repeatable(&method, &throttled(2)));
        assert!(!is_repeatable(&method, &throttled(3)));
        for status in [400, 401, 404, 409, 502, 503, 504] {
            assert!(!is_repeatable(&method, &kratos(status, "", "")), "{status}");
        }
        assert!(!is_repeatable(&method, &Error::new("an_operation", Kind::Connect(String::new()))));
        assert!(!is_repeatable(&method, &Error::new("an_operation", Kind::Timeout)));
    }
    for method in [Method::POST, Method::PUT, Method::PATCH] {
        for error in [&interrupted, &kratos(500, "", ""), &throttled(0)] {
            assert!(!is_repeatable(&method, error));
        }
    }
}
