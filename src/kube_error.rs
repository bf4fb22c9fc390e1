//! What a failed request to the API server came to, for a log line. Pure.
//!
//! The client library's own words quote answers: what the API server says of an object that it refuses, and what its parser
//! found in the place of something else. An answer may hold anybody's traits, so only its code, its reason and names of the
//! API's own are passed on.

use std::error::Error;

use kube::core::Status;
use kube::runtime::watcher;

/// The longest name of the API's own that is passed on.
const LONGEST_NAME: usize = 128;

/// A failed request in few words, without a word of what was answered.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => refusal(status),
        kube::Error::SerdeError(error) => {
            format!("the answer isn't what was asked for (line {}, column {})", error.line(), error.column())
        }
        kube::Error::FromUtf8(_) => "the answer isn't UTF-8".to_owned(),
        // A login program's output may be in it.
        kube::Error::Auth(_) => "the credentials of the kubeconfig are of no use".to_owned(),
        kube::Error::HyperError(error) => chain(error),
        kube::Error::ReadEvents(error) => chain(error),
        kube::Error::HttpError(error) => chain(error),
        kube::Error::BuildRequest(error) => chain(error),
        kube::Error::Service(error) => chain(&**error),
        _ => "the request couldn't be made".to_owned(),
    }
}

/// The same of a watch.
pub fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => format!("listing: {}", brief(error)),
        watcher::Error::WatchStartFailed(error) => format!("beginning to watch: {}", brief(error)),
        watcher::Error::WatchFailed(error) => brief(error),
        watcher::Error::WatchError(status) => refusal(status),
        watcher::Error::NoResourceVersion => "the answer has no resource version".to_owned(),
    }
}

/// Whether the operator's account lacks a right.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// What isn't allowed is named as far as the answer uses the API's own words.
fn refusal(status: &Status) -> String {
    let mut words = format!("the API server answers {}", status.code);
    if is_name(&status.reason) {
        words = format!("{words} {}", status.reason);
    }
    match forbidden(&status.message) {
        Some(what) if status.code == 403 => format!("{words}: {what}"),
        _ => words,
    }
}

/// What a role would have to allow: `list resource "secrets" in API group "" at the cluster scope`.
fn forbidden(message: &str) -> Option<String> {
    let (_, what) = message.split_once(" is forbidden: User \"")?.1.split_once("\" cannot ")?;
    let (verb, rest) = what.split_once(' ')?;
    let named =
        |word: &str| rest.split_once(word)?.1.split_once('"').map(|(name, _)| name).filter(|name| is_name(name));
    let mut allowed = format!("the operator may not {} {}", is_name(verb).then_some(verb)?, named("resource \"")?);
    for (word, before) in [("API group \"", " of group "), ("namespace \"", " in namespace ")] {
        if let Some(name) = named(word) {
            allowed.extend([before, name]);
        }
    }
    Some(allowed)
}

/// Whether a text is a name as the API has them, which says nothing about anybody.
fn is_name(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-./".contains(character);
    !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(is_part)
}

/// An error of the connection, with what it came from.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Some say what they came from themselves.
        if !words.ends_with(&next) {
            words = format!("{words}: {next}");
        }
        source = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn api(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, reason).with_code(code)))
    }

    #[rstest]
    #[case(
        api(
            403,
            "Forbidden",
            "secrets is forbidden: User \"system:serviceaccount:ops:kratos\" cannot list resource \"secrets\" in API group \"\" at the cluster scope"
        ),
        "the API server answers 403 Forbidden: the operator may not list secrets"
    )]
    #[case(
        api(
            403,
            "Forbidden",
            "kratosidentities.kratos-operator.dev \"ada\" is forbidden: User \"u\" cannot patch resource \"kratosidentities/status\" in API group \"kratos-operator.dev\" in the namespace \"team-a\""
        ),
        "the API server answers 403 Forbidden: the operator may not patch kratosidentities/status of group kratos-operator.dev in namespace team-a"
    )]
    #[case(
        api(403, "Forbidden", "kratosidentities \"ada\" is forbidden: ada@example.com isn't welcome"),
        "the API server answers 403 Forbidden"
    )]
    #[case(
        api(
            422,
            "Invalid",
            "KratosIdentity \"ada\" is invalid: spec.traits.email: Invalid value: \"ada@example.com\""
        ),
        "the API server answers 422 Invalid"
    )]
    #[case(api(502, "Failed to parse error data", "ada@example.com"), "the API server answers 502")]
    #[case(
        kube::Error::SerdeError(serde_json::from_str::<u8>("\"ada@example.com\"").unwrap_err()),
        "the answer isn't what was asked for (line 1, column 17)"
    )]
    #[case(kube::Error::FromUtf8(String::from_utf8(vec![b'a', 255]).unwrap_err()), "the answer isn't UTF-8")]
    #[case(kube::Error::Service(Box::new(std::io::Error::other("connection reset"))), "connection reset")]
    fn nothing_of_an_answer_is_passed_on(#[case] error: kube::Error, #[case] words: &str) {
        assert_eq!(brief(&error), words);
    }

    #[test]
    fn a_watch_says_what_it_was_at() {
        let error = watcher::Error::InitialListFailed(api(500, "InternalError", "ada@example.com"));
        assert_eq!(of_watch(&error), "listing: the API server answers 500 InternalError");
    }
}
