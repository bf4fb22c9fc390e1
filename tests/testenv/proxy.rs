//! A reverse proxy for tests, before Kratos or the kube-apiserver: it counts requests and injects faults. It may not change
//! what it forwards, nor invent an answer that no test asked for: where the upstream can't be reached, it closes the client's
//! connection without an answer.
//!
//! It runs on threads of its own, so that a test may block, and so that one proxy can serve many tests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use super::Result;
use super::faults::{Answer, Case, Fault, Rules};
use super::labels::{self, Api};
use super::ports::Port;
pub use super::upstream::Upstream;
use super::upstream::{client, passed_on};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, Error>;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    pub at: Instant,
    /// Method and path without values, see [`Api::label`].
    pub label: String,
    /// The exact path, without the query.
    pub path: String,
    /// The query's parameter names, as often as they occur.
    pub parameters: Vec<String>,
    /// The names of its headers.
    pub headers: Vec<String>,
    /// The status of the upstream's answer (or of the proxy's own), once there was one: also where the client never got it.
    pub status: Option<u16>,
}

/// Listens to requests and answers. It may not change anything.
pub trait Listener: Send + Sync {
    /// A request's label and body, before it is forwarded.
    fn asked(&self, label: &str, body: &[u8]);
    /// Whether [`Self::answered`] is called for a request.
    fn wants_answer(&self, label: &str) -> bool;
    /// An answer's body, before the client gets it.
    fn answered(&self, label: &str, body: &[u8]);
}

struct Entry {
    seen: RecordedRequest,
    status: OnceLock<u16>,
}

struct Shared {
    upstream: Upstream,
    client: reqwest::Client,
    rules: Rules,
    /// The headers that a request needs to be forwarded.
    wanted: Mutex<Vec<(HeaderName, String)>>,
    entries: Mutex<Vec<Arc<Entry>>>,
    listener: OnceLock<Arc<dyn Listener>>,
}

/// See the module.
pub struct Proxy {
    port: Port,
    shared: Arc<Shared>,
    /// Ends the listener and every connection; `None` while down.
    listening: Mutex<Option<CancellationToken>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Proxy {
    /// A proxy before a Kratos port (`http://127.0.0.1:PORT`).
    pub fn before_kratos(url: &str) -> Result<Self> {
        Self::start(Upstream { url: url.trim_end_matches('/').to_owned(), api: Api::Kratos, ca: None, token: None })
    }

    pub fn start(upstream: Upstream) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("proxy").enable_all().build()?;
        let client = client(upstream.ca.as_deref())?;
        let proxy = Self {
            port: Port::reserve()?,
            shared: Arc::new(Shared {
                upstream,
                client,
                rules: Rules::default(),
                wanted: Mutex::default(),
                entries: Mutex::default(),
                listener: OnceLock::new(),
            }),
            listening: Mutex::default(),
            runtime: Some(runtime),
        };
        proxy.up()?;
        Ok(proxy)
    }

    /// `http://127.0.0.1:PORT`, the same for as long as this proxy lives.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// From now on connections are refused, and open ones are closed. Not counted, since nothing arrives; to count attempts,
    /// use `on("*").refuse()`.
    pub fn down(&self) {
        if let Some(listening) = lock(&self.listening).take() {
            listening.cancel();
        }
    }

    /// Undoes `down`.
    pub fn up(&self) -> Result<()> {
        let mut listening = lock(&self.listening);
        if listening.is_some() {
            return Ok(());
        }
        let Some(runtime) = &self.runtime else {
            return Ok(());
        };
        let _within = runtime.enter();
        // The former listener may still be closing.
        let deadline = Instant::now() + Duration::from_secs(5);
        let listener = loop {
            match self.port.listen() {
                Ok(listener) => break listener,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => std::thread::yield_now(),
            }
        };
        let token = CancellationToken::new();
        let (shared, stop) = (Arc::clone(&self.shared), token.clone());
        runtime.spawn(async move {
            while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                tokio::spawn(async move { serve(shared, stream, stop).await });
            }
        });
        *listening = Some(token);
        Ok(())
    }

    /// Selects the requests that match a pattern (see [`labels::matches`]: a label, or a beginning and `*`), to give them a
    /// fault.
    pub fn on(&self, pattern: &str) -> Case {
        self.shared.rules.on(pattern)
    }

    /// Selects the requests for which the predicate holds; it gets the label and the exact path.
    pub fn on_where(&self, applies: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Case {
        self.shared.rules.on_where(move |label, path, _| applies(label, path))
    }

    /// Selects the requests that match the pattern and whose query has this parameter.
    pub fn on_with(&self, pattern: &str, parameter: &str) -> Case {
        self.on_query(pattern, parameter, true)
    }

    /// Selects the requests that match the pattern and whose query lacks this parameter.
    pub fn on_without(&self, pattern: &str, parameter: &str) -> Case {
        self.on_query(pattern, parameter, false)
    }

    fn on_query(&self, pattern: &str, parameter: &str, has: bool) -> Case {
        let (pattern, parameter, rules) = (pattern.to_owned(), parameter.to_owned(), &self.shared.rules);
        rules.on_where(move |label, _, query| labels::matches(&pattern, label) && query.contains(&parameter) == has)
    }

    /// From now on it acts as a gateway: it answers 403, not in Kratos' form, to requests without these headers.
    pub fn wants(&self, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), (*value).to_owned()));
        *lock(&self.shared.wanted) = headers.collect();
    }

    /// Ends all faults; held requests go on.
    pub fn clear_faults(&self) {
        self.shared.rules.clear();
    }

    /// How many requests that match the pattern have arrived since the last reset.
    pub fn count(&self, pattern: &str) -> usize {
        lock(&self.shared.entries).iter().filter(|entry| labels::matches(pattern, &entry.seen.label)).count()
    }

    /// Every request since the last reset, in the order of arrival.
    pub fn seen(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.entries)
            .iter()
            .map(|entry| RecordedRequest { status: entry.status.get().copied(), ..entry.seen.clone() })
            .collect()
    }

    /// How many requests of each label.
    pub fn counts(&self) -> std::collections::BTreeMap<String, usize> {
        let mut counts = std::collections::BTreeMap::new();
        for entry in lock(&self.shared.entries).iter() {
            *counts.entry(entry.seen.label.clone()).or_default() += 1;
        }
        counts
    }

    /// Sets the listener; a second one is ignored.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        let _ = self.shared.listener.set(listener);
    }

    /// Forgets the counts. Faults stay.
    pub fn reset(&self) {
        lock(&self.shared.entries).clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.down();
        // A runtime that is dropped within another one panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: tokio::net::TcpStream, stop: CancellationToken) {
    // Small answers must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| handle(Arc::clone(&shared), request));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // On an error the client has disconnected, or a fault closes the connection: both are expected.
    let _ = stop.run_until_cancelled(connection).await;
}

/// An error here closes the connection without an answer.
async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Error> {
    let entry = shared.note(&request);
    if !shared.admits(request.headers()) {
        let _ = entry.status.set(403);
        return give(Answer { body: "<html>Not you</html>".into(), ..Answer::status(403) });
    }
    let fault = shared.rules.take(&entry.seen.label, &entry.seen.path, &entry.seen.parameters);
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, body.collect().await?.to_bytes());
    if let Some(listener) = shared.listener.get() {
        listener.asked(&entry.seen.label, request.body());
    }
    match fault {
        None => shared.forward(request, &entry).await,
        Some(Fault::Delay(by)) => {
            tokio::time::sleep(by).await;
            shared.forward(request, &entry).await
        }
        Some(Fault::HoldRequest(until)) => {
            until.pass().await;
            shared.forward(request, &entry).await
        }
        Some(Fault::CarryOutLate(until)) => {
            let late = async move {
                until.pass().await;
                forward_whole(shared, request, entry).await
            };
            tokio::spawn(late).await?
        }
        Some(Fault::Refuse) => Err("refused, as the test asked for".into()),
        Some(Fault::Answer(answer)) => {
            let _ = entry.status.set(answer.status);
            give(answer)
        }
        Some(Fault::LoseAnswer) => {
            forward_whole(shared, request, entry).await?;
            Err("the answer was lost, as the test asked for".into())
        }
        Some(Fault::HoldAnswer(until)) => {
            let answer = forward_whole(shared, request, entry).await?;
            until.pass().await;
            Ok(answer)
        }
    }
}

/// Forwards and reads the whole answer, even if the client disconnects meanwhile.
async fn forward_whole(
    shared: Arc<Shared>,
    request: Request<Bytes>,
    entry: Arc<Entry>,
) -> Result<Response<Body>, Error> {
    tokio::spawn(async move {
        let (head, body) = shared.forward(request, &entry).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(head, whole(body)))
    })
    .await?
}

impl Shared {
    fn note(&self, request: &Request<Incoming>) -> Arc<Entry> {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let entry = Arc::new(Entry {
            seen: RecordedRequest {
                at: Instant::now(),
                label: self.upstream.api.label(request.method().as_str(), path, query),
                path: path.to_owned(),
                parameters: labels::parameter_names(query),
                headers: request.headers().keys().map(ToString::to_string).collect(),
                status: None,
            },
            status: OnceLock::new(),
        });
        lock(&self.entries).push(Arc::clone(&entry));
        entry
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let wanted = lock(&self.wanted);
        wanted.iter().all(|(name, value)| headers.get(name).is_some_and(|found| found.as_bytes() == value.as_bytes()))
    }

    /// Forwards a request; the answer's body streams.
    async fn forward(&self, request: Request<Bytes>, entry: &Entry) -> Result<Response<Body>, Error> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = passed_on(head.headers);
        if let Some(token) = &self.upstream.token
            && !headers.contains_key(header::AUTHORIZATION)
        {
            let value = HeaderValue::try_from(format!("Bearer {token}"))?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut request = self.client.request(head.method, format!("{}{target}", self.upstream.url)).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let answer: Response<reqwest::Body> = request.send().await?.into();
        let (mut head, body) = answer.into_parts();
        let _ = entry.status.set(head.status.as_u16());
        head.headers = passed_on(head.headers);
        head.version = http::Version::HTTP_11;
        if let Some(listener) = self.listener.get().filter(|listener| listener.wants_answer(&entry.seen.label)) {
            let body = body.collect().await?.to_bytes();
            listener.answered(&entry.seen.label, &body);
            return Ok(Response::from_parts(head, whole(body)));
        }
        Ok(Response::from_parts(head, body.map_err(Into::into).boxed()))
    }
}

fn give(answer: Answer) -> Result<Response<Body>, Error> {
    let mut response = Response::new(whole(answer.body.into()));
    *response.status_mut() = StatusCode::from_u16(answer.status)?;
    for (name, value) in answer.headers {
        response.headers_mut().append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok(response)
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
