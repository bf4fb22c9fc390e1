//! Certificates for tests: an authority, what it vouches for, and TLS before a plain server. Trusts nobody by itself.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Result;
use super::ports::Port;

/// Vouches for others.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name.
    pub fn issue(&self, name: &str) -> Result<Pair> {
        self.issue_with(name, |_| ())
    }

    /// The same, changed before it is signed.
    pub fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        change(&mut params);
        Ok(Pair { certificate: params.signed_by(&key, &self.0)?.pem(), key: key.serialize_pem() })
    }

    /// What a server at 127.0.0.1 speaks TLS by. `clients`: whoever it doesn't vouch for is turned away.
    pub fn server(&self, clients: Option<&Self>) -> Result<Arc<ServerConfig>> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.0)?.into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone())?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(Arc::new(builder.with_single_cert(vec![certificate], key)?))
    }
}

/// TLS before a plain server. It passes on whatever comes after the handshake.
pub struct Terminator {
    port: Port,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Terminator {
    pub fn before(upstream: SocketAddr, tls: Arc<ServerConfig>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("terminator")
            .enable_all()
            .build()?;
        let port = Port::reserve()?;
        let listener = {
            let _within = runtime.enter();
            port.listen()?
        };
        let acceptor = TlsAcceptor::from(tls);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that doesn't trust us, or that we turn away, is its own answer.
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(upstream).await?;
                    server.set_nodelay(true)?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Ok(Self { port, runtime: Some(runtime) })
    }

    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        // A runtime that is dropped within another one panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
