//! Runs background tasks, each under a name; nothing else may spawn tasks. A panic is never silent: the task is restarted where
//! possible, else the process ends and says why. A panic's payload may quote a trait or a secret, so it is never read; only its
//! place in the source is reported.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backoff;

const FIRST_AGAIN: Duration = Duration::from_secs(1);
const LAST_AGAIN: Duration = Duration::from_mins(1);

/// What a task is called in the log.
pub type Name = Cow<'static, str>;

/// All background tasks of the process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Tasks {
    stop: CancellationToken,
    failed: watch::Sender<Option<Failure>>,
}

/// Why the process can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the background task \"{0}\" panicked, which is an error of the operator; the log says where")]
    Panicked(Name),
    #[error("the background task \"{0}\" ended, which is an error of the operator")]
    Ended(Name),
    #[error("this process leads no longer, and ends so that another one may: {0}")]
    Lost(String),
    #[error(
        "what was under way wasn't finished within {seconds} seconds and was dropped, as if the process had been killed"
    )]
    Unfinished { seconds: u64 },
}

impl Tasks {
    /// `stop`: cancelled when the process is to end. After that, tasks may end.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, failed: watch::Sender::new(None) }
    }

    /// Cancelled when the process is to end.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs a task that ends by itself. If it panics the process ends: others wait for its result.
    pub fn spawn(&self, name: impl Into<Name>, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let (name, tasks) = (name.into(), self.clone());
        tokio::spawn(async move {
            if !completes(task).await {
                tasks.fail(Failure::Panicked(name));
            }
        })
    }

    /// Runs a task that the process needs: it must neither panic nor end before the process is to end.
    pub fn spawn_critical(
        &self,
        name: impl Into<Name>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let (name, tasks) = (name.into(), self.clone());
        tokio::spawn(async move {
            if !completes(task).await {
                tasks.fail(Failure::Panicked(name));
            } else if !tasks.stop.is_cancelled() {
                tasks.fail(Failure::Ended(name));
            }
        })
    }

    /// The same on a thread and runtime of its own: other work can't delay it.
    pub fn spawn_critical_thread<T>(
        &self,
        name: &'static str,
        begin: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<()>
    where
        T: Future<Output = ()>,
    {
        let tasks = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            if !runtime.block_on(completes(async { begin().await })) {
                tasks.fail(Failure::Panicked(name.into()));
            } else if !tasks.stop.is_cancelled() {
                tasks.fail(Failure::Ended(name.into()));
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }

    /// Runs a task that can be restarted: after a panic it is, with back-off, while all others go on.
    pub fn spawn_restarting<T>(
        &self,
        name: impl Into<Name>,
        mut begin: impl FnMut() -> T + Send + 'static,
    ) -> JoinHandle<()>
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let (name, stop) = (name.into(), self.stop.clone());
        tokio::spawn(async move {
            let mut failed = 0;
            loop {
                let since = Instant::now();
                if completes(async { begin().await }).await || stop.is_cancelled() {
                    return;
                }
                if since.elapsed() > LAST_AGAIN * 2 {
                    failed = 0;
                }
                tracing::error!(task = %name, "a background task panicked, which is an error of the operator; it is begun anew");
                tokio::time::sleep(backoff::delay(FIRST_AGAIN, LAST_AGAIN, failed)).await;
                failed += 1;
            }
        })
    }

    /// Why the process can't go on, if so.
    pub fn failure(&self) -> Option<Failure> {
        self.failed.borrow().clone()
    }

    /// Returns once a task has failed that the process needs.
    pub async fn failed(&self) -> Failure {
        let mut failed = self.failed.subscribe();
        loop {
            if let Some(failure) = failed.borrow_and_update().clone() {
                return failure;
            }
            // The sender is `self`.
            let _ = failed.changed().await;
        }
    }

    /// Notes the first failure only: later ones follow from it.
    pub fn fail(&self, failure: Failure) {
        tracing::error!("{failure}");
        self.failed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }
}

/// Whether a task ends without a panic.
async fn completes(task: impl Future<Output = ()>) -> bool {
    // State that it shares is behind locks that survive a panic, or is dropped with it.
    AssertUnwindSafe(task).catch_unwind().await.is_ok()
}

/// Makes panics report their place only, never their payload.
pub fn hide_payloads() {
    std::panic::set_hook(Box::new(say_where));
}

fn say_where(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    tracing::error!(location, "a panic, which is an error of the operator");
}

#[cfg(test)]
mod tests;
