//! The answer of a probe, in the API server's form: `ok`, or one line per check. Pure.

use std::fmt::Write;

/// One condition that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    name: String,
    /// Why it doesn't hold.
    failure: Option<String>,
}

/// All checks of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    endpoint: &'static str,
    checks: Vec<Check>,
}

impl Check {
    pub fn new(name: impl Into<String>, failure: Option<String>) -> Self {
        Self { name: name.into(), failure }
    }
}

impl Report {
    /// `endpoint`: without its slash.
    pub fn new(endpoint: &'static str, checks: impl IntoIterator<Item = Check>) -> Self {
        Self { endpoint, checks: checks.into_iter().collect() }
    }

    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.failure.is_none())
    }

    /// `verbose`: names every check even where all hold.
    pub fn text(&self, verbose: bool) -> String {
        let is_ok = self.is_ok();
        if is_ok && !verbose {
            return "ok".to_owned();
        }
        let mut text = String::new();
        for Check { name, failure } in &self.checks {
            // Writing to a text can't fail.
            let _ = match failure {
                None => writeln!(text, "[+]{name} ok"),
                Some(why) => writeln!(text, "[-]{name} failed: {why}"),
            };
        }
        let outcome = if is_ok { "passed" } else { "failed" };
        let _ = writeln!(text, "{} check {outcome}", self.endpoint);
        text
    }
}
