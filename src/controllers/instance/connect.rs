//! Reads from Kubernetes what an instance's settings refer to: token, certificates, headers. Makes no client of it
//! (`instance/connect.rs`).

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::core::NamespaceResourceScope;
use secrecy::{ExposeSecret, SecretString};

use super::controller::Controller;
use crate::api::decode::{self, HasData, Stored};
use crate::api::instance::KeyRef;
use crate::api::{ReadyCondition, USE_LABEL};
use crate::instance::credentials::{self, Credentials, Versions};
use crate::instance::headers::{self, Header, HeaderSource};
use crate::instance::settings::{Connection, KeyIn, Settings};
use crate::kratos::ClientCertificate;

/// Why credentials couldn't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("not there yet: {}", .0.message)]
    NotReady(ReadyCondition),
    #[error("of no use: {}", .0.message)]
    Invalid(ReadyCondition),
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// Reads the credentials of an instance that stands in `namespace`, and says which versions those were.
pub async fn read(
    controller: &Controller,
    namespace: &str,
    settings: &Settings,
) -> (Versions, Result<Credentials, ReadError>) {
    let mut reader = Reader { controller, namespace, versions: Versions::new() };
    let read = reader.credentials(&settings.connection, Timestamp::now()).await;
    (reader.versions, read)
}

struct Reader<'a> {
    controller: &'a Controller,
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
        read.map_err(|error| ReadError::Invalid(credentials::bad_certificate(name, &error.to_string())))
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
        if needs_label && self.controller.options.require_secret_label && !is_labelled(&secret) {
            return Err(not_ready("Secret", key, &credentials::unlabelled()));
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
        K: HasData<Scope = NamespaceResourceScope> + Clone,
    {
        match Api::<Stored<K>>::namespaced(self.controller.client.clone(), self.namespace).get_opt(&key.name).await {
            Ok(found) => found.ok_or_else(|| not_ready(&K::kind(&()), key, "it doesn't exist")),
            Err(error) if decode::is_unreadable(&error) => Err(not_ready(&K::kind(&()), key, decode::UNREADABLE)),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_labelled(secret: &Stored<Secret>) -> bool {
    secret.metadata.labels.as_ref().and_then(|labels| labels.get(USE_LABEL)).is_some_and(|value| value == "true")
}

fn not_ready(kind: &str, key: &KeyRef, what: &str) -> ReadError {
    ReadError::NotReady(credentials::lacking(kind, key, what))
}

fn invalid(name: &str, key: &str, what: &str) -> ReadError {
    ReadError::Invalid(credentials::bad_header(name, key, what))
}
