//! Makes an instance's client of its settings and of credentials that its controller has read, and parses its rules. Sends nothing.

use std::sync::Arc;

use super::credentials::Credentials;
use super::rules::{self, Rules};
use super::settings::{Connection, Settings};
use crate::api::{ReadyCondition, Reason};
use crate::base::blocking;
use crate::base::flow::fence::FenceToken;
use crate::base::flow::leadership::Leadership;
use crate::kratos::{Auditor, BearerToken, Client, ClientConfig, Observer};

/// Makes the client, which sends while this process leads.
pub fn client(
    settings: &Settings,
    credentials: &Credentials,
    (observer, auditor): (Arc<dyn Observer>, Option<Arc<dyn Auditor>>),
    (leadership, fence_token): (Leadership, FenceToken),
) -> Result<Client, ReadyCondition> {
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
        fence_token,
    };
    let client = Client::new(config).map(|client| client.observed_by(observer));
    client.map_err(|error| ReadyCondition::new(Reason::InvalidSpec, error.to_string()))
}

/// Parses the rules, off the runtime.
pub async fn rules(settings: &Settings) -> Arc<Result<Rules, ReadyCondition>> {
    let raw = settings.rules.clone();
    let parsed = blocking::once(move || rules::parse(&raw)).await;
    Arc::new(
        parsed.unwrap_or_else(|_| {
            Err(ReadyCondition::new(Reason::InvalidSpec, "spec.rules can't be parsed; correct them"))
        }),
    )
}
