//! What is written for those who work on the code, `docs/architecture.md` and the READMEs beside it: short, complete, part of the
//! modules' documentation, and every file that it names exists.

use std::path::{Path, PathBuf};

use crate::repository::{read, readmes_of_source, root};

const ARCHITECTURE: &str = "docs/architecture.md";

fn documents() -> Vec<PathBuf> {
    readmes_of_source().into_iter().chain([ARCHITECTURE.into()]).collect()
}

/// What stands in backticks, outside of blocks.
fn spans(text: &str) -> Vec<&str> {
    let mut is_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Whether a span names a file or a folder, and nothing else.
fn is_path(span: &str) -> bool {
    let is_plain = span.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
    is_plain && [".rs", ".md", ".yaml", "/"].iter().any(|end| span.ends_with(end))
}

/// The paths in a text that are there neither from its folder nor from the repository's root.
fn missing<'a>(document: &Path, text: &'a str) -> Vec<&'a str> {
    let beside = root().join(document.parent().expect("a folder"));
    let is_there = |path: &str| beside.join(path).exists() || root().join(path).exists();
    spans(text).into_iter().filter(|span| is_path(span) && !is_there(span)).collect()
}

#[test]
fn every_file_in_backticks_exists() {
    let mut seen = 0;
    for document in documents() {
        let text = read(&document);
        seen += spans(&text).into_iter().filter(|span| is_path(span)).count();
        assert_eq!(missing(&document, &text), Vec::<&str>::new(), "{} names them", document.display());
    }
    assert!(seen > 200, "only {seen} were found");
}

#[test]
fn a_file_that_is_gone_is_noticed() {
    let text = "`pages.rs` and `src/lib.rs`, `src/api/`\n```text\n`gone.rs`\n```\n`gone.rs`, `GET /livez`, `gone/`";
    assert_eq!(missing(Path::new("tests/docs/page.md"), text), ["gone.rs", "gone/"]);
}

#[test]
fn the_page_on_architecture_is_read_in_one_sitting_and_so_is_each_readme() {
    for document in documents() {
        let most = if document == Path::new(ARCHITECTURE) { 200 } else { 165 };
        let lines = read(&document).lines().count();
        assert!(lines <= most, "{} has {lines} lines, more than {most}", document.display());
    }
}

#[test]
fn each_readme_is_listed_and_is_part_of_its_modules_documentation() {
    let page = read(ARCHITECTURE);
    for readme in readmes_of_source() {
        assert!(page.contains(&format!("/{})", readme.display())), "{ARCHITECTURE} doesn't list {}", readme.display());
        let module = readme.with_file_name("mod.rs");
        let is_included = read(&module).lines().any(|line| line == "#![doc = include_str!(\"README.md\")]");
        assert!(is_included, "{} doesn't include its README.md", module.display());
    }
}
