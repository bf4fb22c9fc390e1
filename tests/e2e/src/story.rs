//! Says each step in a line, with the time it took; and, where one fails, what the cluster has to say about it.

use std::time::Instant;

use crate::shell::{Result, kubectl};

/// When it began.
#[derive(Clone, Copy, Debug)]
pub struct Story(Instant);

impl Story {
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Does a step.
    pub fn step<T>(self, what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let begin = Instant::now();
        let done = act();
        let (at, took) = (self.0.elapsed().as_secs_f64(), begin.elapsed().as_secs_f64());
        let outcome = if done.is_ok() { "" } else { "FAILED: " };
        println!("{at:7.1} s  {outcome}{what} ({took:.1} s)");
        done
    }
}

/// Prints what helps to see why a step failed: our resources, pods with their logs, events.
pub fn show_cluster() {
    for arguments in [
        "get kinst,kid,ksp -A --chunk-size=0",
        "get pods,deployments,leases -A -o wide",
        "get events -A --sort-by=.lastTimestamp",
        "describe pods -n kratos-operator",
    ] {
        show(arguments, 60);
    }
    for pod in kubectl("get pods -A --no-headers").unwrap_or_default().lines() {
        let mut words = pod.split_whitespace();
        if let (Some(namespace), Some(name)) = (words.next(), words.next()) {
            show(&format!("logs -n {namespace} {name} --all-containers --tail=40"), 40);
            if !pod.contains(" 0 ") {
                show(&format!("logs -n {namespace} {name} --all-containers --previous --tail=20"), 20);
            }
        }
    }
}

/// The last lines of what kubectl prints.
fn show(arguments: &str, lines: usize) {
    eprintln!("--- kubectl {arguments}");
    let text = kubectl(arguments).unwrap_or_else(|error| error.to_string());
    let all: Vec<&str> = text.lines().collect();
    eprintln!("{}", all[all.len().saturating_sub(lines)..].join("\n"));
}
