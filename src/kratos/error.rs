//! What can go wrong when Kratos is asked, and what follows from it, decided in one place. It may hold nothing
//! that a server, a person or a manifest wrote: no body, no URL, no value, no token.

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
    /// Whether it befell the read that was to tell what became of a write.
    is_unconfirmed: bool,
}

/// What a failure means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same request may succeed later. Ask [`Error::instance_unavailable`] whether others fail likewise.
    Transient,
    /// The server wants fewer requests.
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The value exists already, in another identity.
    Conflict,
    /// There is no such thing.
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

    /// The failure of a write that was answered, but that this read was to confirm.
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

    /// What the failure means. Everything else that asks about an error's class asks here.
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
            // Whatever the status: a patch that is too large, and a password, are answered by 500.
            return Class::Rejected;
        }
        match status {
            429 => Class::Throttled { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) },
            // The database gave up on a transaction in favour of another: nothing was written.
            400 if fault == Fault::ConcurrentUpdate => Class::Transient,
            // Credentials and gateways get repaired without any change to what was asked for.
            401 | 403 | 407 | 408 | 421 | 425 | 499 | 500.. => Class::Transient,
            404 => Class::NotFound,
            409 => Class::Conflict,
            _ => Class::Rejected,
        }
    }

    /// Whether the instance as a whole gives no usable answer, so that other requests would fail likewise: no
    /// connection, a timeout, a redirect or a foreign answer (a wrong URL), 502, 503, 504, 401 or 403.
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

    /// Whether the failure is reason enough to leave the instance alone until a probe succeeds: it gives no usable
    /// answer, or the connection was lost. The latter may be this request's own fault, so it says nothing about others.
    pub fn instance_suspect(&self) -> bool {
        self.instance_unavailable() || matches!(self.kind, Kind::Interrupted | Kind::NoHttp { .. })
    }

    /// Whether it may be this request's own fault: the server (or a gateway before it) answered, or the time was up, or the
    /// connection was lost. Where others are served meanwhile, again and again, it is.
    pub fn may_be_its_own(&self) -> bool {
        let is_suspect = self.instance_suspect() || self.server_failed();
        is_suspect && !self.is_unsent()
    }

    /// Whether the server itself failed (500): over this request, or over every one, which a probe tells.
    pub fn server_failed(&self) -> bool {
        self.status() == Some(500) && self.fault() != Some(Fault::PasswordRejected)
    }

    /// Whether the request may have been carried out although it failed: no, or no whole, answer came back, the server
    /// failed in the middle (5xx), or the read that was to tell failed. A write is to be followed by a read before it is
    /// repeated.
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

    /// Whether the server is too old for a field of the request, and which: `external_id` or `organization_id`
    /// (both v25.4 and later); any other one is `"another field"`.
    pub const fn unknown_field(&self) -> Option<&'static str> {
        match self.fault() {
            Some(Fault::UnknownField(field)) => Some(field),
            _ => None,
        }
    }

    /// Whether the traits don't obey the schema.
    pub fn is_traits_rejected(&self) -> bool {
        self.fault() == Some(Fault::TraitsRejected)
    }

    /// Whether the server has no schema of that id.
    pub fn is_schema_unknown(&self) -> bool {
        self.fault() == Some(Fault::SchemaUnknown)
    }

    /// Whether the identity that a recovery is asked for doesn't exist (404 for a code, 400 for a link).
    pub fn is_identity_unknown(&self) -> bool {
        self.fault() == Some(Fault::IdentityUnknown)
    }

    /// Whether the recovery method is switched off in the server's configuration.
    pub fn is_method_disabled(&self) -> bool {
        self.fault() == Some(Fault::MethodDisabled)
    }

    /// Whether the imported password hash is of no kind that the server knows.
    pub fn is_hash_rejected(&self) -> bool {
        self.fault() == Some(Fault::HashRejected)
    }

    /// Whether the time was up before there was an answer.
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

    /// Whether it wasn't even sent, because the one before it found the instance down.
    pub fn is_kept_back(&self) -> bool {
        matches!(self.kind, Kind::KeptBack | Kind::Fenced)
    }

    /// Whether the server doesn't take the password in clear text.
    pub fn is_password_rejected(&self) -> bool {
        self.fault() == Some(Fault::PasswordRejected)
    }

    /// Whether a JSON Patch didn't fit the identity, for example a `remove` of what is gone already: to be read
    /// again before it is taken for final.
    pub fn is_patch_inapplicable(&self) -> bool {
        self.fault() == Some(Fault::PatchInapplicable)
    }

    /// Whether the server wants (other) credentials of us: 401 or 403.
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
