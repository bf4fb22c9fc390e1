//! The `kratos-operator` command: reads the command line, prints, and picks the exit code.

use std::fs;
use std::io::{Error, ErrorKind, IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use kratos_operator::base::flow::leadership::Leadership;
use kratos_operator::base::shutdown;
use kratos_operator::base::supervise::{self, Tasks};
use kratos_operator::commands::admission_policy;
use kratos_operator::commands::cli::{
    self, AdmissionPolicyArgs, Cli, Command, CrdsArgs, LogFormat, ProbeArgs, RbacArgs, RunArgs,
};
use kratos_operator::commands::operator::{self, Operator};
use kratos_operator::commands::rbac;
use kratos_operator::controllers::leading::election::Elector;
use kratos_operator::kubernetes::kube_client;
use kratos_operator::kubernetes::watches::Watches;
use kratos_operator::telemetry::audit_log::AuditLog;
use kratos_operator::telemetry::health::{self, Health, ask};
use kratos_operator::telemetry::log;
use kratos_operator::telemetry::log::export::Export;
use kratos_operator::telemetry::log::level::{self, Level};
use kratos_operator::telemetry::metrics::{self, Metrics};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion) =>
        {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{}", cli::usage_line(&error));
            return ExitCode::from(cli::EXIT_USAGE);
        }
    };
    if let Err(line) = cli.command.check() {
        eprintln!("{line}");
        return ExitCode::from(cli::EXIT_USAGE);
    }
    let result = match cli.command {
        Command::Run(args) => run(&args),
        Command::Crds(args) => crds(&args),
        Command::Rbac(args) => rbac(&args),
        Command::AdmissionPolicy(args) => admission_policy(&args),
        Command::Probe(args) => probe(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("kratos-operator: {line}");
            ExitCode::FAILURE
        }
    }
}

fn crds(args: &CrdsArgs) -> Result<(), String> {
    let files = operator::crd_files().map_err(|error| format!("the definitions can't be written as YAML: {error}"))?;
    for (name, yaml) in files {
        match &args.output {
            Some(directory) => write_file(directory, &name, &yaml)?,
            None => stdout().write_all(format!("---\n{yaml}").as_bytes()).map_err(|error| error.to_string())?,
        }
    }
    Ok(())
}

fn rbac(args: &RbacArgs) -> Result<(), String> {
    let text = rbac::text(&args.wanted()?).map_err(|error| format!("the roles can't be written as YAML: {error}"))?;
    stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn admission_policy(args: &AdmissionPolicyArgs) -> Result<(), String> {
    let yaml = admission_policy::text(args.scope());
    let yaml = yaml.map_err(|error| format!("the policy can't be written as YAML: {error}"))?;
    stdout().write_all(yaml.as_bytes()).map_err(|error| error.to_string())
}

fn probe(ProbeArgs { url, within }: &ProbeArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let answer = runtime.block_on(ask::until_ok(url, (*within).into()))?;
    writeln!(stdout(), "{answer}").map_err(|error| error.to_string())
}

fn write_file(directory: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = directory.join(name);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{} can't be written: {error}", path.display()))
}

fn run(args: &RunArgs) -> Result<(), String> {
    let asked = EnvFilter::try_from_default_env();
    let is_filter_odd = asked.is_err() && std::env::var_os(EnvFilter::DEFAULT_ENV).is_some();
    let filter = asked.unwrap_or_else(|_| EnvFilter::new("info"));
    let export = Export::from_environment()?;
    let format = match args.log_format {
        LogFormat::Text => log::Format::Text { with_colours: std::io::stderr().is_terminal() },
        LogFormat::Json => log::Format::Json,
    };
    let (subscriber, level) = log::subscriber(format, filter, export.as_ref(), std::io::stderr);
    subscriber.init();
    if is_filter_odd {
        tracing::warn!("RUST_LOG is no filter that can be read; info holds instead");
    }
    supervise::hide_payloads();
    let metrics = Arc::new(Metrics::new());
    let audit_log = audit_log(args, &metrics)?;
    let stop = CancellationToken::new();
    shutdown::on_signals(stop.clone()).map_err(|error| format!("no signals: {error}"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
    let result = runtime.block_on(operate(args, (level, audit_log, metrics), Tasks::new(stop)));
    // Nothing that is left is waited for: it is in the background, or was given up.
    runtime.shutdown_background();
    if let Some(export) = export {
        export.finish();
    }
    result
}

/// Opens the audit log, if one is wanted.
fn audit_log(args: &RunArgs, metrics: &Metrics) -> Result<Option<Arc<AuditLog>>, String> {
    let Some(path) = &args.audit_log else { return Ok(None) };
    if path.as_os_str() == "-" {
        return Ok(Some(AuditLog::to_stream(stdout(), metrics.audit_lines_lost.clone())));
    }
    let opened = AuditLog::to_file(path, metrics.audit_lines_lost.clone()).map(Some);
    opened.map_err(|error| {
        let path = path.display();
        format!("the audit log {path} can't be opened: {error}; set --audit-log to a file that can be written, or to -")
    })
}

async fn operate(
    args: &RunArgs,
    (level, audit_log, metrics): (Level, Option<Arc<AuditLog>>, Arc<Metrics>),
    tasks: Tasks,
) -> Result<(), String> {
    // Before anything is waited for, and until the process has ended.
    let health = Health::new(tasks.clone());
    let addresses = args.health_addresses(cli::is_in_pod());
    if let Some(listener) = listen(&addresses, "probes", "under /livez and /readyz", "--health-address").await? {
        tasks.spawn_critical("probes", health::serve::serve(listener, health.clone()));
    }
    if let Some(listener) = listen(args.metrics_addresses(), "metrics", "under /metrics", "--metrics-address").await? {
        tasks.spawn_critical("metrics", metrics::serve::serve(listener, Arc::clone(&metrics)));
    }
    let (debug, what) = (args.debug_address.as_slice(), "log levels");
    if let Some(listener) = listen(debug, what, "under /debug/log-level", "--debug-address").await? {
        tasks.spawn_critical("log level", level::serve(listener, level, tasks.stop().clone()));
    }
    let mut config = kube::Config::infer().await.map_err(|error| no_cluster(&error))?;
    let proxy = kube_client::choose_proxy(&mut config).map_err(|error| error.to_string())?;
    if let Some(proxy) = proxy {
        tracing::info!(proxy, "the API server is reached by a proxy");
    }
    let options = args.options(&config.default_namespace)?;
    let requests = metrics.requests_to(kube_client::host_and_port(&config.cluster_url));
    let elects = args.scope.elects(cli::is_in_pod());
    let leadership = if elects { Leadership::standby() } else { Leadership::without_election() };
    let (client, api_server, heartbeat) = kube_client::new(&config, &leadership, &requests, &health)
        .map_err(|error| format!("the kubeconfig can't be used: {error}"))?;
    tasks.spawn_critical("heartbeat of the API server", heartbeat);
    let watches = Watches::new(health.clone(), api_server);
    // Last: what tells how this process stands is served before it asks for the Lease.
    let elector = elects.then(|| {
        let (namespace, selector) = (&options.namespace, &options.watch_selector);
        Elector::begin((config, requests), namespace, selector, (leadership.clone(), &health), &tasks)
    });
    let elector = elector.transpose().map_err(|error| format!("no thread for the leader election: {error}"))?;
    let concurrency = args.concurrency;
    let operator = Operator { client, options, concurrency, metrics, audit_log, watches, leadership, elector };
    operator::run(operator, tasks).await.map_err(|failure| failure.to_string())
}

/// Listens at the first address of a family that the host has; nowhere, if there is none.
async fn listen(addresses: &[SocketAddr], what: &str, paths: &str, flag: &str) -> Result<Option<TcpListener>, String> {
    let Some((first, others)) = addresses.split_first() else { return Ok(None) };
    let listener = match TcpListener::bind(first).await {
        Err(error) if is_of_no_family(&error) && !others.is_empty() => TcpListener::bind(others).await,
        bound => bound,
    };
    let listener = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = listener.map_err(|error| {
        format!("{what} can't be served at {first}: {error}; set {flag} to an address that is free")
    })?;
    tracing::info!(%address, "{what} are served {paths}");
    Ok(Some(listener))
}

/// Whether the host has no addresses of this family (IPv6 may be switched off).
fn is_of_no_family(error: &Error) -> bool {
    const NOT_SUPPORTED: i32 = 97;
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(NOT_SUPPORTED)
}

fn no_cluster(error: &kube::config::InferConfigError) -> String {
    let words: Vec<_> = error.to_string().lines().map(|line| line.trim().to_owned()).collect();
    format!("no usable kubeconfig: {}; set KUBECONFIG, or run in a pod with a service account", words.join(" "))
}
