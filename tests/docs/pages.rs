//! What pages hold: the reference is what the definitions say, each reason is explained, what is named exists, nothing grows
//! beyond what people read.

use std::collections::BTreeSet;

use crate::reference;
use crate::repository::{documents, pages, read, readmes_of_source, root};

#[test]
fn the_reference_is_what_the_definitions_say() {
    let generated = reference::pages();
    let there = std::fs::read_dir(root().join("docs/reference")).expect("the folder").count();
    assert_eq!(there, generated.len(), "docs/reference holds something else: remove it");
    for (name, page) in generated {
        assert!(read(format!("docs/reference/{name}")) == page, "docs/reference/{name} is stale: run `make reference`");
    }
}

#[test]
fn a_stranger_can_read_the_readme_in_one_sitting() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines: what is long belongs into docs/");
}

/// Every reason that a condition can have, as the source spells it.
fn reasons() -> Vec<String> {
    let source = read("src/api/condition.rs");
    let arms =
        source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \"")?.1.split('"').next());
    let found: Vec<_> = arms.map(str::to_owned).collect();
    assert!(found.len() > 25, "{found:?}");
    found
}

#[test]
fn every_reason_is_explained() {
    let page = read("docs/troubleshooting.md");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
    let missing: Vec<_> =
        reasons().into_iter().filter(|reason| !rows.iter().any(|row| row.contains(&format!("`{reason}`")))).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The reasons of events that the source names as it tells of something, beside those of conditions.
fn told() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in sources() {
        for kind in ["RecordedEvent::normal(", "RecordedEvent::warning("] {
            let reasons =
                text.split(kind).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
            found.extend(reasons.map(|(reason, _)| reason.to_owned()));
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The shipped source, file by file, without tests.
fn sources() -> Vec<String> {
    let mut folders = vec![root().join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).expect("a file");
                found.push(text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_event_is_listed_and_nothing_else() {
    let page = read("docs/events.md");
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    let listed: BTreeSet<_> = cells.flat_map(|(cell, _)| cell.split(", ")).map(|word| word.replace('`', "")).collect();
    assert_eq!(listed, told());
}

/// The words of all shell blocks of a text, a command each.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut is_shell = false;
    for line in text.lines().map(str::trim) {
        match line {
            "```sh" => is_shell = true,
            "```" => is_shell = false,
            _ if is_shell => found.push(line.split_whitespace().map(str::to_owned).collect()),
            _ => {}
        }
    }
    found
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read("Makefile");
    let mut seen = 0;
    for document in documents() {
        let commands = commands(&read(&document)).into_iter();
        for command in commands.filter(|words| words.first().is_some_and(|word| word == "make")) {
            seen += 1;
            let target = &command[1];
            let exists = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            assert!(exists, "{}: make {target}", document.display());
        }
    }
    assert!(seen >= 5, "only {seen} were found");
}

#[test]
fn every_file_that_is_named_exists() {
    for document in documents() {
        let text = read(&document);
        let words = text
            .split(|letter: char| letter.is_whitespace() || "`()|".contains(letter))
            .map(|word| word.trim_end_matches([',', '.', ';', ':']));
        let folders = ["src/", "tests/", "docs/", "examples/", "crds/", "charts/", "gitops/"];
        let named = words.filter(|word| folders.iter().any(|folder| word.starts_with(folder)));
        for name in named.filter(|name| !name.contains('*')) {
            // Headings are checked with the links.
            let file = name.split_once('#').map_or(name, |(file, _)| file);
            assert!(root().join(file).exists(), "{} names {name}", document.display());
        }
    }
}

/// Fenced blocks say what they hold, so that tests find what is to be run.
#[test]
fn every_block_says_its_language() {
    const KNOWN: [&str; 9] = ["sh", "yaml", "text", "json", "rust", "promql", "lua", "toml", "cel"];
    for page in pages().into_iter().chain(readmes_of_source()) {
        let text = read(&page);
        let mut is_open = false;
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("```")) {
            let language = &line[3..];
            assert!(is_open || KNOWN.contains(&language), "{}: a block of `{language}`", page.display());
            is_open = !is_open;
        }
        assert!(!is_open, "{}: a block doesn't end", page.display());
    }
}
