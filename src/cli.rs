//! The command line: raw arguments, and how they become ready-to-use options. Prints nothing.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `--help`, where backticks are noise")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::context::Options;
use crate::place::Place;

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
    /// Watches KratosInstance and KratosIdentity resources and makes Kratos agree with them.
    ///
    /// The cluster is found as kubectl finds it (KUBECONFIG, ~/.kube/config), or by the pod's service account.
    Run(RunArgs),
    /// Prints the CustomResourceDefinitions as YAML, to be applied with kubectl.
    Crds(CrdsArgs),
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The KratosInstance for resources that name none.
    #[arg(long, env = "DEFAULT_INSTANCE", value_name = "NAMESPACE/NAME")]
    pub default_instance: Option<Place>,
    /// Namespaces in which a KratosInstance counts, separated by commas. Whoever may write one there owns every
    /// identity of the Kratos it points at. Default: the operator's own namespace and that of --default-instance.
    #[arg(long, env = "INSTANCE_NAMESPACES", value_name = "NAMESPACE,...", value_delimiter = ',')]
    pub instance_namespaces: Vec<String>,
    /// The operator's own namespace. Default: that of its service account, or of the kubeconfig's current context.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// How many identities are reconciled at the same time.
    #[arg(long, env = "CONCURRENCY", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// How log lines look. What is logged is set by RUST_LOG, for example RUST_LOG=kratos_operator=debug.
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

impl RunArgs {
    /// The options. `own_namespace`: where the operator runs, for want of --namespace.
    pub fn options(&self, own_namespace: &str) -> Options {
        let own = self.namespace.as_deref().unwrap_or(own_namespace).to_owned();
        let named = self.instance_namespaces.iter().filter(|name| !name.is_empty()).cloned();
        let instance_namespaces: std::collections::BTreeSet<_> = named.collect();
        let by_default =
            || std::iter::once(own).chain(self.default_instance.iter().map(|place| place.namespace.clone())).collect();
        Options {
            default_instance: self.default_instance.clone(),
            instance_namespaces: if instance_namespaces.is_empty() { by_default() } else { instance_namespaces },
        }
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
