//! One test's place in the world: a namespace, a Kratos behind a proxy that counts and breaks, a `KratosInstance`, and
//! the operator. Tests share a control plane, a Kratos and an operator where they can; those that stop or kill
//! something have their own. Nothing in here asserts what a test is about.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kratos_operator::api::{KratosIdentity, KratosInstance, condition};
use kratos_operator::kratos::{Identity, IdentityFilter, Writer};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::rights::{self, Rights};
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;
use crate::testenv::wire::Wire;
use crate::traces::{self, ToKratos, ToKubernetes};

pub const WITHIN: Duration = Duration::from_mins(1);
/// Namespaces in which the shared operator lets instances count; each test takes the next one.
const SPACES: usize = 300;
/// The same, for tests that have a Kratos of their own.
const OWN_KRATOS: usize = 60;
/// The operator's own namespace, by the kubeconfig, and the Lease in it of those without a selector.
pub const OPERATORS: &str = "default";
pub const LEASE: &str = "leader.kratos-operator.dev";

/// How many replicas of the operator each test runs with, but for those that start theirs in their own way: the environment
/// variable `OPERATOR_REPLICAS`, by default 1. With two or more they elect a leader, and the whole suite has to pass just as well
/// (`OPERATOR_REPLICAS=2 cargo test --test operator`); whoever is killed with all its replicas is taken over from after the
/// Lease's 15 seconds.
fn replicas() -> usize {
    let replicas = std::env::var("OPERATOR_REPLICAS").ok();
    replicas.map_or(1, |replicas| replicas.parse().expect("OPERATOR_REPLICAS is a number"))
}

/// A control plane with our definitions, and the proxy that the operator reaches it through.
pub struct Cluster {
    pub plane: ControlPlane,
    pub proxy: Proxy,
    pub kubeconfig: PathBuf,
    pub rights: Rights,
    /// Its uid of kube-system, for operators that work in namespaces of their own alone.
    id: Option<String>,
}

/// What other namespaces of a test may be called, after its own. Operators that work in namespaces of their own are told all.
const SUFFIXES: [&str; 21] = [
    "a",
    "again",
    "b",
    "beside",
    "both",
    "c",
    "crowd",
    "elsewhere",
    "internal",
    "label",
    "neighbours",
    "none",
    "one",
    "other",
    "rules",
    "stored",
    "team",
    "tenant",
    "third",
    "trial",
    "z",
];

/// Makes every operator work in namespaces of its own alone.
pub fn is_namespaced() -> bool {
    std::env::var("OPERATOR_MODE").is_ok_and(|mode| mode == "namespaced")
}

impl Cluster {
    pub async fn start() -> Self {
        Self::start_for(&[]).await
    }

    /// For operators that are started with these options.
    pub async fn start_for(options: &[&str]) -> Self {
        if replicas() > 1 {
            let cluster = Self::without_a_lease(options).await;
            cluster.give_up_the_lease().await;
            return cluster;
        }
        Self::without_a_lease(&[options, &["--leader-elect=false"]].concat()).await
    }

    pub async fn without_a_lease(options: &[&str]) -> Self {
        let plane = ControlPlane::start().await.expect("the control plane starts");
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        plane.install_crds(&crds).await.expect("the definitions are accepted");
        let mut options = options.to_vec();
        if is_namespaced() && !options.contains(&"--namespaces") {
            options.extend(["--namespaces", rights::PLACEHOLDER]);
        }
        let id = if options.contains(&"--namespaces") { Some(plane.id().await.expect("its id")) } else { None };
        let rights = Rights::grant(&plane, &options).await;
        let (proxy, kubeconfig) = plane.proxy_for(&rights.token).expect("a proxy");
        proxy.listen(Arc::new(ToKubernetes));
        Self { plane, proxy, kubeconfig, rights, id }
    }

    /// Makes the Lease as a leader leaves it that gives it up: nobody has to wait whether there is one that goes on.
    pub async fn give_up_the_lease(&self) {
        let released = json!({
            "metadata": {"name": LEASE, "annotations": {"kratos-operator.dev/unsettled": "0s"}},
            "spec": {"leaseDurationSeconds": 1},
        });
        let released: Lease = serde_json::from_value(released).expect("a Lease");
        let leases = Api::namespaced(self.plane.client().await.expect("a client"), OPERATORS);
        leases.create(&PostParams::default(), &released).await.expect("the Lease is made");
    }

    /// Starts an operator that the whole run reads along with. One that works in namespaces of its own finds them, and its
    /// rights there.
    pub async fn start_operator(&self, instance_namespaces: Vec<String>) -> Operator {
        if self.id.is_some() {
            let all: Vec<_> = instance_namespaces.iter().flat_map(|name| with_others(name)).collect();
            futures::future::join_all(all.iter().map(|name| self.make_namespace(name, &[]))).await;
        }
        let operator = Operator::start(self.operator(instance_namespaces)).expect("the operator starts");
        traces::of_this_run().follow(&operator);
        operator
    }

    /// With what an operator needs there. One that is there already, for operators that work in namespaces of their own, gets
    /// the labels.
    pub async fn make_namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let metadata = ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let api = Api::all(self.plane.client().await.expect("a client"));
        match api.create(&PostParams::default(), &namespace).await {
            Ok(_) => self.rights.grant_in(name).await,
            Err(kube::Error::Api(status)) if status.code == 409 && self.id.is_some() => {
                let labels = Patch::Merge(json!({"metadata": {"labels": namespace.metadata.labels}}));
                api.patch_metadata(name, &PatchParams::default(), &labels).await.expect("it is labelled");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }

    /// Its id, where operators are told.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How the operator is started on this cluster.
    pub fn operator(&self, instance_namespaces: Vec<String>) -> Settings {
        let mut settings = Settings::new(env!("CARGO_BIN_EXE_kratos-operator"), &self.kubeconfig);
        if let Some(id) = &self.id {
            let all = instance_namespaces.iter().flat_map(|name| with_others(name)).collect::<Vec<_>>().join(",");
            settings.environment = vec![("NAMESPACES".to_owned(), all), ("CLUSTER_ID".to_owned(), id.clone())];
        }
        settings.instance_namespaces = instance_namespaces;
        settings.replicas = replicas();
        settings
    }
}

/// A namespace of a test, and the others that it may make.
fn with_others(namespace: &str) -> Vec<String> {
    let others = SUFFIXES.iter().map(|suffix| format!("{namespace}-{suffix}"));
    std::iter::once(namespace.to_owned()).chain(others).collect()
}

struct Shared {
    cluster: Arc<Cluster>,
    /// `None`: each test has its own.
    operator: Option<Operator>,
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();

async fn shared() -> &'static Shared {
    SHARED
        .get_or_init(async || {
            let cluster = Arc::new(Cluster::start().await);
            let spaces = (0..SPACES).map(space).chain((0..OWN_KRATOS).map(own_space)).collect();
            let operator = if cluster.id.is_none() { Some(cluster.start_operator(spaces).await) } else { None };
            Shared { cluster, operator }
        })
        .await
}

fn space(number: usize) -> String {
    format!("space-{number:03}")
}

fn own_space(number: usize) -> String {
    format!("own-{number:03}")
}

/// Which Kratos a test talks to.
pub enum Server {
    Shared(&'static Kratos),
    Own(Arc<Kratos>),
}

impl std::ops::Deref for Server {
    type Target = Kratos;

    fn deref(&self) -> &Kratos {
        match self {
            Self::Shared(kratos) => kratos,
            Self::Own(kratos) => kratos,
        }
    }
}

pub use crate::reading::{id_of, merge, message_of, pretty, reason_of};

/// See the module. Field order is the order of the end.
pub struct Scene {
    /// A test's own operator; with the shared one there is none here.
    pub operator: Option<Operator>,
    pub kratos: Server,
    /// Before Kratos' admin API; what the instance points at.
    pub proxy: Proxy,
    pub cluster: Arc<Cluster>,
    pub namespace: String,
    pub client: kube::Client,
    /// Where `kubernetes_writes` begins: the proxy before the API server is shared, so it isn't reset.
    pub counted_from: Mutex<Instant>,
}

impl Scene {
    /// In the world that tests share. No test may stop or change anything but what is in its namespace.
    pub async fn shared() -> Self {
        Self::shared_but_for(Server::Shared(Kratos::shared().await)).await
    }

    /// The same with a Kratos of one's own.
    pub async fn with_kratos(options: Options) -> Self {
        let kratos = Kratos::start(options).await.expect("Kratos starts");
        Self::shared_but_for(Server::Own(Arc::new(kratos))).await
    }

    async fn shared_but_for(kratos: Server) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let shared = shared().await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(number < SPACES, "more tests than namespaces: raise SPACES");
        Self::set(Arc::clone(&shared.cluster), kratos, None, space(number)).await
    }

    /// In the world that tests share, but for a Kratos of one's own: for what is about everybody in it.
    pub async fn with_own_kratos(options: Options) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let shared = shared().await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(number < OWN_KRATOS, "more tests than namespaces: raise OWN_KRATOS");
        let kratos = Kratos::start(options).await.expect("Kratos starts");
        Self::set(Arc::clone(&shared.cluster), Server::Own(Arc::new(kratos)), None, own_space(number)).await
    }

    /// A control plane, an operator and a Kratos of one's own.
    pub async fn own() -> Self {
        Self::own_but_for(Options::default()).await
    }

    /// The same, with a Kratos that is configured otherwise.
    pub async fn own_but_for(options: Options) -> Self {
        let kratos = Kratos::start(options).await.expect("Kratos starts");
        let cluster = Arc::new(Cluster::start().await);
        let operator = cluster.start_operator(vec![space(0)]).await;
        Self::set(cluster, Server::Own(Arc::new(kratos)), Some(operator), space(0)).await
    }

    /// A control plane, an operator and a Kratos of one's own, with an instance; the operator reaches the control plane, over
    /// TLS, by a wire.
    pub async fn own_by_wire() -> (Self, Wire) {
        let kratos = Kratos::start(Options::default()).await.expect("Kratos starts");
        let mut cluster = Cluster::start().await;
        let wire = Wire::before(cluster.plane.address()).expect("a wire");
        cluster.kubeconfig = cluster.plane.kubeconfig_by(wire.address()).expect("a kubeconfig");
        let operator = cluster.start_operator(vec![space(0)]).await;
        let scene = Self::set(Arc::new(cluster), Server::Own(Arc::new(kratos)), Some(operator), space(0)).await;
        (scene.with_instance().await, wire)
    }

    /// Another cluster over the Kratos of this scene, which is its own, with an operator and a namespace of the same name.
    pub async fn another_cluster(&self) -> Self {
        let Server::Own(kratos) = &self.kratos else { panic!("a Kratos of its own") };
        Self::over(Arc::clone(kratos), self.namespace.clone()).await
    }

    /// The cluster is gone with everything in it, Kratos is not, and there is a new one.
    pub async fn rebuilt(self) -> Self {
        let Server::Own(kratos) = &self.kratos else { panic!("a Kratos of its own") };
        let (kratos, namespace) = (Arc::clone(kratos), self.namespace.clone());
        drop(self);
        Self::over(kratos, namespace).await
    }

    async fn over(kratos: Arc<Kratos>, namespace: String) -> Self {
        let cluster = Arc::new(Cluster::start().await);
        let operator = cluster.start_operator(vec![namespace.clone()]).await;
        Self::set(cluster, Server::Own(kratos), Some(operator), namespace).await
    }

    /// On a cluster, with a namespace and without an instance.
    pub async fn set(cluster: Arc<Cluster>, kratos: Server, operator: Option<Operator>, namespace: String) -> Self {
        let client = cluster.plane.client().await.expect("a client");
        let proxy = Proxy::before_kratos(kratos.admin_url().as_str()).expect("a proxy");
        proxy.listen(Arc::new(ToKratos));
        traces::of_this_run().begin();
        let counted_from = Mutex::new(Instant::now());
        let mut scene = Self { operator, kratos, proxy, cluster, namespace, client, counted_from };
        scene.make_namespace(&scene.namespace, &[]).await;
        if scene.cluster.id.is_some() && scene.operator.is_none() {
            scene.operator = Some(scene.cluster.start_operator(vec![scene.namespace.clone()]).await);
        }
        scene
    }

    /// With an instance `default`, Ready and counted.
    pub async fn with_instance(self) -> Self {
        self.instance(json!({})).await;
        self.counted().await;
        self
    }

    /// Waits until the instance's status says what the first listing showed: it isn't written later on.
    pub async fn counted(&self) {
        self.instance_until("default", "counted", |instance| instance.status.as_ref()?.last_resync.as_ref().map(drop))
            .await;
    }

    pub async fn make_namespace(&self, name: &str, labels: &[(&str, &str)]) {
        self.cluster.make_namespace(name, labels).await;
    }

    /// Another namespace for this test, with labels.
    pub async fn other_namespace(&self, suffix: &str, labels: &[(&str, &str)]) -> String {
        assert!(self.cluster.id.is_none() || SUFFIXES.contains(&suffix), "add {suffix} to SUFFIXES");
        let name = format!("{}-{suffix}", self.namespace);
        self.make_namespace(&name, labels).await;
        name
    }

    /// The spec of an instance for this test's Kratos, with `changes` merged in. Looks for drift once an hour, so that
    /// a test that doesn't ask for it isn't counted on.
    pub fn instance_spec(&self, changes: Value) -> Value {
        let mut spec = json!({
            "adminURL": self.proxy.url(),
            "publicURL": self.kratos.public_url(),
            "ownerName": self.namespace,
            "requestTimeout": "3s",
            "resyncInterval": "1h",
        });
        merge(&mut spec, changes);
        spec
    }

    /// Applies the instance `default`, with `changes` merged into its spec, and waits until it is Ready.
    pub async fn instance(&self, changes: Value) -> KratosInstance {
        self.apply_instance(&self.namespace, "default", self.instance_spec(changes)).await;
        self.instance_ready("default").await
    }

    pub async fn apply_instance(&self, namespace: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosInstance",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        let params = PatchParams::apply("test").force();
        let api = Api::<KratosInstance>::namespaced(self.client.clone(), namespace);
        api.patch(name, &params, &Patch::Apply(&object)).await.expect("the instance is accepted");
    }

    pub fn instances(&self) -> Api<KratosInstance> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn instance_ready(&self, name: &str) -> KratosInstance {
        self.instance_until(name, "Ready", |instance| {
            let status = instance.status.as_ref()?;
            let is_current = status.observed_generation == instance.metadata.generation;
            (is_current
                && condition::is_true(&status.conditions, "Ready")
                && condition::find(&status.conditions, "Reconciling").is_none())
            .then_some(())
        })
        .await
    }

    pub async fn instance_until(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&KratosInstance) -> Option<()>,
    ) -> KratosInstance {
        let api = self.instances();
        let mut last = None;
        let found = eventually(&format!("instance {name}: {what}"), WITHIN, async || {
            last = api.get_opt(name).await.ok().flatten();
            last.clone().filter(|instance| holds(instance).is_some())
        })
        .await;
        found.unwrap_or_else(|error| panic!("{error}\nlast seen: {}\n{}", pretty(&last), self.log()))
    }

    /// Kratos itself, past the proxy: what is asked here isn't counted.
    pub fn admin(&self) -> Writer {
        self.kratos.client()
    }

    /// The identity that a resource's status names, as Kratos has it.
    pub async fn in_kratos(&self, resource: &KratosIdentity) -> Identity {
        let id = id_of(resource);
        self.admin().get_identity(&id, &[]).await.expect("Kratos answers").expect("the identity is there")
    }

    /// Every identity in Kratos whose mark carries this test's owner name.
    pub async fn ours(&self) -> Vec<Identity> {
        let filter = IdentityFilter { page_size: Some(250), ..IdentityFilter::default() };
        let pages: Vec<_> = self.admin().list_identities(filter).try_collect().await.expect("a listing");
        let all = pages.into_iter().flat_map(|page| page.items);
        all.filter(|identity| {
            identity.metadata_admin.read().unwrap()["kratos-operator.dev"]["owner"] == json!(self.namespace)
        })
        .collect()
    }

    /// The operator's own, of a test that has one.
    pub fn operator(&mut self) -> &mut Operator {
        self.operator.as_mut().expect("a scene with an operator of its own")
    }

    /// The end of the log of this test's operator.
    pub fn log(&self) -> String {
        self.running().map(Operator::tail).unwrap_or_default()
    }

    /// Everything that this test's operator has logged; the shared one's is about other tests too.
    pub fn whole_log(&self) -> String {
        self.running().map(Operator::log).unwrap_or_default()
    }

    /// The operator that this test asks: its own, or the shared one.
    fn running(&self) -> Option<&Operator> {
        self.operator.as_ref().or_else(|| SHARED.get()?.operator.as_ref())
    }
}

impl Drop for Scene {
    /// Nothing that a test used may show anywhere that people read.
    fn drop(&mut self) {
        let traces = traces::of_this_run();
        if let Some(operator) = &self.operator {
            traces.take_log(operator);
        }
        let found = traces.end();
        // A test that fails already says why.
        assert!(std::thread::panicking() || found.is_empty(), "shown where people read it:\n{}", found.join("\n"));
    }
}
