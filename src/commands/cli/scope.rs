//! Where the operator works, and for whom: what its rights depend on. Shared by the commands that need to know.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;
use kube::core::Selector;

use crate::base::namespaced_name::{self, NamespacedName};
use crate::kubernetes::selector;

const LONGEST_NAMESPACE: usize = 63;
/// The longest cluster id.
const LONGEST_ID: usize = 64;

#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// The KratosInstance of resources that name none.
    #[arg(long, env = "DEFAULT_INSTANCE", value_name = "NAMESPACE/NAME")]
    pub default_instance: Option<NamespacedName>,
    /// Namespaces in which KratosInstance resources are accepted, separated by commas. Anyone who can write one there owns
    /// every identity of the Kratos that it names. Default: the operator's own namespace and that of --default-instance.
    #[arg(long, env = "INSTANCE_NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',')]
    pub instance_namespaces: Vec<String>,
    /// Works in these namespaces only, separated by commas. It then needs permissions in no other namespace, and no
    /// ClusterRole. Default: all namespaces.
    #[arg(long, env = "NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',', value_parser = parse_namespace)]
    pub namespaces: Vec<String>,
    /// The operator's own namespace. Default: that of its service account, or of the kubeconfig's current context.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Lists and watches the metadata of Secrets, to notice a changed Secret at once. With false it only gets Secrets that
    /// are referred to, and notices a change at the next resync.
    #[arg(long, env = "WATCH_SECRETS", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub watch_secrets: bool,
    /// Issues recoveries (spec.recovery) into Secrets. This needs permission to create, update and delete Secrets. With
    /// false no recovery is issued, and resources with spec.recovery say so.
    #[arg(long, env = "RECOVERY_SECRETS", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub recovery_secrets: bool,
    /// Leader election: of several replicas only the one works that holds a Lease in the operator's namespace. The others
    /// stand by. Default: true in a pod (and for the printed roles), false elsewhere.
    #[arg(long, env = "LEADER_ELECT", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: Option<bool>,
    /// Reconciles only KratosIdentity resources with matching labels, for example shard=a. Other operators must reconcile
    /// the others, each with its own selector. Default: all resources.
    #[arg(long, env = "WATCH_SELECTOR", value_name = "SELECTOR", default_value = "", hide_default_value = true, value_parser = selector::parse)]
    pub watch_selector: Selector,
}

impl ScopeArgs {
    /// Whether others may lead.
    pub fn elects(&self, by_default: bool) -> bool {
        self.leader_elect.unwrap_or(by_default)
    }

    /// The operator's own namespace; `otherwise` where none is named.
    pub fn own_namespace(&self, otherwise: &str) -> String {
        self.namespace.as_deref().unwrap_or(otherwise).to_owned()
    }

    /// The namespaces that the operator works in; `None`: all of them.
    pub fn namespaces(&self) -> Option<BTreeSet<String>> {
        Some(named(&self.namespaces)).filter(|names| !names.is_empty())
    }

    /// The namespaces in which instances count, for an operator that stands in this one: among those that it works in. The
    /// error is one line, for whoever wrote the command line.
    pub fn instance_namespaces(&self, own: &str) -> Result<BTreeSet<String>, String> {
        let explicit = named(&self.instance_namespaces);
        let of_default = self.default_instance.iter().map(|key| key.namespace.clone());
        let Some(within) = self.namespaces() else {
            let by_default = || std::iter::once(own.to_owned()).chain(of_default).collect();
            return Ok(if explicit.is_empty() { by_default() } else { explicit });
        };
        let outside = |names: &BTreeSet<String>| names.difference(&within).next().cloned();
        if let Some(name) = outside(&explicit) {
            return Err(format!("--instance-namespaces names {name}, which isn't among --namespaces; add it there"));
        }
        if let Some(name) = outside(&of_default.clone().collect()) {
            return Err(format!(
                "--default-instance is in namespace {name}, which isn't among --namespaces; add it there"
            ));
        }
        let by_default: BTreeSet<_> =
            Some(own.to_owned()).filter(|own| within.contains(own)).into_iter().chain(of_default).collect();
        match if explicit.is_empty() { by_default } else { explicit } {
            none if none.is_empty() => Err(format!(
                "no KratosInstance counts: the operator's own namespace {own} isn't among --namespaces; name those that have \
                 one with --instance-namespaces"
            )),
            some => Ok(some),
        }
    }
}

/// Where something is served: at the first of these that is of a family the host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(pub Vec<SocketAddr>);

impl Addresses {
    /// Every address of the host. At the first of these both families are served, as far as the host has both.
    pub fn every(port: u16) -> Self {
        Self(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()])
    }
}

/// An address and a port, or a port of every address.
pub fn parse_addresses(text: &str) -> Result<Addresses, &'static str> {
    const EXPECTED: &str = "expected ADDRESS:PORT, or :PORT for every address";
    match text.strip_prefix(':') {
        Some(port) => port.parse().map(Addresses::every).map_err(|_| EXPECTED),
        None => text.parse().map(|address| Addresses(vec![address])).map_err(|_| EXPECTED),
    }
}

/// Names that were separated by commas; an empty one, as templates leave behind, names nothing.
pub fn named(names: &[String]) -> BTreeSet<String> {
    names.iter().filter(|name| !name.is_empty()).cloned().collect()
}

/// The name of a namespace, or nothing.
pub fn parse_namespace(text: &str) -> Result<String, &'static str> {
    let is_namespace =
        text.is_empty() || (text.len() <= LONGEST_NAMESPACE && !text.contains('.') && namespaced_name::is_name(text));
    if is_namespace { Ok(text.to_owned()) } else { Err("expected names of namespaces, separated by commas") }
}

/// A cluster's id, as the uid of kube-system is.
pub fn parse_cluster_id(text: &str) -> Result<String, &'static str> {
    let is_id = text.len() <= LONGEST_ID && namespaced_name::is_name(text);
    if is_id { Ok(text.to_owned()) } else { Err("expected the uid of the namespace kube-system") }
}
