//! Terminates TLS before a plain server, with certificates of an [`super::authority::Authority`].

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Result;
use super::ports::Port;

/// Terminates TLS before a plain server. It passes on everything after the handshake.
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
                    // A client that doesn't trust us, or that we refuse, sees that itself.
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
