//! How Kratos stores login identifiers and addresses. Pure. Nothing else may compare an identifier or an address with what
//! Kratos holds.
//!
//! Kratos is written in Go: it trims, lower-cases letter by letter, and prints numbers as text. A phone number becomes E.164
//! only for codes by SMS; password identifiers and verifiable addresses keep it as it was written.

use serde_json::Value;

/// Kratos takes no longer text for a phone number, in bytes.
const LONGEST_PHONE_NUMBER: usize = 250;

/// What the schema uses a trait's value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// A login identifier of this credential type. `via`: how a `code` reaches it.
    Identifier { kind: &'a str, via: Option<&'a str> },
    /// An address to be verified, reached this way.
    Address { via: &'a str },
}

/// A value as Kratos stores it; `None` where it stores nothing. If an address isn't a mail address, Kratos later also stores
/// its [`lower_case`].
pub fn normalised(value: &Value, taken: Taken<'_>) -> Option<String> {
    let text = text(value)?;
    let normalised = match taken {
        Taken::Identifier { kind: "code", via: Some("sms") } => e164(&text)?,
        Taken::Identifier { .. } | Taken::Address { via: "email" } => lower_case(text.trim()),
        Taken::Address { .. } => text.trim().to_owned(),
    };
    (!normalised.is_empty()).then_some(normalised)
}

/// All forms in which Kratos may have stored an identifier, each once: as a link or an address (trimmed), for passwords, and
/// for codes by SMS. A look-up by identifier finds only the exact form.
pub fn forms(text: &str) -> Vec<String> {
    let trimmed = text.trim();
    let mut forms = vec![trimmed.to_owned()];
    for form in [Some(lower_case(trimmed)), e164(trimmed)].into_iter().flatten() {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// Whether two texts mean the same identifier or address in some form.
pub fn is_same(one: &str, other: &str) -> bool {
    let others = forms(other);
    forms(one).iter().any(|form| others.contains(form))
}

/// Whether a text is an address: a person is reached by it, and it has an owner.
pub fn is_address(text: &str) -> bool {
    text.contains('@') || e164(text).is_some()
}

/// Letter by letter, each to one letter: `Σ` becomes `σ` at the end of a word too, and `İ` becomes `i`.
pub fn lower_case(text: &str) -> String {
    text.chars().filter_map(|letter| letter.to_lowercase().next()).collect()
}

/// A phone number with a country code, in E.164; `None` for anything else.
fn e164(text: &str) -> Option<String> {
    if text.len() > LONGEST_PHONE_NUMBER {
        return None;
    }
    // Kratos' library reads only the digits, wherever brackets and dots are; this one doesn't.
    let is_plain = text.chars().all(|it| it.is_ascii_digit() || "+ ()./-".contains(it));
    let digits = text.chars().filter(|it| !is_plain || it.is_ascii_digit() || *it == '+').collect::<String>();
    let number = phonenumber::parse(None, digits).ok().filter(phonenumber::is_valid)?;
    Some(number.format().mode(phonenumber::Mode::E164).to_string())
}

/// A value as Go prints it; even null becomes a text. `None` for objects and arrays.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(format!("%!s(bool={value})")),
        Value::Null => Some("%!s(<nil>)".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
