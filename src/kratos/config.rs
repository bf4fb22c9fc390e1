//! The settings of a client. Building a client sends nothing.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::audit::Auditor;
use super::client_certificate::ClientCertificate;
use crate::base::flow::fence::FenceToken;
use crate::base::flow::leadership::Leadership;

/// Where a Kratos is and how to speak to it. Validated values only.
#[derive(Clone)]
pub struct ClientConfig {
    /// The admin API's base URL, with or without a path, without `/admin`; http or https.
    pub admin_url: Url,
    /// The public API's base URL, for schemas. `None`: the admin port's redirects are followed for them.
    pub public_url: Option<Url>,
    /// For hosted Kratos; `None` for open source. Never sent to `public_url` or after a redirect.
    pub token: Option<BearerToken>,
    /// The only trusted certificates (PEM, one or more). `None`: those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// Sent with every request to the admin URL's own origin, beside the token. Never sent anywhere else.
    pub headers: HeaderMap,
    /// Shown to the admin URL's own origin if it requests one.
    pub client_certificate: Option<ClientCertificate>,
    /// The proxy for all servers: http, https, socks5 or socks5h. `None`: none, whatever the environment says.
    pub proxy_url: Option<Url>,
    /// The longest time for one request, from connecting to the last byte.
    pub request_timeout: Duration,
    /// How many requests this client may send. `None`: any number.
    pub rate_limit: Option<RateLimit>,
    /// Gets a record of each write. `None`: no audit.
    pub auditor: Option<Arc<dyn Auditor>>,
    /// Checked right before each request.
    pub leadership: Leadership,
    /// Void once the fence is raised; then nothing is sent.
    pub fence_token: FenceToken,
}

impl ClientConfig {
    /// An open source Kratos with default TLS settings, 30 s per request, no rate limit, and no leader election.
    pub fn new(admin_url: Url) -> Self {
        Self {
            admin_url,
            public_url: None,
            token: None,
            ca_pem: None,
            headers: HeaderMap::new(),
            client_certificate: None,
            proxy_url: None,
            request_timeout: Duration::from_secs(30),
            rate_limit: None,
            auditor: None,
            leadership: Leadership::without_election(),
            fence_token: FenceToken::default(),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientConfig")
            .field("admin_url", &shown(&self.admin_url))
            .field("public_url", &self.public_url.as_ref().map(shown))
            .field("token", &self.token.is_some())
            .field("ca_pem", &self.ca_pem.is_some())
            .field("headers", &self.headers.len())
            .field("client_certificate", &self.client_certificate)
            .field("proxy_url", &self.proxy_url.as_ref().map(shown))
            .field("request_timeout", &self.request_timeout)
            .field("rate_limit", &self.rate_limit)
            .field("auditor", &self.auditor.is_some())
            .finish_non_exhaustive()
    }
}

/// A URL without its parts that may be secret: user, password, query, fragment.
pub(super) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The token for the `Authorization` header.
#[derive(Clone)]
pub struct BearerToken {
    /// What precedes the token. `None`: `Bearer`; an empty text: nothing.
    pub prefix: Option<String>,
    /// The token; white space around it is removed (Secrets often end in a line break).
    pub token: SecretString,
}

impl BearerToken {
    /// The header's value. It is a secret.
    pub(super) fn header(&self) -> SecretString {
        let prefix = self.prefix.as_deref().unwrap_or("Bearer").trim();
        let token = self.token.expose_secret().trim();
        SecretString::from(if prefix.is_empty() { token.to_owned() } else { format!("{prefix} {token}") })
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BearerToken(<secret>)")
    }
}

/// How many requests are sent. Others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In the long run.
    pub requests_per_second: NonZeroU32,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

/// Why no client can be built from a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Another scheme, no host, or credentials in the URL.
    #[error("{which} must be an http or https URL with a host and without user, password, query or fragment")]
    Url {
        /// `adminURL` or `publicURL`.
        which: &'static str,
    },
    /// Line breaks or control characters.
    #[error("the token holds characters that can't be sent, or nothing at all; check the Secret")]
    Token,
    /// Not PEM, or no certificate in it.
    #[error("the CA holds no readable PEM certificate; check the Secret or ConfigMap")]
    Ca,
    /// No certificate with its key.
    #[error("the client certificate can't be used; check the Secret")]
    ClientCertificate,
    /// Another scheme, or no host.
    #[error("proxyURL must be an http, https, socks5 or socks5h URL with a host")]
    Proxy,
    /// Zero.
    #[error("requestTimeout must be longer than zero")]
    Timeout,
    /// The system has no trusted certificates.
    #[error(
        "https needs certificates to trust, and the operator's system has none: name a CA in spec.tls.ca, or give its image \
         /etc/ssl/certs/ca-certificates.crt"
    )]
    Tls,
}
