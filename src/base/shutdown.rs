//! How long the shutdown may take, whatever is in progress: a pod has 30 seconds. What is dropped is as after a crash, which
//! loses nothing.

use std::time::Duration;

use futures::future::join_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::supervise::{Failure, Tasks};

/// Reconciles in progress have this long to finish; then they are dropped.
const UNDER_WAY: Duration = Duration::from_secs(20);
/// For what comes after the reconciles.
const REST: Duration = Duration::from_secs(4);
/// After this long the process ends, whatever it does.
const ALL: Duration = Duration::from_secs(25);
/// The exit code in that case.
const CUT_SHORT: i32 = 1;

/// Cancels `stop` at Ctrl-C or SIGTERM; a second signal ends the process at once. Runs on a thread of its own, so that no other
/// work can block it.
pub fn on_signals(stop: CancellationToken) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _within = runtime.enter();
        Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(signals.serve(stop)))?;
    Ok(())
}

/// How the controllers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All reconciles are finished.
    Finished,
    /// The time was up.
    CutShort,
}

/// Returns once all `controllers` have ended: because the process is to stop, or because it can't go on. `release` gives up the
/// lead. Where the process can't go on, `release` isn't called: standbys wait until the Lease runs out.
pub async fn finished<T: Future<Output = ()>>(
    tasks: &Tasks,
    controllers: impl IntoIterator<Item = JoinHandle<()>>,
    release: impl FnOnce(End) -> T,
) -> Result<(), Failure> {
    let overdue = async {
        tasks.stop().cancelled().await;
        tokio::time::sleep(UNDER_WAY).await;
    };
    let end = tokio::select! {
        // Where both happened, the failure is why the controllers ended.
        biased;
        failure = tasks.failed() => return Err(failure),
        _ = join_all(controllers) => End::Finished,
        () = overdue => End::CutShort,
    };
    if tokio::time::timeout(REST, release(end)).await.is_err() {
        tracing::warn!("the Leases weren't released; they run out");
    }
    if end == End::CutShort {
        return Err(Failure::Unfinished { seconds: UNDER_WAY.as_secs() });
    }
    tracing::info!("kratos-operator has stopped");
    Ok(())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    async fn serve(mut self, stop: CancellationToken) {
        self.next().await;
        tracing::info!("stopping: reconciles under way are finished; a second signal ends at once");
        stop.cancel();
        tokio::select! {
            () = self.next() => tracing::warn!("a second signal: the process ends at once"),
            () = tokio::time::sleep(ALL) => {
                tracing::error!(seconds = ALL.as_secs(), "the process didn't stop in order; it ends in the middle of its work");
            }
        }
        std::process::exit(CUT_SHORT);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// How it ends with one controller that does this, and whether the lead was released.
    async fn ends(tasks: &Tasks, controller: impl Future<Output = ()> + Send + 'static) -> (Result<(), Failure>, bool) {
        let is_released = AtomicBool::new(false);
        let release = |end| {
            is_released.store(end == End::Finished, Ordering::SeqCst);
            std::future::ready(())
        };
        let controller = tasks.spawn_critical("reconciles", controller);
        let ended = tokio::time::timeout(UNDER_WAY, finished(tasks, [controller], release)).await.expect("it ends");
        (ended, is_released.into_inner())
    }

    #[tokio::test]
    async fn others_begin_once_everything_is_finished() {
        let tasks = Tasks::new(CancellationToken::new());
        let stop = tasks.stop().clone();
        tasks.spawn("signal", async move { stop.cancel() });
        let stop = tasks.stop().clone();
        assert_eq!(ends(&tasks, async move { stop.cancelled().await }).await, (Ok(()), true));
    }

    #[tokio::test]
    async fn a_process_that_cannot_go_on_says_why_and_lets_nobody_begin() {
        let tasks = Tasks::new(CancellationToken::new());
        let failure = Failure::Panicked("reconciles".into());
        assert_eq!(ends(&tasks, async { panic!("on purpose") }).await, (Err(failure), false));

        let tasks = Tasks::new(CancellationToken::new());
        let watch = tasks.spawn_critical("watch", async {});
        let failure = Failure::Ended("watch".into());
        assert_eq!(ends(&tasks, async move { drop(watch.await) }).await, (Err(failure), false));

        let tasks = Tasks::new(CancellationToken::new());
        tasks.spawn_critical("watch", async { panic!("on purpose") });
        let failure = Failure::Panicked("watch".into());
        assert_eq!(ends(&tasks, std::future::pending()).await, (Err(failure), false));
    }
}
