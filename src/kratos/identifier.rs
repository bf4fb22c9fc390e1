//! How Kratos writes down what people log in with and are reached by. Pure. Whatever compares an identifier or an address
//! with what Kratos holds asks here, and nowhere else.
//!
//! Kratos is written in Go: it trims, lowers letter by letter, and prints numbers as text. A phone number becomes E.164 for
//! codes by SMS alone; a password and a verifiable address keep it as it was written.

use serde_json::Value;

/// More than this is no phone number to Kratos, in bytes.
const LONGEST_PHONE_NUMBER: usize = 250;

/// What the schema takes a value of the traits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// A login identifier of this kind of credential. `via`: how it is reached, as `code` says it.
    Identifier { kind: &'a str, via: Option<&'a str> },
    /// An address that is verified, reached in this way.
    Address { via: &'a str },
}

/// A value as Kratos writes it down; `None` where it makes nothing of it. Beside an address that isn't a mail address Kratos
/// later keeps [`lower_case`] of it.
pub fn normalised(value: &Value, taken: Taken<'_>) -> Option<String> {
    let text = text(value)?;
    let normalised = match taken {
        Taken::Identifier { kind: "code", via: Some("sms") } => e164(&text)?,
        Taken::Identifier { .. } | Taken::Address { via: "email" } => lower_case(text.trim()),
        Taken::Address { .. } => text.trim().to_owned(),
    };
    (!normalised.is_empty()).then_some(normalised)
}

/// All ways in which Kratos may have written down what a person names, each once: as a link or an address (trimmed), as what
/// logs in with a password, and as what gets a code by SMS. A look-up by identifier finds each by itself alone.
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

/// Whether two texts name the same identifier or address in some form.
pub fn is_same(one: &str, other: &str) -> bool {
    let others = forms(other);
    forms(one).iter().any(|form| others.contains(form))
}

/// Whether a text names an address: something that a person is reached by, and that has an owner.
pub fn is_address(text: &str) -> bool {
    text.contains('@') || e164(text).is_some()
}

/// Letter by letter, each to one letter: a final sigma isn't told from others, and `İ` is `i`.
pub fn lower_case(text: &str) -> String {
    text.chars().filter_map(|letter| letter.to_lowercase().next()).collect()
}

/// A phone number that says its country, in E.164; `None` for anything else.
fn e164(text: &str) -> Option<String> {
    if text.len() > LONGEST_PHONE_NUMBER {
        return None;
    }
    // Kratos' library cares for digits alone, wherever brackets and dots stand; this one doesn't.
    let is_plain = text.chars().all(|it| it.is_ascii_digit() || "+ ()./-".contains(it));
    let digits = text.chars().filter(|it| !is_plain || it.is_ascii_digit() || *it == '+').collect::<String>();
    let number = phonenumber::parse(None, digits).ok().filter(phonenumber::is_valid)?;
    Some(number.format().mode(phonenumber::Mode::E164).to_string())
}

/// A value as Go prints it, which makes an identifier of nothing, too. An object or array is none.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(format!("%!s(bool={value})")),
        Value::Null => Some("%!s(<nil>)".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
