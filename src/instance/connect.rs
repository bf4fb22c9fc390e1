//! Reads what an instance's settings refer to (token, certificate authority), makes its client, and parses its
//! rules.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::core::NamespaceResourceScope;
use secrecy::{ExposeSecret, SecretString};

use super::rules::{self, Rules};
use super::settings::{Connection, KeyIn, Settings};
use crate::api::instance::KeyRef;
use crate::api::{Reason, Verdict};
use crate::decode::{self, Store, Stored};
use crate::flow::leadership::Leadership;
use crate::kratos::{Auditor, BearerToken, Client, ClientConfig, Observer};
use crate::off_runtime;

/// What was read from Secrets and `ConfigMap`s.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    token: Option<SecretString>,
    certificate_authority: Option<Vec<u8>>,
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        let token = |credentials: &Self| credentials.token.as_ref().map(|token| token.expose_secret().to_owned());
        token(self) == token(other) && self.certificate_authority == other.certificate_authority
    }
}

/// Why credentials couldn't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("not there yet: {}", .0.message)]
    NotReady(Verdict),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// Reads the credentials of an instance that stands in `namespace`.
pub async fn read(client: &kube::Client, namespace: &str, settings: &Settings) -> Result<Credentials, ReadError> {
    let Connection { token, certificate_authority, .. } = &settings.connection;
    let mut credentials = Credentials::default();
    if let Some(token) = token {
        let value = key_of_secret(client, namespace, &token.secret).await?;
        let text = String::from_utf8(value).map_err(|_| not_ready("Secret", &token.secret, "holds no text"))?;
        credentials.token = Some(SecretString::from(text.trim().to_owned()));
    }
    credentials.certificate_authority = match certificate_authority {
        None => None,
        Some(KeyIn::Secret(key)) => Some(key_of_secret(client, namespace, key).await?),
        Some(KeyIn::ConfigMap(key)) => Some(key_of_config_map(client, namespace, key).await?),
    };
    Ok(credentials)
}

async fn key_of_secret(client: &kube::Client, namespace: &str, key: &KeyRef) -> Result<Vec<u8>, ReadError> {
    let secret = get::<Secret>(client, namespace, key).await?;
    Ok(secret.value(&key.key).map_err(|lacking| not_ready("Secret", key, lacking.words()))?.0.clone())
}

async fn key_of_config_map(client: &kube::Client, namespace: &str, key: &KeyRef) -> Result<Vec<u8>, ReadError> {
    let config_map = get::<ConfigMap>(client, namespace, key).await?;
    let value = config_map.value(&key.key).map_err(|lacking| not_ready("ConfigMap", key, lacking.words()))?;
    Ok(value.clone().into_bytes())
}

async fn get<K>(client: &kube::Client, namespace: &str, key: &KeyRef) -> Result<Stored<K>, ReadError>
where
    K: Store<Scope = NamespaceResourceScope> + Clone,
{
    match Api::<Stored<K>>::namespaced(client.clone(), namespace).get_opt(&key.name).await {
        Ok(found) => found.ok_or_else(|| not_ready(&K::kind(&()), key, "it doesn't exist")),
        Err(error) if decode::is_unreadable(&error) => Err(not_ready(&K::kind(&()), key, decode::UNREADABLE)),
        Err(error) => Err(error.into()),
    }
}

fn not_ready(kind: &str, KeyRef { name, key }: &KeyRef, what: &str) -> ReadError {
    let message = format!("{kind} {name}, key {key}: {what}; it is waited for");
    ReadError::NotReady(Verdict::new(Reason::SecretNotReady, message))
}

/// Makes the client, which sends while this process leads.
pub fn client(
    settings: &Settings,
    credentials: &Credentials,
    (observer, auditor): (Arc<dyn Observer>, Option<Arc<dyn Auditor>>),
    leadership: Leadership,
) -> Result<Client, Verdict> {
    let Connection { admin_url, public_url, token, certificate_authority: _, request_timeout, rate_limit } =
        &settings.connection;
    let prefix = token.as_ref().map(|token| token.prefix.clone());
    let config = ClientConfig {
        admin_url: admin_url.clone(),
        public_url: public_url.clone(),
        token: credentials.token.clone().map(|token| BearerToken { prefix, token }),
        ca_pem: credentials.certificate_authority.clone(),
        request_timeout: *request_timeout,
        rate_limit: *rate_limit,
        auditor,
        leadership,
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
