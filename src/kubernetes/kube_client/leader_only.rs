//! Checks, right before a request is sent, whether this process leads. Retries are in a layer above.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request};
use tower::{BoxError, Service};

use crate::base::flow::leadership::{Effect, Leadership};

/// See the module.
#[derive(Clone)]
pub struct LeaderOnly<S> {
    pub inner: S,
    pub leadership: Leadership,
}

impl<S, B> Service<Request<B>> for LeaderOnly<S>
where
    S: Service<Request<B>>,
    S::Response: Send,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Checks of permissions are posted, and leave nothing behind.
        let reads = matches!(*request.method(), Method::GET | Method::HEAD)
            || request.uri().path().contains("/apis/authorization.k8s.io/");
        // A late write does no harm: it carries a uid or a resourceVersion.
        let effect = if reads { Effect::Reads } else { Effect::Writes { lasts: None } };
        let leadership = self.leadership.clone();
        let sending = self.inner.call(request);
        async move { leadership.send(effect, sending, Result::is_ok).await?.map_err(Into::into) }.boxed()
    }
}
