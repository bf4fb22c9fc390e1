//! The body of an answer; it ends when no more data is expected. A bounded one ends with an error; a watch ends normally, and
//! its reader resumes it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;

use super::heartbeat::{Loss, Lost};

/// See the module.
pub struct ResponseBody<B> {
    /// `None`: ended.
    inner: Option<B>,
    heard: Instant,
    silence: Pin<Box<Sleep>>,
    kind: Kind,
}

enum Kind {
    Bounded { until: Instant, silence: Duration },
    Watch { loss: Loss, silence: Duration },
}

impl<B> ResponseBody<B> {
    /// Must be complete at `until`, and may not be silent for longer than `silence`.
    pub fn bounded(inner: B, until: Instant, silence: Duration) -> Self {
        Self::new(inner, Kind::Bounded { until, silence })
    }

    /// Ends after a loss, or after this long a silence.
    pub fn watch(inner: B, lost: &Lost, silence: Duration) -> Self {
        Self::new(inner, Kind::Watch { loss: lost.next(), silence })
    }

    fn new(inner: B, kind: Kind) -> Self {
        let heard = Instant::now();
        Self { inner: Some(inner), heard, silence: Box::pin(sleep_until(kind.silent_at(heard))), kind }
    }
}

impl Kind {
    /// When it ends if nothing more is heard.
    fn silent_at(&self, heard: Instant) -> Instant {
        match self {
            Self::Bounded { until, silence } => (heard + *silence).min(*until),
            Self::Watch { silence, .. } => heard + *silence,
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            this.heard = Instant::now();
            this.silence.as_mut().reset(this.kind.silent_at(this.heard));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match &mut this.kind {
            Kind::Bounded { .. } => {
                ready!(this.silence.as_mut().poll(context));
                this.inner = None;
                Poll::Ready(Some(Err("the API server's answer didn't come to its end in time".into())))
            }
            Kind::Watch { loss, .. } => {
                if loss.poll(this.heard, context).is_pending() {
                    ready!(this.silence.as_mut().poll(context));
                }
                tracing::debug!("a watch was silent for too long; it is resumed");
                // Closes the connection.
                this.inner = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
