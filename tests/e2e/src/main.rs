//! `make e2e`: the operator in real pods, as users install and run it, by `helm` and `kubectl`. It knows nothing of the
//! operator but its image, its charts, and what it writes.
//!
//! usage: `e2e images OPERATOR ARCHITECTURE DIRECTORY` before the node starts, `e2e run` beside it (`node/run.sh`)

mod cluster;
mod disruptions;
mod images;
mod install;
mod load;
mod mistakes;
mod releases;
mod shell;
mod story;

use std::path::Path;
use std::process::ExitCode;

use shell::Result;
use story::Story;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["images", operator, architecture, directory] => {
            images::write(Path::new(operator), architecture, Path::new(directory))
        }
        ["run"] => run().inspect_err(|_| story::show_cluster()),
        _ => Err("usage: e2e images OPERATOR ARCHITECTURE DIRECTORY | e2e run".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("e2e: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let story = Story::begin();
    install::kratos(story)?;
    install::charts(story)?;
    install::examples(story)?;
    disruptions::all(story)?;
    mistakes::all(story)?;
    load::all(story)?;
    releases::all(story)
}
