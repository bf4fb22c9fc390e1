//! Asks a process for its probes: for `kratos-operator probe`, in an image without any other tool. Needs no certificates and no
//! cluster.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The pause between two attempts, and the time-out of one.
const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// The address of a probe.
pub fn parse_url(text: &str) -> Result<Uri, &'static str> {
    let expected = "expected http://HOST:PORT/PATH, for example http://localhost:8081/readyz";
    let url: Uri = text.parse().map_err(|_| expected)?;
    if url.scheme_str() == Some("http") && url.host().is_some() { Ok(url) } else { Err(expected) }
}

/// Asks until the answer is 200, or `within` is over. Returns the answer; the error is one line, of the last attempt.
pub async fn until_ok(url: &Uri, within: Duration) -> Result<String, String> {
    let end = Instant::now() + within;
    loop {
        let tried = tokio::time::timeout(PATIENCE, ask(url)).await;
        let tried = tried.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        if tried.is_ok() || Instant::now() + PAUSE > end {
            return tried.map_err(|error| format!("{url}: {error}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(url: &Uri) -> Result<String, String> {
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(HttpConnector::new());
    let request = Request::get(url).body(Empty::new()).map_err(|error| error.to_string())?;
    let response = client.request(request).await.map_err(|error| innermost(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
    match status {
        StatusCode::OK => Ok(text),
        other => Err(format!("{other}: {}", text.lines().collect::<Vec<_>>().join("; "))),
    }
}

/// The innermost cause says most; the outer ones only say that there was an error.
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}
