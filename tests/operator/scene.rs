//! One test's place in the world: a namespace, a Kratos behind a proxy that counts and breaks, a `KratosInstance`, and
//! the operator. Tests share a control plane, a Kratos and an operator where they can; those that stop or kill
//! something have their own. Nothing in here asserts what a test is about.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kratos_operator::api::{KratosIdentity, KratosInstance, condition};
use kratos_operator::kratos::{Identity, IdentityFilter, Writer};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::Operator;
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;
use crate::testenv::wire::Wire;
use crate::traces::{self, ToKratos};

pub const WITHIN: Duration = Duration::from_mins(1);
/// Namespaces in which the shared operator lets instances count; each test takes the next one.
const SPACES: usize = 400;
/// The same, for tests that have a Kratos of their own.
const OWN_KRATOS: usize = 60;

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
            let operator = if cluster.id().is_none() { Some(cluster.start_operator(spaces).await) } else { None };
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

pub use crate::cluster::{Cluster, LEASE, OPERATORS, is_namespaced};
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
        Self::beside(&shared.cluster, kratos, space(number)).await
    }

    /// In the world that tests share, but for a Kratos of one's own: for what is about everybody in it.
    pub async fn with_own_kratos(options: Options) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let shared = shared().await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(number < OWN_KRATOS, "more tests than namespaces: raise OWN_KRATOS");
        let kratos = Kratos::start(options).await.expect("Kratos starts");
        Self::beside(&shared.cluster, Server::Own(Arc::new(kratos)), own_space(number)).await
    }

    /// On the cluster that tests share. An operator that works in namespaces of its own is each test's own.
    async fn beside(cluster: &Arc<Cluster>, kratos: Server, namespace: String) -> Self {
        let mut scene = Self::set(Arc::clone(cluster), kratos, None, namespace).await;
        if cluster.id().is_some() {
            scene.operator = Some(cluster.start_operator(vec![scene.namespace.clone()]).await);
        }
        scene
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
        let scene = Self { operator, kratos, proxy, cluster, namespace, client, counted_from };
        scene.make_namespace(&scene.namespace, &[]).await;
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
        assert!(self.cluster.knows(suffix), "add {suffix} to SUFFIXES");
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
