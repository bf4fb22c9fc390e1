//! Whatever can happen to a resource happens in a test.

use crate::tree::files;

/// The variants of an enum, by its source.
fn variants(path: &str, name: &str) -> Vec<String> {
    let files = files("src");
    let file = files.iter().find(|file| file.path == path).expect("a file");
    let (_, body) = file.text.split_once(&format!("pub enum {name} {{\n")).expect("an enum");
    let (body, _) = body.split_once("\n}").expect("its end");
    let is_variant = |line: &&str| line.starts_with("    ") && line[4..].starts_with(char::is_uppercase);
    let end = |character: char| !character.is_alphanumeric();
    let found: Vec<_> = body
        .lines()
        .filter(is_variant)
        .map(|line| line[4..].split(end).next().unwrap_or_default().to_owned())
        .collect();
    assert!(found.len() > 3, "{found:?}");
    found
}

/// Whether a text has a word in it, on its own.
fn has_word(text: &str, word: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric();
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

#[test]
fn every_reason_occurs_in_a_test() {
    // The table of all reasons proves nothing about any of them.
    let texts: Vec<_> = files("src")
        .into_iter()
        .chain(files("tests/operator"))
        .filter(|file| file.path.starts_with("tests/") || file.is_test())
        .filter(|file| !file.path.starts_with("src/api/"))
        .collect();
    for reason in variants("src/api/condition.rs", "Reason") {
        assert!(texts.iter().any(|file| has_word(&file.text, &reason)), "no test is about the reason {reason}");
    }
}

#[test]
fn every_step_occurs_in_a_test_of_plans() {
    let texts: Vec<_> = files("src").into_iter().filter(|file| file.path.starts_with("src/identity/tests/")).collect();
    for step in variants("src/identity/plan/step.rs", "Step") {
        let name = format!("Step::{step}");
        assert!(texts.iter().any(|file| has_word(&file.text, &name)), "no plan in a test has the step {step}");
    }
}
