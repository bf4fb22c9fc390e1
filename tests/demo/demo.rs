//! `make demo`: a real control plane, a real Kratos and the operator on this machine, and a tour of what the operator
//! does. Shows only what it has seen happen: a step that doesn't come true within its time ends the demo with an error.
//! Nothing is left running and no file is left behind, however it ends.

#[path = "../testenv/mod.rs"]
mod testenv;

mod everyday;
mod stage;
mod tour;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use stage::Stage;
use testenv::screen::{self, Screen};

#[tokio::main]
async fn main() -> ExitCode {
    let once = std::env::var("ONCE").is_ok_and(|once| !once.is_empty() && once != "0");
    let (mut stage, mut screen) = (Stage::default(), Screen::default());
    let toured = tokio::select! {
        toured = set_and_show(&mut stage, &mut screen) => toured,
        code = interrupted() => {
            println!("\nInterrupted: stopping everything.");
            return code;
        }
    };
    if let Err(error) = toured {
        screen.failed(&*error);
        let log = stage.explain();
        // An operator that has ended has told so with its last words.
        if !error.to_string().contains(&log) {
            eprintln!("The end of the operator's log:\n{log}");
        }
        return ExitCode::FAILURE;
    }
    if once {
        println!("\nThe tour is over; stopping everything.");
    } else {
        stage.invite();
        interrupted().await;
        println!("\nStopping everything.");
    }
    ExitCode::SUCCESS
}

async fn set_and_show(stage: &mut Stage, screen: &mut Screen) -> testenv::Result<()> {
    let set = stage.set(screen).await?;
    tour::show(set, screen).await
}

/// Waits for Ctrl-C or SIGTERM, and gives the exit code that belongs to it.
async fn interrupted() -> ExitCode {
    let listen = |kind| signal(kind).expect("signals can be listened to");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    tokio::select! {
        _ = interrupt.recv() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    }
}
