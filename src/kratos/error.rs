//! What can go wrong with a request to Kratos, and what follows from it, decided in one place. It may hold nothing that a
//! server, a person or a manifest wrote: no body, no URL, no value, no token.

use std::time::Duration;

use reqwest::StatusCode;

use super::fault::{ErrorBody, Fault};
use super::kind::Kind;

/// A failed request. `Display` names the operation, the HTTP status and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {kind}")]
pub struct Error {
    operation: &'static str,
    kind: Kind,
    /// Whether the failed request was the read that should confirm a write.
    is_unconfirmed: bool,
}

/// What a failure means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same request may succeed later. [`Error::instance_unavailable`] says whether others fail likewise.
    Transient,
    /// The server wants fewer requests.
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Another identity has the value already.
    Conflict,
    /// It doesn't exist.
    NotFound,
    /// The request is refused, and would be again.
    Rejected,
}

impl Class {
    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled { .. } => "throttled",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
        }
    }
}

/// How long a throttled caller waits if the server doesn't say.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

impl Error {
    pub(super) const fn new(operation: &'static str, kind: Kind) -> Self {
        Self { operation, kind, is_unconfirmed: false }
    }

    /// The failure of one item of a batch.
    pub(super) fn of_item(operation: &'static str, body: &ErrorBody) -> Self {
        let status = body.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(operation, Kind::Answer { status, fault: body.fault(), retry_after: None })
    }

    /// Turns the failure of a read into that of the write which it should confirm.
    pub(super) fn unconfirmed(self) -> Self {
        Self { is_unconfirmed: true, ..self }
    }

    /// The operation that failed, named as in the API document.
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// The HTTP status, if there was an answer.
    pub const fn status(&self) -> Option<u16> {
        match &self.kind {
            Kind::Foreign(status)
            | Kind::TooLarge(status)
            | Kind::Redirected(status)
            | Kind::WantsTls(status)
            | Kind::Before { status, .. }
            | Kind::Answer { status, .. } => Some(status.as_u16()),
            _ => None,
        }
    }

    /// What the failure means. All other questions about the class use this.
    pub fn class(&self) -> Class {
        let (status, fault, retry_after) = match &self.kind {
            Kind::Unsendable(_) | Kind::TooLarge(_) => return Class::Rejected,
            Kind::KeptBack
            | Kind::NotLeading
            | Kind::Fenced
            | Kind::Connect(_)
            | Kind::Tls(_)
            | Kind::TlsRefused(_)
            | Kind::Proxy(_)
            | Kind::Before { .. }
            | Kind::Timeout
            | Kind::Interrupted
            | Kind::NoHttp { .. }
            | Kind::WantsTls(_)
            | Kind::Foreign(_)
            | Kind::Redirected(_) => return Class::Transient,
            Kind::Answer { status, fault, retry_after } => (status.as_u16(), *fault, *retry_after),
        };
        if matches!(fault, Fault::BodyTooLarge | Fault::PasswordRejected) {
            // Whatever the status: patches that are too large, and refused passwords, are answered with 500.
            return Class::Rejected;
        }
        match status {
            429 => Class::Throttled { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) },
            // The database aborted the transaction because of another one: nothing was written.
            400 if fault == Fault::ConcurrentUpdate => Class::Transient,
            // Credentials and gateways are repaired without any change of the request.
            401 | 403 | 407 | 408 | 421 | 425 | 499 | 500.. => Class::Transient,
            404 => Class::NotFound,
            409 => Class::Conflict,
            _ => Class::Rejected,
        }
    }

    /// Whether the whole instance gives no usable answer, so that other requests would fail too: no connection, a time-out, a
    /// redirect or a foreign answer (a wrong URL), 502, 503, 504, 401 or 403.
    pub fn instance_unavailable(&self) -> bool {
        match &self.kind {
            Kind::KeptBack
            | Kind::Fenced
            | Kind::Connect(_)
            | Kind::Tls(_)
            | Kind::TlsRefused(_)
            | Kind::Proxy(_)
            | Kind::Before { .. }
            | Kind::Timeout
            | Kind::WantsTls(_)
            | Kind::Foreign(_)
            | Kind::Redirected(_) => true,
            Kind::Answer { status, .. } => {
                matches!(status.as_u16(), 401 | 403 | 407 | 502 | 503 | 504)
            }
            Kind::Unsendable(_) | Kind::NotLeading | Kind::Interrupted | Kind::NoHttp { .. } | Kind::TooLarge(_) => {
                false
            }
        }
    }

    /// Whether the circuit breaker should open until a probe succeeds: the instance gives no usable answer, or the connection
    /// was lost. A lost connection may be this request's own fault, so it says nothing about other requests.
    pub fn instance_suspect(&self) -> bool {
        self.instance_unavailable() || matches!(self.kind, Kind::Interrupted | Kind::NoHttp { .. })
    }

    /// Whether it may be this request's own fault: the server (or a gateway) answered, the time was up, or the connection was
    /// lost. If other requests succeed meanwhile, again and again, it is.
    pub fn may_be_its_own(&self) -> bool {
        let is_suspect = self.instance_suspect() || self.server_failed();
        is_suspect && !self.is_unsent()
    }

    /// Whether the server itself failed (500): for this request, or for all, which a probe shows.
    pub fn server_failed(&self) -> bool {
        self.status() == Some(500) && self.fault() != Some(Fault::PasswordRejected)
    }

    /// Whether the request may have been carried out although it failed: there was no whole answer, the server failed in the
    /// middle (5xx), or the confirming read failed. Read before you repeat such a write.
    pub fn outcome_unknown(&self) -> bool {
        if self.is_unconfirmed {
            return true;
        }
        match &self.kind {
            Kind::Timeout | Kind::Interrupted | Kind::NoHttp { .. } | Kind::NotLeading => true,
            Kind::Foreign(status) | Kind::TooLarge(status) => status.is_success(),
            Kind::Before { status, .. } => status.is_server_error(),
            Kind::Answer { status, fault, .. } => {
                !matches!(fault, Fault::BodyTooLarge | Fault::PasswordRejected)
                    && matches!(status.as_u16(), 408 | 499 | 500..)
            }
            Kind::Unsendable(_)
            | Kind::KeptBack
            | Kind::Fenced
            | Kind::Connect(_)
            | Kind::Tls(_)
            | Kind::TlsRefused(_)
            | Kind::Proxy(_)
            | Kind::WantsTls(_)
            | Kind::Redirected(_) => false,
        }
    }

    /// Whether the server is too old for a field of the request, and which: `external_id` or `organization_id` (both v25.4 and
    /// later); any other one is `"another field"`.
    pub const fn unknown_field(&self) -> Option<&'static str> {
        match self.fault() {
            Some(Fault::UnknownField(field)) => Some(field),
            _ => None,
        }
    }

    /// Whether the traits violate the schema.
    pub fn is_traits_rejected(&self) -> bool {
        self.fault() == Some(Fault::TraitsRejected)
    }

    /// Whether the server has no schema with that id.
    pub fn is_schema_unknown(&self) -> bool {
        self.fault() == Some(Fault::SchemaUnknown)
    }

    /// Whether the identity of a recovery doesn't exist (404 for a code, 400 for a link).
    pub fn is_identity_unknown(&self) -> bool {
        self.fault() == Some(Fault::IdentityUnknown)
    }

    /// Whether the server's configuration disables the recovery method.
    pub fn is_method_disabled(&self) -> bool {
        self.fault() == Some(Fault::MethodDisabled)
    }

    /// Whether the server doesn't know the format of the imported password hash.
    pub fn is_hash_rejected(&self) -> bool {
        self.fault() == Some(Fault::HashRejected)
    }

    /// Whether the time was up before the answer came.
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::Timeout
    }

    /// Whether it never reached the server.
    pub(super) const fn is_unsent(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unsendable(_)
                | Kind::KeptBack
                | Kind::Fenced
                | Kind::Connect(_)
                | Kind::Tls(_)
                | Kind::TlsRefused(_)
                | Kind::Proxy(_)
        )
    }

    /// Whether it wasn't sent, because the request before it found the instance down.
    pub fn is_kept_back(&self) -> bool {
        matches!(self.kind, Kind::KeptBack | Kind::Fenced)
    }

    /// Whether the server refuses the cleartext password.
    pub fn is_password_rejected(&self) -> bool {
        self.fault() == Some(Fault::PasswordRejected)
    }

    /// Whether a JSON Patch doesn't fit the identity, for example `remove` of a missing member: read the identity again before
    /// you treat this as final.
    pub fn is_patch_inapplicable(&self) -> bool {
        self.fault() == Some(Fault::PatchInapplicable)
    }

    /// Whether the server refuses our credentials: 401 or 403.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.status(), Some(401 | 403))
    }

    const fn fault(&self) -> Option<Fault> {
        match &self.kind {
            Kind::Answer { fault, .. } => Some(*fault),
            _ => None,
        }
    }
}
