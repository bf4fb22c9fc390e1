//! What operators, and their servers, have done so far, by their own counters; and waiting until there is nothing left to do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::servers::Servers;
use crate::testenv::Result;
use crate::testenv::operator::Operator;
use crate::testenv::ports::Port;
use crate::testenv::samples::{self, Series, sum, sums_by};

/// Whoever has done nothing for so long is done.
const QUIET: Duration = Duration::from_secs(5);
/// What counters are read by while one waits.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_mins(40);

/// Numbers by what they count.
pub type Counts = BTreeMap<String, u64>;

/// An operator that serves its metrics.
pub struct Worker {
    pub operator: Operator,
    metrics: Port,
    http: reqwest::Client,
}

/// What one operator has done since it was started.
#[derive(Clone, Default)]
pub struct Work {
    /// Requests to Kratos by operation.
    pub kratos: Counts,
    /// Requests to the API server by method.
    pub kubernetes: Counts,
    pub reconciles: u64,
    pub processor_time: Duration,
}

/// What the servers have done since they were started, whoever asked.
#[derive(Clone, Default)]
pub struct Served {
    /// Requests for the operator's kinds by verb and resource.
    pub kubernetes: Counts,
    /// Processor time of the API server, and of Kratos.
    pub processor_time: [Duration; 2],
    /// Bytes of etcd's database.
    pub stored: u64,
}

impl Worker {
    /// Starts one that reconciles what the selector selects; everything, if there is none.
    pub fn start(servers: &Servers, selector: Option<&str>) -> Result<Self> {
        let metrics = Port::reserve()?;
        let mut settings = servers.operator()?;
        settings.arguments = vec!["--metrics-address".to_owned(), metrics.address().to_string()];
        settings.arguments.extend(selector.into_iter().flat_map(|it| ["--watch-selector".to_owned(), it.to_owned()]));
        Ok(Self { operator: Operator::start(settings)?, metrics, http: reqwest::Client::new() })
    }

    /// What it says of itself; nothing while it doesn't serve yet.
    async fn told(&self) -> Vec<Series> {
        let address: SocketAddr = self.metrics.address();
        samples::scrape(&self.http, address).await.unwrap_or_default()
    }

    pub async fn work(&self) -> Result<Work> {
        let told = self.told().await;
        let by = |name: &str, label: &str| {
            let mut counts = sums_by(&told, name, &[], &[label]);
            counts.retain(|_, count| *count > 0);
            counts
        };
        Ok(Work {
            kratos: by("kratos_operator_kratos_requests_total", "operation"),
            kubernetes: by("rest_client_requests_total", "method"),
            reconciles: of(&told, "controller_runtime_reconcile_total"),
            processor_time: self.operator.processor_time()?,
        })
    }

    /// How many of its own resources are Ready, as its watch shows.
    pub async fn ready(&self) -> usize {
        let labels = [("kind", "KratosIdentity"), ("ready", "true")];
        whole(sum(&self.told().await, "kratos_operator_resources", &labels))
    }
}

/// Waits until all have reconciled each of so many resources, have listed Kratos and have nothing left to do. Returns when that
/// was.
pub async fn settled(workers: &mut [Worker], own: &[usize]) -> Result<Instant> {
    let begun = Instant::now();
    let (mut changed, mut before) = (begun, Vec::new());
    while changed.elapsed() < QUIET {
        tokio::time::sleep(LOOK_EVERY).await;
        let (mut now, mut is_busy) = (Vec::new(), false);
        for (worker, own) in workers.iter_mut().zip(own) {
            worker.operator.still_running()?;
            let told = worker.told().await;
            let reconciles = of(&told, "controller_runtime_reconcile_total");
            let waiting = of(&told, "workqueue_depth") + of(&told, "controller_runtime_active_workers");
            let is_listed = sum(&told, "kratos_operator_kratos_requests_total", &[("operation", "list_identities")]);
            is_busy |= waiting > 0 || reconciles < *own as u64 || is_listed.unwrap_or_default() < 1.0;
            now.push((reconciles, whole(sum(&told, "kratos_operator_kratos_requests_total", &[]))));
        }
        if is_busy || now != before {
            (changed, before) = (Instant::now(), now);
        }
        if begun.elapsed() > PATIENCE {
            let tails: Vec<_> = workers.iter().map(|worker| worker.operator.tail()).collect();
            return Err(format!("not within {PATIENCE:?}: nothing is left to do\n{}", tails.join("\n")).into());
        }
    }
    Ok(changed)
}

/// Waits until all are Ready.
pub async fn all_ready(workers: &mut [Worker], n: usize, count: &crate::screen::Count) -> Result<()> {
    let begun = Instant::now();
    // It takes an operator some milliseconds to count a hundred thousand.
    let pause = Duration::from_millis((n / 100) as u64).clamp(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        let mut ready = 0;
        for worker in &mut *workers {
            worker.operator.still_running()?;
            ready += worker.ready().await;
        }
        count.set(ready);
        if ready >= n {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            let tails: Vec<_> = workers.iter().map(|worker| worker.operator.tail()).collect();
            return Err(format!("only {ready} of {n} are Ready after {PATIENCE:?}\n{}", tails.join("\n")).into());
        }
        tokio::time::sleep(pause).await;
    }
}

impl Served {
    pub async fn by(servers: &Servers) -> Result<Self> {
        let told = servers.told_by_apiserver().await?;
        let ours = [("group", "kratos-operator.dev")];
        let kubernetes = sums_by(&told, "apiserver_request_total", &ours, &["verb", "resource", "subresource"]);
        let (_, by_kratos) =
            servers.kratos.raw_bytes(reqwest::Method::GET, "admin/metrics/prometheus", Vec::new()).await?;
        let by_kratos = samples::series(&String::from_utf8_lossy(&by_kratos));
        let used =
            |told: &[Series]| Duration::from_secs_f64(sum(told, "process_cpu_seconds_total", &[]).unwrap_or(0.0));
        let stored = whole(sum(&told, "apiserver_storage_size_bytes", &[])) as u64;
        Ok(Self { kubernetes, processor_time: [used(&told), used(&by_kratos)], stored })
    }

    /// What was done since then.
    pub fn since(&self, before: &Self) -> Self {
        let [apiserver, kratos] = self.processor_time;
        let [apiserver_before, kratos_before] = before.processor_time;
        Self {
            kubernetes: less(&self.kubernetes, &before.kubernetes),
            processor_time: [apiserver.saturating_sub(apiserver_before), kratos.saturating_sub(kratos_before)],
            stored: self.stored,
        }
    }
}

impl Work {
    /// What was done since then.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            kratos: less(&self.kratos, &before.kratos),
            kubernetes: less(&self.kubernetes, &before.kubernetes),
            reconciles: self.reconciles - before.reconciles,
            processor_time: self.processor_time.saturating_sub(before.processor_time),
        }
    }
}

/// What is more now; nothing of what isn't.
fn less(now: &Counts, before: &Counts) -> Counts {
    let more = now.iter().map(|(what, now)| (what.clone(), now - before.get(what).copied().unwrap_or_default()));
    more.filter(|(_, count)| *count > 0).collect()
}

fn of(told: &[Series], name: &str) -> u64 {
    whole(sum(told, name, &[("controller", "kratosidentity")])) as u64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter, far below 2^53")]
fn whole(value: Option<f64>) -> usize {
    value.unwrap_or_default() as usize
}
