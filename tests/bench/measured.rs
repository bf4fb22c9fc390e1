//! What the operator does with the same, as a person sees it: from manifests to statuses, through its own binary.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kratos_operator::api::KratosIdentity;
use kratos_operator::kratos::{IdentityFilter, PatchOperation, Writer};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::floor;
use crate::ground::make_namespace;
use crate::many::each;
use crate::people::{self, NAMESPACE};
use crate::screen::Screen;
use crate::servers::{PATIENCE, Servers, field, resync_lines, settled_memory};
use crate::testenv::Result;
use crate::testenv::operator::Operator;
use crate::testenv::process::eventually;
use crate::testenv::samples;
use crate::watched::{Waiting, until_ready};

/// How many manifests are applied at once by those who apply them.
const APPLIERS: usize = 32;
/// How many single ones are timed.
const SINGLES: usize = 50;
/// Another namespace's resources that wait while single ones are applied.
const BACKLOG: usize = 10_000;
/// How many resyncs are timed.
const RESYNCS: usize = 5;

/// As many identities as the floor's.
pub struct Measured {
    /// The first tenth, from the first apply to the last Ready.
    pub tenth_ready: Duration,
    /// The rest, likewise.
    pub rest_ready: Duration,
    /// As many as N more that were there when the operator started: from its start to the last Ready.
    pub started_ready: Duration,
    /// Requests to Kratos and writes to Kubernetes of one resync with nothing to do, and what it took.
    pub resync: Resync,
    pub corrected: Duration,
    pub deleted: Duration,
    /// From apply to Ready, with nothing else to do.
    pub idle: Vec<Duration>,
    /// The same while the backlog waits.
    pub busy: Vec<Duration>,
    pub backlog: usize,
    /// As many as N, applied under the admission policy, from the first apply to the last Ready; and the operator's writes
    /// to them.
    pub born_ready: Duration,
    pub born_writes: u64,
    /// Resident bytes: without resources, with a tenth, with all.
    pub memory: [u64; 3],
}

pub struct Resync {
    /// The one in the middle of some, and the same of raw listings of the same Kratos beside them.
    pub took: Duration,
    pub raw: Duration,
    pub requests: u64,
    pub writes: u64,
}

/// Everything that is measured on. The operator ends first.
struct Stage {
    operator: Operator,
    servers: Servers,
}

pub async fn measure(n: usize, screen: &mut Screen) -> Result<Measured> {
    let mut stage = screen.step("a control plane, a Kratos and the operator", Box::pin(Stage::set())).await?;
    let empty = settled_memory(&stage.operator).await?;
    let tenth: Vec<_> = (0..n / 10).collect();
    let rest: Vec<_> = (n / 10..n).collect();
    let tenth_ready = screen.step("a tenth applied, until all are Ready", stage.apply("person", &tenth)).await?;
    let with_tenth = settled_memory(&stage.operator).await?;
    let rest_ready = screen.step("the rest applied, until all are Ready", stage.apply("person", &rest)).await?;
    let memory = [empty, with_tenth, settled_memory(&stage.operator).await?];
    let resync = screen.step("a resync with nothing to do", stage.resync()).await?;
    let corrected = screen.step("a tenth changed behind its back, until corrected", stage.drift()).await?;
    let idle = screen.step("single ones, one after another", stage.singles("idle", SINGLES, None)).await?;
    let deleted = screen.step("all deleted, until nothing is left", stage.delete_all()).await?;
    let numbers: Vec<_> = (0..n).collect();
    let started_ready = screen.step("as many there when it starts, until Ready", stage.start_with(&numbers)).await?;
    let backlog = BACKLOG.min(n * 10);
    let busy = screen.step("single ones while others wait", stage.while_others_wait(backlog)).await?;
    drop(stage);
    let stage = screen.step("all of it anew, with the admission policy", Box::pin(Stage::set())).await?;
    floor::install_policy(&stage.servers.plane).await?;
    let before = stage.kubernetes_writes().await?;
    let born_ready = screen.step("as many applied, until all are Ready", stage.apply("person", &numbers)).await?;
    // Their creation isn't the operator's.
    let born_writes = (stage.kubernetes_writes().await? - before).saturating_sub(n as u64);
    Ok(Measured {
        tenth_ready,
        rest_ready,
        started_ready,
        resync,
        corrected,
        deleted,
        idle,
        busy,
        backlog,
        born_ready,
        born_writes,
        memory,
    })
}

impl Stage {
    async fn set() -> Result<Self> {
        let servers = Servers::start().await?;
        let operator = Operator::start(servers.operator()?)?;
        servers.make_instance().await?;
        Ok(Self { operator, servers })
    }

    /// Applies manifests and waits until all of them are Ready.
    async fn apply(&self, prefix: &'static str, numbers: &[usize]) -> Result<Duration> {
        let ready = tokio::spawn(until_ready(self.servers.api.clone(), names(prefix, numbers)));
        let begun = Instant::now();
        floor::create_manifests(&self.servers.api, prefix, numbers, APPLIERS).await?;
        ready.await??;
        Ok(begun.elapsed())
    }

    /// Some resyncs, each beside a raw listing.
    async fn resync(&self) -> Result<Resync> {
        let (mut all, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..RESYNCS {
            raw.push(floor::list(&self.servers.kratos.client()).await?.1);
            all.push(self.resync_once().await?);
        }
        raw.sort_unstable();
        all.sort_unstable_by_key(|(took, ..)| *took);
        let requests = all.iter().map(|(_, requests, _)| *requests).max().unwrap_or_default();
        let writes = all.iter().map(|(.., writes)| *writes).sum();
        Ok(Resync { took: all[RESYNCS / 2].0, raw: raw[RESYNCS / 2], requests, writes })
    }

    /// Has the instance listed now. Returns what it says of that: how long it took, its requests to Kratos; and its writes
    /// to identities.
    async fn resync_once(&self) -> Result<(Duration, u64, u64)> {
        let before = self.kubernetes_writes().await?;
        let listed = self.resyncs();
        self.servers.request_resync().await?;
        let line = eventually("a resync", PATIENCE, async || {
            let log = self.operator.log();
            resync_lines(&log).nth(listed).map(str::to_owned)
        });
        let line = line.await?;
        let writes = self.kubernetes_writes().await? - before;
        let took = Duration::from_millis(field(&line, "milliseconds").ok_or("no duration in the log")?);
        let requests = field(&line, "requests").ok_or("no number of requests in the log")?;
        Ok((took, requests, writes))
    }

    fn resyncs(&self) -> usize {
        resync_lines(&self.operator.log()).count()
    }

    /// Writes to `KratosIdentity` resources, by the API server's own counters.
    async fn kubernetes_writes(&self) -> Result<u64> {
        let told = self.servers.told_by_apiserver().await?;
        let of_identities = [("resource", "kratosidentities")];
        let mut requests = samples::sums_by(&told, "apiserver_request_total", &of_identities, &["verb"]);
        requests.retain(|verb, _| ["APPLY", "PATCH", "POST", "PUT", "DELETE"].contains(&verb.as_str()));
        Ok(requests.values().sum())
    }

    /// Changes a tenth in Kratos, has the instance listed, and waits until all are as before.
    async fn drift(&self) -> Result<Duration> {
        let admin = self.servers.kratos.client();
        let (ids, _) = floor::list(&admin).await?;
        let tenth: Vec<_> = ids.into_iter().step_by(10).collect();
        each(tenth.clone(), 16, |id| {
            let admin = admin.clone();
            async move {
                let (path, value) = ("/traits/name/first".into(), json!("Somebody"));
                admin.patch_identity(&id, &[PatchOperation::Replace { path, value }]).await?;
                Ok(())
            }
        })
        .await?;
        let begun = Instant::now();
        self.servers.request_resync().await?;
        let mut left = tenth;
        while let Some(last) = left.last().cloned() {
            // One is asked for again and again, all of them only when that one is corrected: Kratos has other things to do.
            let corrected = eventually("one is corrected", PATIENCE, async || {
                let left = drifted(&admin, vec![last.clone()]).await.ok()?;
                left.is_empty().then_some(())
            });
            corrected.await?;
            left = drifted(&admin, left).await?;
        }
        Ok(begun.elapsed())
    }

    /// Single manifests, each applied when the one before is Ready. `others`: names of those that are to be waiting
    /// still when one is Ready; ends when they don't.
    async fn singles(&self, prefix: &str, most: usize, others: Option<&Waiting>) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for number in 0..most {
            let manifest: KratosIdentity = serde_json::from_value(people::manifest(prefix, number, NAMESPACE))?;
            let name = people::name(prefix, number);
            let watch = tokio::spawn(until_ready(self.servers.api.clone(), HashSet::from([name])));
            let begun = Instant::now();
            self.servers.api.create(&PostParams::default(), &manifest).await?;
            watch.await??;
            if others.is_some_and(Waiting::is_empty) {
                break;
            }
            times.push(begun.elapsed());
        }
        Ok(times)
    }

    async fn delete_all(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.servers.api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        let gone = eventually("all manifests are gone", PATIENCE, async || {
            let left = self.servers.api.list_metadata(&ListParams::default().limit(1)).await.ok()?;
            left.items.is_empty().then_some(())
        });
        gone.await?;
        let took = begun.elapsed();
        let (left, _) = floor::list(&self.servers.kratos.client()).await?;
        if left.is_empty() { Ok(took) } else { Err(format!("{} identities are left in Kratos", left.len()).into()) }
    }

    /// Manifests that are applied while the operator is away, and what it does from its start on.
    async fn start_with(&mut self, numbers: &[usize]) -> Result<Duration> {
        self.operator.stop()?;
        floor::create_manifests(&self.servers.api, "there", numbers, APPLIERS).await?;
        let ready = tokio::spawn(until_ready(self.servers.api.clone(), names("there", numbers)));
        let begun = Instant::now();
        self.operator.restart()?;
        ready.await??;
        Ok(begun.elapsed())
    }

    /// Single ones of this namespace, while an operator that has just been started works on thousands of another one.
    async fn while_others_wait(&mut self, backlog: usize) -> Result<Vec<Duration>> {
        let other = "others";
        make_namespace(&self.servers.client, other).await?;
        self.servers.change_instance(&json!({"spec": {"allowedNamespaces": {"from": "All"}}})).await?;
        self.operator.stop()?;
        let api = Api::<KratosIdentity>::namespaced(self.servers.client.clone(), other);
        let numbers: Vec<_> = (0..backlog).collect();
        floor::create_manifests(&api, "other", &numbers, APPLIERS).await?;
        let waiting = Waiting::new(api, backlog);
        self.operator.restart()?;
        let begun =
            eventually("the first of the backlog is Ready", PATIENCE, async || waiting.has_begun().then_some(()));
        begun.await?;
        self.singles("busy", SINGLES, Some(&waiting)).await
    }
}

fn names(prefix: &str, numbers: &[usize]) -> HashSet<String> {
    numbers.iter().map(|number| people::name(prefix, *number)).collect()
}

/// Those that aren't corrected yet.
async fn drifted(admin: &Writer, ids: Vec<String>) -> Result<Vec<String>> {
    let mut pages = std::pin::pin!(admin.list_identities(IdentityFilter::by_ids(ids)));
    let mut left = Vec::new();
    while let Some(page) = pages.try_next().await? {
        let drifted =
            page.items.into_iter().filter(|identity| identity.traits.read().unwrap()["name"]["first"] == "Somebody");
        left.extend(drifted.map(|identity| identity.id));
    }
    Ok(left)
}
