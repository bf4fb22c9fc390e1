//! What every message has to be, whatever the reason: short, about something, and of use; and what nobody may read in it. For the
//! tables of messages that each kind's tests have.

use crate::api::condition::State;
use crate::api::words::LONGEST_STATEMENT;
use crate::api::{ReadyCondition, Reason};

/// What tables put wherever a value may be: a trait, a password, a link, a token, what a server says.
pub const VALUE: &str = "V4LUE-that-nobody-may-read";

/// A name that somebody chose, as long as it may be or longer, with what would move a cursor or break a line in it.
pub fn hostile() -> String {
    format!("evil\u{1b}[2J\n\u{202e}{}", "n".repeat(600))
}

/// What says to somebody what to do, where somebody must act.
const ORDERS: &[&str] = &[
    "add", "adopt", "apply", "ask", "call", "change", "check", "choose", "compare", "correct", "delete", "give",
    "grant", "have", "keep", "leave", "make", "move", "name", "raise", "remove", "replace", "restore", "see", "set",
    "start", "upgrade", "use",
];

/// What says that nobody need do anything.
const PROMISES: &[&str] = &["again", "once", "until", "wait", "waited", "waits", "granted", "see"];

fn has_word(message: &str, words: &[&str]) -> bool {
    message.split(|letter: char| !letter.is_alphanumeric()).any(|word| words.contains(&word.to_lowercase().as_str()))
}

/// How a command begins that somebody is to type, and what comes after one.
const COMMAND: &str = "kubectl ";
const AFTER: [&str; 3] = ["; ", "`", "', "];

/// What is to be read of a message: a command that is to be typed is as long as it is.
fn without_commands(message: &str) -> String {
    let mut parts = message.split(COMMAND);
    let mut read = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = AFTER.iter().filter_map(|after| part.find(after)).min().unwrap_or(part.len());
        read += &part[end..];
    }
    read
}

/// How long a message is, in characters. One with commands to type has several statements, each of which counts for itself.
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

/// Holds a table of messages to all that, and to being about these reasons.
///
/// # Panics
/// Where a message breaks a rule, or none is about one of the reasons: for tests.
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
