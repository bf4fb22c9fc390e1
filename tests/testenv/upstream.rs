//! The upstream of a test's proxy, and how a request is forwarded to it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};

use super::Result;
use super::labels::Api;

/// Headers of a single connection, which aren't forwarded (RFC 9110, 7.6.1). The upstream gets its own `host`.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The server that the proxy forwards to.
pub struct Upstream {
    /// Without a path, `http` or `https`.
    pub url: String,
    pub api: Api,
    /// The CA of an `https` upstream, in PEM.
    pub ca: Option<Vec<u8>>,
    /// Sent where the client itself sends no `Authorization`.
    pub token: Option<String>,
}

/// A client that adds nothing, follows no redirect and retries nothing, on HTTP/1.1: one request is one request.
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
