//! Loopback ports that stay reserved from the moment they are picked. Starts nothing on them.
//!
//! If a free port were only picked and released, another process could take it before the child listens on it. Here a socket
//! stays bound to the port without listening. So the system gives the port to nobody else, a connection to it is refused, and a
//! server that sets `SO_REUSEADDR` (every Go server, and the proxy) can still listen on it, however often it restarts.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// A loopback port, reserved until this is dropped.
#[derive(Debug)]
pub struct Port {
    guard: TcpSocket,
}

impl Port {
    pub fn reserve() -> std::io::Result<Self> {
        let guard = bound_to(0)?;
        Ok(Self { guard })
    }

    pub fn number(&self) -> u16 {
        self.address().port()
    }

    /// `127.0.0.1` and the port.
    pub fn address(&self) -> SocketAddr {
        self.guard.local_addr().expect("a bound socket has an address")
    }

    /// Listens on the port in this process. Must be called within a tokio runtime.
    pub fn listen(&self) -> std::io::Result<TcpListener> {
        bound_to(self.number())?.listen(1024)
    }
}

fn bound_to(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}
