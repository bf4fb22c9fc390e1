//! Sends one request and takes its answer, or says why there is none. It may not repeat, follow or interpret
//! beyond that, and lets nothing of reqwest's errors out, since those show URLs with their queries.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode};
use url::Url;

use super::audit::{Entry, Write};
use super::error::{Error, Kind};
use super::fault::{ErrorBody, Fault, retry_after};

/// The largest answer that is read, in bytes. A page of 1000 identities is a few MiB.
pub(super) const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A request, ready to be sent any number of times.
pub(super) struct Call {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    /// JSON.
    pub(super) body: Option<Bytes>,
    /// The `Authorization` header, if this server may have it.
    pub(super) authorization: Option<HeaderValue>,
    /// The largest answer that is read, in bytes.
    pub(super) largest: usize,
    /// What it writes; empty: it only reads.
    pub(super) writes: Vec<Write>,
}

/// A 2xx answer, or a redirect.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// UTF-8.
    pub(super) body: Bytes,
    /// What it answers, of what the call writes, in that order.
    pub(super) entries: Vec<Entry>,
}

impl Answer {
    /// Reads the body. What isn't of the expected shape isn't Kratos'.
    pub(super) fn json<'a, T: serde::Deserialize<'a>>(&'a self, operation: &'static str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|_| Error::new(operation, Kind::Foreign(self.status)))
    }
}

fn as_text(body: Bytes) -> Bytes {
    match text(&body) {
        Cow::Borrowed(_) => body,
        Cow::Owned(text) => Bytes::from(text),
    }
}

/// A body as text. Kratos hands out bytes that aren't UTF-8 as somebody sent them. What stands for them is no valid text in
/// JSON either, so that exactly what they are in can't be read, instead of the body or something else in their place.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    /// Two, since one alone could make a pair with what is beside it.
    const UNREADABLE: &str = "\\ud800\\ud800";
    if let Ok(text) = std::str::from_utf8(body) {
        return Cow::Borrowed(text);
    }
    let chunks = body.utf8_chunks();
    Cow::Owned(chunks.fold(String::with_capacity(body.len() + 64), |mut text, chunk| {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push_str(UNREADABLE);
        }
        text
    }))
}

/// Sends a call once. Redirects are answers here; other statuses than 2xx are errors.
pub(super) async fn send(http: &reqwest::Client, call: &Call) -> Result<Answer, Error> {
    let failed = |kind| Error::new(call.operation, kind);
    let mut request = Request::new(call.method.clone(), call.url.clone());
    if let Some(body) = &call.body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.clone().into());
    }
    if let Some(authorization) = &call.authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    let response = http.execute(request).await.map_err(|error| failed(kind_of(&error)))?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = as_text(read(response, call.largest).await.map_err(failed)?);
    if status.is_success() || status.is_redirection() {
        return Ok(Answer { status, headers, body, entries: Vec::new() });
    }
    Err(failed(refusal(status, &headers, &body)))
}

/// An answer that isn't 2xx.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Kind {
    let error = ErrorBody::parse(body);
    // A stranger's 404 or 409 (a gateway's, a wrong URL's) must never pass for a missing or existing identity.
    if error.is_none() && matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT) {
        return Kind::Foreign(status);
    }
    Kind::Answer {
        status,
        fault: error.map_or(Fault::Other, |error| error.fault()),
        retry_after: retry_after(headers, SystemTime::now()),
    }
}

/// Reads a body that is no larger than this.
async fn read(mut response: Response, largest: usize) -> Result<Bytes, Kind> {
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|error| kind_of(&error))? {
        if body.len() + part.len() > largest {
            return Err(Kind::TooLarge(response.status()));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// Reduces reqwest's error to its kind. Only texts of the operating system's and of rustls' are kept.
fn kind_of(error: &reqwest::Error) -> Kind {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return Kind::Tls(tls.to_string());
    }
    if error.is_connect() {
        let detail = cause::<io::Error>(error).map(|io| io.kind().to_string());
        Kind::Connect(detail.unwrap_or_else(|| "no address, or no answer in time".to_owned()))
    } else if error.is_timeout() {
        Kind::Timeout
    } else if error.is_builder() {
        Kind::Unsendable("the request can't be formed")
    } else {
        Kind::Interrupted
    }
}

/// The deepest cause of a type.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    // An I/O error's source skips the very error that it wraps.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).and_then(|wrapped| cause(wrapped));
    let deeper = || error.source().and_then(|source| cause(source));
    wrapped.or_else(deeper).or_else(|| error.downcast_ref())
}
