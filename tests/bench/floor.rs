//! What the servers do when they are asked directly, in the best shape that was found in this run: the floor that the
//! operator is measured against. No operator runs meanwhile.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kratos_operator::api::{IDENTITY_FINALIZER, KratosIdentity};
use kratos_operator::commands::admission_policy::{self, Scope};
use kratos_operator::kratos::{BatchItem, BatchOutcome, CreateIdentity, IdentityFilter, PatchOperation, Writer};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::Selector;
use serde_json::{Value, json};

use crate::ground::control_plane;
use crate::many::each;
use crate::people::{self, NAMESPACE};
use crate::screen::Screen;
use crate::servers::Servers;
use crate::testenv::Result;
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::process::component;
use crate::watched::until_ready;

/// Shapes of batches that are tried: items in one, and how many are in flight.
const BATCHES: [(usize, usize); 6] = [(50, 2), (50, 4), (100, 2), (100, 4), (200, 2), (200, 4)];
/// Numbers of requests in flight that are tried.
const AT_ONCE: [usize; 4] = [8, 16, 32, 64];
/// How many single ones are timed one after another.
const SINGLES: usize = 50;

/// All of it for the same N, but for `singles`.
pub struct Floor {
    /// Items in a batch, batches in flight: the best of those tried.
    pub batch: (usize, usize),
    /// Requests to the API server in flight: the best of those tried.
    pub at_once: usize,
    /// Manifests created.
    pub manifests: Duration,
    /// The same where the admission policy gives each its finalizer.
    pub born: Duration,
    /// Identities created in Kratos, in batches.
    pub creating: Duration,
    pub finalizers: Duration,
    pub statuses: Duration,
    /// A tenth of the identities read and patched.
    pub correcting: Duration,
    /// Objects with a finalizer deleted, in one request.
    pub marking: Duration,
    /// Identities deleted in Kratos.
    pub deleting: Duration,
    /// Finalizers removed.
    pub releasing: Duration,
    /// Ory's own importer, of the same N.
    pub importing: Duration,
    /// One manifest, one identity, one finalizer, one status, one after another.
    pub singles: Vec<Duration>,
}

pub async fn measure(n: usize, screen: &mut Screen) -> Result<Floor> {
    let (plane, client) = screen.step("a control plane", control_plane(NAMESPACE)).await?;
    let api: Api<KratosIdentity> = Api::namespaced(client, NAMESPACE);
    let kratos = screen.step("a Kratos", Kratos::start(Options::default())).await?;
    let admin = kratos.client();

    let batch = screen.step("which shape of batches is best", best_batch(&admin, n)).await?;
    drop((kratos, admin));
    let at_once = screen.step("how many requests to the API server at once are best", best_at_once(&api, n)).await?;

    let kratos = screen.step("a Kratos with an empty database", Kratos::start(Options::default())).await?;
    let admin = kratos.client();
    let all: Vec<_> = (0..n).map(|number| people::identity("floor", number)).collect();
    let creating = screen.step("creating them in Kratos, in batches", create(&admin, all, batch)).await?;
    let numbers: Vec<_> = (0..n).collect();
    let manifests = screen.step("creating their manifests", create_manifests(&api, "floor", &numbers, at_once)).await?;
    // Somebody waits here too, as `kubectl wait` does: what is written is shown to a watch.
    let names = numbers.iter().map(|number| people::name("floor", *number)).collect();
    let ready = tokio::spawn(until_ready(api.clone(), names));
    let finalizers = screen.step("writing their finalizers", finalize(&api, &numbers, at_once, true)).await?;
    let statuses = screen.step("writing their statuses", write_statuses(&api, "floor", &numbers, at_once)).await?;
    ready.await??;
    let (ids, _) = screen.step("listing them in Kratos", list(&admin)).await?;
    if ids.len() != n {
        return Err(format!("{} identities where {n} were made", ids.len()).into());
    }
    let tenth = ids.iter().step_by(10).cloned().collect();
    let correcting = screen.step("reading and patching a tenth of them", correct(&admin, tenth)).await?;
    let singles = screen.step("single ones, one after another", singles(&admin, &api)).await?;
    let marking = screen.step("deleting their manifests", delete_manifests(&api)).await?;
    let deleting = screen.step("deleting them in Kratos", delete(&admin, ids)).await?;
    let releasing = screen.step("removing their finalizers", finalize(&api, &numbers, at_once, false)).await?;
    screen.step("the admission policy, until it has taken hold", install_policy(&plane)).await?;
    let born =
        screen.step("creating their manifests under it", create_manifests(&api, "born", &numbers, at_once)).await?;
    drop(kratos);

    let kratos = screen.step("a Kratos with an empty database", Kratos::start(Options::default())).await?;
    let importing = screen.step("kratos import identities, of as many", import(&kratos, n)).await?;
    Ok(Floor {
        batch,
        at_once,
        manifests,
        born,
        creating,
        finalizers,
        statuses,
        correcting,
        marking,
        deleting,
        releasing,
        importing,
        singles,
    })
}

/// What a sample takes the servers, in shapes that are good for most machines.
pub struct Sample {
    pub count: usize,
    pub manifests: Duration,
    pub creating: Duration,
    pub finalizers: Duration,
    pub statuses: Duration,
}

/// Measures a sample on servers that hold nothing else.
pub async fn sample(count: usize) -> Result<Sample> {
    let servers = Servers::start().await?;
    let numbers: Vec<_> = (0..count).collect();
    let all = numbers.iter().map(|number| people::identity("floor", *number)).collect();
    let creating = create(&servers.kratos.client(), all, (100, 2)).await?;
    let manifests = create_manifests(&servers.api, "floor", &numbers, 32).await?;
    let finalizers = finalize(&servers.api, &numbers, 16, true).await?;
    let statuses = write_statuses(&servers.api, "floor", &numbers, 16).await?;
    Ok(Sample { count, manifests, creating, finalizers, statuses })
}

/// The policy that `kratos-operator admission-policy` prints.
pub async fn install_policy(plane: &ControlPlane) -> Result<()> {
    let scope = Scope { name: "bench".to_owned(), namespaces: Vec::new(), selector: Selector::default() };
    let policy = admission_policy::text(scope)?;
    plane.install_policy(&policy, &people::manifest("sample", 0, NAMESPACE), IDENTITY_FINALIZER).await
}

async fn best_batch(admin: &Writer, n: usize) -> Result<(usize, usize)> {
    let mut best = None;
    for (round, shape) in BATCHES.into_iter().enumerate() {
        // At least one whole batch for each that may be in flight.
        let count = (n / 5).clamp(100, 800).max(shape.0 * shape.1);
        let some = (0..count).map(|number| people::identity(&format!("try{round}"), number)).collect();
        let each = create(admin, some, shape).await? / u32::try_from(count)?;
        if best.is_none_or(|(_, fastest)| each < fastest) {
            best = Some((shape, each));
        }
    }
    best.map(|(shape, _)| shape).ok_or_else(|| "no shape was tried".into())
}

async fn best_at_once(api: &Api<KratosIdentity>, n: usize) -> Result<usize> {
    let numbers: Vec<_> = (0..(n / 5).clamp(100, 500)).collect();
    create_manifests(api, "try", &numbers, 16).await?;
    let mut best = None;
    for at_once in AT_ONCE {
        let took = write_statuses(api, "try", &numbers, at_once).await?;
        if best.is_none_or(|(_, fastest)| took < fastest) {
            best = Some((at_once, took));
        }
    }
    delete_manifests(api).await?;
    best.map(|(at_once, _)| at_once).ok_or_else(|| "nothing was tried".into())
}

async fn create(
    admin: &Writer,
    identities: Vec<CreateIdentity>,
    (size, in_flight): (usize, usize),
) -> Result<Duration> {
    let items: Vec<_> = identities.into_iter().map(|create| BatchItem { create, patch_id: None }).collect();
    let batches: Vec<Vec<BatchItem>> = items.chunks(size).map(<[_]>::to_vec).collect();
    each(batches, in_flight, |batch| {
        let admin = admin.clone();
        async move {
            let answers = admin.batch_patch_identities(&batch).await?;
            let is_whole = answers.iter().all(|answer| matches!(answer.outcome, BatchOutcome::Created { .. }));
            if is_whole { Ok(()) } else { Err("an item of a raw batch failed".into()) }
        }
    })
    .await
}

pub async fn create_manifests(
    api: &Api<KratosIdentity>,
    prefix: &'static str,
    numbers: &[usize],
    at_once: usize,
) -> Result<Duration> {
    each(numbers.to_vec(), at_once, |number| {
        let api = api.clone();
        async move {
            let manifest = people::manifest(prefix, number, api.namespace().unwrap_or_default());
            create_manifest(&api, manifest).await
        }
    })
    .await
}

pub async fn create_manifest(api: &Api<KratosIdentity>, manifest: Value) -> Result<()> {
    let manifest: KratosIdentity = serde_json::from_value(manifest)?;
    api.create(&PostParams::default(), &manifest).await?;
    Ok(())
}

async fn finalize(api: &Api<KratosIdentity>, numbers: &[usize], at_once: usize, on: bool) -> Result<Duration> {
    let finalizers = if on { json!(["kratos-operator.dev/identity"]) } else { json!([]) };
    each(numbers.to_vec(), at_once, |number| {
        let (api, patch) = (api.clone(), Patch::Merge(json!({"metadata": {"finalizers": finalizers}})));
        async move {
            api.patch(&people::name("floor", number), &PatchParams::default(), &patch).await?;
            Ok(())
        }
    })
    .await
}

async fn write_statuses(
    api: &Api<KratosIdentity>,
    prefix: &'static str,
    numbers: &[usize],
    at_once: usize,
) -> Result<Duration> {
    // Another one each time, or the server has nothing to write.
    let mut status = people::status(1);
    status["status"]["lastHandledReconcileAt"] = json!(format!("{:016x}", rand::random::<u64>()));
    each(numbers.to_vec(), at_once, |number| {
        let (api, patch) = (api.clone(), Patch::Merge(status.clone()));
        async move {
            api.patch_status(&people::name(prefix, number), &PatchParams::default(), &patch).await?;
            Ok(())
        }
    })
    .await
}

async fn delete_manifests(api: &Api<KratosIdentity>) -> Result<Duration> {
    let begun = Instant::now();
    api.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default()).await?;
    Ok(begun.elapsed())
}

pub async fn list(admin: &Writer) -> Result<(Vec<String>, Duration)> {
    let begun = Instant::now();
    let filter = IdentityFilter { page_size: Some(500), ..IdentityFilter::default() };
    let mut pages = std::pin::pin!(admin.list_identities(filter));
    let mut ids = Vec::new();
    while let Some(page) = pages.try_next().await? {
        ids.extend(page.items.into_iter().map(|identity| identity.id));
    }
    Ok((ids, begun.elapsed()))
}

async fn correct(admin: &Writer, ids: Vec<String>) -> Result<Duration> {
    let mut best: Option<Duration> = None;
    for at_once in [4, 16] {
        let value = json!(format!("{:08x}", rand::random::<u32>()));
        let took = each(ids.clone(), at_once, |id| {
            let (admin, value) = (admin.clone(), value.clone());
            async move {
                admin.get_identity(&id, &[]).await?.ok_or("an identity is gone")?;
                let path = "/traits/name/first".into();
                admin.patch_identity(&id, &[PatchOperation::Replace { path, value }]).await?;
                Ok(())
            }
        })
        .await?;
        best = Some(best.map_or(took, |best| best.min(took)));
    }
    best.ok_or_else(|| "nothing was tried".into())
}

async fn delete(admin: &Writer, ids: Vec<String>) -> Result<Duration> {
    each(ids, 16, |id| {
        let admin = admin.clone();
        async move {
            admin.delete_identity(&id).await?;
            Ok(())
        }
    })
    .await
}

async fn singles(admin: &Writer, api: &Api<KratosIdentity>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in 0..SINGLES {
        let manifest: KratosIdentity = serde_json::from_value(people::manifest("single", number, NAMESPACE))?;
        let name = people::name("single", number);
        let begun = Instant::now();
        api.create(&PostParams::default(), &manifest).await?;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": ["kratos-operator.dev/identity"]}}));
        api.patch(&name, &PatchParams::default(), &patch).await?;
        admin.create_identity(&people::identity("single", number)).await?;
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(people::status(1))).await?;
        times.push(begun.elapsed());
        let patch = Patch::Merge(json!({"metadata": {"finalizers": []}}));
        api.patch(&name, &PatchParams::default(), &patch).await?;
    }
    Ok(times)
}

/// As a person would, from one file.
async fn import(kratos: &Kratos, n: usize) -> Result<Duration> {
    let all: Vec<_> = (0..n).map(|number| serde_json::to_value(people::identity("import", number))).collect();
    let all: Vec<_> = all.into_iter().collect::<Result<_, _>>()?;
    let dir = crate::testenv::workdir::WorkDir::new("import-")?;
    let file = dir.path().join("identities.json");
    std::fs::write(&file, serde_json::to_vec(&all)?)?;
    let begun = Instant::now();
    let output = tokio::process::Command::new(component("kratos"))
        .args(["import", "identities", "--endpoint", kratos.admin_url().as_str().trim_end_matches('/')])
        .arg(&file)
        .kill_on_drop(true)
        .output()
        .await?;
    let took = begun.elapsed();
    let made = list(&kratos.client()).await?.0.len();
    if output.status.success() && made == n {
        return Ok(took);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("kratos import identities made {made} of {n}: {}", said.lines().last().unwrap_or_default()).into())
}
