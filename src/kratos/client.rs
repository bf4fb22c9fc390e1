//! The client: built once per instance, cloned freely, one method per operation of the API document (in the files
//! beside this one). It may not remember anything about identities.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Jitter, Quota, RateLimiter};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tracing::Instrument;
use tracing::field::Empty;
use url::Url;

use super::audit::{Auditor, Entry, Write};
use super::config::{ClientConfig, ConfigError, shown};
use super::connections::{Connections, check_url};
use super::error::Class;
use super::error::Error;
use super::kind::Kind;
use super::retry::repeat;
use super::transport::{Answer, Call, LARGEST_ANSWER, ProxyRoute, To, send};
use crate::base::flow::fence::FenceToken;
use crate::base::flow::leadership::{Effect, Leadership, NotLeading};

/// An unanswered request may still be carried out for this long after its time-out.
pub const GRACE: Duration = Duration::from_secs(5);

/// Requests that waited for the rate limit are spread over this time.
const SPREAD: Duration = Duration::from_millis(5);

/// The operations of a client, named as in the API document.
pub const OPERATIONS: [&str; 19] = [
    "batch_patch_identities",
    "create_identity",
    "create_recovery_code_for_identity",
    "create_recovery_link_for_identity",
    "delete_identity",
    "delete_identity_credentials",
    "delete_identity_sessions",
    "disable_session",
    "extend_session",
    "get_identity",
    "get_identity_by_external_id",
    "get_identity_schema",
    "get_session",
    "list_identities",
    "list_identity_schemas",
    "list_identity_sessions",
    "list_sessions",
    "patch_identity",
    "update_identity",
];

/// Observes what a client sends.
pub trait Observer: fmt::Debug + Send + Sync {
    /// An attempt at one of [`OPERATIONS`] is over. `failed`: the class of its failure.
    fn answered(&self, operation: &'static str, failed: Option<Class>, took: Duration);

    /// One request creates this many identities.
    fn created_together(&self, creates: usize);
}

/// A client of one Kratos. Clones share connections and the rate limit.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// Set while the next request may skip the rate limit.
    at_once: Option<Arc<AtomicBool>>,
    observer: Option<Arc<dyn Observer>>,
}

struct Inner {
    /// For the admin URL's own origin.
    admin: reqwest::Client,
    /// For all other servers.
    elsewhere: reqwest::Client,
    admin_url: Url,
    public_url: Option<Url>,
    proxy_url: Option<Url>,
    headers: HeaderMap,
    /// The same headers, and the token.
    with_token: HeaderMap,
    limiter: Option<DefaultDirectRateLimiter>,
    request_timeout: Duration,
    auditor: Option<Arc<dyn Auditor>>,
    leadership: Leadership,
    fence_token: FenceToken,
}

impl Inner {
    /// Sends a request once, if this process leads and the fence isn't raised.
    async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let effect = match call.method {
            Method::GET => Effect::Reads,
            _ => Effect::Writes { lasts: Some(self.request_timeout + GRACE) },
        };
        let is_answered = |answer: &Result<_, Error>| match answer {
            Ok(_) => true,
            Err(error) => error.status().is_some() || !error.outcome_unknown(),
        };
        let (http, headers) = match call.to {
            To::Admin => (&self.admin, Some(&self.with_token)),
            To::OwnOrigin => (&self.admin, Some(&self.headers)),
            To::Elsewhere => (&self.elsewhere, None),
        };
        let route = ProxyRoute::to(&call.url, self.proxy_url.as_ref());
        let sending =
            self.leadership.send(effect, send(http, headers, (route, self.proxy_url.as_ref()), call), is_answered);
        let failed = |kind| Err(Error::new(call.operation, kind));
        match self.fence_token.send(sending).await {
            Some(sent) => sent.unwrap_or_else(|NotLeading| failed(Kind::NotLeading)),
            None => failed(Kind::Fenced),
        }
    }

    /// Waits for the rate limit.
    async fn ready(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.until_ready_with_jitter(Jitter::up_to(SPREAD)).await;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("admin_url", &shown(&self.inner.admin_url)).finish_non_exhaustive()
    }
}

impl Client {
    /// Builds a client. Sends nothing.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let ClientConfig {
            admin_url,
            public_url,
            token,
            ca_pem,
            headers,
            client_certificate,
            proxy_url,
            request_timeout,
            rate_limit,
            auditor,
            leadership,
            fence_token,
        } = config;
        check_url(&admin_url, "adminURL")?;
        if let Some(public_url) = &public_url {
            check_url(public_url, "publicURL")?;
        }
        if request_timeout.is_zero() {
            return Err(ConfigError::Timeout);
        }
        let authorization = token
            .map(|token| {
                if token.token.expose_secret().trim().is_empty() {
                    return Err(ConfigError::Token);
                }
                let mut value =
                    HeaderValue::from_str(token.header().expose_secret()).map_err(|_| ConfigError::Token)?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose()?;
        let speaks_tls =
            [Some(&admin_url), public_url.as_ref()].into_iter().flatten().any(|url| url.scheme() == "https");
        let limiter = rate_limit
            .map(|limit| RateLimiter::direct(Quota::per_second(limit.requests_per_second).allow_burst(limit.burst)));
        let connections = Connections {
            ca_pem: ca_pem.as_deref(),
            client_certificate: None,
            proxy_url: proxy_url.as_ref(),
            speaks_tls,
            request_timeout,
        };
        let elsewhere = connections.build()?;
        let admin = match &client_certificate {
            None => elsewhere.clone(),
            certificate => Connections { client_certificate: certificate.as_ref(), ..connections }.build()?,
        };
        let mut with_token = headers.clone();
        with_token.extend(authorization.map(|authorization| (AUTHORIZATION, authorization)));
        let inner = Inner {
            admin,
            elsewhere,
            admin_url,
            public_url,
            proxy_url,
            headers,
            with_token,
            limiter,
            request_timeout,
            auditor,
            leadership,
            fence_token,
        };
        Ok(Self { inner: Arc::new(inner), at_once: None, observer: None })
    }

    /// The same client, observed.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    pub(super) fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }

    /// Waits for the rate limit now, for callers that can't wait later. The next request of the returned client is sent without
    /// waiting, and only once. All further ones are as usual.
    pub async fn at_once(&self) -> Self {
        self.inner.ready().await;
        Self { at_once: Some(Arc::new(AtomicBool::new(true))), ..self.clone() }
    }

    /// The admin API's base URL.
    pub fn admin_url(&self) -> &Url {
        &self.inner.admin_url
    }

    /// How long an answer is waited for.
    pub(super) fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    pub(super) fn public_url(&self) -> Option<&Url> {
        self.inner.public_url.as_ref()
    }

    /// A read of the admin API, with the token.
    pub(super) fn call(&self, operation: &'static str, path: &[&str], query: &[(&str, &str)]) -> Result<Call, Error> {
        self.with_token(operation, Method::GET, path, query)
    }

    /// A request that writes: each of `writes` gets an audit record.
    pub(super) fn writing(
        &self,
        operation: &'static str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        writes: Vec<Write>,
    ) -> Result<Call, Error> {
        Ok(Call { writes, ..self.with_token(operation, method, path, query)? })
    }

    fn with_token(
        &self,
        operation: &'static str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Call, Error> {
        Ok(Call {
            operation,
            method,
            url: url_of(operation, &self.inner.admin_url, path, query)?,
            body: None,
            to: To::Admin,
            largest: LARGEST_ANSWER,
            writes: Vec::new(),
        })
    }

    /// Whether there is an auditor.
    pub(super) fn is_audited(&self) -> bool {
        self.inner.auditor.is_some()
    }

    /// Sends a request, and retries it where that is harmless. A redirect is an error.
    pub(super) async fn answer(&self, call: &Call) -> Result<Answer, Error> {
        let answer = self.answer_or_redirect(call).await?;
        if answer.status.is_redirection() {
            let error = Error::new(call.operation, Kind::Redirected(answer.status));
            for entry in answer.entries {
                entry.fail(&error);
            }
            return Err(error);
        }
        Ok(answer)
    }

    /// Like [`Self::answer`], but a redirect is returned.
    pub(super) async fn answer_or_redirect(&self, call: &Call) -> Result<Answer, Error> {
        if self.at_once.as_ref().is_some_and(|at_once| at_once.swap(false, Ordering::SeqCst)) {
            return self.send(call, 1).await;
        }
        let attempts = AtomicU64::new(0);
        repeat(&call.method, self.inner.request_timeout, || async {
            self.inner.ready().await;
            self.send(call, attempts.fetch_add(1, Ordering::Relaxed) + 1).await
        })
        .await
    }

    /// Sends it once, in a span of its own. Each of its writes is recorded; on success its entries are in the answer, to be
    /// closed.
    async fn send(&self, call: &Call, attempt: u64) -> Result<Answer, Error> {
        let span = tracing::debug_span!("kratos", operation = call.operation, attempt, status = Empty, outcome = Empty);
        let auditor = self.inner.auditor.iter();
        let entries = auditor.flat_map(|auditor| call.writes.iter().map(move |write| (auditor, write.clone())));
        let mut entries: Vec<_> =
            entries.map(|(auditor, write)| Entry::open(auditor, call.operation, write, attempt)).collect();
        // On the heap, so that futures with many of these stay small.
        let begun = Instant::now();
        let answer = Box::pin(self.inner.send(call)).instrument(span.clone()).await;
        let status = answer.as_ref().map_or_else(Error::status, |answer| Some(answer.status.as_u16()));
        span.record("status", status);
        span.record("outcome", answer.as_ref().map_or_else(|error| error.class().as_str(), |_| "ok"));
        if let Some(observer) = &self.observer {
            observer.answered(call.operation, answer.as_ref().err().map(Error::class), begun.elapsed());
        }
        match answer {
            Ok(answer) => {
                for entry in &mut entries {
                    entry.answered(answer.status.as_u16());
                }
                Ok(Answer { entries, ..answer })
            }
            Err(error) => {
                for entry in entries {
                    entry.fail(&error);
                }
                Err(error)
            }
        }
    }

    /// The parsed body of the answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        self.answer(call).await?.json(call.operation)
    }

    /// The parsed body of the answer, `None` for Kratos' 404.
    pub(super) async fn find<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<T>, Error> {
        match self.json(call).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A URL below a base. Segments of the path are escaped; segments that would change the path are refused.
pub(super) fn url_of(operation: &'static str, base: &Url, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
    // An empty id would turn a deletion of one identity into a request about all of them.
    // Kratos reads an escaped slash as a slash, and would look for another path altogether.
    if path.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains('/')) {
        return Err(Error::new(operation, Kind::Unsendable("an id is empty, only dots, or has a slash in it")));
    }
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}
