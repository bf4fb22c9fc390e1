//! What a watch shows of the resources that are measured: until all are Ready, and how many wait.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use futures::{StreamExt, TryStreamExt};
use kratos_operator::api::{KratosIdentity, condition};
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};

use crate::servers::PATIENCE;
use crate::testenv::Result;

/// How many of another namespace's resources aren't Ready yet, as a watch sees it.
pub struct Waiting {
    total: usize,
    ready: Arc<Mutex<HashSet<String>>>,
    watch: tokio::task::JoinHandle<()>,
}

impl Waiting {
    pub fn new(api: Api<KratosIdentity>, total: usize) -> Self {
        let ready = Arc::<Mutex<HashSet<String>>>::default();
        let noted = Arc::clone(&ready);
        let watch = tokio::spawn(async move {
            let mut objects = std::pin::pin!(watcher(api, watcher::Config::default()).applied_objects());
            while let Some(object) = objects.next().await {
                if let Ok(object) = object
                    && is_ready(&object)
                    && let Ok(mut ready) = noted.lock()
                {
                    ready.insert(object.metadata.name.unwrap_or_default());
                }
            }
        });
        Self { total, ready, watch }
    }

    /// Whether any is Ready.
    pub fn has_begun(&self) -> bool {
        self.ready.lock().is_ok_and(|ready| !ready.is_empty())
    }

    /// Whether all are.
    pub fn is_empty(&self) -> bool {
        self.ready.lock().is_ok_and(|ready| ready.len() >= self.total)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn is_ready(object: &KratosIdentity) -> bool {
    object.status.as_ref().is_some_and(|status| {
        status.observed_generation == object.metadata.generation && condition::is_true(&status.conditions, "Ready")
    })
}

/// Watches until each of these has been Ready. A resource that is Stalled ends it.
pub async fn until_ready(api: Api<KratosIdentity>, mut names: HashSet<String>) -> Result<()> {
    let config = match names.iter().next() {
        Some(name) if names.len() == 1 => watcher::Config::default().fields(&format!("metadata.name={name}")),
        _ => watcher::Config::default(),
    };
    let watch = async {
        let mut objects = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
        while let Some(object) = objects.try_next().await? {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let stalled = object.status.as_ref().and_then(|status| condition::find(&status.conditions, "Stalled"));
            if let Some(stalled) = stalled.filter(|_| names.contains(name)) {
                return Err(format!("{name} is Stalled: {}", stalled.message).into());
            }
            if is_ready(&object) && names.remove(name) && names.is_empty() {
                return Ok(());
            }
        }
        Err("the watch has ended".into())
    };
    tokio::time::timeout(PATIENCE, watch).await.unwrap_or_else(|_| Err("not all became Ready in time".into()))
}
