//! `make bench-sessions`: how fast session policies are on a real Kratos, beside what it does when it is asked directly
//! in the same run. Sessions come from real logins. Prints a table and writes `target/bench-sessions.json`; judges no time.
//!
//! `SIZES`: how many sessions, one run each (`10000 50000` by default). Nothing is left running, however it ends.

#[path = "../testenv/mod.rs"]
mod testenv;

mod ground;
mod many;
mod policy;

use std::process::ExitCode;

use serde_json::json;
use testenv::screen::{self, Screen};

#[tokio::main]
async fn main() -> ExitCode {
    let asked = std::env::var("SIZES").ok().filter(|sizes| !sizes.trim().is_empty());
    let sizes = asked.as_deref().unwrap_or("10000 50000").split_whitespace().map(str::parse::<usize>);
    let Ok(sizes) = sizes.collect::<Result<Vec<_>, _>>() else {
        eprintln!("bench-sessions: SIZES must be numbers of sessions, from 200 on, each larger than the one before");
        return ExitCode::from(2);
    };
    if sizes.is_empty() || sizes[0] < 200 || !sizes.is_sorted() {
        eprintln!("bench-sessions: SIZES must be numbers of sessions, from 200 on, each larger than the one before");
        return ExitCode::from(2);
    }
    screen::run(async |screen| run(&sizes, screen).await).await
}

async fn run(sizes: &[usize], screen: &mut Screen) -> testenv::Result<()> {
    let (figures, logins) = policy::measure(sizes, screen).await?;
    println!("\nSessions are made by real logins with a password over the public API ({logins:.0} a second here).");
    println!("A run is timed from the request for it to the status that says it is done.\n");
    for figure in &figures {
        println!("{figure}");
    }
    let lines: Vec<_> = figures.iter().map(policy::Figure::json).collect();
    ground::write_figures("target/bench-sessions.json", &json!({"loginsPerSecond": logins, "figures": lines}))
}
