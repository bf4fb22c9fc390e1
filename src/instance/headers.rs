//! Which headers a spec may have sent along to Kratos, and which values they may have. Pure. Shows no value.

use http::{HeaderName, HeaderValue};

use crate::api::instance::{self, KeyRef};
use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};

/// What the operator sets itself, or relies on the absence of.
const OWN: [&str; 5] = ["host", "user-agent", "expect", "range", "accept"];
const OWN_SORTS: [&str; 3] = ["accept-", "content-", "if-"];
/// What is said from hop to hop.
const OF_THE_CONNECTION: [&str; 7] =
    ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"];

/// What is sent along with each request.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub name: HeaderName,
    pub value: HeaderSource,
}

/// Where a header's value is.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderSource {
    Here(HeaderValue),
    Secret(KeyRef),
}

/// Validates the headers of a spec. What the definition refuses is refused here too: it may be an older one.
pub fn parse(headers: &[instance::Header]) -> Result<Vec<Header>, ReadyCondition> {
    let mut parsed: Vec<Header> = Vec::new();
    for header in headers {
        let name = name(&header.name)?;
        if parsed.iter().any(|other| other.name == name) {
            return Err(invalid(&header.name, "is named twice; name it once, whatever its case"));
        }
        let value = match (&header.value, &header.secret_key_ref) {
            (Some(text), None) => {
                HeaderSource::Here(value(text).map_err(|what| invalid(&header.name, &format!("{what}; correct it")))?)
            }
            (None, Some(key)) => HeaderSource::Secret(key.clone()),
            _ => return Err(invalid(&header.name, "needs either value or secretKeyRef; give it one of them")),
        };
        parsed.push(Header { name, value });
    }
    Ok(parsed)
}

/// A value that can be sent; white space around it is dropped. Else what is the matter with it.
pub fn value(text: &str) -> Result<HeaderValue, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("has no value");
    }
    let not_sent = "has a value that can't be sent: it is to be one line of ASCII";
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(not_sent);
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| not_sent)?;
    value.set_sensitive(true);
    Ok(value)
}

fn name(text: &str) -> Result<HeaderName, ReadyCondition> {
    let name = HeaderName::try_from(text).map_err(|_| invalid(text, "is no name of a header; correct it"))?;
    let is_like = |sorts: &[&str]| sorts.iter().any(|sort| name.as_str().starts_with(sort));
    if name == http::header::AUTHORIZATION {
        return Err(invalid(text, "can't be set here: remove it, and name the token in spec.auth.bearerToken"));
    }
    if OWN.contains(&name.as_str()) || is_like(&OWN_SORTS) {
        return Err(invalid(text, "is set by the operator itself, or must not be there; remove it"));
    }
    if OF_THE_CONNECTION.contains(&name.as_str()) || is_like(&["proxy-"]) {
        return Err(invalid(text, "is the connection's or a proxy's own; remove it"));
    }
    Ok(name)
}

fn invalid(name: &str, what: &str) -> ReadyCondition {
    ReadyCondition::new(Reason::InvalidSpec, format!("spec.headers: {:?} {what}", shown(name, NAME)))
}
