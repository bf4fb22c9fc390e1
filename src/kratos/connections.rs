//! Makes the connections of a client: trusted certificates, client certificate, proxy, time-outs. They follow no redirect and
//! ignore the environment's proxy settings, because passwords and tokens are sent through them.

use std::time::Duration;

use reqwest::{Certificate, Identity, Proxy, redirect};
use secrecy::ExposeSecret;
use url::Url;

use super::client_certificate::ClientCertificate;
use super::config::ConfigError;

/// The longest time for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What connections are made from.
pub(super) struct Connections<'a> {
    /// PEM; only these are trusted. `None`: those of the system.
    pub(super) ca_pem: Option<&'a [u8]>,
    pub(super) client_certificate: Option<&'a ClientCertificate>,
    pub(super) proxy_url: Option<&'a Url>,
    /// Whether any of the client's servers uses TLS.
    pub(super) speaks_tls: bool,
    pub(super) request_timeout: Duration,
}

impl Connections<'_> {
    /// Makes them. Connects to nothing yet.
    pub(super) fn build(&self) -> Result<reqwest::Client, ConfigError> {
        // Another part of the process may have installed one first; then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let proxy = self.proxy_url.map(|url| Proxy::all(url.as_str())).transpose().map_err(|_| ConfigError::Proxy)?;
        let certificate =
            self.client_certificate.map(|certificate| Identity::from_pem(certificate.pem().expose_secret()));
        let certificate = certificate.transpose().map_err(|_| ConfigError::ClientCertificate)?;
        let builder = || {
            let mut builder = reqwest::Client::builder()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT.min(self.request_timeout))
                .timeout(self.request_timeout)
                .user_agent(concat!("kratos-operator/", env!("CARGO_PKG_VERSION")));
            if let Some(proxy) = &proxy {
                builder = builder.proxy(proxy.clone());
            }
            if let Some(certificate) = &certificate {
                builder = builder.identity(certificate.clone());
            }
            builder
        };
        let Some(pem) = self.ca_pem else {
            let whom_the_system_trusts = builder().build();
            // On a system without certificates there is no client that trusts the system's. Where all URLs are http, it trusts
            // none; if Kratos redirects to https, that server isn't trusted.
            return match whom_the_system_trusts {
                Err(_) if !self.speaks_tls => builder().tls_certs_only([]).build().map_err(|_| ConfigError::Tls),
                built => built.map_err(|_| ConfigError::Tls),
            };
        };
        let certificates = Certificate::from_pem_bundle(pem).map_err(|_| ConfigError::Ca)?;
        if certificates.is_empty() {
            return Err(ConfigError::Ca);
        }
        builder().tls_certs_only(certificates).build().map_err(|_| ConfigError::Ca)
    }
}

/// A URL of http or https, with a host and nothing secret in it.
pub(super) fn check_url(url: &Url, which: &'static str) -> Result<(), ConfigError> {
    let usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if usable { Ok(()) } else { Err(ConfigError::Url { which }) }
}
