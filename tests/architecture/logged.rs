//! The names of what is logged: dashboards and alerts rely on them, so that each is in `docs/logging.md`, and nothing else is.

use std::collections::BTreeSet;

use crate::source::code;
use crate::tree::{File, files};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// What the formatter adds to each line.
const ALWAYS: [&str; 4] = ["timestamp", "level", "target", "message"];

/// The names of the fields in every log line and span of a file.
fn fields(file: &File) -> Vec<String> {
    let code = code(&file.text);
    let calls = code.split("tracing::").skip(1).filter_map(|after| {
        let (name, arguments) = after.split_once("!(")?;
        let level = name.strip_suffix("_span").unwrap_or(name);
        LEVELS.contains(&level).then(|| (name.ends_with("_span"), arguments))
    });
    calls.flat_map(|(is_span, arguments)| fields_of(is_span, arguments)).collect()
}

/// Of one call. What comes after the message (or is the span's name) is none.
fn fields_of(is_span: bool, arguments: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, argument) in split(arguments).into_iter().enumerate() {
        if argument.starts_with('"') {
            if is_span && at == 0 {
                continue;
            }
            break;
        }
        let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
        let name = name.trim().trim_start_matches(['%', '?']);
        found.extend((!name.is_empty()).then(|| name.to_owned()));
    }
    found
}

/// The arguments of a call, up to its closing parenthesis.
fn split(arguments: &str) -> Vec<String> {
    let (mut depth, mut found) = (0, vec![String::new()]);
    for character in arguments.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = found.last_mut() {
            last.push(character);
        }
    }
    found.iter().map(|argument| argument.trim().to_owned()).collect()
}

/// The first column of the tables in the page on logs.
fn documented() -> BTreeSet<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logging.md");
    let page = std::fs::read_to_string(path).expect("the page on logs");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    rows.flat_map(|(names, _)| names.split(',').map(|name| name.trim().trim_matches('`').to_owned())).collect()
}

#[test]
fn every_field_that_is_logged_is_documented_and_nothing_else_is() {
    let files = files("src");
    let logged = files.iter().filter(|file| !file.is_test()).flat_map(fields);
    let logged: BTreeSet<_> = logged.chain(ALWAYS.map(str::to_owned)).collect();
    let documented = documented();
    let undocumented: Vec<_> = logged.difference(&documented).collect();
    assert!(undocumented.is_empty(), "{undocumented:?} are logged: use a name of docs/logging.md, or add them there");
    let unused: Vec<_> = documented.difference(&logged).collect();
    assert!(unused.is_empty(), "docs/logging.md has {unused:?}, which nothing logs any more");
}

#[test]
fn what_is_logged_is_logged_by_macros_that_are_found() {
    for file in files("src").iter().filter(|file| !file.is_test()) {
        let code = code(&file.text);
        for level in LEVELS {
            let (line, span) = (format!("{level}!("), format!("{level}_span!("));
            let bare = code.match_indices(&line).chain(code.match_indices(&span));
            let bare = bare.filter(|(at, _)| !code[..*at].ends_with("tracing::"));
            // `thiserror`, `compile_error!` and the like.
            let bare =
                bare.filter(|(at, _)| !code[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_'));
            assert_eq!(bare.count(), 0, "{}: write tracing::{level}!", file.path);
        }
        assert!(!code.contains("tracing::instrument"), "{}: a span has a macro of its own", file.path);
    }
}

#[test]
fn fields_are_found() {
    let rows = [
        (r#"tracing::info!(a, %b, c = d(e, f), "g {h}", i.j);"#, vec!["a", "b", "c"]),
        (r#"tracing::debug_span!("name", a, %b, c = Empty).in_scope(|| d)"#, vec!["a", "b", "c"]),
        (r#"tracing::warn!("said {}", what)"#, vec![]),
        ("tracing::error!(\n a = ?b,\n c,\n \"d\"\n)", vec!["a", "c"]),
        ("tracing::Level::INFO; tracing::subscriber!(a)", vec![]),
    ];
    for (text, expected) in rows {
        let file = File { path: "src/some.rs".to_owned(), text: text.to_owned() };
        assert_eq!(fields(&file), expected, "{text}");
    }
}
