//! Prints the progress of the demo and the benchmark: each step and its time, and what a person would see. Decides nothing.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Result;

/// A number is printed after this many dots.
const COUNT_EVERY: u32 = 5;

/// A shorter time isn't printed.
const WORTH_TELLING: Duration = Duration::from_millis(100);

/// How many are done; the work counts it.
#[derive(Clone, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    pub fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }

    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub struct Screen {
    number: usize,
    step: String,
}

impl Screen {
    /// Prints what is being done, a dot every two seconds, and how long it took.
    pub fn step<T>(&mut self, what: &str, doing: impl Future<Output = Result<T>>) -> impl Future<Output = Result<T>> {
        self.follow(what, Count::default(), Box::pin(doing))
    }

    /// The same, and now and then how many are done.
    pub fn count<T>(
        &mut self,
        what: &str,
        count: &Count,
        doing: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        self.follow(what, count.clone(), Box::pin(doing))
    }

    async fn follow<T>(
        &mut self,
        what: &str,
        count: Count,
        mut doing: Pin<Box<impl Future<Output = Result<T>>>>,
    ) -> Result<T> {
        self.number += 1;
        what.clone_into(&mut self.step);
        print(format_args!("{:2}. {what} ", self.number));
        let begin = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_secs(2));
        ticks.tick().await;
        let mut passed = 0_u32;
        let done = loop {
            tokio::select! {
                done = &mut doing => break done,
                _ = ticks.tick() => {
                    passed += 1;
                    match count.get() {
                        so_far if so_far > 0 && passed.is_multiple_of(COUNT_EVERY) => print(format_args!(". {so_far} ")),
                        _ => print(format_args!(".")),
                    }
                }
            }
        };
        let verb = if done.is_ok() { "done" } else { "FAILED" };
        match begin.elapsed() {
            // Nobody waited for it.
            at_once if at_once < WORTH_TELLING => println!(".. {verb}"),
            took => println!(".. {verb} in {:.1} s", took.as_secs_f32()),
        }
        done
    }

    /// Prints which step failed and why.
    pub fn failed(&self, error: &dyn Display) {
        eprintln!("\nstep {} failed ({}): {error}", self.number, self.step);
    }
}

/// Runs the work of one of the project's commands, until it ends or is stopped; prints which step failed and why.
pub async fn run(work: impl AsyncFnOnce(&mut Screen) -> Result<()>) -> ExitCode {
    let mut screen = Screen::default();
    let outcome = tokio::select! {
        outcome = Box::pin(work(&mut screen)) => outcome,
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.failed(&*error);
            ExitCode::FAILURE
        }
    }
}

/// Prints a command and its output, as on a person's own screen.
pub fn show(command: &str, output: &str) {
    println!("\n    {}", dim(&format!("$ {command}")));
    for line in output.trim_end().lines() {
        println!("    {line}");
    }
    println!();
}

/// Prints the heading of a part of the tour.
pub fn heading(words: &str) {
    println!("\n{words}");
}

fn print(words: std::fmt::Arguments<'_>) {
    print!("{words}");
    // A screen that can't be written to is no reason to stop.
    let _ = std::io::stdout().flush();
}

fn dim(words: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[2m{words}\x1b[0m") } else { words.to_owned() }
}
