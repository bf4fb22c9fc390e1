//! Two replicas over one Kratos, of which one works, by a Lease: who stands by does nothing, whoever leads no longer sends
//! nothing, and nothing is lost or done twice when the lead changes hands.

mod crashes;
mod hand_over;
mod lease;
mod policed;
mod selected;
mod stale;
mod standing_still;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::scene::{Cluster, LEASE, OPERATORS, Scene, Server};
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;
use crate::traces::{self, ToKubernetes};

/// A Lease's duration, and what a standby takes to see that it has passed.
const TAKEN_OVER: Duration = Duration::from_secs(20);
const LEADS: &str = "this process leads lease=";
const STANDS_BY: &str = "this process stands by: another one leads";

/// One of the two.
struct Replica {
    operator: Operator,
    /// What it reaches the API server through.
    proxy: Option<Proxy>,
}

impl Replica {
    fn start(cluster: &Cluster, namespace: &str) -> Self {
        Self::of(cluster, namespace, "")
    }

    /// One of those that reconcile what a selector selects.
    fn of(cluster: &Cluster, namespace: &str, selector: &str) -> Self {
        let (proxy, kubeconfig) = cluster.plane.proxy_for(&cluster.rights.token).expect("a proxy");
        proxy.listen(Arc::new(ToKubernetes));
        let mut settings = cluster.operator(vec![namespace.to_owned()]);
        settings.kubeconfig = kubeconfig;
        if !selector.is_empty() {
            settings.arguments = vec!["--watch-selector".to_owned(), selector.to_owned()];
        }
        Self::started(settings, Some(proxy))
    }

    fn started(mut settings: Settings, proxy: Option<Proxy>) -> Self {
        settings.arguments.push("--leader-elect".to_owned());
        settings.replicas = 1;
        let operator = Operator::start(settings).expect("the operator starts");
        traces::of_this_run().follow(&operator);
        Self { operator, proxy }
    }

    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("it goes through a proxy")
    }

    async fn says(&self, text: &str, within: Duration) {
        let said = eventually(text, within, async || self.operator.log().contains(text).then_some(()));
        said.await.unwrap_or_else(|error| panic!("{error}\n{}", self.operator.log()));
    }

    /// What it has written but for the Lease and events about it, by label.
    fn writes(&self) -> Vec<String> {
        let seen = self.proxy().seen().into_iter().map(|seen| seen.label);
        let reads = ["GET ", "LIST ", "WATCH "];
        seen.filter(|label| !reads.iter().any(|read| label.starts_with(read)) && !label.ends_with(" leases")).collect()
    }

    /// Waits for its end. Returns its exit code.
    async fn ends(&mut self, within: Duration) -> Option<i32> {
        let ended = eventually("it ends", within, async || self.operator.exited()).await;
        ended.unwrap_or_else(|error| panic!("{error}\n{}", self.operator.log())).code()
    }
}

/// Two replicas, of which the first leads, and an instance that is Ready.
struct Two {
    leader: Replica,
    standby: Replica,
    scene: Scene,
}

impl Two {
    async fn start(changes: Value) -> Self {
        let (cluster, kratos, namespace) = world().await;
        cluster.give_up_the_lease().await;
        let leader = Replica::start(&cluster, &namespace);
        leader.says(LEADS, TAKEN_OVER).await;
        let standby = Replica::start(&cluster, &namespace);
        standby.says(STANDS_BY, TAKEN_OVER).await;
        let scene = Scene::set(cluster, Server::Own(kratos), None, namespace).await;
        scene.instance(changes).await;
        scene.counted().await;
        Self { leader, standby, scene }
    }

    fn logs(&self) -> String {
        format!("the first:\n{}\nthe second:\n{}", self.leader.operator.log(), self.standby.operator.log())
    }

    async fn lease(&self) -> Lease {
        leases(&self.scene.client).get(LEASE).await.expect("there is a Lease")
    }

    /// The standby leads, and that by then.
    async fn taken_over(&self, since: Instant, within: Duration) {
        self.standby.says(LEADS, within).await;
        let took = since.elapsed();
        println!("taken over after {took:?}");
        assert!(took <= within, "it took {took:?}\n{}", self.logs());
    }

    /// The ids of all identities by the resources that their marks name. Panics where one has two.
    async fn one_each(&self) -> BTreeMap<String, String> {
        let mut ids = BTreeMap::new();
        for identity in self.scene.ours().await {
            let mark = &identity.metadata_admin.read().unwrap()["kratos-operator.dev"];
            let name = mark["name"].as_str().unwrap_or_default().to_owned();
            let other = ids.insert(name.clone(), identity.id);
            assert_eq!(other, None, "{name} has two identities\n{}", self.logs());
        }
        ids
    }
}

/// A control plane, a Kratos, and a namespace for the instance.
async fn world() -> (Arc<Cluster>, Arc<Kratos>, String) {
    let kratos = Arc::new(Kratos::start(Options::default()).await.expect("Kratos starts"));
    let (cluster, namespace) = (Cluster::without_a_lease(&["--leader-elect"]).await, "space-000".to_owned());
    cluster.make_all(std::slice::from_ref(&namespace)).await;
    (Arc::new(cluster), kratos, namespace)
}

fn leases(client: &kube::Client) -> Api<Lease> {
    Api::namespaced(client.clone(), OPERATORS)
}

/// Writes into the Lease, as anybody may who has the right.
async fn tamper(client: &kube::Client, patch: Value) {
    leases(client).patch(LEASE, &PatchParams::default(), &Patch::Merge(&patch)).await.expect("the Lease is patched");
}

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@election.example")}})
}

/// Nothing about it is unique: found by its mark alone.
fn plain(label: &str) -> Value {
    json!({"schemaID": "plain", "traits": {"label": label}})
}
