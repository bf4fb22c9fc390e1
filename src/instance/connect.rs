//! Reads what an instance's settings refer to (token, certificates, headers), makes its client, and parses its rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::core::NamespaceResourceScope;
use secrecy::{ExposeSecret, SecretString};

use super::headers::{self, Header, HeaderSource};
use super::rules::{self, Rules};
use super::settings::{Connection, KeyIn, Settings};
use crate::api::instance::KeyRef;
use crate::api::{Reason, USE_LABEL, Verdict};
use crate::context::Context;
use crate::decode::{self, Store, Stored};
use crate::flow::cutoff::Line;
use crate::flow::leadership::Leadership;
use crate::kratos::{Auditor, BearerToken, Client, ClientCertificate, ClientConfig, Observer};
use crate::off_runtime;

/// What was read from Secrets and `ConfigMap`s.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    token: Option<SecretString>,
    certificate_authority: Option<Vec<u8>>,
    client_certificate: Option<ClientCertificate>,
    headers: HeaderMap,
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

/// Why credentials couldn't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("not there yet: {}", .0.message)]
    NotReady(Verdict),
    #[error("of no use: {}", .0.message)]
    Invalid(Verdict),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// Reads the credentials of an instance that stands in `namespace`, and says which versions those were.
pub async fn read(
    context: &Context,
    namespace: &str,
    settings: &Settings,
) -> (Versions, Result<Credentials, ReadError>) {
    let mut reader = Reader { context, namespace, versions: Versions::new() };
    let read = reader.credentials(&settings.connection, Timestamp::now()).await;
    (reader.versions, read)
}

struct Reader<'a> {
    context: &'a Context,
    namespace: &'a str,
    versions: Versions,
}

impl Reader<'_> {
    async fn credentials(&mut self, connection: &Connection, now: Timestamp) -> Result<Credentials, ReadError> {
        let Connection { token, certificate_authority, client_certificate, headers, .. } = connection;
        let mut credentials = Credentials::default();
        if let Some(token) = token {
            let text = self.text(&token.secret, false).await?;
            credentials.token = Some(SecretString::from(text.expose_secret().trim().to_owned()));
        }
        credentials.certificate_authority = match certificate_authority {
            None => None,
            Some(KeyIn::Secret(key)) => Some(self.key_of_secret(key, false).await?),
            Some(KeyIn::ConfigMap(key)) => Some(self.key_of_config_map(key).await?),
        };
        if let Some(name) = client_certificate {
            credentials.client_certificate = Some(self.client_certificate(name, now).await?);
        }
        for Header { name, value } in headers {
            let value = match value {
                HeaderSource::Here(value) => value.clone(),
                HeaderSource::Secret(key) => {
                    let text = self.text(key, true).await?;
                    headers::value(text.expose_secret()).map_err(|what| invalid(&key.name, &key.key, what))?
                }
            };
            credentials.headers.insert(name.clone(), value);
        }
        Ok(credentials)
    }

    /// Our own certificate, which is valid now.
    async fn client_certificate(&mut self, name: &str, now: Timestamp) -> Result<ClientCertificate, ReadError> {
        let key = |key: &str| KeyRef { name: name.to_owned(), key: key.to_owned() };
        let certificate = self.key_of_secret(&key("tls.crt"), true).await?;
        let private = self.key_of_secret(&key("tls.key"), true).await?;
        let read = ClientCertificate::read(&certificate, &private)
            .and_then(|read| read.ensure_valid(now.as_second()).map(|()| read));
        read.map_err(|error| {
            let message = format!("spec.tls.clientCertificate, Secret {name}: {error}; a corrected Secret is noticed");
            ReadError::Invalid(Verdict::new(Reason::InvalidSpec, message))
        })
    }

    async fn text(&mut self, key: &KeyRef, needs_label: bool) -> Result<SecretString, ReadError> {
        let value = self.key_of_secret(key, needs_label).await?;
        let text = String::from_utf8(value).map_err(|_| not_ready("Secret", key, "holds no text"))?;
        Ok(SecretString::from(text))
    }

    /// `needs_label`: where only Secrets that carry the label are to be read, this one is among them.
    async fn key_of_secret(&mut self, key: &KeyRef, needs_label: bool) -> Result<Vec<u8>, ReadError> {
        let found = self.get::<Secret>(key).await;
        let version = found.as_ref().ok().and_then(|secret| secret.metadata.resource_version.clone());
        self.versions.insert(key.name.clone(), version);
        let secret = found?;
        if needs_label && self.context.options.require_secret_label && !is_labelled(&secret) {
            let what = format!("it lacks the label {USE_LABEL}: \"true\", without which the operator reads none");
            return Err(not_ready("Secret", key, &what));
        }
        Ok(secret.value(&key.key).map_err(|lacking| not_ready("Secret", key, lacking.words()))?.0.clone())
    }

    async fn key_of_config_map(&self, key: &KeyRef) -> Result<Vec<u8>, ReadError> {
        let config_map = self.get::<ConfigMap>(key).await?;
        let value = config_map.value(&key.key).map_err(|lacking| not_ready("ConfigMap", key, lacking.words()))?;
        Ok(value.clone().into_bytes())
    }

    async fn get<K>(&self, key: &KeyRef) -> Result<Stored<K>, ReadError>
    where
        K: Store<Scope = NamespaceResourceScope> + Clone,
    {
        match Api::<Stored<K>>::namespaced(self.context.client.clone(), self.namespace).get_opt(&key.name).await {
            Ok(found) => found.ok_or_else(|| not_ready(&K::kind(&()), key, "it doesn't exist")),
            Err(error) if decode::is_unreadable(&error) => Err(not_ready(&K::kind(&()), key, decode::UNREADABLE)),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_labelled(secret: &Stored<Secret>) -> bool {
    secret.metadata.labels.as_ref().and_then(|labels| labels.get(USE_LABEL)).is_some_and(|value| value == "true")
}

fn not_ready(kind: &str, KeyRef { name, key }: &KeyRef, what: &str) -> ReadError {
    let message = format!("{kind} {name}, key {key}: {what}; the operator waits for it");
    ReadError::NotReady(Verdict::new(Reason::SecretNotReady, message))
}

fn invalid(name: &str, key: &str, what: &str) -> ReadError {
    let message = format!("spec.headers, Secret {name}, key {key}: it {what}; a corrected Secret is noticed");
    ReadError::Invalid(Verdict::new(Reason::InvalidSpec, message))
}

/// Makes the client, which sends while this process leads.
pub fn client(
    settings: &Settings,
    credentials: &Credentials,
    (observer, auditor): (Arc<dyn Observer>, Option<Arc<dyn Auditor>>),
    (leadership, line): (Leadership, Line),
) -> Result<Client, Verdict> {
    let Connection {
        admin_url,
        public_url,
        token,
        certificate_authority: _,
        client_certificate: _,
        headers: _,
        proxy_url,
        request_timeout,
        rate_limit,
    } = &settings.connection;
    let prefix = token.as_ref().map(|token| token.prefix.clone());
    let config = ClientConfig {
        admin_url: admin_url.clone(),
        public_url: public_url.clone(),
        token: credentials.token.clone().map(|token| BearerToken { prefix, token }),
        ca_pem: credentials.certificate_authority.clone(),
        headers: credentials.headers.clone(),
        client_certificate: credentials.client_certificate.clone(),
        proxy_url: proxy_url.clone(),
        request_timeout: *request_timeout,
        rate_limit: *rate_limit,
        auditor,
        leadership,
        line,
    };
    let client = Client::new(config).map(|client| client.observed_by(observer));
    client.map_err(|error| Verdict::new(Reason::InvalidSpec, error.to_string()))
}

/// Parses the rules, off the runtime.
pub async fn rules(settings: &Settings) -> Arc<Result<Rules, Verdict>> {
    let raw = settings.rules.clone();
    let parsed = off_runtime::once(move || rules::parse(&raw)).await;
    Arc::new(
        parsed.unwrap_or_else(|_| Err(Verdict::new(Reason::InvalidSpec, "spec.rules can't be parsed; correct them"))),
    )
}
