//! The `kratos-operator` command: reads the command line, prints, and picks the exit code.

use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;
use kratos_operator::cli::{self, Cli, Command, CrdsArgs, LogFormat, RunArgs};
use kratos_operator::kube_client;
use kratos_operator::metrics::{self, Metrics};
use kratos_operator::operator;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

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
    let result = match cli.command {
        Command::Run(args) => run(&args),
        Command::Crds(args) => crds(&args),
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

fn write_file(directory: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = directory.join(name);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{} can't be written: {error}", path.display()))
}

fn run(args: &RunArgs) -> Result<(), String> {
    let log = tracing_subscriber::fmt().with_env_filter(log_filter()).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let config = kube::Config::infer().await.map_err(|error| no_cluster(&error))?;
        let options = args.options(&config.default_namespace);
        let (client, heartbeat) =
            kube_client::new(&config).map_err(|error| format!("the kubeconfig can't be used: {error}"))?;
        tokio::spawn(heartbeat);
        let stop = stop_on_signals().map_err(|error| format!("no signals: {error}"))?;
        let metrics = Arc::new(Metrics::default());
        if let Some(address) = args.metrics_address {
            let listener = listen(address).await?;
            tokio::spawn(metrics::serve(listener, Arc::clone(&metrics), stop.clone()));
        }
        operator::run(client, options, args.concurrency, metrics, stop).await;
        Ok(())
    })
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

/// `RUST_LOG`, but for the libraries that log requests with their query: an identifier stands in some of those.
fn log_filter() -> EnvFilter {
    let asked = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let quiet = ["h2=warn", "hyper=warn", "hyper_util=warn", "reqwest=warn", "tower=warn", "rustls=warn"];
    quiet.iter().filter_map(|directive| directive.parse().ok()).fold(asked, EnvFilter::add_directive)
}

fn no_cluster(error: &kube::config::InferConfigError) -> String {
    let words: Vec<_> = error.to_string().lines().map(|line| line.trim().to_owned()).collect();
    format!("no usable kubeconfig: {}; set KUBECONFIG, or run in a pod with a service account", words.join(" "))
}

/// Cancelled by Ctrl-C or SIGTERM; a second one ends the process at once.
fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = stop.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(1);
            }
            tracing::info!("stopping: reconciles under way are finished; a second signal ends at once");
            token.cancel();
        }
    });
    Ok(stop)
}
