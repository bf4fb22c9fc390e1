//! A TCP relay for tests, before any server. Its connections can go dead silently, as when a node is lost or a firewall forgets
//! idle connections. It reads nothing of what it carries. Dropping packets works on Linux only (a filter on its own sockets).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use socket2::SockRef;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::Result;
use super::ports::Port;

/// What happens to packets on a dead connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    /// They are dropped: nothing is acknowledged.
    Silent,
    /// They are acknowledged, as by a load balancer that has lost its backend.
    Acknowledging,
}

/// See the module.
pub struct Wire {
    port: Port,
    listener: Arc<TcpListener>,
    /// Ends the current connections.
    carried: Arc<Mutex<Carried>>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Carried {
    dead: CancellationToken,
    how: Arc<Mutex<Dead>>,
}

impl Carried {
    fn new() -> Self {
        Self { dead: CancellationToken::new(), how: Arc::new(Mutex::new(Dead::Silent)) }
    }
}

impl Wire {
    pub fn before(upstream: SocketAddr) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("wire").enable_all().build()?;
        let port = Port::reserve()?;
        let listener = {
            let _within = runtime.enter();
            Arc::new(port.listen()?)
        };
        let carried = Arc::new(Mutex::new(Carried::new()));
        let (accepting, current) = (Arc::clone(&listener), Arc::clone(&carried));
        runtime.spawn(async move {
            while let Ok((client, _)) = accepting.accept().await {
                let (dead, how) = {
                    let current = current.lock().unwrap_or_else(PoisonError::into_inner);
                    (current.dead.clone(), Arc::clone(&current.how))
                };
                tokio::spawn(carry(client, upstream, dead, how));
            }
        });
        Ok(Self { port, listener, carried, runtime: Some(runtime) })
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// All current connections go dead, for good. New ones work.
    pub fn kill(&self, how: Dead) {
        let killed =
            std::mem::replace(&mut *self.carried.lock().unwrap_or_else(PoisonError::into_inner), Carried::new());
        *killed.how.lock().unwrap_or_else(PoisonError::into_inner) = how;
        killed.dead.cancel();
    }

    /// The same, and no new connection works.
    pub fn cut(&self) -> Result<()> {
        drop_all(&SockRef::from(&*self.listener))?;
        self.kill(Dead::Silent);
        Ok(())
    }

    /// Undoes `cut` for new connections.
    pub fn mend(&self) -> Result<()> {
        Ok(drop_none(&SockRef::from(&*self.listener))?)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // A runtime that is dropped within another one panics.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn carry(mut client: TcpStream, upstream: SocketAddr, dead: CancellationToken, how: Arc<Mutex<Dead>>) {
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
    if dead.run_until_cancelled(copy_bidirectional(&mut client, &mut server)).await.is_some() {
        return;
    }
    let how = *how.lock().unwrap_or_else(PoisonError::into_inner);
    if how == Dead::Silent {
        drop_all(&SockRef::from(&client)).expect("a filter");
    }
    drop(server);
    // Stays open for the other side.
    std::future::pending::<()>().await;
}

#[cfg(target_os = "linux")]
fn drop_all(socket: &SockRef<'_>) -> std::io::Result<()> {
    /// `BPF_RET`: returns how many bytes of a packet are kept.
    const RETURN: u16 = 0x06;
    socket.attach_filter(&[socket2::SockFilter::new(RETURN, 0, 0, 0)])
}

#[cfg(target_os = "linux")]
fn drop_none(socket: &SockRef<'_>) -> std::io::Result<()> {
    socket.detach_filter()
}

#[cfg(not(target_os = "linux"))]
fn drop_all(_: &SockRef<'_>) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn drop_none(_: &SockRef<'_>) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
