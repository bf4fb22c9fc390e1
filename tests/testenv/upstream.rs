//! What is behind a proxy of tests, and how a request is passed on to it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};

use super::Result;
use super::labels::Api;

/// Belongs to one connection, so it isn't passed on (RFC 9110, 7.6.1). `host` is the upstream's own.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Where the proxy sends what it gets.
pub struct Upstream {
    /// Without a path, `http` or `https`.
    pub url: String,
    pub api: Api,
    /// The CA that an `https` upstream is checked against, in PEM.
    pub ca: Option<Vec<u8>>,
    /// Sent where the client itself sends no `Authorization`.
    pub token: Option<String>,
}

/// A client that adds nothing and follows nothing, on HTTP/1.1, so that one request is one request.
pub fn client(ca: Option<&[u8]>) -> Result<reqwest::Client> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.unwrap_or_default()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?)
}

pub fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers
}
