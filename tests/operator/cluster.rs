//! A test's cluster: a control plane with our definitions, what the operator may do in it, how it is started there, and in which
//! namespaces. Nothing in here asserts what a test is about.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::rights::{self, Rights};
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::proxy::Proxy;
use crate::traces::{self, ToKubernetes};

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
const SUFFIXES: [&str; 24] = [
    "a",
    "again",
    "b",
    "beside",
    "both",
    "c",
    "crowd",
    "elsewhere",
    "filled",
    "internal",
    "label",
    "neighbours",
    "none",
    "nulls",
    "one",
    "other",
    "rules",
    "stored",
    "team",
    "tenant",
    "third",
    "trial",
    "two",
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
        self.make_all(&instance_namespaces).await;
        let operator = Operator::start(self.operator(instance_namespaces)).expect("the operator starts");
        traces::of_this_run().follow(&operator);
        operator
    }

    /// Makes all namespaces that an operator is told of that works in namespaces of its own.
    pub async fn make_all(&self, instance_namespaces: &[String]) {
        if self.id.is_some() {
            let all: Vec<_> = instance_namespaces.iter().flat_map(|name| with_others(name)).collect();
            futures::future::join_all(all.iter().map(|name| self.make_namespace(name, &[]))).await;
        }
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

    /// Whether a namespace of a test may have another one beside it of this name: operators that work in namespaces of their own
    /// are told all when they start.
    pub fn knows(&self, suffix: &str) -> bool {
        self.id.is_none() || SUFFIXES.contains(&suffix)
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
