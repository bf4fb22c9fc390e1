//! The command line: raw arguments, and how they become ready-to-use options. Prints nothing.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `--help`, where backticks are noise")]

mod scope;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use http::Uri;
use kube::core::Selector;

use self::scope::{Addresses, ScopeArgs};
use super::admission_policy::Scope;
use super::rbac::Wanted;
use crate::base::duration::GoDuration;
use crate::base::namespaced_name;
use crate::controllers::shared::options::Options;
use crate::kubernetes::selector;
use crate::telemetry::health::ask;
use crate::telemetry::log::level;

/// Where probes are answered in a pod: the port that controller-runtime's operators have, too.
const HEALTH_PORT: u16 = 8081;

/// Exit code for a wrong command line (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;

/// Identities of Ory Kratos as Kubernetes resources.
#[derive(Debug, Parser)]
#[command(name = "kratos-operator", version, about, arg_required_else_help = false)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watches KratosInstance, KratosIdentity and KratosSessionPolicy resources and makes Kratos agree with them.
    ///
    /// Finds the cluster as kubectl does (KUBECONFIG, ~/.kube/config), or by the pod's service account. Uses the proxy that
    /// kubectl would use (proxy-url, HTTPS_PROXY, NO_PROXY). Calls Kratos directly, or through the proxy of its
    /// KratosInstance.
    Run(RunArgs),
    /// Prints the CustomResourceDefinitions as YAML. Apply them with kubectl.
    Crds(CrdsArgs),
    /// Prints the service account, roles and bindings that the operator needs, as YAML. Apply them with kubectl.
    ///
    /// They grant what an operator with the same options needs, and nothing else.
    Rbac(RbacArgs),
    /// Prints a MutatingAdmissionPolicy and its binding as YAML. With it a new KratosIdentity costs one write instead of
    /// two. Apply them with kubectl.
    ///
    /// The policy adds the operator's finalizer to each new KratosIdentity. It needs Kubernetes 1.36 or newer. Print it with
    /// the operator's --namespaces and --watch-selector. Delete it before the operator: otherwise new resources have a
    /// finalizer that nobody removes.
    AdmissionPolicy(AdmissionPolicyArgs),
    /// Requests a probe of a running operator, and prints the answer. Exit code 0: the probe is ok.
    Probe(ProbeArgs),
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// The id of this cluster, with which identities in Kratos are marked: the uid of the namespace kube-system. Needed
    /// only if the operator can't get that namespace. Default: read from the API server.
    #[arg(long, env = "CLUSTER_ID", value_name = "UID", value_parser = scope::parse_cluster_id)]
    pub cluster_id: Option<String>,
    /// Reads only Secrets with the label kratos-operator.dev/use: "true", for identities, and for headers and the client
    /// certificate of an instance. (The token and the certificate authority of an instance don't need the label.)
    #[arg(long, env = "REQUIRE_SECRET_LABEL")]
    pub require_secret_label: bool,
    /// Refuses to send passwords in clear text that have fewer characters: Kratos doesn't apply its password policy to
    /// passwords that an administrator sets. A password that was sent before stays. Default: any length.
    #[arg(long, env = "MIN_PASSWORD_LENGTH", value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u16).range(..=256))]
    pub min_password_length: u16,
    /// How many identities are reconciled at the same time. It also bounds the batches in which identities are created.
    #[arg(long, env = "CONCURRENCY", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Serves metrics for Prometheus at this address, under /metrics. For example :8080, which is that port of every
    /// address. Default: no metrics.
    #[arg(long, env = "METRICS_ADDRESS", value_name = "[ADDRESS]:PORT", value_parser = scope::parse_addresses)]
    pub metrics_address: Option<Addresses>,
    /// Serves the kubelet's probes at this address: /livez is ok while the operator's loops run, /readyz once all watches
    /// have listed. Both take ?verbose. Default: in a pod port 8081 of every address, else no probes.
    #[arg(long, env = "HEALTH_ADDRESS", value_name = "[ADDRESS]:PORT", value_parser = scope::parse_addresses)]
    pub health_address: Option<Addresses>,
    /// Writes a line of JSON to this file for each write to Kratos: who caused it, which identity, and the result; never a
    /// value. "-" is standard output. A file that was moved away is created again. Default: no audit log.
    #[arg(long, env = "AUDIT_LOG", value_name = "FILE|-", allow_hyphen_values = true)]
    pub audit_log: Option<PathBuf>,
    /// Serves /debug/log-level at this address, with which the log level is changed while the operator runs. A loopback
    /// address only, for example 127.0.0.1:6060; kubectl port-forward reaches it. Default: not served.
    #[arg(long, env = "DEBUG_ADDRESS", value_name = "ADDRESS:PORT", value_parser = level::loopback)]
    pub debug_address: Option<SocketAddr>,
    /// Format of log lines. RUST_LOG sets the level, for example RUST_LOG=kratos_operator=debug.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct CrdsArgs {
    /// Writes one file per definition into this directory instead of printing them.
    #[arg(long, value_name = "DIRECTORY")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RbacArgs {
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// The operator's service account, in its own namespace.
    #[arg(long, value_name = "NAME", default_value = OWN_NAME)]
    pub service_account: String,
}

/// What the operator, its service account and its namespace are called where nobody says otherwise.
const OWN_NAME: &str = "kratos-operator";

#[derive(Debug, Args)]
pub struct AdmissionPolicyArgs {
    /// Name of the policy and of its binding. With several operators, each needs its own.
    #[arg(long, value_name = "NAME", default_value = "kratos-operator", value_parser = object_name)]
    pub name: String,
    /// The namespaces that the operator watches, separated by commas. Default: all.
    #[arg(long, env = "NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',', value_parser = scope::parse_namespace)]
    pub namespaces: Vec<String>,
    /// The --watch-selector that the operator runs with. Default: none.
    #[arg(long, env = "WATCH_SELECTOR", value_name = "SELECTOR", default_value = "", hide_default_value = true, value_parser = selector::parse)]
    pub watch_selector: Selector,
}

impl AdmissionPolicyArgs {
    /// For whom the policy is.
    pub fn scope(&self) -> Scope {
        let Self { name, namespaces, watch_selector } = self;
        let namespaces = scope::named(namespaces).into_iter().collect();
        Scope { name: name.clone(), namespaces, selector: watch_selector.clone() }
    }
}

#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The probe's URL, for example http://localhost:8081/readyz?verbose
    #[arg(value_name = "URL", value_parser = ask::parse_url)]
    pub url: Uri,
    /// Repeats the request for this long, until the answer is ok.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub within: GoDuration,
}

fn object_name(text: &str) -> Result<String, &'static str> {
    if namespaced_name::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("expected the name of an object, for example kratos-operator")
    }
}

/// Whether the process runs in a pod of the cluster that it is for, as the client library tells it.
pub fn is_in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

impl RunArgs {
    /// Where probes are answered: the first of these that is of a family the host has.
    pub fn health_addresses(&self, is_in_pod: bool) -> Vec<SocketAddr> {
        let by_default = is_in_pod.then(|| Addresses::every(HEALTH_PORT));
        self.health_address.clone().or(by_default).map(|Addresses(addresses)| addresses).unwrap_or_default()
    }

    /// Where metrics are served, likewise.
    pub fn metrics_addresses(&self) -> &[SocketAddr] {
        self.metrics_address.as_ref().map(|Addresses(addresses)| addresses.as_slice()).unwrap_or_default()
    }

    /// The options. `own_namespace`: where the operator runs, for want of --namespace.
    /// The error is one line.
    pub fn options(&self, own_namespace: &str) -> Result<Options, String> {
        let own = self.scope.own_namespace(own_namespace);
        Ok(Options {
            default_instance: self.scope.default_instance.clone(),
            namespaces: self.scope.namespaces(),
            instance_namespaces: self.scope.instance_namespaces(&own)?,
            namespace: own,
            cluster_id: self.cluster_id.clone(),
            require_secret_label: self.require_secret_label,
            min_password_length: self.min_password_length,
            watches_secrets: self.scope.watch_secrets,
            writes_recovery_secrets: self.scope.recovery_secrets,
            watch_selector: self.scope.watch_selector.clone(),
        })
    }
}

impl Command {
    /// What is wrong with a command line whose parts are right, as far as it tells. The error is one line.
    pub fn check(&self) -> Result<(), String> {
        let scope = match self {
            Self::Run(RunArgs { scope, .. }) | Self::Rbac(RbacArgs { scope, .. }) => scope,
            Self::Crds(_) | Self::AdmissionPolicy(_) | Self::Probe(_) => return Ok(()),
        };
        // Where the operator stands may be known later; what it counts by default then is no contradiction yet.
        let somewhere = scope.namespaces.iter().find(|name| !name.is_empty());
        let own = scope.own_namespace(somewhere.map_or(OWN_NAME, String::as_str));
        match scope.instance_namespaces(&own) {
            Ok(_) => Ok(()),
            Err(line) => Err(format!("kratos-operator: {line}; see kratos-operator --help")),
        }
    }
}

impl RbacArgs {
    /// Which rights are to be granted. The error is one line.
    pub fn wanted(&self) -> Result<Wanted, String> {
        let namespace = self.scope.own_namespace(OWN_NAME);
        Ok(Wanted {
            service_account: self.service_account.clone(),
            namespaces: self.scope.namespaces(),
            instance_namespaces: self.scope.instance_namespaces(&namespace)?,
            namespace,
            watches_secrets: self.scope.watch_secrets,
            writes_recovery_secrets: self.scope.recovery_secrets,
            elects: self.scope.elects(true),
            is_shard: !self.scope.watch_selector.selects_all(),
        })
    }
}

/// A clap error in one line: what is wrong, and where to read on.
pub fn usage_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let first = rendered.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("wrong command line");
    // clap puts the names of missing arguments on lines of their own.
    let missing: Vec<_> = rendered
        .lines()
        .skip(1)
        .map(str::trim)
        .take_while(|line| line.starts_with('-') || line.starts_with('<'))
        .collect();
    let first = first.trim_start_matches("error: ");
    let space = if missing.is_empty() { "" } else { " " };
    format!("kratos-operator: {first}{space}{}; see kratos-operator --help", missing.join(" "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::base::namespaced_name::NamespacedName;

    fn run(arguments: &[&str]) -> RunArgs {
        let arguments = ["kratos-operator", "run"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).expect("a command line").command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case::nothing(&[], "subcommand")]
    #[case::an_unknown_command(&["rum"], "'rum'")]
    #[case::an_unknown_option(&["run", "--loud"], "'--loud'")]
    #[case::an_option_of_another_command(&["crds", "--concurrency", "4"], "'--concurrency'")]
    #[case::a_value_too_many(&["run", "now"], "'now'")]
    #[case::no_value(&["run", "--namespace"], "--namespace <NAMESPACE>")]
    #[case::no_place(&["run", "--default-instance", "default"], "expected NAMESPACE/NAME")]
    #[case::no_number(&["run", "--concurrency", "many"], "--concurrency <N>")]
    #[case::too_small(&["run", "--concurrency", "0"], "1..=1024")]
    #[case::too_large(&["run", "--concurrency", "1025"], "1..=1024")]
    #[case::no_selector(&["run", "--watch-selector", "shard in (a"], "')' is missing")]
    #[case::neither_true_nor_false(&["run", "--leader-elect=maybe"], "'maybe'")]
    #[case::no_such_format(&["run", "--log-format", "xml"], "'xml'")]
    #[case::twice(&["run", "--namespace", "a", "--namespace", "b"], "--namespace <NAMESPACE>")]
    #[case::no_yes_or_no(&["run", "--watch-secrets=sometimes"], "'sometimes'")]
    #[case::no_address(&["run", "--metrics-address", "everywhere:8080"], "expected ADDRESS:PORT")]
    #[case::no_port(&["run", "--health-address", ":"], "expected ADDRESS:PORT")]
    #[case::no_id(&["run", "--cluster-id", "kube system"], "uid of the namespace kube-system")]
    #[case::no_name_of_a_policy(&["admission-policy", "--name", "Its policy"], "expected the name of an object")]
    #[case::no_selector_of_a_policy(&["admission-policy", "--watch-selector", "shard in (a"], "')' is missing")]
    #[case::no_namespace(&["run", "--namespaces", "a,B"], "names of namespaces")]
    #[case::no_namespace_of_a_policy(&["admission-policy", "--namespaces", "a,B"], "names of namespaces")]
    #[case::two_lines(&["run", "--log-format", "a\nb"], "invalid value")]
    fn a_wrong_command_line_is_answered_in_one_line(#[case] arguments: &[&str], #[case] names: &str) {
        let error = Cli::try_parse_from(["kratos-operator"].iter().chain(arguments)).unwrap_err();
        let line = usage_line(&error);
        assert!(line.starts_with("kratos-operator: ") && line.ends_with("; see kratos-operator --help"), "{line}");
        assert!(line.contains(names) && !line.contains("error:") && !line.contains('\n'), "{line}");
    }

    #[rstest]
    #[case::by_default(&[], &["kratos-system"])]
    #[case::that_of_the_default_instance_too(&["--default-instance", "identity/main"], &["identity", "kratos-system"])]
    #[case::the_pods(&["--namespace", "elsewhere"], &["elsewhere"])]
    #[case::those_named_and_no_others(&["--default-instance", "identity/main", "--instance-namespaces", "b,a"], &["a", "b"])]
    #[case::empty_is_not_named(&["--instance-namespaces", ""], &["kratos-system"])]
    fn instances_count_in(#[case] arguments: &[&str], #[case] expected: &[&str]) {
        let options = run(arguments).options("kratos-system").expect("options");
        assert_eq!(options.instance_namespaces, expected.iter().map(|name| (*name).to_owned()).collect());
    }

    #[rstest]
    #[case::own(&["--namespaces", "a,kratos-system"], &["kratos-system"])]
    #[case::that_of_the_default_instance(&["--namespaces", "a,b", "--default-instance", "b/main"], &["b"])]
    #[case::those_named(&["--namespaces", "a,b,c,", "--instance-namespaces", "b,a"], &["a", "b"])]
    #[case::empty_is_all(&["--namespaces", ""], &["kratos-system"])]
    fn in_namespaces_of_its_own_instances_count_in(#[case] arguments: &[&str], #[case] expected: &[&str]) {
        let options = run(arguments).options("kratos-system").expect("options");
        assert_eq!(options.instance_namespaces, expected.iter().map(|name| (*name).to_owned()).collect());
    }

    #[rstest]
    #[case::instances_elsewhere(&["--namespaces", "a,b", "--instance-namespaces", "a,c"], "names c,")]
    #[case::the_default_elsewhere(&["--namespaces", "a", "--default-instance", "c/main"], "namespace c,")]
    #[case::no_instance_at_all(&["--namespaces", "a,b", "--namespace", "ops"], "--instance-namespaces")]
    fn a_contradiction_is_answered_in_one_line(#[case] arguments: &[&str], #[case] names: &str) {
        for command in ["run", "rbac"] {
            let name = ["kratos-operator", command];
            let arguments = name.iter().chain(arguments);
            let line = Cli::try_parse_from(arguments).expect("its parts are right").command.check().unwrap_err();
            assert!(line.starts_with("kratos-operator: ") && line.contains(names) && !line.contains('\n'), "{line}");
            assert!(line.contains("--namespaces") && line.ends_with("see kratos-operator --help"), "{line}");
        }
        assert!(run(arguments).options("ops").is_err());
    }

    #[rstest]
    #[case::in_a_pod(&[], true, true)]
    #[case::elsewhere(&[], false, false)]
    #[case::asked_for(&["--leader-elect"], false, true)]
    #[case::asked_for_in_full(&["--leader-elect=true"], false, true)]
    #[case::switched_off(&["--leader-elect=false"], true, false)]
    fn a_leader_is_elected(#[case] arguments: &[&str], #[case] is_in_pod: bool, #[case] expected: bool) {
        assert_eq!(run(arguments).scope.elects(is_in_pod), expected);
    }

    #[test]
    fn probes_are_answered_in_a_pod_and_where_the_flag_says() {
        let addresses = |arguments: &[&str], is_in_pod| {
            run(arguments).health_addresses(is_in_pod).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(addresses(&[], false), Vec::<String>::new());
        assert_eq!(addresses(&[], true), ["[::]:8081", "0.0.0.0:8081"]);
        for is_in_pod in [true, false] {
            assert_eq!(addresses(&["--health-address", "127.0.0.1:9"], is_in_pod), ["127.0.0.1:9"]);
            assert_eq!(addresses(&["--health-address", ":9"], is_in_pod), ["[::]:9", "0.0.0.0:9"]);
        }
    }

    #[test]
    fn the_default_instance_is_the_one_named() {
        let named = run(&["--default-instance", "identity/main"]).options("kratos-system").expect("options");
        assert_eq!(named.default_instance, Some(NamespacedName::new("identity", "main")));
        let default = run(&[]);
        assert_eq!(default.options("kratos-system").expect("options").default_instance, None);
        assert_eq!((default.concurrency, default.log_format), (256, LogFormat::Text));
    }

    #[test]
    fn the_policy_is_for_the_namespaces_named_each_once() {
        let scope = |arguments: &[&str]| {
            let arguments = ["kratos-operator", "admission-policy"].iter().chain(arguments);
            match Cli::try_parse_from(arguments).expect("a command line").command {
                Command::AdmissionPolicy(args) => args.scope(),
                other => panic!("{other:?}"),
            }
        };
        let all = scope(&["--namespaces", ""]);
        assert_eq!((all.name.as_str(), all.namespaces, all.selector.selects_all()), ("kratos-operator", vec![], true));
        let named = scope(&["--name", "shard-a", "--namespaces", "b,a,,b", "--watch-selector", "shard=a"]);
        assert_eq!((named.name.as_str(), named.namespaces), ("shard-a", vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(named.selector, selector::parse("shard=a").unwrap());
    }

    #[test]
    fn the_definition_of_the_command_line_holds_together() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
