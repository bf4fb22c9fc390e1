//! What a failure means for a resource: the one place that classifies errors and names their reasons.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::api::condition::State;
use crate::api::words::{LONGEST_STATEMENT, NAME, shown};
use crate::api::{ReadyCondition, Reason};
use crate::base::kube_error;
use crate::identity::conflict;
use crate::identity::plan;
use crate::identity::progress;
use crate::identity::schema;
use crate::identity::schema::shape::Shape;
use crate::kratos::{Class, Error, SchemaFault};

/// Why a reconcile ended early.
#[derive(Debug)]
pub enum ReconcileError {
    /// Something else must happen first, which enqueues the resource. Only a resource whose status isn't about its generation
    /// yet gets this condition: a thousand that were Ready aren't rewritten.
    Waiting(ReadyCondition),
    /// Its turn hasn't come; it is called then. Nothing is written about that: a queue is a queue, here or elsewhere.
    Queued(ReadyCondition),
    /// The schema that the reconcile stands on couldn't be read yet. It waits like those before; what takes nothing but
    /// a way in goes on.
    Unread(ReadyCondition),
    /// This reconcile's own request found the instance down. The first time it waits like everybody else. Where it goes on
    /// although probes succeed, it is tried ever less often; what may be that request's own fault is a `Retry` then.
    Down(ReadyCondition),
    /// Someone must act. Reconciled again at the next resync, or when something changes.
    Refused(ReadyCondition),
    /// It is tried again after a while: the server's, or our own back-off.
    Retry { condition: ReadyCondition, after: Option<Duration> },
    /// Kubernetes didn't answer as it should.
    Kubernetes(kube::Error),
}

impl ReconcileError {
    /// Why, where the cluster itself isn't why.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Waiting(condition)
            | Self::Queued(condition)
            | Self::Unread(condition)
            | Self::Down(condition)
            | Self::Refused(condition)
            | Self::Retry { condition, .. } => Some(condition.reason),
            Self::Kubernetes(_) => None,
        }
    }

    /// The same error, with more to say.
    #[must_use]
    pub fn with_condition(self, told: impl FnOnce(ReadyCondition) -> ReadyCondition) -> Self {
        match self {
            Self::Waiting(condition) => Self::Waiting(told(condition)),
            Self::Queued(condition) => Self::Queued(told(condition)),
            Self::Unread(condition) => Self::Unread(told(condition)),
            Self::Down(condition) => Self::Down(told(condition)),
            Self::Refused(condition) => Self::Refused(told(condition)),
            Self::Retry { condition, after } => Self::Retry { condition: told(condition), after },
            Self::Kubernetes(error) => Self::Kubernetes(error),
        }
    }

    /// The same, to be tried again by itself, as soon as what else failed allows. What is tried again anyway stays: one whose turn
    /// comes, whose instance is down, or that Kubernetes failed.
    #[must_use]
    pub fn into_retry(self, failed: &Self) -> Self {
        let after = if let Self::Retry { after, .. } = failed { *after } else { None };
        match self {
            Self::Waiting(condition)
            | Self::Unread(condition)
            | Self::Refused(condition)
            | Self::Retry { condition, .. } => Self::Retry { condition, after },
            failure @ (Self::Queued(_) | Self::Down(_) | Self::Kubernetes(_)) => failure,
        }
    }

    /// Whether other requests to the instance would fare likewise now: it is down, or wants to be left alone.
    pub fn is_instance_wide(&self) -> bool {
        match self {
            Self::Waiting(_) | Self::Down(_) => true,
            Self::Retry { condition, .. } => condition.reason == Reason::Throttled,
            Self::Queued(_) | Self::Unread(_) | Self::Refused(_) | Self::Kubernetes(_) => false,
        }
    }

    /// Why, for a log line.
    pub fn message(&self) -> String {
        match self {
            Self::Waiting(condition)
            | Self::Queued(condition)
            | Self::Unread(condition)
            | Self::Down(condition)
            | Self::Refused(condition)
            | Self::Retry { condition, .. } => condition.message.clone(),
            Self::Kubernetes(error) => kube_error::brief(error),
        }
    }
}

impl From<kube::Error> for ReconcileError {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(error)
    }
}

impl From<ReadyCondition> for ReconcileError {
    fn from(condition: ReadyCondition) -> Self {
        match condition.reason.state() {
            // Nobody need act: what it waits for may come.
            State::Retrying => Self::Retry { condition, after: None },
            State::Done | State::Stalled => Self::Refused(condition),
        }
    }
}

/// What was sent when Kratos failed, to explain a refusal by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent<'a> {
    pub schema_id: &'a str,
    /// As a document, and as what it says of traits.
    pub schema: Option<(&'a Value, &'a Shape)>,
    pub traits: Option<&'a Value>,
    /// Those that the manifest has.
    pub manifest: Option<&'a Map<String, Value>>,
    /// Whether an external id was, which no other identity may have.
    pub external_id: bool,
}

/// From so many failures of the same one's requests on, each while Kratos served others, it is that one's own. A server may
/// fail over all writes for half a minute, and be well again.
const ITS_OWN: u32 = 5;

/// What an error of Kratos means. `times`: how often in a row it was so although others were served. No text of the server
/// is passed on: it quotes values.
pub fn classify(error: &Error, sent: Sent<'_>, times: u32) -> ReconcileError {
    if error.is_kept_back() {
        return ReconcileError::Waiting(unavailable());
    }
    if times >= ITS_OWN {
        return ReconcileError::Retry {
            condition: ReadyCondition::new(Reason::KratosRejected, each_time(&error.to_string())),
            after: None,
        };
    }
    if error.instance_suspect() && times > 0 {
        let condition = ReadyCondition::new(Reason::KratosUnavailable, format!("{error}; it is tried again"));
        return ReconcileError::Retry { condition, after: None };
    }
    if error.instance_suspect() {
        return ReconcileError::Down(ReadyCondition::new(
            Reason::KratosUnavailable,
            format!("{error}; it is tried again"),
        ));
    }
    if error.is_schema_unknown() {
        return ReconcileError::Refused(schema_not_found(sent.schema_id));
    }
    if let Some(field) = error.unknown_field() {
        return ReconcileError::Refused(unsupported(field));
    }
    if error.is_traits_rejected() {
        let (traits, none) = (sent.traits.unwrap_or(&Value::Null), Map::new());
        let message = schema::explain(sent.schema_id, sent.schema, traits, sent.manifest.unwrap_or(&none));
        return ReconcileError::Refused(ReadyCondition::new(Reason::TraitsRejected, message));
    }
    match error.class() {
        Class::Throttled { retry_after } => {
            let condition =
                ReadyCondition::new(Reason::Throttled, "Kratos asked to be called later; it is tried again then");
            ReconcileError::Retry { condition, after: Some(retry_after) }
        }
        Class::Transient => {
            let condition = ReadyCondition::new(Reason::KratosUnavailable, format!("{error}; it is tried again"));
            ReconcileError::Retry { condition, after: None }
        }
        Class::Conflict => ReconcileError::Refused(conflict::taken(sent.external_id)),
        // It existed a moment ago, or was different: read it again.
        Class::NotFound => ReconcileError::Retry { condition: moved(), after: None },
        Class::Rejected if error.is_patch_inapplicable() => ReconcileError::Retry { condition: moved(), after: None },
        // The server counts for itself what is left to log in with.
        Class::Rejected if error.operation() == "delete_identity_credentials" => {
            ReconcileError::Refused(plan::last_first_factor())
        }
        Class::Rejected => {
            let message = format!("{error}; change the manifest accordingly");
            ReconcileError::Refused(ReadyCondition::new(Reason::KratosRejected, message))
        }
    }
}

/// What is said of a failure that is one's own: in full where that fits.
fn each_time(error: &str) -> String {
    let ends = [
        "; it fails each time, although Kratos serves others; it is tried again, less and less often",
        "; it fails each time, although Kratos serves others",
        "; each time, although Kratos serves others",
    ];
    let room = |end: &str| LONGEST_STATEMENT.saturating_sub(end.chars().count());
    let end = ends.into_iter().find(|end| error.chars().count() <= room(end)).unwrap_or(ends[2]);
    format!("{}{end}", shown(error, room(end)))
}

fn moved() -> ReadyCondition {
    progress::written()
}

/// The condition where nobody says which instance is meant.
pub fn unnamed() -> ReadyCondition {
    let message =
        "spec.instanceRef is missing, and the operator was started without --default-instance; name a KratosInstance";
    ReadyCondition::new(Reason::InvalidSpec, message)
}

/// The condition while the instance as a whole is down.
pub fn unavailable() -> ReadyCondition {
    ReadyCondition::new(Reason::KratosUnavailable, "Kratos gives no usable answer; see the KratosInstance")
}

/// The condition for a schema that Kratos doesn't serve.
pub fn schema_not_found(schema_id: &str) -> ReadyCondition {
    let message = format!(
        "Kratos serves no identity schema {:?}; correct spec.schemaID, or add the schema to Kratos (the KratosInstance lists \
         them in status.schemas)",
        shown(schema_id, NAME)
    );
    ReadyCondition::new(Reason::SchemaNotFound, message)
}

/// The condition for a schema that Kratos serves, and that is none.
pub fn schema_of_no_use(schema_id: &str, fault: SchemaFault) -> ReadyCondition {
    let message = format!(
        "identity schema {:?} is of no use: {fault}; correct it in Kratos' configuration, or correct spec.schemaID",
        shown(schema_id, NAME)
    );
    ReadyCondition::new(Reason::SchemaNotFound, message)
}

/// The condition for a field that the server doesn't know.
pub fn unsupported(field: &str) -> ReadyCondition {
    let field = match field {
        "external_id" => "externalID",
        "organization_id" => "organizationID",
        other => other,
    };
    let field = shown(field, NAME);
    let message = format!("this Kratos doesn't know {field} (v25.4 and later do); remove it, or upgrade Kratos");
    ReadyCondition::new(Reason::UnsupportedByServer, message)
}
