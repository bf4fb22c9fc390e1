//! `make bench`: how fast the operator is on a real control plane and a real Kratos, beside what the same servers do at
//! best in the same run, when they are asked directly. Prints one table and writes `target/bench.json`; judges no time.
//!
//! `N`: how many identities (1000 by default). Nothing is left running, however it ends.

#[path = "../testenv/mod.rs"]
mod testenv;

mod figures;
mod floor;
mod many;
mod measured;
mod people;
mod watched;

use std::process::ExitCode;

use testenv::screen::{self, Screen};

#[tokio::main]
async fn main() -> ExitCode {
    let asked = std::env::var("N").ok().filter(|n| !n.is_empty());
    let n = match asked.as_deref().unwrap_or("1000").parse::<usize>() {
        Ok(n) if (50..=100_000).contains(&n) => n,
        _ => {
            eprintln!("bench: N must be a number between 50 and 100000");
            return ExitCode::from(2);
        }
    };
    screen::run(async |screen| run(n, screen).await).await
}

async fn run(n: usize, screen: &mut Screen) -> testenv::Result<()> {
    screen::heading(&format!("{n} identities: first what the servers do when they are asked directly."));
    let floor = floor::measure(n, screen).await?;
    screen::heading("Now the operator.");
    let measured = Box::pin(measured::measure(n, screen)).await?;
    figures::report(n, &floor, &measured)
}
