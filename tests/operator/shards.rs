//! Several operators over one Kratos, each with resources of its own by their labels: nothing twice, nothing lost, and
//! one of them speaks for all.

mod policed;
mod protection;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::coordination::v1::Lease;
use kratos_operator::api::{KratosIdentity, KratosInstance};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Cluster, Scene, Server, WITHIN, id_of, merge, reason_of};
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::Operator;
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;
use crate::traces::{self, ToKubernetes};

const CREATE: &str = "POST /admin/identities";
const BATCH: &str = "PATCH /admin/identities";
const LIST: &str = "GET /admin/identities";
const FINALIZER: &str = "PATCH kratosidentities";
/// Whoever takes over in mid-creation waits for two time-outs of three seconds, one more, and five seconds.
const LONG: Duration = Duration::from_mins(3);

/// Two operators on one cluster. The scene's own one has what is labelled `shard: a`, the other one all else.
struct Shards {
    other: Operator,
    /// What the other one reaches the API server through.
    others_proxy: Proxy,
    scene: Scene,
}

impl Shards {
    async fn start(changes: Value) -> Self {
        let kratos = Arc::new(Kratos::start(Options::default()).await.expect("Kratos starts"));
        let cluster = Arc::new(Cluster::start_for(&["--watch-selector", "shard"]).await);
        let namespace = "space-000".to_owned();
        cluster.make_all(std::slice::from_ref(&namespace)).await;
        let (others_proxy, kubeconfig) = cluster.plane.proxy_for(&cluster.rights.token).expect("a proxy");
        others_proxy.listen(Arc::new(ToKubernetes));
        let start = |selector: &str, kubeconfig: Option<std::path::PathBuf>| {
            let mut settings = cluster.operator(vec![namespace.clone()]);
            settings.kubeconfig = kubeconfig.unwrap_or(settings.kubeconfig);
            settings.arguments = vec!["--watch-selector".to_owned(), selector.to_owned()];
            let operator = Operator::start(settings).expect("the operator starts");
            traces::of_this_run().follow(&operator);
            operator
        };
        let (own, other) = (start("shard=a", None), start("shard!=a", Some(kubeconfig)));
        let scene = Scene::set(cluster, Server::Own(kratos), Some(own), namespace).await;
        scene.instance(changes).await;
        scene.counted().await;
        Self { other, others_proxy, scene }
    }

    /// Applies a resource with its label.
    async fn apply(&self, name: &str, shard: &str, spec: Value) {
        self.apply_in(&self.scene.namespace, name, shard, spec).await;
    }

    async fn apply_in(&self, namespace: &str, name: &str, shard: &str, spec: Value) {
        let mut object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": name, "namespace": namespace, "labels": {"shard": shard}},
            "spec": {"instanceRef": {"name": "default", "namespace": self.scene.namespace}},
        });
        traces::of_this_run().uses_manifest(&spec);
        merge(&mut object["spec"], spec);
        let params = PatchParams::apply("test").force();
        let api = self.scene.identities_in(namespace);
        api.patch(name, &params, &Patch::Apply(&object)).await.expect("it is accepted");
    }

    async fn relabel(&self, name: &str, shard: &str) {
        self.scene.patch(name, json!({"metadata": {"labels": {"shard": shard}}})).await;
    }

    /// The resources that each of the two has written something of.
    fn written(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let names = |proxy: &Proxy| {
            let seen = proxy.seen().into_iter().filter(|seen| seen.label.starts_with("PATCH kratosidentities"));
            let name = |path: String| {
                let rest = path.split("/kratosidentities/").nth(1)?.to_owned();
                Some(rest.split(['/', '?']).next()?.to_owned())
            };
            seen.filter_map(|seen| name(seen.path)).collect()
        };
        (names(&self.scene.cluster.proxy), names(&self.others_proxy))
    }

    fn count_from_now(&self) {
        self.scene.count_from_now();
        self.scene.cluster.proxy.reset();
        self.others_proxy.reset();
    }

    /// Who holds the Lease beside the instance.
    async fn holder(&self) -> String {
        let leases = Api::<Lease>::namespaced(self.scene.client.clone(), &self.scene.namespace);
        let lease = leases.get("kratos-operator-default").await.expect("there is a Lease");
        lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
    }

    async fn counts(&self, what: &str, is_so: impl Fn(u64, u64, u64) -> bool) {
        let told = |instance: &KratosInstance| {
            let counts = instance.status.as_ref()?.identities.as_ref()?;
            is_so(counts.managed, counts.orphaned, counts.unmanaged).then_some(())
        };
        self.scene.instance_until("default", what, told).await;
    }

    /// The ids of all identities by the resources that their marks name. Panics where one has two.
    async fn one_each(&self) -> BTreeMap<String, String> {
        let mut ids = BTreeMap::new();
        for identity in self.scene.ours().await {
            let mark = &identity.metadata_admin.read().unwrap()["kratos-operator.dev"];
            let name = mark["name"].as_str().unwrap_or_default().to_owned();
            let other = ids.insert(name.clone(), identity.id);
            assert_eq!(other, None, "{name} has two identities\n{}", self.scene.whole_log());
        }
        ids
    }

    async fn all_ready(&self) -> BTreeMap<String, KratosIdentity> {
        let mut found = BTreeMap::new();
        let done = eventually("all are Ready", LONG, async || {
            let listed = self.scene.identities().list(&ListParams::default()).await.ok()?;
            let by_name = |resource: KratosIdentity| (resource.metadata.name.clone().unwrap_or_default(), resource);
            found = listed.items.into_iter().map(by_name).collect();
            found.values().all(|resource| reason_of(resource, "Ready", "True").is_some()).then_some(())
        });
        if let Err(error) = done.await {
            let undone = found.values().find(|resource| reason_of(resource, "Ready", "True").is_none());
            panic!("{error}\n{undone:#?}\n{}\n{}", self.scene.whole_log(), self.other.log());
        }
        found
    }
}

fn customer(name: &str, age: u64) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@shards.example"), "age": age}})
}

/// Nothing about it is unique: found by its mark alone.
fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn each_reconciles_its_own_and_a_resource_that_changes_hands_keeps_its_identity() {
    let shards = Shards::start(json!({})).await;
    let scene = &shards.scene;
    shards.count_from_now();
    for (name, shard) in [("ada", "a"), ("alan", "a"), ("bob", "b"), ("bea", "b")] {
        shards.apply(name, shard, customer(name, 20)).await;
    }
    let before = shards.all_ready().await;
    assert_eq!(shards.written(), (set(["ada", "alan"]), set(["bea", "bob"])), "each its own");
    // Two of one operator may share a request: each is asked for once.
    let (alone, together) = (scene.proxy.count(CREATE), scene.proxy.count(BATCH));
    assert_eq!(alone + 2 * together, 4, "{:?}", scene.proxy.counts());
    let made = shards.one_each().await;
    assert_eq!(made.len(), 4);

    // Label and manifest change in one request, to and fro.
    shards.count_from_now();
    shards.apply("ada", "b", customer("ada", 21)).await;
    shards.apply("bob", "a", customer("bob", 22)).await;
    for (name, age) in [("ada", 21), ("bob", 22)] {
        let resource = scene.ready(name).await;
        assert_eq!(id_of(&resource), id_of(&before[name]));
        assert_eq!(scene.in_kratos(&resource).await.traits.read().unwrap()["age"], age);
    }
    assert_eq!(shards.written(), (set(["bob"]), set(["ada"])), "whoever has it now");
    assert_eq!(scene.kratos_writes(), 2, "one patch each: {:?}", scene.proxy.counts());
    shards.relabel("ada", "a").await;
    scene.patch("ada", json!({"spec": {"traits": {"age": 23}}})).await;
    let ada = scene.ready("ada").await;
    assert_eq!(
        (id_of(&ada), &scene.in_kratos(&ada).await.traits.read().unwrap()["age"]),
        (id_of(&before["ada"]), &json!(23))
    );
    assert_eq!(shards.one_each().await, made);

    // One goes from each, one of them after it changed hands.
    for name in ["ada", "bea"] {
        scene.delete(name).await;
        scene.gone(name).await;
    }
    assert_eq!(shards.one_each().await.into_keys().collect::<Vec<_>>(), ["alan", "bob"]);
}

#[tokio::test]
async fn the_one_that_leads_ends_the_grace_periods_of_all() {
    let shards = Shards::start(json!({})).await;
    let scene = &shards.scene;
    for (name, shard) in [("ada", "a"), ("bob", "b")] {
        let mut spec = customer(name, 20);
        merge(&mut spec, json!({"deletion": {"gracePeriod": "3s"}}));
        shards.apply(name, shard, spec).await;
    }
    let resources = shards.all_ready().await;
    scene.count_from_now();
    for name in resources.keys() {
        scene.delete(name).await;
        scene.gone(name).await;
    }
    assert_eq!(shards.one_each().await.len(), 2, "they wait");
    let over = eventually("the periods are over", WITHIN, async || scene.ours().await.is_empty().then_some(()));
    over.await.expect("both go");
    assert_eq!(scene.proxy.count("DELETE /admin/identities/{id}"), 2, "{:?}", scene.proxy.counts());
}

#[tokio::test]
async fn one_counts_for_all_and_when_it_is_killed_the_other_does() {
    let mut shards = Shards::start(json!({"resyncInterval": "2s"})).await;
    // With so many others it takes fewer requests to read what is ours by its ids.
    let others: Vec<_> = (0..600)
        .map(|number| json!({"create": {"schema_id": "plain", "traits": {"label": format!("other {number}")}}}))
        .collect();
    for some in others.chunks(200) {
        let body = json!({ "identities": some });
        let sent = shards.scene.kratos.raw(reqwest::Method::PATCH, "admin/identities", &body).await;
        assert!(sent.expect("Kratos answers").0.is_success());
    }
    for number in 0..4 {
        let shard = if number % 2 == 0 { "a" } else { "b" };
        shards.apply(&format!("n{number}"), shard, customer(&format!("n{number}"), 20)).await;
    }
    shards.all_ready().await;
    shards.counts("all four are counted", |managed, orphaned, _| (managed, orphaned) == (4, 0)).await;
    let leader = shards.holder().await;
    let own_leads = shards.scene.whole_log().contains("this operator speaks for the instance");
    assert_ne!(own_leads, shards.other.log().contains("this operator speaks for the instance"), "one of them does");

    if own_leads {
        shards.scene.operator().kill();
    } else {
        shards.other.kill();
    }
    let left = if own_leads { "b" } else { "a" };
    shards.apply("late", left, customer("late", 20)).await;
    shards.scene.ready("late").await;
    shards
        .counts("five are counted", |managed, orphaned, unmanaged| (managed, orphaned, unmanaged) == (5, 0, 600))
        .await;
    assert_ne!(shards.holder().await, leader);
    shards.scene.delete("late").await;
    shards.scene.gone("late").await;
    shards.counts("four are left", |managed, orphaned, _| (managed, orphaned) == (4, 0)).await;
}

#[tokio::test]
async fn asked_to_end_the_one_that_leads_lets_the_other_lead_at_once() {
    let mut shards = Shards::start(json!({})).await;
    let leader = shards.holder().await;
    let own_leads = shards.scene.whole_log().contains("this operator speaks for the instance");
    let ended = if own_leads { shards.scene.operator().stop() } else { shards.other.stop() };
    assert_eq!(ended.expect("it ends").code(), Some(0));
    let taken = eventually("another leads", Duration::from_secs(8), async || {
        let holder = shards.holder().await;
        (!holder.is_empty() && holder != leader).then_some(())
    });
    taken.await.expect("within less than the Lease's duration");
}

#[tokio::test]
async fn a_create_that_is_under_way_when_the_resource_changes_hands_is_found() {
    let shards = Shards::start(json!({})).await;
    let creates = shards.scene.proxy.on(CREATE).times(1).carry_out_late();
    shards.apply("box", "a", plain("box")).await;
    creates.held().await;
    shards.scene.proxy.reset();
    shards.relabel("box", "b").await;
    let told = |now: &KratosIdentity| reason_of(now, "Reconciling", "True");
    shards.scene.until("box", "it waits", told).await;
    creates.release();
    let id = id_of(&shards.scene.ready("box").await);
    assert_eq!(shards.one_each().await, BTreeMap::from([("box".to_owned(), id)]));
    assert!(shards.scene.proxy.count(LIST) > 0);
}

#[tokio::test]
async fn whoever_learns_late_that_a_resource_changed_hands_creates_nothing() {
    let shards = Shards::start(json!({})).await;
    // Written, but whoever wrote it doesn't hear of it.
    let finalizers = shards.scene.cluster.proxy.on(FINALIZER).times(1).hold_answer();
    shards.apply("box", "a", plain("box")).await;
    finalizers.held().await;
    shards.relabel("box", "b").await;
    let found = eventually("the other one creates it", LONG, async || {
        let now = shards.scene.identities().get("box").await.ok()?;
        reason_of(&now, "Ready", "True").map(|_| id_of(&now))
    });
    let id = found.await.expect("it is Ready");
    finalizers.release();
    let given_up = eventually("it gives up", WITHIN, async || {
        shards.scene.whole_log().contains("its create is given up").then_some(())
    });
    let given_up = given_up.await;
    assert_eq!(shards.one_each().await, BTreeMap::from([("box".to_owned(), id)]));
    given_up.expect("it says so");
}

#[tokio::test]
async fn a_hundred_that_change_hands_while_they_are_made_have_one_identity_each() {
    let shards = Shards::start(json!({"protection": {"maxDeletions": 1000}})).await;
    // A create is on its way for so long that most change hands meanwhile.
    for create in [CREATE, BATCH] {
        shards.scene.proxy.on(create).delay(Duration::from_millis(300));
    }
    let shard = || if rand::random::<bool>() { "a" } else { "b" };
    let name = |number: usize| format!("n{number:03}");
    let made = (0..100).map(|number| {
        let shards = &shards;
        async move {
            let name = name(number);
            let spec = if number % 2 == 0 { plain(&name) } else { customer(&name, 20) };
            shards.apply(&name, shard(), spec).await;
            for _ in 0..rand::random_range(0..4) {
                tokio::time::sleep(Duration::from_millis(rand::random_range(0..150))).await;
                shards.relabel(&name, shard()).await;
            }
        }
    });
    stream::iter(made).buffer_unordered(32).collect::<()>().await;
    let resources = shards.all_ready().await;
    let said: BTreeMap<_, _> = resources.iter().map(|(name, resource)| (name.clone(), id_of(resource))).collect();
    assert_eq!(shards.one_each().await, said);

    // And it holds while they are deleted and change hands.
    let going = (0..100).map(|number| {
        let shards = &shards;
        async move {
            shards.scene.delete(&name(number)).await;
            // It may be gone already.
            let labels = Patch::Merge(json!({"metadata": {"labels": {"shard": shard()}}}));
            let _ = shards.scene.identities().patch(&name(number), &PatchParams::default(), &labels).await;
        }
    });
    stream::iter(going).buffer_unordered(32).collect::<()>().await;
    let gone = eventually("all are gone", LONG, async || {
        let left = shards.scene.identities().list(&ListParams::default()).await.ok()?;
        left.items.is_empty().then_some(())
    });
    gone.await.expect("they go");
    assert_eq!(shards.one_each().await, BTreeMap::new());
}
