//! Resources that are born with the finalizer: one write to Kubernetes each, and whatever is killed, cut or deleted at whatever
//! moment, nothing is made twice and nothing is lost.

mod namespaced;

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use kratos_operator::api::{IDENTITY_FINALIZER, KratosIdentity};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::admission_policy::policed;
use crate::many::{
    BATCH, CREATE, FINALIZER, LIST, STATUS, all, apply, customer, email, everybody, hold_true, is_ready, name, writes,
};
use crate::scene::{Scene, WITHIN, id_of, is_namespaced, reason_of};
use crate::testenv::faults::Answer;
use crate::testenv::process::eventually;
use crate::testenv::proxy::RecordedRequest;

const WATCH: &str = "WATCH kratosidentities";
/// Longer than anything here takes: who had to wait for a listing would wait longer still.
const LONG: &str = "2m";

fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

/// The even ones have an address that is theirs alone; of the odd ones nothing is unique, so that they are found by their mark.
fn half_without_identifiers(scene: &Scene, number: usize) -> Value {
    if number.is_multiple_of(2) { customer(scene, number) } else { plain(&name(number)) }
}

/// Listings of everything in Kratos.
fn listings(scene: &Scene) -> usize {
    scene.proxy.seen().iter().filter(|seen| is_listing(seen)).count()
}

/// Whether it is a listing of everything.
pub fn is_listing(seen: &RecordedRequest) -> bool {
    let is_of_some = |name: &String| name == "ids" || name == "credentials_identifier";
    seen.label == LIST && !seen.parameters.iter().any(is_of_some)
}

/// Waits until Kratos has answered a listing of everything.
async fn listed(scene: &Scene) {
    let answered = eventually("it is listed", WITHIN, async || {
        scene.proxy.seen().iter().any(|seen| is_listing(seen) && seen.status == Some(200)).then_some(())
    });
    answered.await.expect("the operator lists");
}

#[tokio::test]
async fn one_that_is_born_with_the_finalizer_costs_its_status_and_one_that_is_not_costs_both() {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": LONG})).await;
    scene.settle().await;
    for spec in [plain("ada"), customer(&scene, 1)] {
        let name = format!("before-{}", spec["schemaID"].as_str().expect("a schema"));
        scene.count_from_now();
        scene.identity(&name, spec).await;
        scene.ready(&name).await;
        assert_eq!(scene.kubernetes_writes(), [FINALIZER, STATUS], "{name}");
    }
    let policy = policed(&scene).await;
    for spec in [plain("grace"), customer(&scene, 2)] {
        let name = format!("after-{}", spec["schemaID"].as_str().expect("a schema"));
        scene.count_from_now();
        scene.identity(&name, spec).await;
        let ready = scene.ready(&name).await;
        assert_eq!(scene.kubernetes_writes(), [STATUS], "{name}");
        assert_eq!(ready.metadata.finalizers.as_deref(), Some(&[IDENTITY_FINALIZER.to_owned()][..]));
        assert_eq!(listings(&scene), 0, "nobody else can have created it: {:?}", scene.proxy.counts());
        assert_eq!(scene.proxy.count(CREATE), 1, "{:?}", scene.proxy.counts());
    }
    policy.end().await;
}

#[tokio::test]
async fn five_hundred_cost_a_status_each_and_share_requests() {
    const COUNT: usize = 500;
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": LONG})).await;
    scene.settle().await;
    let policy = policed(&scene).await;
    scene.count_from_now();
    apply(&scene, 0..COUNT, |number| half_without_identifiers(&scene, number)).await;
    all(&scene, "all are Ready", is_ready).await;
    assert_eq!(writes(&scene, FINALIZER).len(), 0);
    assert_eq!(writes(&scene, STATUS).len(), COUNT, "one status each");
    assert_eq!(listings(&scene), 0, "{:?}", scene.proxy.counts());
    let requests = scene.proxy.count(BATCH) + scene.proxy.count(CREATE);
    assert!(requests <= COUNT / 3, "they travel together: {:?}", scene.proxy.counts());
    assert_eq!(scene.ours().await.len(), COUNT + 1, "and the one that settled");
    policy.end().await;
}

#[tokio::test]
async fn killed_again_and_again_in_the_middle_of_two_hundred_it_makes_each_once() {
    const COUNT: usize = 200;
    let mut scene = Scene::own().await.with_instance().await;
    policed(&scene).await;
    scene.settle().await;
    scene.count_from_now();
    apply(&scene, 0..COUNT / 2, |number| half_without_identifiers(&scene, number)).await;
    // Killed with creates that Kratos has, and the operator has no answer of.
    let answers = scene.proxy.on(BATCH).hold_answer();
    apply(&scene, COUNT / 2..COUNT, |number| half_without_identifiers(&scene, number)).await;
    answers.held().await;
    scene.operator().kill();
    scene.proxy.clear_faults();
    let left = undone(&scene).await;
    assert!(left > 0, "it was killed in the middle");
    // Killed with creates that reach Kratos only after the next one has listed it.
    let late = scene.proxy.on("P*").carry_out_late();
    scene.count_from_now();
    scene.operator().restart().expect("it starts");
    late.held().await;
    scene.operator().kill();
    scene.count_from_now();
    scene.operator().restart().expect("it starts");
    listed(&scene).await;
    late.release();
    // Killed with some statuses written.
    let begun =
        eventually("statuses are written", WITHIN * 2, async || (writes(&scene, STATUS).len() > 3).then_some(()));
    begun.await.expect("it goes on");
    scene.operator().kill();
    scene.proxy.clear_faults();
    scene.operator().restart().expect("it starts");
    let resources = all(&scene, "all are Ready", is_ready).await;
    assert_eq!(resources.len(), COUNT + 1);
    hold_true(&scene, resources.values()).await;
    assert_eq!(everybody(&scene).await, COUNT + 1, "and nothing that isn't ours");
}

/// How many resources have no status yet.
async fn undone(scene: &Scene) -> usize {
    let found = scene.identities().list(&kube::api::ListParams::default()).await.expect("a list");
    found.items.iter().filter(|resource| !is_ready(resource)).count()
}

#[tokio::test]
async fn what_was_there_when_it_started_waits_although_it_was_born_with_the_finalizer() {
    let mut scene = Scene::own().await.with_instance().await;
    policed(&scene).await;
    scene.settle().await;
    let creates = scene.proxy.on(CREATE).times(1).carry_out_late();
    scene.identity("ada", plain("ada")).await;
    creates.held().await;
    scene.operator().kill();
    scene.count_from_now();
    scene.operator().restart().expect("it starts");
    listed(&scene).await;
    // The former process' create arrives after that listing.
    creates.release();
    let ada = scene.ready("ada").await;
    assert_eq!(scene.proxy.count(CREATE), 0, "it was found: {:?}", scene.proxy.counts());
    // Whoever comes once it leads doesn't wait.
    scene.instance(json!({"requestTimeout": LONG})).await;
    scene.count_from_now();
    scene.identity("grace", plain("grace")).await;
    let grace = scene.ready("grace").await;
    assert_eq!((scene.kubernetes_writes(), listings(&scene)), (vec![STATUS.to_owned()], 0));
    let settling = scene.ready("settling").await;
    hold_true(&scene, [&ada, &grace, &settling].into_iter()).await;
}

#[tokio::test]
async fn a_watch_that_breaks_and_begins_anew_makes_nobody_born_who_was_listed() {
    const COUNT: usize = 60;
    let mut scene = Scene::own().await;
    // It is this one's watch that breaks.
    scene.operator().restart_with(|settings| settings.replicas = 1).expect("it starts");
    let scene = scene.with_instance().await;
    policed(&scene).await;
    scene.settle().await;
    apply(&scene, 0..COUNT, |number| half_without_identifiers(&scene, number)).await;
    // Cut, and told that what it has seen is too old to go on from.
    let gone = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "metadata": {},
        "message": "too old resource version",
    }});
    // With namespaces of its own, each has a watch.
    let about = if is_namespaced() { format!("/namespaces/{}/", scene.namespace) } else { String::new() };
    let watch = scene.cluster.proxy.on_where(move |label, path| label == WATCH && path.contains(&about));
    watch.once().answer(Answer::status(200).json(&gone));
    scene.cluster.proxy.down();
    apply(&scene, COUNT..COUNT * 2, |number| half_without_identifiers(&scene, number)).await;
    scene.count_from_now();
    scene.cluster.proxy.up().expect("it comes up");
    let relisted = eventually("it lists again", WITHIN, async || {
        let lists = scene.kubernetes_seen().into_iter().filter(|seen| seen.label == "LIST kratosidentities");
        (lists.count() > 0).then_some(())
    });
    relisted.await.expect("it lists again");
    apply(&scene, COUNT * 2..COUNT * 3, |number| half_without_identifiers(&scene, number)).await;
    let resources = all(&scene, "all are Ready", is_ready).await;
    assert_eq!(resources.len(), COUNT * 3 + 1);
    hold_true(&scene, resources.values()).await;
    assert!(listings(&scene) > 0, "those that a list showed waited for one: {:?}", scene.proxy.counts());
    // And the watch that is whole again brings births.
    scene.count_from_now();
    scene.identity("ada", plain("ada")).await;
    scene.ready("ada").await;
    assert_eq!((scene.kubernetes_writes(), listings(&scene)), (vec![STATUS.to_owned()], 0));
}

#[tokio::test]
async fn deleted_right_after_they_were_created_they_leave_nothing_behind() {
    const COUNT: usize = 40;
    let scene = Scene::shared().await;
    scene.instance(json!({"protection": {"maxDeletions": 1000}})).await;
    scene.settle().await;
    let policy = policed(&scene).await;
    let api = scene.identities();
    let at_once = (0..COUNT).map(|number| {
        let spec = half_without_identifiers(&scene, number);
        let (scene, api) = (&scene, api.clone());
        async move {
            scene.identity(&name(number), spec).await;
            // Some before anything was done for them, some in the middle of it, some after.
            tokio::time::sleep(Duration::from_millis(number as u64 * 5)).await;
            api.delete(&name(number), &DeleteParams::default()).await.expect("it can be deleted");
        }
    });
    stream::iter(at_once).buffer_unordered(COUNT).collect::<()>().await;
    for number in 0..COUNT {
        scene.gone(&name(number)).await;
    }
    let settling = scene.ready("settling").await;
    hold_true(&scene, [&settling].into_iter()).await;
    policy.end().await;
}

/// Without a policy they carry no finalizer yet: with one they go as easily.
#[tokio::test]
async fn who_never_came_to_an_identity_goes_at_once_whatever_is_wrong() {
    let mut scene = Scene::own().await.with_instance().await;
    policed(&scene).await;
    scene.settle().await;
    let nowhere = json!({"instanceRef": {"name": "nowhere"}, "schemaID": "plain", "traits": {"label": "nowhere"}});
    scene.identity("nowhere", nowhere.clone()).await;
    scene.identity("lost", json!({"schemaID": "nobody", "traits": {"label": "lost"}})).await;
    scene.retrying("nowhere", "InstanceNotReady").await;
    scene.stalled("lost", "SchemaNotFound").await;
    scene.kratos.stop().expect("Kratos ends");
    // By this one's create, which may have been carried out for all that anybody knows, it is noticed.
    scene.identity("first", plain("first")).await;
    scene.retrying("first", "KratosUnavailable").await;
    scene.identity("down", plain("down")).await;
    scene.retrying("down", "KratosUnavailable").await;
    for name in ["nowhere", "lost", "down"] {
        scene.delete(name).await;
        scene.gone(name).await;
    }
    // A process that came later knows of nobody's birth; where there is no instance, nothing was made in it.
    scene.identity("nowhere", nowhere).await;
    scene.retrying("nowhere", "InstanceNotReady").await;
    scene.operator().kill();
    scene.operator().restart().expect("it starts");
    scene.delete("nowhere").await;
    scene.gone("nowhere").await;
    scene.delete("first").await;
    scene.kratos.start_again().await.expect("Kratos starts");
    scene.gone("first").await;
    let settling = scene.ready("settling").await;
    hold_true(&scene, [&settling].into_iter()).await;
}

/// A PUT that drops the finalizer while the identity is being made.
#[tokio::test]
async fn whose_finalizer_is_dropped_while_it_is_made_gets_it_again_and_one_identity() {
    let scene = Scene::settled().await;
    let policy = policed(&scene).await;
    let answer = scene.proxy.on(CREATE).once().hold_answer();
    let object = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
        "metadata": {"name": "ada", "namespace": scene.namespace},
        "spec": {
            "instanceRef": {"name": "default", "namespace": scene.namespace},
            "schemaID": "plain", "traits": {"label": "ada"},
        },
    });
    let object: KratosIdentity = serde_json::from_value(object).expect("a manifest");
    let api = scene.identities();
    let created = api.create(&PostParams::default(), &object).await.expect("it is accepted");
    answer.held().await;
    let mut put = object;
    put.metadata.resource_version = created.metadata.resource_version;
    put.spec.traits = serde_json::from_value(json!({"label": "lovelace"})).expect("traits");
    api.replace("ada", &PostParams::default(), &put).await.expect("it is accepted");
    answer.release();
    let held = |now: &KratosIdentity| {
        let finalizers = now.metadata.finalizers.as_deref().unwrap_or_default();
        reason_of(now, "Ready", "True").filter(|_| finalizers.iter().any(|it| it == IDENTITY_FINALIZER))
    };
    let ada = scene.until("ada", "Ready, with the finalizer", held).await;
    assert_eq!(scene.in_kratos(&ada).await.traits.read().expect("traits")["label"], "lovelace");
    let settling = scene.ready("settling").await;
    hold_true(&scene, [&ada, &settling].into_iter()).await;
    policy.end().await;
}

/// Whoever wrote the finalizer into the manifest: nobody else can have acted on a resource that is new.
#[tokio::test]
async fn who_writes_the_finalizer_without_a_policy_waits_no_longer_and_gets_one_identity() {
    let scene = Scene::shared().await;
    scene.instance(json!({"requestTimeout": LONG})).await;
    scene.settle().await;
    scene.count_from_now();
    let begun = Instant::now();
    for (name, spec) in [("ada", plain("ada")), ("grace", customer(&scene, 1))] {
        let mut object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": name, "namespace": scene.namespace, "finalizers": [IDENTITY_FINALIZER]}, "spec": spec,
        });
        object["spec"]["instanceRef"] = json!({"name": "default", "namespace": scene.namespace});
        scene.cluster.plane.kubectl().apply(&object.to_string()).await.expect("it is applied");
        scene.ready(name).await;
    }
    assert!(begun.elapsed() < WITHIN, "nobody waited");
    assert_eq!(scene.kubernetes_writes(), [STATUS, STATUS]);
    let all = [scene.ready("ada").await, scene.ready("grace").await, scene.ready("settling").await];
    assert!(!id_of(&all[0]).is_empty() && !email(&scene, 1).is_empty());
    hold_true(&scene, all.iter()).await;
}
