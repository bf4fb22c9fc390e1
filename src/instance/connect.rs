//! Makes an instance's client of its settings and credentials, and parses its rules. Sends nothing.

use std::sync::Arc;

use super::credentials::Credentials;
use super::rules::{self, Rules};
use super::settings::{Connection, Settings};
use crate::api::{Reason, Verdict};
use crate::base::flow::cutoff::Line;
use crate::base::flow::leadership::Leadership;
use crate::base::off_runtime;
use crate::kratos::{Auditor, BearerToken, Client, ClientConfig, Observer};

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
