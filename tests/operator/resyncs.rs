//! What is ours is read again and again, by listing or by ids: what it costs, what it notices, and what it counts.

use std::collections::BTreeSet;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kratos_operator::api::instance::{ForeignCluster, IdentityCounts, KratosInstance};
use kratos_operator::kratos::{BatchItem, CreateIdentity, Identity};
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, id_of};
use crate::testenv::faults::Answer;
use crate::testenv::kratos::Options;
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

const CREATE: &str = "POST /admin/identities";
const BATCH: &str = "PATCH /admin/identities";
const LIST: &str = "GET /admin/identities";
const READ: &str = "GET /admin/identities/{id}";

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}, "metadataPublic": {"plan": "gold"}})
}

/// Makes so many identities in Kratos that are nobody's.
async fn others(scene: &Scene, count: usize) {
    let create = CreateIdentity {
        schema_id: "plain".to_owned(),
        traits: json!({"label": "somebody else"}),
        ..CreateIdentity::default()
    };
    let items: Vec<_> = (0..count).map(|_| BatchItem { create: create.clone(), patch_id: None }).collect();
    for items in items.chunks(250) {
        scene.admin().batch_patch_identities(items).await.expect("they are created");
    }
}

/// Makes so many resources, Ready.
async fn ours(scene: &Scene, count: usize) -> Vec<String> {
    let names: Vec<_> = (0..count).map(|number| format!("ours-{number}")).collect();
    let made = futures::stream::iter(&names);
    made.for_each_concurrent(16, async |name| drop(scene.identity(name, plain(name)).await)).await;
    for name in &names {
        scene.ready(name).await;
    }
    names
}

/// Reads of what is ours since counting began that have been answered: how many ids each asked for; none for a page of a
/// listing. (A probe asks for a single one, that of nobody.)
fn reads(scene: &Scene) -> Vec<usize> {
    let ids = |seen: &RecordedRequest| seen.parameters.iter().filter(|name| *name == "ids").count();
    let seen = scene.proxy.seen().into_iter();
    seen.filter(|seen| seen.label == LIST && seen.status.is_some())
        .map(|seen| ids(&seen))
        .filter(|ids| *ids != 1)
        .collect()
}

async fn reads_at_least(scene: &Scene, count: usize) -> Vec<usize> {
    let read = eventually("what is ours is read again", WITHIN, async || {
        Some(reads(scene)).filter(|reads| reads.len() >= count)
    });
    read.await.expect("it is read again and again")
}

/// Counts from when nothing is reconciled any more: a changed instance enqueues all resources that refer to it.
async fn until_quiet(scene: &Scene) {
    let quiet = eventually("nobody is looked at any more", WITHIN, async || {
        scene.count_from_now();
        reads_at_least(scene, 2).await;
        (scene.proxy.count(READ) == 0).then_some(())
    });
    quiet.await.expect("all have been looked at");
    scene.count_from_now();
}

/// How many there are, whenever that was counted.
fn counts(instance: &KratosInstance) -> IdentityCounts {
    let counts = instance.status.as_ref().and_then(|status| status.identities.clone()).unwrap_or_default();
    IdentityCounts { as_of: None, ..counts }
}

async fn until_counted(scene: &Scene, what: &str, holds: impl Fn(IdentityCounts) -> bool) -> KratosInstance {
    scene.instance_until("default", what, |instance| holds(counts(instance)).then_some(())).await
}

#[tokio::test]
async fn a_resync_of_what_is_in_sync_costs_its_pages_and_writes_no_identity() {
    // Its own operator: so many would use up the events of those who share one.
    let scene = Scene::own().await.with_instance().await;
    scene.counted().await;
    let first = scene.instance_ready("default").await.status.and_then(|status| status.last_resync);
    let first = first.expect("there was one");
    scene.count_from_now();
    let began = Timestamp::now();
    ours(&scene, 300).await;
    // No resync is due for minutes.
    let instance = until_counted(&scene, "all are counted as managed", |counts| counts.managed == 300).await;
    let status = instance.status.expect("a status");
    assert_eq!(status.last_resync.as_ref(), Some(&first), "it was none");
    let as_of = status.identities.and_then(|counts| counts.as_of).expect("it says how old that is");
    assert!(as_of.0.as_second() >= began.as_second(), "{as_of:?}");
    let about = format!("/namespaces/{}/kratosinstances/default/status", scene.namespace);
    let written = scene.kubernetes_seen().into_iter().filter(|seen| seen.path.contains(&about)).count();
    assert!(written <= 4, "{written} writes of the instance for three hundred");
    // One more that is nobody's is news, which a resync alone brings.
    others(&scene, 1).await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    let is_resynced = |instance: &KratosInstance| {
        let last = instance.status.as_ref()?.last_resync.as_ref()?;
        (last.started_at.0 > first.started_at.0 && counts(instance).unmanaged == 1).then_some(())
    };
    let instance = scene.instance_until("default", "it is resynced", is_resynced).await;
    assert_eq!(counts(&instance), IdentityCounts { managed: 300, unmanaged: 1, ..IdentityCounts::default() });
    let before = instance.status.and_then(|status| status.last_resync).expect("there was one");
    assert_eq!(before.requests, 1);

    until_quiet(&scene).await;
    let resyncs = reads_at_least(&scene, 4).await;
    assert!(resyncs.iter().all(|ids| *ids == 0), "a page serves 500: {resyncs:?}");
    // Each comes with a regular probe, which reads the schemas.
    let most = (resyncs.len() + 1) * (1 + 5);
    assert!(scene.kratos_requests() <= most, "{:?}", scene.proxy.counts());
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.kubernetes_writes(), Vec::<String>::new(), "nothing changed, so nobody is told the time");
}

#[tokio::test]
async fn a_few_among_many_are_read_by_their_ids_and_their_drift_is_corrected() {
    let scene = Scene::own().await;
    others(&scene, 1050).await;
    scene.instance(json!({})).await;
    scene.counted().await;
    let names = ours(&scene, 100).await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    let instance = until_counted(&scene, "all are managed", |counts| counts.managed == 100).await;
    let expected = IdentityCounts { managed: 100, unmanaged: 1050, ..IdentityCounts::default() };
    assert_eq!(counts(&instance), expected);
    until_quiet(&scene).await;
    let resyncs = reads_at_least(&scene, 3).await;
    assert!(resyncs.iter().all(|ids| *ids == 100), "one request each: {resyncs:?}");
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    assert_eq!(scene.kubernetes_writes(), Vec::<String>::new());

    let drifting = scene.ready(&names[7]).await;
    scene.change_in_kratos(&drifting, "/metadata_public/plan", json!("marker-lead")).await;
    let corrected = eventually("it is corrected", WITHIN, async || {
        (scene.in_kratos(&drifting).await.metadata_public.read().unwrap()["plan"] == "gold").then_some(())
    });
    corrected.await.expect("drift is corrected");
    let note = scene.event(&drifting, "DriftCorrected").await;
    assert!(note.starts_with("1 field(s)"), "{note}");
    scene.shows_nowhere(&drifting, "marker-lead").await;
    let instance = until_counted(&scene, "one was corrected", |counts| counts.drifted == 1).await;
    assert_eq!(instance.status.and_then(|status| status.last_resync).map(|last| last.requests), Some(1));
    until_counted(&scene, "none is any more", |counts| counts.drifted == 0).await;

    let lost = scene.ready(&names[8]).await;
    scene.admin().delete_identity(&id_of(&lost)).await.expect("it is deleted");
    scene.until(&names[8], "another identity", |now| (id_of(now) != id_of(&lost)).then_some(())).await;
    scene.event(&lost, "DriftCorrected").await;
    assert_eq!(scene.proxy.count(CREATE), 1, "{:?}", scene.proxy.counts());
    let pages = reads(&scene).iter().filter(|ids| **ids == 0).count();
    assert_eq!(pages, 3, "listed once, for the proof that it is gone: {:?}", reads(&scene));
    assert_eq!(scene.ours().await.len(), 100);
}

#[tokio::test]
async fn an_instance_that_is_asked_for_a_look_compares_all_its_identities_once() {
    let mut scene = Scene::own().await;
    let metrics = ["--metrics-address", "127.0.0.1:0"].map(str::to_owned);
    scene.operator().restart_with(|settings| settings.arguments.extend(metrics)).expect("it starts");
    scene.instance(json!({"resyncInterval": "1h"})).await;
    scene.counted().await;
    let names = ours(&scene, 3).await;
    let drifting = scene.ready(&names[1]).await;
    scene.change_in_kratos(&drifting, "/metadata_public/plan", json!("silver")).await;
    scene.count_from_now();
    scene.request_instance_reconcile("default").await;
    let corrected = eventually("it is corrected", WITHIN, async || {
        (scene.in_kratos(&drifting).await.metadata_public.read().unwrap()["plan"] == "gold").then_some(())
    });
    corrected.await.expect("drift is corrected");
    scene.request_reconcile(&names[0]).await;
    assert_eq!(reads(&scene), [0], "one page");
    assert_eq!(scene.kratos_writes(), 1, "{:?}", scene.proxy.counts());
    scene.event(&drifting, "DriftCorrected").await;
    assert_eq!(metric(&scene, "kratos_operator_drift_corrected_total").await, "1");
}

/// The value of a metric of an operator that serves them.
async fn metric(scene: &Scene, name: &str) -> String {
    let log = scene.whole_log();
    let line = log.lines().rfind(|line| line.contains("metrics are served")).expect("it says where");
    let (_, address) = line.split_once("address=").expect("an address");
    let answer = reqwest::get(format!("http://{}/metrics", address.trim())).await.expect("it answers");
    let text = answer.text().await.expect("a text");
    let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}: {text}"));
    value.trim().to_owned()
}

#[tokio::test]
async fn what_isnt_shown_by_ids_is_read_once_more_and_where_it_is_much_the_whole_is_listed_before_anything_follows() {
    let scene = Scene::with_kratos(Options::default()).await;
    others(&scene, 550).await;
    scene.instance(json!({"resyncInterval": "1s"})).await;
    let names = ours(&scene, 20).await;
    until_counted(&scene, "all are managed", |counts| counts.managed == 20).await;
    let kept = scene.ours().await;
    let missed = scene.ready(&names[3]).await;
    let query: Vec<_> =
        kept.iter().filter(|one| one.id != id_of(&missed)).map(|one| format!("ids={}", one.id)).collect();
    let path = format!("admin/identities?page_size=500&{}", query.join("&"));
    let (_, but_one) = scene.kratos.raw(reqwest::Method::GET, &path, &Value::Null).await.expect("an answer");
    assert_eq!(but_one.as_array().map(Vec::len), Some(19));
    scene.count_from_now();
    scene.proxy.on_with(LIST, "ids").answer(Answer::status(200).json(&but_one));
    let read = eventually("the one that isn't shown is read", WITHIN, async || {
        let seen = scene.proxy.seen().into_iter();
        let read: Vec<_> =
            seen.filter(|seen| seen.label == READ && seen.status.is_some()).map(|seen| seen.path).collect();
        (!read.is_empty()).then_some(read)
    });
    let read = read.await.expect("it is read");
    assert!(read.iter().all(|path| path.ends_with(&id_of(&missed))), "{read:?}");
    assert!(reads(&scene).iter().all(|ids| *ids > 0), "the whole wasn't listed: {:?}", reads(&scene));

    scene.proxy.clear_faults();
    scene.proxy.on_with(LIST, "ids").answer(Answer::status(200).json(&json!([])));
    scene.count_from_now();
    let listed = eventually("the whole is listed", WITHIN, async || {
        (reads(&scene).iter().filter(|ids| **ids == 0).count() >= 2).then_some(())
    });
    listed.await.expect("it is listed");
    assert_eq!(scene.proxy.count(READ), 0, "by then nothing was concluded: {:?}", scene.proxy.counts());
    scene.proxy.clear_faults();
    reads_at_least(&scene, reads(&scene).len() + 2).await;
    assert_eq!(scene.kratos_writes(), 0, "{:?}", scene.proxy.counts());
    let ids = |identities: Vec<Identity>| identities.into_iter().map(|one| one.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(scene.ours().await), ids(kept));
}

#[tokio::test]
async fn pages_that_change_while_they_are_read_lose_nothing_and_accuse_nobody() {
    let scene = Scene::with_kratos(Options::default()).await;
    others(&scene, 550).await;
    // A page that is held longer than a request may take would be asked for again.
    let patient = json!({"resyncInterval": "1s", "fullScanInterval": "1s", "requestTimeout": "1m"});
    scene.instance(patient).await;
    let names = ours(&scene, 16).await;
    until_counted(&scene, "all are managed", |counts| counts.managed == 16).await;
    let second_page = scene.proxy.on_with(LIST, "page_token").once().hold();
    second_page.held().await;
    // Whichever of the two pages they are on.
    let (deleted, lost, changed) = (&names[..4], &names[4..8], &names[8..12]);
    for name in deleted {
        scene.delete(name).await;
    }
    for name in deleted {
        scene.gone(name).await;
    }
    let mut before = Vec::new();
    for name in lost {
        let id = id_of(&scene.ready(name).await);
        scene.admin().delete_identity(&id).await.expect("it is deleted");
        before.push((name, id));
    }
    for name in changed {
        scene.change_in_kratos(&scene.ready(name).await, "/metadata_public/plan", json!("silver")).await;
    }
    let made = ["made-0", "made-1", "made-2", "made-3"];
    for name in made {
        scene.identity(name, plain(name)).await;
        scene.ready(name).await;
    }
    scene.count_from_now();
    second_page.release();

    for (name, id) in before {
        scene.until(name, "another identity", |now| (id_of(now) != id).then_some(())).await;
    }
    for name in changed {
        let resource = scene.ready(name).await;
        let corrected = eventually("it is corrected", WITHIN, async || {
            (scene.in_kratos(&resource).await.metadata_public.read().unwrap()["plan"] == "gold").then_some(())
        });
        corrected.await.expect("drift is corrected");
    }
    reads_at_least(&scene, 5).await;
    let instance = until_counted(&scene, "all is as it is", |counts| counts.managed == 16 && counts.drifted == 0).await;
    assert_eq!((counts(&instance).orphaned, counts(&instance).unmanaged), (0, 550));
    let ours = scene.ours().await;
    let mut places: Vec<_> =
        ours.iter().map(|one| one.metadata_admin.read().unwrap()["kratos-operator.dev"]["name"].to_string()).collect();
    places.sort();
    places.dedup();
    assert_eq!((places.len(), ours.len()), (16, 16), "each once, and those deleted are gone: {places:?}");
    // One by one, or together.
    let creates = scene.proxy.count(CREATE) + scene.proxy.count(BATCH);
    assert!((1..=4).contains(&creates), "only what was lost is made again: {creates}");
}

#[tokio::test]
async fn an_instance_counts_what_is_its_own_and_what_isnt() {
    let scene = Scene::with_kratos(Options::default()).await;
    others(&scene, 3).await;
    let instance = scene.instance(json!({"resyncInterval": "1s"})).await;
    let cluster = instance.status.and_then(|status| status.cluster_id).expect("it says so");
    scene.identity("ada", plain("ada")).await;
    scene.ready("ada").await;
    let mark = |cluster: &str, owner: &str| {
        json!({
            "owner": owner, "cluster": cluster, "namespace": scene.namespace, "namespaceUID": "n", "name": "nobody", "uid": "u",
        })
    };
    let mut leaving = mark(&cluster, &scene.namespace);
    leaving["deleteAfter"] = json!("2099-01-01T00:00:00Z");
    let marks = [
        mark(&cluster, &scene.namespace),
        leaving,
        mark("burnt", &scene.namespace),
        mark("burnt", &scene.namespace),
        mark("also-burnt", &scene.namespace),
        mark("burnt", "anothers"),
    ];
    for mark in marks {
        let body = json!({
            "schema_id": "plain", "traits": {"label": "marked"}, "state": "inactive",
            "metadata_admin": {"kratos-operator.dev": mark},
        });
        let (status, made) =
            scene.kratos.raw(reqwest::Method::POST, "admin/identities", &body).await.expect("an answer");
        assert!(status.is_success(), "{made}");
    }
    let expected = IdentityCounts { managed: 1, drifted: 0, orphaned: 1, unmanaged: 4, as_of: None };
    let instance = until_counted(&scene, "all are counted", |counts| counts == expected).await;
    let clusters = instance.status.map(|status| status.foreign_clusters).unwrap_or_default();
    let cluster = |id: &str, identities| ForeignCluster { id: id.to_owned(), identities };
    assert_eq!(clusters, [cluster("also-burnt", 1), cluster("burnt", 2)]);

    scene.patch("ada", json!({"spec": {"mode": "Observe"}})).await;
    let ada = scene.ready("ada").await;
    scene.change_in_kratos(&ada, "/metadata_public/plan", json!("silver")).await;
    until_counted(&scene, "one has drifted", |counts| counts.drifted == 1).await;
    scene.event(&ada, "DriftObserved").await;
    let kubectl = scene.cluster.plane.kubectl();
    let shown = kubectl.run(["get", "kinst", "-n", &scene.namespace, "-o", "wide"]).await.expect("it is listed");
    assert!(["MANAGED", "DRIFTED", "ORPHANED", "UNMANAGED"].iter().all(|column| shown.contains(column)), "{shown}");
}
