//! Makes the client of the API server; nothing else in the operator may. A network that fails silently (a lost node, a firewall
//! that drops idle connections) must cost only seconds: every request has time-outs, and a watch whose connection seems dead
//! ends, so that it is resumed.
//!
//! | what | bound |
//! |---|---|
//! | connecting, with TLS | 10 s |
//! | until an answer begins, per try | 15 s |
//! | between two pieces of an answer | 15 s |
//! | a request in all, with kube's own retries | 30 s |
//! | a connection that acknowledges nothing | 25 s, by the kernel |
//! | a watch | [`heartbeat`], else 95 s without a byte |
//!
//! Through a proxy all of this holds too: the bounds for connecting cover the whole way, the kernel watches the connection to
//! the proxy, and the heartbeat goes through the proxy.

mod address;
mod heartbeat;
mod leader_only;
mod proxy;
mod response_body;
mod socket;

use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::rt::{Read, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::Config;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::retry::RetryLayer;
use tower::util::MapFutureLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, layer};

pub use self::address::host_and_port;
pub use self::heartbeat::ApiServer;
use self::heartbeat::{BEATS_WITHIN, Lost};
use self::leader_only::LeaderOnly;
pub use self::proxy::choose as choose_proxy;
use self::proxy::{ByProxy, Proxy, Scheme, Unusable};
use self::response_body::ResponseBody;
use self::socket::Socket;
use crate::base::flow::leadership::Leadership;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Requests;

/// For one address; several share it.
const TCP_CONNECTED: Duration = Duration::from_secs(5);
const CONNECTED: Duration = Duration::from_secs(10);
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(10);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TRIES: u32 = 3;
/// Unacknowledged bytes end the connection after this long.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(25);
/// A connection that was idle for longer isn't used again: it may be dead.
const IDLE: Duration = Duration::from_secs(15);
const ANSWER_BEGINS: Duration = Duration::from_secs(15);
const ANSWER_GOES_ON: Duration = Duration::from_secs(15);
const WHOLE_REQUEST: Duration = Duration::from_secs(30);
/// For where nothing else shows that a watch is dead. Bookmarks come once a minute, but a server without anything new skips
/// one: then an idle watch costs one more request, and nothing is listed.
const SILENT_WATCH: Duration = Duration::from_secs(95);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Proxy(#[from] Unusable),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// The client, which writes only while this process leads; whether the API server can be reached; and the heartbeat, which
/// finds that out and ends dead watches. Poll the heartbeat for as long as the client is used.
pub fn new(
    config: &Config,
    leadership: &Leadership,
    requests: &Requests,
    health: &Health,
) -> Result<(kube::Client, ApiServer, impl Future<Output = ()> + Send + use<>), Error> {
    let (lost, told) = heartbeat::channel();
    let client = build(config, config.default_retry, &told, leadership, requests)?;
    // Connections of its own: it must not wait for those that are dead. Any answer will do, so no retries.
    let heart = build(config, false, &told, leadership, requests)?;
    let (api_server, turns) = (ApiServer::default(), health.expect("heartbeat of the API server", BEATS_WITHIN));
    let server = (origin(&config.cluster_url), api_server.clone());
    Ok((client, api_server, heartbeat::keep_beating(heart, lost, leadership.clone(), server, turns)))
}

/// A client for the leader election: connections of its own, no retries, and requests whoever leads.
pub fn plain(config: &Config, requests: &Requests) -> Result<kube::Client, Error> {
    let (_, told) = heartbeat::channel();
    build(config, false, &told, &Leadership::without_election(), requests)
}

/// What a client is made of, without its connections.
struct Stack<'a> {
    config: &'a Config,
    retries: bool,
    lost: &'a Lost,
    leadership: &'a Leadership,
    requests: &'a Requests,
}

fn build(
    config: &Config,
    retries: bool,
    lost: &Lost,
    leadership: &Leadership,
    requests: &Requests,
) -> Result<kube::Client, Error> {
    let led_by = leadership.clone();
    let sockets = tcp().map_response(move |tcp: TokioIo<TcpStream>| {
        TokioIo::new(Socket { inner: tcp.into_inner(), leadership: led_by.clone() })
    });
    let stack = Stack { config, retries, lost, leadership, requests };
    let Some(proxy) = Proxy::of(config)? else { return stack.over(sockets) };
    let uri = proxy.uri.clone();
    match proxy.scheme {
        Scheme::Http => {
            let tunnel = with_authorization(Tunnel::new(uri, sockets), &proxy);
            stack.over(tunnel.map_err(told_of(&proxy)))
        }
        // The proxy is trusted and addressed with the API server's TLS settings, as kubectl does it.
        Scheme::Https => {
            let to_proxy = config.rustls_https_connector_with_connector(sockets)?;
            let tunnel = with_authorization(Tunnel::new(uri, to_proxy), &proxy);
            stack.over(tunnel.map_err(told_of(&proxy)))
        }
        Scheme::Socks => {
            let mut socks = SocksV5::new(uri, sockets);
            if let Some((user, password)) = proxy.login() {
                socks = socks.with_auth(user, password);
            }
            stack.over(socks.map_err(told_of(&proxy)))
        }
    }
}

fn with_authorization<C>(tunnel: Tunnel<C>, proxy: &Proxy) -> Tunnel<C> {
    match proxy.authorization() {
        Some(authorization) => tunnel.with_auth(authorization),
        None => tunnel,
    }
}

/// Marks an error as one of the way through the proxy.
fn told_of<E: Into<BoxError>>(proxy: &Proxy) -> impl FnOnce(E) -> ByProxy + Clone + use<E> {
    let proxy = proxy.to_string();
    move |error| ByProxy { proxy, source: error.into() }
}

impl Stack<'_> {
    /// kube's own stack, with our connector, our time-outs, and without its traces (they log addresses with their query).
    fn over<C>(self, connector: C) -> Result<kube::Client, Error>
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: Connection + Read + Write + Send + Unpin + 'static,
        C::Future: Send + 'static,
        C::Error: Into<BoxError>,
    {
        let Self { config, retries, lost, leadership, requests } = self;
        let connector = config.rustls_https_connector_with_connector(connector)?;
        let connector = connector.map_future(|connection| within(CONNECTED, "no connection", connection).boxed());
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build::<_, Body>(connector);
        let (lost, leadership, requests) = (lost.clone(), leadership.clone(), requests.clone());
        let service = ServiceBuilder::new()
            .layer(layer::layer_fn(move |inner| Bounded { inner, lost: lost.clone() }))
            .layer(config.base_uri_layer())
            .option_layer(retries.then(|| RetryLayer::new(RetryPolicy::server_retry())))
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .layer(layer::layer_fn(move |inner| Counted { inner, requests: requests.clone() }))
            .layer(MapFutureLayer::new(|answer| within(ANSWER_BEGINS, "no answer", answer)))
            // Nothing may come between this and the connection but the wait for a connection.
            .layer(layer::layer_fn(move |inner| LeaderOnly { inner, leadership: leadership.clone() }))
            .service(http);
        Ok(ClientBuilder::new(service, config.default_namespace.as_str()).build())
    }
}

/// Scheme, host and port, without anything else that a kubeconfig may have there.
fn origin(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), host_and_port(uri))
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(TCP_CONNECTED));
    tcp.set_keepalive(Some(KEEP_ALIVE_AFTER));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE_EVERY));
    tcp.set_keepalive_retries(Some(KEEP_ALIVE_TRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    tcp
}

async fn within<T, E: Into<BoxError>>(
    bound: Duration,
    missed: &str,
    result: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    match tokio::time::timeout(bound, result).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(format!("{missed} within {} seconds", bound.as_secs()).into()),
    }
}

/// Bounds a request with all its retries, and its answer.
#[derive(Clone)]
struct Bounded<S> {
    inner: S,
    lost: Lost,
}

impl<S, B> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body + Unpin,
{
    type Response = Response<ResponseBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let until = Instant::now() + WHOLE_REQUEST;
        let is_watch = is_watch(request.uri());
        let lost = self.lost.clone();
        let answer = tokio::time::timeout_at(until, self.inner.call(request));
        async move {
            let answer = answer.await.map_err(|_| "no answer, however often it was tried")??;
            let streams = is_watch && answer.status().is_success();
            Ok(answer.map(|body| {
                if streams {
                    ResponseBody::watch(body, &lost, SILENT_WATCH)
                } else {
                    ResponseBody::bounded(body, until, ANSWER_GOES_ON)
                }
            }))
        }
        .boxed()
    }
}

/// Counts each attempt.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (requests, method) = (self.requests.clone(), request.method().clone());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            requests.count(&method, answer.as_ref().ok().map(Response::status));
            answer
        }
        .boxed()
    }
}

fn is_watch(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).any(|(name, value)| name == "watch" && matches!(&*value, "true" | "1"))
}

#[cfg(test)]
mod tests;
