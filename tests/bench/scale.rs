//! What very many identities cost one operator, or several that share them by their labels: until all are Ready, a resync with
//! nothing to do, and a restart. The harness itself keeps nothing of them, and asks for nothing but counters meanwhile.

use std::time::{Duration, Instant};

use kratos_operator::api::condition;
use kube::api::ListParams;
use serde_json::json;

use crate::floor;
use crate::many::each;
use crate::people::{self, NAMESPACE};
use crate::screen::{Count, Screen};
use crate::servers::{PATIENCE, Servers, field, resync_lines, settled_memory};
use crate::testenv::Result;
use crate::testenv::process::eventually;
use crate::work::{Served, Work, Worker, all_ready, settled};

/// How many are made directly, to tell what the servers take by themselves.
pub const SAMPLE: usize = 2000;
/// How many manifests are applied at once by those who apply them.
const APPLIERS: usize = 32;
/// Objects per page where they are read.
const PAGE: u32 = 500;

/// What some work took, and what each operator and the servers did for it.
pub struct Phase {
    pub took: Duration,
    pub each: Vec<Work>,
    pub served: Served,
}

/// Resident bytes of one operator.
pub struct Memory {
    /// With an instance and no identities.
    pub idle: u64,
    /// Once all are Ready and it has given back what it needed for a moment.
    pub settled: u64,
    /// The most until then.
    pub peak: u64,
    /// The same of the process that was started when all were Ready.
    pub restarted: u64,
    pub restarted_peak: u64,
}

pub struct Scaled {
    pub manifests: Duration,
    /// From the start, with the manifests there.
    pub ready: Phase,
    /// Its time is that of the slowest operator, by their logs.
    pub resync: Phase,
    /// The same of a raw listing.
    pub listing: Duration,
    /// Until the operators, asked to end, had ended.
    pub stopping: Duration,
    /// From the start until all were reconciled and nothing was left to do.
    pub restart: Phase,
    /// Of each operator.
    pub memory: Vec<Memory>,
}

/// Operators end first.
struct Stage {
    workers: Vec<Worker>,
    servers: Servers,
    /// How many resources each operator has.
    own: Vec<usize>,
    n: usize,
}

pub async fn measure(n: usize, shards: usize, screen: &mut Screen) -> Result<Scaled> {
    let mut stage =
        screen.step("a control plane, a Kratos, and who works on them", Box::pin(Stage::set(n, shards))).await?;
    let idle = screen.step("their memory without identities", stage.memory()).await?;
    stage.stop()?;
    let count = Count::default();
    let manifests = screen.count("creating the manifests", &count, stage.create(&count)).await?;
    let count = Count::default();
    let ready = screen.count("from its start until all are Ready", &count, stage.make_ready(&count)).await?;
    stage.settle().await?;
    let settled = screen.step("its memory once it has nothing to do", stage.memory()).await?;
    let peaks = stage.peaks()?;
    screen.step("whether the API server and Kratos say so too", stage.check()).await?;
    let listing = screen.step("a raw listing of Kratos", floor::list(&stage.servers.kratos.client())).await?.1;
    let resync = screen.step("a resync with nothing to do", stage.resync()).await?;
    let begun = Instant::now();
    stage.stop()?;
    let stopping = begun.elapsed();
    let restart = screen.step("a restart, until it has looked at everything", stage.restart()).await?;
    let restarted = screen.step("its memory then", stage.memory()).await?;
    let restarted_peaks = stage.peaks()?;
    let memory = (0..shards).map(|shard| Memory {
        idle: idle[shard],
        settled: settled[shard],
        peak: peaks[shard],
        restarted: restarted[shard],
        restarted_peak: restarted_peaks[shard],
    });
    Ok(Scaled { manifests, ready, resync, listing, stopping, restart, memory: memory.collect() })
}

impl Stage {
    async fn set(n: usize, shards: usize) -> Result<Self> {
        let servers = Servers::start().await?;
        let selectors: &[Option<&str>] = if shards == 1 { &[None] } else { &[Some("shard=0"), Some("shard!=0")] };
        let workers = selectors.iter().map(|selector| Worker::start(&servers, *selector)).collect::<Result<_>>()?;
        servers.make_instance().await?;
        let mut own = vec![0; shards];
        (0..n).for_each(|number| own[people::shard(number, shards)] += 1);
        Ok(Self { workers, servers, own, n })
    }

    async fn create(&self, count: &Count) -> Result<Duration> {
        let shards = self.own.len();
        each((0..self.n).collect(), APPLIERS, |number| {
            let (api, count) = (self.servers.api.clone(), count.clone());
            let mut manifest = people::manifest("person", number, NAMESPACE);
            // A label takes memory, too: where nobody asks for it there is none.
            if shards > 1 {
                manifest["metadata"]["labels"] = json!({"shard": people::shard(number, shards).to_string()});
            }
            async move {
                floor::create_manifest(&api, manifest).await?;
                count.add();
                Ok(())
            }
        })
        .await
    }

    async fn make_ready(&mut self, count: &Count) -> Result<Phase> {
        let (before, begun) = (Served::by(&self.servers).await?, Instant::now());
        self.start()?;
        all_ready(&mut self.workers, self.n, count).await?;
        self.phase(begun.elapsed(), &before, None).await
    }

    /// Has all operators compare everything. The one that takes longest counts.
    async fn resync(&mut self) -> Result<Phase> {
        let (before, works) = (Served::by(&self.servers).await?, self.works().await?);
        let seen: Vec<_> = self.workers.iter().map(|worker| resync_lines(&worker.operator.log()).count()).collect();
        self.servers.request_resync().await?;
        let begun = eventually("a resync has ended", PATIENCE, async || {
            let mut logs = self.workers.iter().map(|worker| worker.operator.log()).zip(&seen);
            logs.any(|(log, seen)| resync_lines(&log).count() > *seen).then_some(())
        });
        begun.await?;
        self.settle().await?;
        let mut took = 0;
        for (worker, seen) in self.workers.iter().zip(&seen) {
            let log = worker.operator.log();
            let each = resync_lines(&log).skip(*seen).map(|line| field(line, "milliseconds"));
            let each = each.collect::<Option<Vec<_>>>().ok_or("no duration in the log")?;
            took = took.max(each.into_iter().sum());
        }
        self.phase(Duration::from_millis(took), &before, Some(&works)).await
    }

    async fn restart(&mut self) -> Result<Phase> {
        let (before, begun) = (Served::by(&self.servers).await?, Instant::now());
        self.start()?;
        let took = self.settle().await?.duration_since(begun);
        self.phase(took, &before, None).await
    }

    /// `works`: what the operators had done before, if they weren't started with it.
    async fn phase(&self, took: Duration, before: &Served, works: Option<&[Work]>) -> Result<Phase> {
        let mut each = self.works().await?;
        for (now, before) in each.iter_mut().zip(works.unwrap_or_default()) {
            *now = now.since(before);
        }
        Ok(Phase { took, each, served: Served::by(&self.servers).await?.since(before) })
    }

    async fn works(&self) -> Result<Vec<Work>> {
        let mut works = Vec::new();
        for worker in &self.workers {
            works.push(worker.work().await?);
        }
        Ok(works)
    }

    async fn settle(&mut self) -> Result<Instant> {
        settled(&mut self.workers, &self.own).await
    }

    fn start(&mut self) -> Result<()> {
        self.workers.iter_mut().try_for_each(|worker| worker.operator.restart())
    }

    fn stop(&mut self) -> Result<()> {
        self.workers.iter_mut().for_each(|worker| worker.operator.terminate());
        self.workers.iter_mut().try_for_each(|worker| worker.operator.stop().map(drop))
    }

    async fn memory(&self) -> Result<Vec<u64>> {
        let mut bytes = Vec::new();
        for worker in &self.workers {
            bytes.push(settled_memory(&worker.operator).await?);
        }
        Ok(bytes)
    }

    fn peaks(&self) -> Result<Vec<u64>> {
        self.workers.iter().map(|worker| worker.operator.peak_memory()).collect()
    }

    /// That what the operators say of themselves is so.
    async fn check(&self) -> Result<()> {
        let mut params = ListParams::default().limit(PAGE);
        let mut ready = 0;
        loop {
            let page = self.servers.api.list(&params).await?;
            let are_ready = page.items.iter().filter(|object| {
                object.status.as_ref().is_some_and(|status| condition::is_true(&status.conditions, condition::READY))
            });
            ready += are_ready.count();
            let Some(next) = page.metadata.continue_.filter(|token| !token.is_empty()) else { break };
            params = params.continue_token(&next);
        }
        let made = floor::list(&self.servers.kratos.client()).await?.0.len();
        if (ready, made) == (self.n, self.n) {
            return Ok(());
        }
        Err(format!("of {} manifests {ready} are Ready, and Kratos has {made} identities", self.n).into())
    }
}
