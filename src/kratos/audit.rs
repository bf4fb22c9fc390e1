//! Who causes a write, and the audit record of each one that is sent: what it was about and its outcome, never a value. Doesn't
//! store records.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::error::{Class, Error};
use super::types::{CreateIdentity, CredentialImport};

/// Who causes a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initiator {
    /// The resource's kind, key and uid.
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// The generation that causes it; `None` where the resource is gone.
    pub generation: Option<i64>,
    pub cause: WriteCause,
    /// The trace that the write belongs to.
    pub trace_id: Option<String>,
}

/// Why a resource causes a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteCause {
    /// Kratos is brought in line with the manifest.
    Spec,
    /// An action, as the manifest names it.
    Action(&'static str),
    /// The resource is being deleted.
    Deletion,
    /// A deletion that was held and released.
    ProtectionRelease,
    /// The resource is gone, and its grace period runs or is over.
    GracePeriod,
    /// Rules of a session policy, by name.
    Rules(Vec<String>),
}

impl WriteCause {
    /// One word, in the style of condition reasons.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Spec => "Spec",
            Self::Action(_) => "Action",
            Self::Deletion => "Deletion",
            Self::ProtectionRelease => "ProtectionRelease",
            Self::GracePeriod => "GracePeriod",
            Self::Rules(_) => "Rule",
        }
    }
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// It wasn't carried out.
    Failed(Class),
    /// The answer called it created, but its batch was rolled back.
    RolledBack,
    /// No answer says whether it was carried out.
    Unanswered,
}

impl Outcome {
    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(class) => class.as_str(),
            Self::RolledBack => "rolled_back",
            Self::Unanswered => "unanswered",
        }
    }

    pub(super) fn of(error: &Error) -> Self {
        if error.outcome_unknown() { Self::Unanswered } else { Self::Failed(error.class()) }
    }
}

/// One write that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Named as in the API document.
    pub operation: &'static str,
    pub initiator: &'a Initiator,
    /// The identity's id, where it is known.
    pub identity: Option<&'a str>,
    pub session: Option<&'a str>,
    /// JSON pointers into the identity.
    pub paths: &'a [String],
    pub outcome: Outcome,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Counts from 1. Deletions are retried where that is harmless.
    pub attempt: u64,
}

/// Receives one record for each write that was sent.
pub trait Auditor: fmt::Debug + Send + Sync {
    fn record(&self, record: &Record<'_>);
}

/// A write that is about to be sent.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) initiator: Arc<Initiator>,
    pub(super) identity: Option<String>,
    pub(super) session: Option<String>,
    pub(super) paths: Vec<String>,
}

impl Write {
    pub(super) fn new(initiator: &Arc<Initiator>) -> Self {
        Self { initiator: Arc::clone(initiator), identity: None, session: None, paths: Vec::new() }
    }

    pub(super) fn of_identity(self, id: &str) -> Self {
        Self { identity: Some(id.to_owned()), ..self }
    }

    pub(super) fn to(self, paths: impl IntoIterator<Item = String>) -> Self {
        Self { paths: paths.into_iter().collect(), ..self }
    }
}

/// A write that was sent and isn't recorded yet. When it is dropped it is recorded as unanswered: its caller is gone, or
/// couldn't use the answer.
#[derive(Debug)]
pub(super) struct Entry {
    auditor: Arc<dyn Auditor>,
    operation: &'static str,
    write: Write,
    attempt: u64,
    status: Option<u16>,
    is_open: bool,
}

impl Entry {
    pub(super) fn open(auditor: &Arc<dyn Auditor>, operation: &'static str, write: Write, attempt: u64) -> Self {
        Self { auditor: Arc::clone(auditor), operation, write, attempt, status: None, is_open: true }
    }

    /// Notes the status of the answer.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Notes which identity it is about, where the answer says so.
    pub(super) fn is_about(&mut self, id: &str) {
        self.write.identity = Some(id.to_owned());
    }

    pub(super) fn close(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    /// It failed. Records that, unless it was never sent.
    pub(super) fn fail(mut self, error: &Error) {
        if error.is_unsent() {
            self.is_open = false;
            return;
        }
        self.status = error.status();
        self.tell(Outcome::of(error));
    }

    fn tell(&mut self, outcome: Outcome) {
        self.is_open = false;
        let Write { initiator, identity, session, paths } = &self.write;
        self.auditor.record(&Record {
            operation: self.operation,
            initiator,
            identity: identity.as_deref(),
            session: session.as_deref(),
            paths,
            outcome,
            status: self.status,
            attempt: self.attempt,
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.is_open {
            self.tell(Outcome::Unanswered);
        }
    }
}

/// JSON pointers of what a create sets: each leaf of its objects; of `metadata_admin` each member as a whole.
pub(super) fn paths_of(create: &CreateIdentity) -> Vec<String> {
    let CreateIdentity {
        schema_id: _,
        traits,
        state,
        metadata_public,
        metadata_admin,
        external_id,
        organization_id,
        verifiable_addresses,
        recovery_addresses,
        credentials,
    } = create;
    let mut paths = vec!["/schema_id".to_owned()];
    leaves("/traits", traits, usize::MAX, &mut paths);
    for (root, metadata, depth) in
        [("/metadata_public", metadata_public, usize::MAX), ("/metadata_admin", metadata_admin, 1)]
    {
        if let Some(metadata) = metadata {
            leaves(root, metadata, depth, &mut paths);
        }
    }
    let CredentialImport { password, oidc, auto_links, saml } = credentials;
    let others = [
        ("/state", state.is_some()),
        ("/external_id", external_id.is_some()),
        ("/organization_id", organization_id.is_some()),
        ("/verifiable_addresses", !verifiable_addresses.is_empty()),
        ("/recovery_addresses", !recovery_addresses.is_empty()),
        ("/credentials/password", password.is_some()),
        ("/credentials/oidc", !oidc.is_empty() || !auto_links.is_empty()),
        ("/credentials/saml", !saml.is_empty()),
    ];
    paths.extend(others.into_iter().filter(|(_, is_set)| *is_set).map(|(path, _)| path.to_owned()));
    paths
}

fn leaves(path: &str, value: &Value, depth: usize, found: &mut Vec<String>) {
    match value {
        Value::Object(members) if depth > 0 && !members.is_empty() => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(&format!("{path}/{name}"), member, depth - 1, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}
