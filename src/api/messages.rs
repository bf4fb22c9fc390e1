//! Rules for every message, whatever the reason: it is short, says what it is about and what to do, and contains no secret
//! value. For the tables of messages in each kind's tests.

use crate::api::condition::State;
use crate::api::words::LONGEST_STATEMENT;
use crate::api::{ReadyCondition, Reason};

/// Tables put it wherever a secret or a value may be: a trait, a password, a link, a token, a server's text.
pub const VALUE: &str = "V4LUE-that-nobody-may-read";

/// A name of maximal length or longer, with characters that move the cursor or break a line.
pub fn hostile() -> String {
    format!("evil\u{1b}[2J\n\u{202e}{}", "n".repeat(600))
}

/// Words that tell somebody what to do, for messages where somebody must act.
const ORDERS: &[&str] = &[
    "add", "adopt", "apply", "ask", "call", "change", "check", "choose", "compare", "correct", "delete", "give",
    "grant", "have", "keep", "leave", "make", "move", "name", "raise", "remove", "replace", "restore", "see", "set",
    "start", "upgrade", "use",
];

/// Words that say that nobody has to do anything.
const PROMISES: &[&str] = &["again", "once", "until", "wait", "waited", "waits", "granted", "see"];

fn has_word(message: &str, words: &[&str]) -> bool {
    message.split(|letter: char| !letter.is_alphanumeric()).any(|word| words.contains(&word.to_lowercase().as_str()))
}

/// The beginning of a command to type.
const COMMAND: &str = "kubectl ";
const AFTER: [&str; 3] = ["; ", "`", "', "];

/// A message without its commands, which may be as long as they are.
fn without_commands(message: &str) -> String {
    let mut parts = message.split(COMMAND);
    let mut read = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = AFTER.iter().filter_map(|after| part.find(after)).min().unwrap_or(part.len());
        read += &part[end..];
    }
    read
}

/// The length of a message, in characters. In a message with commands each sentence is measured by itself.
fn length(message: &str) -> usize {
    let read = without_commands(message);
    let characters = |text: &str| text.chars().count();
    if read == message {
        return characters(message);
    }
    read.split(". ").map(characters).max().unwrap_or_default()
}

/// What is wrong with a message; empty if nothing is.
pub fn faults(ReadyCondition { reason, message }: &ReadyCondition) -> Vec<String> {
    let mut found = Vec::new();
    let length = length(message);
    if length > LONGEST_STATEMENT {
        found.push(format!("{length} characters"));
    }
    if length < 20 && reason.state() != State::Done {
        found.push("says next to nothing".to_owned());
    }
    if message.contains(VALUE) {
        found.push("shows a value".to_owned());
    }
    if message.chars().any(|letter| letter.is_control() || letter == '\u{202e}') {
        found.push("has controls in it".to_owned());
    }
    let is_of_use = match reason.state() {
        State::Done => true,
        State::Retrying => has_word(message, PROMISES) || has_word(message, ORDERS),
        State::Stalled => has_word(message, ORDERS),
    };
    if !is_of_use {
        found.push("doesn't say what to do, or that nothing is to be done".to_owned());
    }
    found
}

/// Checks a table of messages, and that it has these reasons.
///
/// # Panics
/// Where a message breaks a rule, or a reason is missing: for tests.
pub fn hold(table: &[(&str, ReadyCondition)], reasons: &[Reason]) {
    let faulty: Vec<_> = table
        .iter()
        .map(|(what, condition)| (what, &condition.message, faults(condition)))
        .filter(|(.., faults)| !faults.is_empty())
        .map(|(what, message, faults)| format!("{what}: {faults:?}: {message}"))
        .collect();
    assert!(faulty.is_empty(), "{}", faulty.join("\n"));
    let missing: Vec<_> = reasons.iter().filter(|reason| !table.iter().any(|(_, it)| it.reason == **reason)).collect();
    assert!(missing.is_empty(), "no message of {missing:?}");
}

#[test]
fn a_fault_is_noticed() {
    let of = |reason, message: &str| faults(&ReadyCondition::new(reason, message)).len();
    assert_eq!(of(Reason::InvalidSpec, "the field contradicts another one; remove it"), 0);
    assert_eq!(of(Reason::InvalidSpec, "the field contradicts another one"), 1);
    assert_eq!(of(Reason::Progressing, "the identity changed while it was looked at"), 1);
    assert_eq!(of(Reason::InvalidSpec, &format!("remove {VALUE} from the manifest")), 1);
    assert_eq!(of(Reason::InvalidSpec, &format!("remove it{}", "!".repeat(200))), 1);
    assert_eq!(of(Reason::InvalidSpec, "remove it\nfrom the manifest"), 1);
    assert_eq!(of(Reason::InvalidSpec, "remove"), 1);
    assert_eq!(of(Reason::Reconciled, "ok"), 0);
    let long = "x".repeat(150);
    let typed = |end: &str| format!("{long}. Type {long}: kubectl get kid {}; {end}", "y".repeat(500));
    assert_eq!(of(Reason::InvalidSpec, &typed("then correct it")), 0);
    assert_eq!(of(Reason::InvalidSpec, &typed(&long)), 2, "it is too long, and no order");
    assert_eq!(of(Reason::InvalidSpec, &format!("correct it{long}. {long}")), 1, "without a command it is one");
}
