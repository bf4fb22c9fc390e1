//! The `kratos-operator` command: reads the command line, prints, and picks the exit code.

use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;
use kratos_operator::admission_policy;
use kratos_operator::cli::{self, AdmissionPolicyArgs, Cli, Command, CrdsArgs, LogFormat, RbacArgs, RunArgs};
use kratos_operator::kube_client;
use kratos_operator::log;
use kratos_operator::metrics::{self, Metrics};
use kratos_operator::operator;
use kratos_operator::rbac;
use kratos_operator::shutdown;
use kratos_operator::supervise::{self, Tasks};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
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

fn write_file(directory: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = directory.join(name);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{} can't be written: {error}", path.display()))
}

fn run(args: &RunArgs) -> Result<(), String> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let format = match args.log_format {
        LogFormat::Text => log::Format::Text { with_colours: std::io::stderr().is_terminal() },
        LogFormat::Json => log::Format::Json,
    };
    log::subscriber(format, filter, std::io::stderr).init();
    supervise::hide_payloads();
    let stop = CancellationToken::new();
    shutdown::on_signals(stop.clone()).map_err(|error| format!("no signals: {error}"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
    let result = runtime.block_on(operate(args, Tasks::new(stop)));
    // Nothing that is left is waited for: it is in the background, or was given up.
    runtime.shutdown_background();
    result
}

async fn operate(args: &RunArgs, tasks: Tasks) -> Result<(), String> {
    let config = kube::Config::infer().await.map_err(|error| no_cluster(&error))?;
    let options = args.options(&config.default_namespace)?;
    let (client, heartbeat) =
        kube_client::new(&config).map_err(|error| format!("the kubeconfig can't be used: {error}"))?;
    tasks.rely_on("heartbeat of the API server", heartbeat);
    let metrics = Arc::new(Metrics::default());
    if let Some(address) = args.metrics_address {
        let listener = listen(address).await?;
        tasks.rely_on("metrics", metrics::serve(listener, Arc::clone(&metrics), tasks.stop().clone()));
    }
    operator::run(client, options, args.concurrency, metrics, tasks).await.map_err(|failure| failure.to_string())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = listener.map_err(|error| {
        format!("metrics can't be served at {address}: {error}; set --metrics-address to one that is free")
    })?;
    tracing::info!(%address, "metrics are served under /metrics");
    Ok(listener)
}

fn no_cluster(error: &kube::config::InferConfigError) -> String {
    let words: Vec<_> = error.to_string().lines().map(|line| line.trim().to_owned()).collect();
    format!("no usable kubeconfig: {}; set KUBECONFIG, or run in a pod with a service account", words.join(" "))
}
