//! Traces: a reconcile has one trace id, which its log lines, its audit records and its exported spans show. Decides nothing,
//! and names no person.

use std::cell::Cell;
use std::fmt;

use kube::Resource;
use tracing::{Instrument, Span};

use crate::base::namespaced_name::NamespacedName;

tokio::task_local! {
    static CURRENT: Current;
}

/// A trace id as in W3C's Trace Context: 16 bytes, shown as 32 hexadecimal digits. Never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// What a task knows of its trace.
struct Current {
    id: TraceId,
    /// A span keeps every value that is recorded, so the instance is recorded only once.
    is_instance_noted: Cell<bool>,
}

impl Current {
    const fn new(id: TraceId) -> Self {
        Self { id, is_instance_noted: Cell::new(false) }
    }
}

impl TraceId {
    fn random() -> Self {
        Self(rand::random::<u128>().max(1))
    }

    /// The current trace; `None` outside of any.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.id).ok()
    }

    pub const fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// One trace and its root span. The span has level ERROR, so that log lines show it with any filter.
#[derive(Clone, Debug)]
pub struct Trace {
    id: TraceId,
    span: Span,
}

impl Trace {
    /// For a reconcile of a resource.
    pub fn of_reconcile(kind: &str, NamespacedName { namespace, name }: &NamespacedName) -> Self {
        let id = TraceId::random();
        let controller = kind.to_ascii_lowercase();
        Self::begin(id, || {
            tracing::error_span!(
                "reconcile",
                controller,
                kind,
                namespace,
                name,
                generation = tracing::field::Empty,
                instance = tracing::field::Empty,
                trace_id = %id
            )
        })
    }

    /// For background work on an instance.
    pub fn of_background(controller: &'static str, instance: &NamespacedName) -> Self {
        let id = TraceId::random();
        Self::begin(id, || tracing::error_span!("background", controller, %instance, trace_id = %id))
    }

    /// The span is created within the trace: an exporter gives it the id of the trace in which it is created or first entered.
    fn begin(id: TraceId, span: impl FnOnce() -> Span) -> Self {
        Self { id, span: CURRENT.sync_scope(Current::new(id), span) }
    }

    /// Runs within the trace.
    pub fn run<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(Current::new(self.id), future.instrument(self.span.clone()))
    }

    /// Runs something synchronously within the span.
    pub fn within<T>(&self, what: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(Current::new(self.id), || self.span.in_scope(what))
    }
}

/// Records which generation is reconciled. Call it directly within the reconcile's own span.
pub fn note_generation(object: &impl Resource) {
    if let Some(generation) = object.meta().generation {
        Span::current().record("generation", generation);
    }
}

/// Records the instance, likewise; only once.
pub fn note_instance(instance: &NamespacedName) {
    let is_noted = CURRENT.try_with(|current| current.is_instance_noted.replace(true));
    if is_noted == Ok(false) {
        Span::current().record("instance", tracing::field::display(instance));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_trace_has_one_id_and_another_has_another() {
        let key = NamespacedName::new("team", "ada");
        let traces = [(); 2].map(|()| Trace::of_reconcile("KratosIdentity", &key));
        let seen = |trace: &Trace| {
            let seen = trace.run(async { (TraceId::current(), TraceId::current()) });
            async move {
                let (one, two) = seen.await;
                assert_eq!(one, two);
                one.expect("a trace").to_string()
            }
        };
        let (one, other) = (seen(&traces[0]).await, seen(&traces[1]).await);
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        assert_eq!(TraceId::current(), None);
    }
}
