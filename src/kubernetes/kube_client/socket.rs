//! Guards what is written to a connection: nothing once another process may lead. `leader_only.rs` checks when a request is
//! handed to its connection; the process may be paused after that, so it is checked here again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::base::flow::leadership::{Leadership, NotLeading};

/// See the module.
pub struct Socket<T> {
    pub inner: T,
    pub leadership: Leadership,
}

impl<T: Connection> Connection for Socket<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.leadership.is_over() {
            return Poll::Ready(Err(io::Error::other(NotLeading)));
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.leadership.is_over() {
            return Poll::Ready(Err(io::Error::other(NotLeading)));
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::base::flow::boot_instant::BootInstant;

    /// What gets through, of one write of each sort.
    async fn written(leadership: &Leadership) -> Vec<u8> {
        let mut socket = Socket { inner: Vec::new(), leadership: leadership.clone() };
        let _ = poll_fn(|context| Pin::new(&mut socket).poll_write(context, b"one ")).await;
        let slices = [io::IoSlice::new(b"two")];
        let _ = poll_fn(|context| Pin::new(&mut socket).poll_write_vectored(context, &slices)).await;
        socket.inner
    }

    #[tokio::test]
    async fn nothing_is_written_once_the_time_is_over() {
        let leadership = Leadership::standby();
        assert_eq!(written(&Leadership::without_election()).await, b"one two");
        assert_eq!(written(&leadership).await, b"one two", "a standby reads");
        leadership.lead(BootInstant::now() + Duration::from_hours(1), Duration::ZERO);
        assert_eq!(written(&leadership).await, b"one two");
        leadership.lead(BootInstant::now(), Duration::ZERO);
        assert_eq!(written(&leadership).await, b"", "whatever the connection had been handed");
        leadership.drained().await;
        assert_eq!(written(&leadership).await, b"");
    }
}
