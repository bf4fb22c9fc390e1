//! Describes a failed request to the API server for a log line. Pure.
//!
//! The client library's own messages quote answers: objects that the API server refuses, and texts that couldn't be parsed.
//! These may hold anybody's traits. So only the code, the reason and names of the API are passed on.

use std::error::Error;
use std::fmt;

use kube::core::Status;

use super::connect_failure;

/// The longest name of the API that is passed on.
const LONGEST_NAME: usize = 128;

/// How our own error begins that names the proxy, without secrets of its URL.
const BY_PROXY: &str = "by the proxy ";

/// The API server doesn't know who asks (401).
const UNAUTHORIZED: &str = "it doesn't take the operator's token, which has expired or was revoked (its ServiceAccount, or what \
                            it was bound to, is gone); a token in a file is read again within a minute";

/// There are no usable credentials. The output of a login program may be secret, so it isn't quoted.
const NO_CREDENTIALS: &str = "the credentials of the kubeconfig are of no use";

/// A failed request in few words, without any text of the answer.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => refusal(status),
        kube::Error::SerdeError(error) => {
            format!("the answer isn't what was asked for (line {}, column {})", error.line(), error.column())
        }
        kube::Error::FromUtf8(_) => "the answer isn't UTF-8".to_owned(),
        kube::Error::Auth(_) => NO_CREDENTIALS.to_owned(),
        kube::Error::HyperError(error) => connection(error),
        kube::Error::ReadEvents(error) => connection(error),
        kube::Error::HttpError(error) => chain(error),
        kube::Error::BuildRequest(error) => chain(error),
        kube::Error::Service(error) => connection(&**error),
        _ => "the request couldn't be made".to_owned(),
    }
}

/// Whether a request was refused: by RBAC or by an admission check.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// A permission as roles grant it, without the user who lacks it. `namespace`: `None` for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub namespace: Option<String>,
    pub group: String,
    pub resource: String,
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, group, resource, verb } = self;
        write!(formatter, "{verb} {resource}")?;
        for (word, name) in
            [(" of group ", Some(group).filter(|group| !group.is_empty())), (" in namespace ", namespace.as_ref())]
        {
            if let Some(name) = name {
                write!(formatter, "{word}{name}")?;
            }
        }
        Ok(())
    }
}

/// A missing permission, and the object that was meant, if one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub right: Right,
    pub name: Option<String>,
}

/// Which permission was missing.
pub fn refused(error: &kube::Error) -> Option<Refusal> {
    let kube::Error::Api(status) = error else { return None };
    refusal_of(status)
}

/// The same, from the answer.
pub fn refusal_of(status: &Status) -> Option<Refusal> {
    let right = lacking(&status.message).filter(|_| status.code == 403)?;
    let named = status.details.as_ref().map(|details| details.name.clone());
    Some(Refusal { right, name: named.filter(|name| is_name(name)) })
}

/// Whether there was no whole answer: the API server can't be reached, or a time-out ran out.
pub fn is_unanswered(error: &kube::Error) -> bool {
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_))
}

/// Why a request was refused, as far as the answer uses the API's own words.
pub fn refusal(status: &Status) -> String {
    let mut words = format!("the API server answers {}", status.code);
    if is_name(&status.reason) {
        words = format!("{words} {}", status.reason);
    }
    match refusal_of(status) {
        _ if status.code == 401 => format!("{words}: {UNAUTHORIZED}"),
        Some(Refusal { right, .. }) => format!("{words}: the operator may not {right}"),
        None => words,
    }
}

/// The missing permission in `cannot list resource "secrets" in API group "" at the cluster scope`.
fn lacking(message: &str) -> Option<Right> {
    let (_, what) = message.split_once(" is forbidden: User \"")?.1.split_once("\" cannot ")?;
    let (verb, rest) = what.split_once(' ')?;
    let named = |word: &str| {
        let (name, _) = rest.split_once(word)?.1.split_once('"')?;
        is_name(name).then(|| name.to_owned())
    };
    Some(Right {
        namespace: named("namespace \""),
        group: named("API group \"").unwrap_or_default(),
        resource: named("resource \"")?,
        verb: is_name(verb).then(|| verb.to_owned())?,
    })
}

/// Whether a text is a name of the API's form, which says nothing about anybody.
fn is_name(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-./".contains(character);
    !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(is_part)
}

/// Why there is no connection to the API server; else the error and its causes.
fn connection(error: &(dyn Error + 'static)) -> String {
    // A login program that can't be run isn't a network failure, though its cause is the operating system's.
    if is_caused_by(error, kube::Error::Auth) {
        return NO_CREDENTIALS.to_owned();
    }
    let Some(obstacle) = connect_failure::connect_failure(error) else { return chain(error) };
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        if said.starts_with(BY_PROXY) {
            return format!("{said}: {}", obstacle.words("it"));
        }
        next = error.source();
    }
    obstacle.words("the API server")
}

/// Whether an error came from what such a failed request holds.
fn is_caused_by<T: Error + 'static>(error: &(dyn Error + 'static), _: fn(T) -> kube::Error) -> bool {
    connect_failure::cause::<T>(error).is_some()
}

/// An error and its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Some errors already contain their cause.
        if !words.ends_with(&next) {
            words = format!("{words}: {next}");
        }
        source = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use kube::client::AuthError;
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
    #[case(
        kube::Error::Service(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))),
        "connection refused by the API server: nothing listens there"
    )]
    #[case(
        kube::Error::Service(Box::new(AuthError::AuthExecStart(std::io::ErrorKind::NotFound.into()))),
        NO_CREDENTIALS
    )]
    #[case(
        kube::Error::Service(Box::new(std::io::Error::other(AuthError::AuthExec("S3CRET".into())))),
        NO_CREDENTIALS
    )]
    fn nothing_of_an_answer_is_passed_on(#[case] error: kube::Error, #[case] words: &str) {
        assert_eq!(brief(&error), words);
    }

    #[test]
    fn what_lacks_is_a_right_and_an_object_and_other_refusals_are_none() {
        let message = "secrets \"ada\" is forbidden: User \"u\" cannot get resource \"secrets\" in API group \"\" in the namespace \"team-a\"";
        let mut status = Status::failure(message, "Forbidden").with_code(403);
        status.details = serde_json::from_value(serde_json::json!({"name": "ada"})).unwrap();
        let refusal = refused(&kube::Error::Api(Box::new(status))).expect("a right lacks");
        assert_eq!(refusal.right.to_string(), "get secrets in namespace team-a");
        assert_eq!(refusal.name.as_deref(), Some("ada"));
        let quota = api(403, "Forbidden", "secrets \"ada\" is forbidden: exceeded quota: small");
        assert!(is_forbidden(&quota) && refused(&quota).is_none());
        assert!(refused(&api(404, "NotFound", message)).is_none());
    }
}
