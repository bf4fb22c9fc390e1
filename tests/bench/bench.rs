//! `make bench`: how fast the operator is on a real control plane and a real Kratos, beside what the same servers do at
//! best in the same run, when they are asked directly. Prints one table and writes `target/bench.json`; judges no time.
//!
//! `N`: how many identities (1000 by default). Nothing is left running, however it ends.
//!
//! With the argument `scale` it is `make bench-scale`: what very many cost the operator (`N`, 100000 by default), or two that
//! share them by their labels (`SHARDS=2`). Written to `target/bench-scale-N-SHARDS.json`.

#[path = "../testenv/mod.rs"]
mod testenv;

mod figures;
mod floor;
mod ground;
mod many;
mod measured;
mod people;
mod scale;
mod scale_figures;
mod servers;
mod watched;
mod work;

use std::ops::RangeInclusive;
use std::process::ExitCode;

use testenv::screen::{self, Screen};

#[tokio::main]
async fn main() -> ExitCode {
    let is_scale = std::env::args().nth(1).is_some_and(|what| what == "scale");
    let default = if is_scale { 100_000 } else { 1000 };
    let (Some(n), Some(shards)) = (asked("N", default, 50..=100_000), asked("SHARDS", 1, 1..=2)) else {
        eprintln!("bench: N must be a number between 50 and 100000, and SHARDS 1 or 2");
        return ExitCode::from(2);
    };
    screen::run(
        async |screen| {
            if is_scale { Box::pin(run_scale(n, shards, screen)).await } else { Box::pin(run(n, screen)).await }
        },
    )
    .await
}

/// A number from the environment, where it is within these bounds.
fn asked(name: &str, default: usize, bounds: RangeInclusive<usize>) -> Option<usize> {
    let asked = std::env::var(name).ok().filter(|asked| !asked.is_empty());
    asked.map_or(Some(default), |asked| asked.parse().ok()).filter(|asked| bounds.contains(asked))
}

async fn run(n: usize, screen: &mut Screen) -> testenv::Result<()> {
    screen::heading(&format!("{n} identities: first what the servers do when they are asked directly."));
    let floor = floor::measure(n, screen).await?;
    screen::heading("Now the operator.");
    let measured = Box::pin(measured::measure(n, screen)).await?;
    figures::report(n, &floor, &measured)
}

async fn run_scale(n: usize, shards: usize, screen: &mut Screen) -> testenv::Result<()> {
    screen::heading(&format!("{n} identities over one Kratos, shared by so many operators: {shards}."));
    let count = n.min(scale::SAMPLE);
    let what = format!("{count} made directly, without an operator");
    let sample = screen.step(&what, Box::pin(floor::sample(count))).await?;
    let measured = Box::pin(scale::measure(n, shards, screen)).await?;
    scale_figures::report(n, &sample, &measured)
}
