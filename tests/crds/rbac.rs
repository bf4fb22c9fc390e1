//! `examples/rbac/` is what the source generates.

use std::path::Path;

use clap::Parser;
use kratos_operator::commands::cli::{Cli, Command};
use kratos_operator::commands::rbac;

/// The files, and the options that each is made for; the Makefile has the same.
const FILES: [(&str, &str); 2] = [
    ("cluster.yaml", "--instance-namespaces identity"),
    ("namespaced.yaml", "--namespaces identity,team-a --instance-namespaces identity"),
];

/// What the command prints with these options.
fn printed(options: &str) -> String {
    let arguments = ["kratos-operator", "rbac"].into_iter().chain(options.split(' '));
    let Command::Rbac(args) = Cli::try_parse_from(arguments).expect("a command line").command else {
        panic!("another command")
    };
    rbac::text(&args.wanted().expect("no contradiction")).expect("it can be written")
}

#[test]
fn the_files_are_what_the_source_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("examples/rbac");
    let makefile = std::fs::read_to_string(root.join("Makefile")).expect("a Makefile");
    for (name, options) in FILES {
        let there = std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        assert!(there == printed(options), "examples/rbac/{name} is stale: run `make rbac`");
        let line = format!("-- rbac {options} > examples/rbac/{name}");
        assert!(makefile.contains(&line), "the Makefile makes it otherwise than by `{line}`");
    }
    let count = std::fs::read_dir(directory).expect("a directory").count();
    assert_eq!(count, FILES.len(), "a file is left over, or isn't tried");
}
