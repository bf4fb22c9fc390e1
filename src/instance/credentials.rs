//! What an instance authenticates itself with, as it was read, and what is said where that can't be used. Values are shown nowhere.

use std::collections::BTreeMap;

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};

use crate::api::instance::KeyRef;
use crate::api::words::shown;
use crate::api::{ReadyCondition, Reason, USE_LABEL};
use crate::kratos::ClientCertificate;

/// How much of each of two names is shown, in characters.
const OF_TWO: usize = 33;

/// What was read from Secrets and `ConfigMap`s.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub token: Option<SecretString>,
    pub certificate_authority: Option<Vec<u8>>,
    pub client_certificate: Option<ClientCertificate>,
    pub headers: HeaderMap,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        let Self { token, certificate_authority, client_certificate, headers } = self;
        let revealed = |token: &Option<SecretString>| token.as_ref().map(|token| token.expose_secret().to_owned());
        revealed(token) == revealed(&other.token)
            && *certificate_authority == other.certificate_authority
            && *client_certificate == other.client_certificate
            && *headers == other.headers
    }
}

/// Which version of each Secret was read; `None`: it wasn't there, or can't be read.
pub type Versions = BTreeMap<String, Option<String>>;

/// The condition for an object that can't be used yet.
pub fn lacking(kind: &str, KeyRef { name, key }: &KeyRef, what: &str) -> ReadyCondition {
    let (name, key) = (shown(name, OF_TWO), shown(key, OF_TWO));
    ReadyCondition::new(Reason::SecretNotReady, format!("{kind} {name}, key {key}: {what}; the operator waits for it"))
}

/// What is said of a Secret without the label.
pub fn unlabelled() -> String {
    format!("it lacks the label {USE_LABEL}: \"true\", without which the operator reads none")
}

/// The condition for a header's value that can't be sent.
pub fn bad_header(name: &str, key: &str, what: &str) -> ReadyCondition {
    let (name, key) = (shown(name, OF_TWO), shown(key, OF_TWO));
    ReadyCondition::new(
        Reason::InvalidSpec,
        format!("spec.headers, Secret {name}, key {key}: it {what}; correct the Secret"),
    )
}

/// The condition for a client certificate that can't be shown.
pub fn bad_certificate(name: &str, error: &str) -> ReadyCondition {
    let name = shown(name, OF_TWO);
    ReadyCondition::new(
        Reason::InvalidSpec,
        format!("spec.tls.clientCertificate, Secret {name}: {error}; correct the Secret"),
    )
}
