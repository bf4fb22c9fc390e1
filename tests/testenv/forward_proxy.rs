//! A forward proxy for tests, as companies have them: CONNECT, requests with a whole URL, and SOCKS5, in clear or with TLS. It
//! records what it is asked for, and refuses on request. Tests set the addresses of names. It doesn't read what it tunnels.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Result;
use super::ports::Port;

/// A request to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A connection to a host and port.
    Tunnel(String),
    /// A request with a whole URL: its method and URL without the query, and everything sent before the body.
    Relay(String, String),
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    /// `Proxy-Authorization` of the last request, or user and password of SOCKS.
    authorization: Option<String>,
    addresses: HashMap<String, SocketAddr>,
    refusal: Option<u16>,
}

/// See the module.
pub struct ForwardProxy {
    port: Port,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl ForwardProxy {
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// A proxy that clients reach with TLS.
    pub fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("forward-proxy")
            .enable_all()
            .build()?;
        let port = Port::reserve()?;
        let state = Arc::new(Mutex::new(State::default()));
        let listener = {
            let _within = runtime.enter();
            port.listen()?
        };
        let (shared, acceptor) = (Arc::clone(&state), tls.map(TlsAcceptor::from));
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                tokio::spawn(async move {
                    let _ = client.set_nodelay(true);
                    // On an error the client has disconnected, or the server doesn't exist: its connection is closed.
                    let _ = match acceptor {
                        None => serve(client, &shared).await,
                        Some(acceptor) => match acceptor.accept(client).await {
                            Ok(client) => serve(client, &shared).await,
                            Err(error) => Err(error.into()),
                        },
                    };
                });
            }
        });
        Ok(Self { port, state, runtime: Some(runtime) })
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL with a scheme.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address())
    }

    /// Sets the address of a host and port (`host:port`).
    pub fn knows(&self, host_and_port: &str, address: SocketAddr) {
        self.state().addresses.insert(host_and_port.to_owned(), address);
    }

    /// Answers every request with this status from now on; `None`: works again.
    pub fn refuse(&self, status: Option<u16>) {
        self.state().refusal = status;
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    pub fn authorization(&self) -> Option<String> {
        self.state().authorization.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        // A runtime that is dropped within another one panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(client: impl AsyncRead + AsyncWrite + Unpin, state: &Mutex<State>) -> Result<()> {
    let mut client = BufReader::new(client);
    if client.fill_buf().await?.first() == Some(&5) { socks(client, state).await } else { http(client, state).await }
}

async fn connect(target: &str, state: &Mutex<State>) -> Result<TcpStream> {
    let known = lock(state).addresses.get(target).copied();
    let server = match known {
        Some(address) => TcpStream::connect(address).await?,
        None => TcpStream::connect(target).await?,
    };
    server.set_nodelay(true)?;
    Ok(server)
}

async fn http(mut client: BufReader<impl AsyncRead + AsyncWrite + Unpin>, state: &Mutex<State>) -> Result<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let refusal = {
        let mut state = lock(state);
        state.authorization = header("proxy-authorization");
        let plain = target.split('?').next().unwrap_or_default();
        state.asked.push(match method {
            "CONNECT" => Asked::Tunnel(target.to_owned()),
            _ => Asked::Relay(format!("{method} {plain}"), head.clone()),
        });
        state.refusal
    };
    if let Some(status) = refusal {
        let body = "<html>S3CRET-WORDS-OF-THE-PROXY</html>";
        let answer =
            format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        return Ok(client.write_all(answer.as_bytes()).await?);
    }
    if method == "CONNECT" {
        let mut server = connect(target, state).await?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let rest = target.strip_prefix("http://").ok_or("no whole URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut server = connect(authority, state).await?;
    // One request per connection: the next one would come with its own URL.
    let head = head.replacen(target, &format!("/{path}"), 1);
    let head = head.strip_suffix("\r\n").unwrap_or(&head);
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

async fn socks(mut client: BufReader<impl AsyncRead + AsyncWrite + Unpin>, state: &Mutex<State>) -> Result<()> {
    const WITH_PASSWORD: u8 = 2;
    let mut start = [0; 2];
    client.read_exact(&mut start).await?;
    let mut methods = vec![0; start[1].into()];
    client.read_exact(&mut methods).await?;
    let wants = methods.contains(&WITH_PASSWORD);
    client.write_all(&[5, if wants { WITH_PASSWORD } else { 0 }]).await?;
    if wants {
        client.read_u8().await?;
        let (user, password) = (counted(&mut client).await?, counted(&mut client).await?);
        lock(state).authorization = Some(format!("{user}:{password}"));
        client.write_all(&[1, 0]).await?;
    }
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => {
            let mut address = [0; 4];
            client.read_exact(&mut address).await?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        3 => counted(&mut client).await?,
        other => return Err(format!("an address of sort {other}").into()),
    };
    let target = format!("{host}:{}", client.read_u16().await?);
    let refusal = {
        let mut state = lock(state);
        state.asked.push(Asked::Tunnel(target.clone()));
        state.refusal
    };
    if refusal.is_some() {
        return Ok(client.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).await?);
    }
    let mut server = connect(&target, state).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// A text with its length before it.
async fn counted(client: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut text = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut text).await?;
    Ok(String::from_utf8(text)?)
}
