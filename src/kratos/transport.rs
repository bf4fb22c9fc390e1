//! Sends one request and reads its answer, or says why there is none. It may not retry, follow or interpret beyond that. It may
//! not pass on reqwest's errors, because those show URLs with their queries.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Response, StatusCode};
use url::Url;

use super::audit::{Entry, Write};
use super::error::Error;
use super::fault::{ErrorBody, Fault, retry_after};
use super::kind::Kind;
use crate::base::connect_failure::{self, ConnectFailure};

/// The largest answer that is read, in bytes. A page of 1000 identities is a few MiB.
pub(super) const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A request, ready to be sent any number of times.
pub(super) struct Call {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    /// JSON.
    pub(super) body: Option<Bytes>,
    /// The server.
    pub(super) to: To,
    /// The largest answer that is read, in bytes.
    pub(super) largest: usize,
    /// The writes that it makes; empty: it only reads.
    pub(super) writes: Vec<Write>,
}

/// The server, which decides what is sent along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The admin URL itself: gets the token, the headers, and our certificate.
    Admin,
    /// The same origin, after its own redirect: gets all but the token.
    OwnOrigin,
    /// Any other server: gets nothing.
    Elsewhere,
}

/// Our own proxy between us and a server, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyRoute {
    Direct,
    /// A proxy that passes bytes on: answers come from the server.
    Tunnel,
    /// A proxy that reads the request, and may answer itself.
    Forward,
}

impl ProxyRoute {
    /// The route to a URL.
    pub(super) fn to(url: &Url, proxy_url: Option<&Url>) -> Self {
        match proxy_url {
            None => Self::Direct,
            Some(proxy) if url.scheme() == "http" && proxy.scheme().starts_with("http") => Self::Forward,
            Some(_) => Self::Tunnel,
        }
    }
}

/// A 2xx answer, or a redirect.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// UTF-8.
    pub(super) body: Bytes,
    /// The open audit entries of the call's writes, in that order.
    pub(super) entries: Vec<Entry>,
}

impl Answer {
    /// Parses the body. An answer of another shape isn't Kratos'.
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

/// A body as text. Kratos returns bytes that aren't UTF-8 as somebody sent them. Their replacement isn't valid text in JSON
/// either. So exactly the value that contains them can't be read, instead of the whole body, and no other value takes their
/// place.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    /// Two surrogates, since a single one could pair with its neighbour.
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

/// Sends a call once, with these headers, through the proxy if there is one. Redirects are answers here; statuses other than
/// 2xx are errors.
pub(super) async fn send(
    http: &reqwest::Client,
    headers: Option<&HeaderMap>,
    by: (ProxyRoute, Option<&Url>),
    call: &Call,
) -> Result<Answer, Error> {
    let failed = |kind| Error::new(call.operation, kind);
    let mut request = Request::new(call.method.clone(), call.url.clone());
    if let Some(body) = &call.body {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(body.clone().into());
    }
    for (name, value) in headers.into_iter().flatten() {
        request.headers_mut().insert(name, value.clone());
    }
    let response = http.execute(request).await.map_err(|error| failed(kind_of(&error, by, &call.url)))?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = as_text(read(response, call, by).await.map_err(failed)?);
    if status.is_success() || status.is_redirection() {
        return Ok(Answer { status, headers, body, entries: Vec::new() });
    }
    Err(failed(refusal(status, &headers, &body, by.0)))
}

/// The error of an answer that isn't 2xx.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8], route: ProxyRoute) -> Kind {
    let error = ErrorBody::parse(body);
    if error.is_none() && status == StatusCode::BAD_REQUEST && wants_tls(body) {
        return Kind::WantsTls(status);
    }
    if error.is_none() && is_of_others(status, route) {
        return Kind::Before { status, by_proxy: route == ProxyRoute::Forward };
    }
    // Somebody else's 404 or 409 (a gateway's, a wrong URL's) must never pass for a missing or existing identity.
    if error.is_none() && matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT) {
        return Kind::Foreign(status);
    }
    Kind::Answer {
        status,
        fault: error.map_or(Fault::Other, |error| error.fault()),
        retry_after: retry_after(headers, SystemTime::now()),
    }
}

/// Whether an answer to plain HTTP says that the server expects TLS: Go's, nginx' and Apache's texts.
fn wants_tls(body: &[u8]) -> bool {
    const WORDS: [&str; 3] = [
        "client sent an http request to an https server",
        "the plain http request was sent to https port",
        "speaking plain http to an ssl-enabled server port",
    ];
    let said = text(&body[..body.len().min(4096)]).to_ascii_lowercase();
    WORDS.iter().any(|words| said.contains(words))
}

/// Whether an answer that isn't in Kratos' form comes from something before it.
fn is_of_others(status: StatusCode, route: ProxyRoute) -> bool {
    match status.as_u16() {
        401 | 403 | 407 => true,
        404 | 409 | 502 | 503 | 504 => route == ProxyRoute::Forward,
        _ => false,
    }
}

/// Reads a body, up to the call's limit.
async fn read(mut response: Response, call: &Call, by: (ProxyRoute, Option<&Url>)) -> Result<Bytes, Kind> {
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|error| kind_of(&error, by, &call.url))? {
        if body.len() + part.len() > call.largest {
            return Err(Kind::TooLarge(response.status()));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// Reduces reqwest's error to its kind. Only texts of the operating system and of rustls are kept, and host and port of the
/// server.
fn kind_of(error: &reqwest::Error, (route, proxy): (ProxyRoute, Option<&Url>), url: &Url) -> Kind {
    let connect_failure = connect_failure::connect_failure(error);
    let is_before_proxy = is_before_proxy(error, route);
    let whom = connect_failure::whom(proxy.filter(|_| is_before_proxy).unwrap_or(url));
    match &connect_failure {
        Some(connect_failure) if connect_failure.is_about_trust() && is_before_proxy => {
            return Kind::Proxy(format!("no trusted connection to it: {}", connect_failure.words(&whom)));
        }
        Some(connect_failure) if connect_failure.is_about_trust() => return Kind::Tls(connect_failure.words(&whom)),
        Some(connect_failure @ ConnectFailure::TlsRefused(_)) if is_before_proxy => {
            return Kind::Proxy(connect_failure.words(&whom));
        }
        Some(connect_failure @ ConnectFailure::TlsRefused(_)) => return Kind::TlsRefused(connect_failure.words(&whom)),
        Some(connect_failure @ ConnectFailure::NoTls) if is_before_proxy => {
            return Kind::Proxy(connect_failure.words(&whom));
        }
        Some(connect_failure @ ConnectFailure::NoTls) => return Kind::Connect(connect_failure.words(&whom)),
        Some(connect_failure @ ConnectFailure::NoHttp) if !error.is_connect() => {
            return Kind::NoHttp { detail: connect_failure.words(&whom), by_proxy: is_before_proxy };
        }
        _ => {}
    }
    if error.is_connect() {
        // For a tunnel the library says itself how far it came.
        let by_proxy = || said_of_proxy(error).unwrap_or_else(|| format!("no connection to {whom}: {UNTOLD}"));
        let known = connect_failure
            .filter(|_| route != ProxyRoute::Tunnel || is_before_proxy)
            .map(|connect_failure| connect_failure.words(&whom));
        match route {
            ProxyRoute::Direct => Kind::Connect(known.unwrap_or_else(|| ConnectFailure::Silent.words(&whom))),
            ProxyRoute::Tunnel | ProxyRoute::Forward => Kind::Proxy(known.unwrap_or_else(by_proxy)),
        }
    } else if error.is_timeout() {
        Kind::Timeout
    } else if error.is_builder() {
        Kind::Unsendable("the request can't be formed")
    } else {
        Kind::Interrupted
    }
}

/// For a SOCKS proxy the library doesn't say the reason.
const UNTOLD: &str = "no address, refused, or no answer in time";

/// The library's texts for a proxy that can't be reached for a tunnel.
const NO_CONNECTION_TO_PROXY: [&str; 2] =
    ["tunnel error: failed to create underlying connection", "SOCKS error: failed to create underlying connection"];

/// Whether the failure was on the way to the proxy.
fn is_before_proxy(error: &reqwest::Error, route: ProxyRoute) -> bool {
    route == ProxyRoute::Forward || (route == ProxyRoute::Tunnel && says(error, &NO_CONNECTION_TO_PROXY))
}

/// Why the proxy makes no connection, though it was reached. The library's error has no type, only these texts.
fn said_of_proxy(error: &reqwest::Error) -> Option<String> {
    const WORDS: [(&str, &str); 4] = [
        (
            "tunnel error: proxy authorization required",
            "it answers 407: it wants to know who asks, and the operator has no credentials for proxies",
        ),
        ("tunnel error: unsuccessful", "it refuses to connect to that host and port (403, 502 or the like)"),
        ("tunnel error: unexpected end of file", "it hung up"),
        ("SOCKS error: ", "it doesn't connect to that host and port"),
    ];
    let is_reached = !says(error, &NO_CONNECTION_TO_PROXY);
    let known = WORDS.iter().find(|(library, _)| is_reached && says(error, &[library]));
    known.map(|(_, words)| (*words).to_owned())
}

/// Whether an error or a cause of it begins with any of these texts.
fn says(error: &reqwest::Error, words: &[&str]) -> bool {
    let mut next = Some(error as &(dyn StdError + 'static));
    while let Some(error) = next {
        let said = error.to_string();
        if words.iter().any(|words| said.starts_with(words)) {
            return true;
        }
        next = error.source();
    }
    false
}
