//! Reads Kratos' error answers. Their texts quote traits and identifiers, so they are read here, reduced to a [`Fault`], and
//! dropped: no text of the server may leave this file.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use serde::Deserialize;

/// What Kratos complains about, as far as callers need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Other,
    ConcurrentUpdate,
    UnknownField(&'static str),
    TraitsRejected,
    SchemaUnknown,
    IdentityUnknown,
    MethodDisabled,
    ReturnToRejected,
    HashRejected,
    PasswordRejected,
    PatchInapplicable,
    BodyTooLarge,
}

/// The `error` member of an error answer, and of a failed item of a batch.
#[derive(Default, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(default)]
    pub(super) code: Option<u16>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    error: ErrorBody,
}

impl ErrorBody {
    /// Reads a body; `None` where it isn't Kratos'.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Envelope>(body)
            .ok()
            .map(|envelope| envelope.error)
            .filter(|error| error.code.is_some())
    }

    /// What it complains about. The order matters: texts that quote values are tested after those that can't.
    pub(super) fn fault(&self) -> Fault {
        let reason = self.reason.as_deref().unwrap_or_default();
        let message = self.message.as_deref().unwrap_or_default();
        let says = |start: &str| reason.starts_with(start) || message.starts_with(start);
        if says("http: request body too large") {
            Fault::BodyTooLarge
        } else if says("Unable to serialize access") {
            Fault::ConcurrentUpdate
        } else if says("json: unknown field \"") {
            let named = |field: &str| {
                let text = format!("json: unknown field \"{field}\"");
                says(&text)
            };
            Fault::UnknownField(NEWER_FIELDS.into_iter().find(|field| named(field)).unwrap_or("another field"))
        } else if says("I[#/password]") {
            Fault::PasswordRejected
        } else if says("I[#") {
            Fault::TraitsRejected
        } else if says("Unable to find JSON Schema ID") {
            Fault::SchemaUnknown
        } else if says("could not find identity") || says("The requested identity id does not exist") {
            Fault::IdentityUnknown
        } else if says("This endpoint was disabled") {
            Fault::MethodDisabled
        } else if says("Requested return_to URL") {
            Fault::ReturnToRejected
        } else if says("The imported password does not match any known hash") {
            Fault::HashRejected
        } else if says("An error occured when applying the JSON patch")
            || says("An error occurred when applying the JSON patch")
        {
            Fault::PatchInapplicable
        } else {
            Fault::Other
        }
    }
}

/// Fields that only v25.4 and later know.
const NEWER_FIELDS: [&str; 2] = ["external_id", "organization_id"];

impl Fault {
    /// What went wrong and what to do, without the server's words.
    pub(super) fn advice(self, status: StatusCode) -> &'static str {
        match self {
            Self::ConcurrentUpdate => "another write came in between; it is to be repeated",
            Self::UnknownField("external_id") => "the server has no external ids; it must be v25.4 or later",
            Self::UnknownField("organization_id") => "the server takes no organization here; it must be v25.4 or later",
            Self::UnknownField(_) => "the server doesn't know a field of the request; it is too old",
            Self::TraitsRejected => "the traits don't obey the identity schema",
            Self::SchemaUnknown => "the server has no identity schema of that id",
            Self::IdentityUnknown => "the identity doesn't exist",
            Self::MethodDisabled => "the recovery method is disabled in Kratos' configuration; enable it there",
            Self::ReturnToRejected => {
                "Kratos doesn't lead to the URL in recovery.returnTo; correct it, or add it to \
                 selfservice.allowed_return_urls in Kratos' configuration"
            }
            Self::HashRejected => "the imported password hash is of no known kind",
            Self::PasswordRejected => {
                "the server doesn't take the password; where it hashes by bcrypt, one longer than 72 bytes is refused"
            }
            Self::BodyTooLarge => "the request is too large for the server (5 MiB)",
            Self::PatchInapplicable => "the patch doesn't fit the identity as it is now",
            Self::Other => match status.as_u16() {
                401 | 403 | 407 => "not authorized; check the instance's token",
                404 => "not found",
                409 => "a value of the identity exists already in another one",
                413 => "the request is too large for the server",
                429 => "the server limits the rate of requests",
                500 => {
                    "the server failed; see its log (perhaps its database has no room for a text: an identifier has 255 \
                     characters at most)"
                }
                501.. => "the server failed; see its log",
                _ => "the server refuses the request; see its log",
            },
        }
    }
}

/// The longest wait that a server can impose.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// `x-ratelimit-reset` values beyond this are points in time (seconds since 1970), not seconds to wait.
const EPOCH_FROM: u64 = 1_000_000_000;

/// How long the server wants no requests: `Retry-After` (seconds or a date), else `x-ratelimit-reset` (seconds, or seconds
/// since 1970). At most an hour.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = text(&RETRY_AFTER).and_then(|value| {
        value.parse::<u64>().ok().or_else(|| {
            let date = httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(date.as_secs().saturating_sub(since_epoch))
        })
    });
    let seconds = seconds.or_else(|| {
        let value = text(&HeaderName::from_static("x-ratelimit-reset"))?.parse::<u64>().ok()?;
        Some(if value >= EPOCH_FROM { value.saturating_sub(since_epoch) } else { value })
    });
    seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}
