//! Says each step in a line, with the time it took; and, where one fails, what the cluster has to say about it.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::shell::{Result, kubectl};

/// A step that takes longer says that it is under way,
const SOON: Duration = Duration::from_secs(2);
/// and says it again so often.
const AGAIN: Duration = Duration::from_secs(10);

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
        let (ends, ended) = mpsc::channel();
        let done = thread::scope(|scope| {
            scope.spawn(move || self.accompany(what, &ended));
            // Dropped also where the step panics.
            let _ends: mpsc::Sender<()> = ends;
            act()
        });
        let (at, took) = (self.0.elapsed().as_secs_f64(), begin.elapsed().as_secs_f64());
        let outcome = if done.is_ok() { "" } else { "FAILED: " };
        println!("{at:7.1} s  {outcome}{what} ({took:.1} s)");
        done
    }

    /// Says what is under way, until it ends.
    fn accompany(self, what: &str, ended: &Receiver<()>) {
        let mut wait = SOON;
        while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            println!("{:7.1} s  … {what}", self.0.elapsed().as_secs_f64());
            wait = AGAIN;
        }
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
