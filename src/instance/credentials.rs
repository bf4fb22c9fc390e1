//! What an instance authenticates itself with, as it was read. Shown nowhere.

use std::collections::BTreeMap;

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};

use crate::kratos::ClientCertificate;

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
        let shown = |token: &Option<SecretString>| token.as_ref().map(|token| token.expose_secret().to_owned());
        shown(token) == shown(&other.token)
            && *certificate_authority == other.certificate_authority
            && *client_certificate == other.client_certificate
            && *headers == other.headers
    }
}

/// Which version of each Secret was read; `None`: it wasn't there, or can't be read.
pub type Versions = BTreeMap<String, Option<String>>;
