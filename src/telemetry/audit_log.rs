//! The audit log: one JSON line for each write to Kratos (`docs/audit-log.md`). Says who caused it, what it was about and its
//! outcome; never a value. It can't stop a write: one whose line can't be written is made all the same.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use crate::base::namespaced_name::NamespacedName;
use crate::kratos::{Auditor, Initiator, Record, WriteCause};

/// The most paths in a line.
const MOST_PATHS: usize = 256;

/// The log. All instances share it.
pub struct AuditLog {
    state: Mutex<State>,
    /// How many lines couldn't be written since the start.
    lost: Counter,
}

struct State {
    output: Output,
    /// How many lines couldn't be written since the last one that could.
    lost: u64,
}

enum Output {
    Stream(Box<dyn Write + Send>),
    File(Rotated),
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AuditLog")
    }
}

impl AuditLog {
    /// Logs to a stream that carries nothing else. `lost` counts the lines that can't be written.
    pub fn to_stream(stream: impl Write + Send + 'static, lost: Counter) -> Arc<Self> {
        Self::of_output(Output::Stream(Box::new(stream)), lost)
    }

    /// Appends to a file. Creates it where it doesn't exist, also after it was moved away.
    pub fn to_file(path: &Path, lost: Counter) -> io::Result<Arc<Self>> {
        let file = Rotated { path: path.to_owned(), file: Some(open(path)?), is_torn: false };
        Ok(Self::of_output(Output::File(file), lost))
    }

    fn of_output(output: Output, lost: Counter) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { output, lost: 0 }), lost })
    }

    /// The log for one instance's writes.
    pub fn of(self: &Arc<Self>, instance: &NamespacedName) -> Arc<dyn Auditor> {
        Arc::new(OfInstance { log: Arc::clone(self), instance: instance.to_string() })
    }

    fn write(&self, line: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut state.output {
            Output::Stream(stream) => stream.write_all(line).and_then(|()| stream.flush()),
            Output::File(file) => file.write(line),
        };
        match (written, state.lost) {
            (Ok(()), 0) => {}
            (Ok(()), lost) => {
                state.lost = 0;
                tracing::warn!(lost, "the audit log can be written again; so many lines are missing in it");
            }
            (Err(error), lost) => {
                state.lost += 1;
                self.lost.inc();
                if lost == 0 {
                    let error = error.kind().to_string();
                    tracing::error!(
                        error,
                        "the audit log can't be written; writes to Kratos go on without their lines"
                    );
                }
            }
        }
    }
}

/// A file that others may move away (rotate).
struct Rotated {
    path: PathBuf,
    file: Option<File>,
    /// Whether the last line is incomplete.
    is_torn: bool,
}

impl Rotated {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let is_torn = std::mem::take(&mut self.is_torn);
        let (file, is_new) = self.current()?;
        if is_torn && !is_new {
            // End the incomplete line, so that it stays apart from the next one.
            file.write_all(b"\n")?;
        }
        // In one call: others may append to the same file.
        let written = file.write(line)?;
        let rest = file.write_all(&line[written..]);
        self.is_torn = rest.is_err() && written > 0;
        rest
    }

    /// The file at the path now, and whether it is a new one.
    fn current(&mut self) -> io::Result<(&mut File, bool)> {
        let there = std::fs::metadata(&self.path).ok();
        let kept = self.file.take().filter(|file| is_same(file.metadata().ok().as_ref(), there.as_ref()));
        let is_new = kept.is_none();
        let file = match kept {
            Some(file) => file,
            None => open(&self.path)?,
        };
        Ok((self.file.insert(file), is_new))
    }
}

fn is_same(open: Option<&Metadata>, there: Option<&Metadata>) -> bool {
    let id = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    open.is_some() && open.map(id) == there.map(id)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// The log of one instance's writes.
#[derive(Debug)]
struct OfInstance {
    log: Arc<AuditLog>,
    instance: String,
}

impl Auditor for OfInstance {
    fn record(&self, record: &Record<'_>) {
        let mut line = line(record, &self.instance, Timestamp::now());
        line.push('\n');
        self.log.write(line.as_bytes());
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    instance: &'a str,
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    paths: &'a [String],
    #[serde(skip_serializing_if = "is_zero")]
    omitted_paths: usize,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    attempt: u64,
    initiator: By<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

#[derive(Serialize)]
struct By<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    cause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rules: &'a [String],
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn line(record: &Record<'_>, instance: &str, at: Timestamp) -> String {
    let Record { operation, initiator, identity, session, paths, outcome, status, attempt } = *record;
    let Initiator { kind, namespace, name, uid, generation, cause, trace_id } = initiator;
    let (action, rules) = match cause {
        WriteCause::Action(name) => (Some(*name), &[][..]),
        WriteCause::Rules(rules) => (None, &rules[..]),
        WriteCause::Spec | WriteCause::Deletion | WriteCause::ProtectionRelease | WriteCause::GracePeriod => {
            (None, &[][..])
        }
    };
    let shown = &paths[..paths.len().min(MOST_PATHS)];
    let line = Line {
        timestamp: format!("{at:.6}"),
        instance,
        operation: operation_id(operation),
        identity,
        session,
        paths: shown,
        omitted_paths: paths.len() - shown.len(),
        outcome: outcome.as_str(),
        status,
        attempt,
        initiator: By { kind, namespace, name, uid, generation: *generation, cause: cause.as_str(), action, rules },
        trace_id: trace_id.as_deref(),
    };
    // Only texts and numbers, so it can't fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// Named as in the API document: `patchIdentity`.
fn operation_id(operation: &str) -> String {
    let mut words = operation.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut id, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        id.push_str(&head.to_ascii_uppercase());
        id.push_str(tail);
        id
    })
}

#[cfg(test)]
mod tests;
