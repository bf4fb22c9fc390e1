//! Reads along with everything that this run's operators write where people read it: statuses, events and all else
//! that goes to Kubernetes, their logs and audit logs. No password, hash, code, link, token or trait value that the run used may
//! be in it. What was used is learnt from what passes: manifests, Secrets that are read, requests to Kratos, recoveries.
//!
//! Looked through at the end of a test while no other one is under way, so at the end of the run at the latest.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::testenv::operator::Operator;
use crate::testenv::proxy::Listener;

/// Shorter values are parts of other words.
const SHORTEST: usize = 8;

static TRACES: LazyLock<Arc<Traces>> = LazyLock::new(Arc::default);

/// What is kept of the run.
#[derive(Default)]
pub struct Traces(Mutex<State>);

#[derive(Default)]
struct State {
    /// Values that may not show.
    values: HashSet<String>,
    /// Short ones, that may not show as a word by themselves (within a longer number they may).
    codes: HashSet<String>,
    /// What was written: where, and the text.
    written: Vec<(String, String)>,
    /// Logs of operators that still run, or may have been killed; and how far each was taken over into `written`.
    logs: Vec<PathBuf>,
    /// Tests under way.
    scenes: usize,
}

/// The one of this run.
pub fn of_this_run() -> Arc<Traces> {
    Arc::clone(&TRACES)
}

impl Traces {
    /// A test begins. Each has an end.
    pub fn begin(&self) {
        self.state().scenes += 1;
    }

    /// A test ends; tells what shows somewhere, if it was the last one under way.
    pub fn end(&self) -> Vec<String> {
        let mut state = self.state();
        state.scenes -= 1;
        if state.scenes > 0 { Vec::new() } else { state.found() }
    }

    /// An operator's log is searched too.
    pub fn follow(&self, operator: &Operator) {
        self.state().logs.extend([operator.log_path(), operator.audit_log_path()]);
    }

    /// An operator is about to end, and its log with it.
    pub fn take_log(&self, operator: &Operator) {
        let paths = [operator.log_path(), operator.audit_log_path()];
        let mut state = self.state();
        state.logs.retain(|other| !paths.contains(other));
        state.written.push(("a log".to_owned(), operator.log()));
        let audited = std::fs::read(&paths[1]).unwrap_or_default();
        state.written.push(("an audit log".to_owned(), String::from_utf8_lossy(&audited).into_owned()));
    }

    /// What an operator wrote elsewhere.
    pub fn written(&self, place: &str, text: String) {
        self.state().written.push((place.to_owned(), text));
    }

    /// A secret that a test made.
    pub fn uses_secret(&self, text: &str) {
        self.state().use_text(text, true);
    }

    /// The personal values of a manifest.
    pub fn uses_manifest(&self, spec: &Value) {
        let mut state = self.state();
        state.use_all(&spec["traits"], false);
        state.use_all(&spec["verifiedAddresses"], false);
        state.use_all(&spec["adoption"]["identifier"], false);
        for links in ["oidc", "saml"] {
            for link in spec["credentials"][links].as_array().into_iter().flatten() {
                state.use_all(&link["subject"], true);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes in every text within a value. `is_secret`: also those that could be a name of something.
    fn use_all(&mut self, value: &Value, is_secret: bool) {
        match value {
            Value::String(text) => self.use_text(text, is_secret),
            Value::Array(items) => items.iter().for_each(|item| self.use_all(item, is_secret)),
            Value::Object(members) => members.values().for_each(|member| self.use_all(member, is_secret)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn use_text(&mut self, text: &str, is_secret: bool) {
        let text = text.trim();
        // What stands in names and places shows rightly.
        let is_name = text.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-');
        if text.len() >= SHORTEST && (is_secret || !is_name) {
            // Of a long text its beginning tells enough.
            self.values.insert(text.chars().take(256).collect());
        }
    }

    fn found(&self) -> Vec<String> {
        let values: Vec<_> = self.values.iter().collect();
        let Ok(searched) = AhoCorasick::new(&values) else { return vec!["too much to look for".to_owned()] };
        let logs = self.logs.iter().map(|path| {
            let log = std::fs::read(path).unwrap_or_default();
            ("a log".to_owned(), String::from_utf8_lossy(&log).into_owned())
        });
        let logs: Vec<_> = logs.collect();
        let mut found = HashSet::new();
        for (place, text) in self.written.iter().chain(&logs) {
            for hit in searched.find_iter(text) {
                let line = text.lines().find(|line| line.contains(values[hit.pattern()].as_str()));
                let line: String = line.unwrap_or_default().chars().take(600).collect();
                found.insert(format!("{place} shows {:?}: {line}", values[hit.pattern()]));
            }
        }
        for (place, text) in self.written.iter().chain(&logs) {
            let mut words = text.split(|char: char| !char.is_ascii_alphanumeric());
            found
                .extend(words.find(|word| self.codes.contains(*word)).map(|code| format!("{place} shows code {code}")));
        }
        found.into_iter().collect()
    }
}

/// Between the operators and the kube-apiserver.
pub struct ToKubernetes;

impl Listener for ToKubernetes {
    fn asked(&self, label: &str, body: &[u8]) {
        // A Secret is where secrets belong.
        if body.is_empty() || label.contains(" secrets") {
            return;
        }
        let text = String::from_utf8_lossy(body).into_owned();
        TRACES.state().written.push((label.to_owned(), text));
    }

    fn wants_answer(&self, label: &str) -> bool {
        label == "GET secrets"
    }

    fn answered(&self, _: &str, body: &[u8]) {
        let Ok(secret) = serde_json::from_slice::<Value>(body) else { return };
        // The key's id is no secret, and stands in marks.
        if secret["metadata"]["name"] == "kratos-operator-key" {
            return;
        }
        for value in secret["data"].as_object().into_iter().flat_map(serde_json::Map::values) {
            let bytes = value.as_str().and_then(|encoded| STANDARD.decode(encoded).ok()).unwrap_or_default();
            if let Ok(text) = String::from_utf8(bytes)
                && !text.contains("BEGIN CERTIFICATE")
            {
                TRACES.state().use_text(&text, true);
            }
        }
    }
}

/// Between the operators and Kratos.
pub struct ToKratos;

impl Listener for ToKratos {
    fn asked(&self, _: &str, body: &[u8]) {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
        let mut state = TRACES.state();
        let batch = body["identities"].as_array().into_iter().flatten().map(|item| &item["create"]);
        for identity in batch.chain([&body]) {
            state.use_all(&identity["traits"], false);
            state.use_all(&identity["credentials"]["password"]["config"], true);
        }
        for operation in body.as_array().into_iter().flatten() {
            if operation["path"].as_str().is_some_and(|path| path.starts_with("/traits")) {
                state.use_all(&operation["value"], false);
            }
        }
    }

    fn wants_answer(&self, label: &str) -> bool {
        label.contains("/admin/recovery/")
    }

    fn answered(&self, _: &str, body: &[u8]) {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return };
        let mut state = TRACES.state();
        state.use_all(&answer["recovery_link"], true);
        if let Some(code) = answer["recovery_code"].as_str() {
            state.codes.insert(code.to_owned());
        }
    }
}
