//! Tests of the client without a Kratos: tables for pure code, and a scripted server for newer versions, faults and secrecy.
//! The conformance tests show what the real Kratos does.

#[path = "../../../tests/testenv/authority.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod authority;

mod audits;
mod batching;
mod classes;
mod connect_failures;
mod faults;
mod foreign;
mod identifiers;
mod leaks;
mod newer_server;
mod odd;
mod packing;
mod reading;
mod redirects;
mod tls;
mod triage;

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use secrecy::SecretString;
use wiremock::MockServer;

use super::{BearerToken, Client, ClientConfig, Error, Identity, IdentityFilter, Initiator, WriteCause, Writer};

/// It may never show. It is put wherever a secret or a personal value can be.
const MARKER: &str = "m4rk3r-of-a-secret";

/// A UUID that the scripted servers know.
const ID: &str = "5e7b1a58-6a32-4a1e-9b63-4f5f5b1e6a10";

fn config(server: &MockServer) -> ClientConfig {
    ClientConfig {
        request_timeout: Duration::from_secs(5),
        token: Some(BearerToken { prefix: None, token: SecretString::from(MARKER) }),
        ..ClientConfig::new(server.uri().parse().unwrap())
    }
}

/// An initiator.
fn somebody() -> Arc<Initiator> {
    Arc::new(Initiator {
        kind: "Test",
        namespace: "team".to_owned(),
        name: "somebody".to_owned(),
        uid: "uid".to_owned(),
        generation: None,
        cause: WriteCause::Spec,
        trace_id: None,
    })
}

fn client(server: &MockServer) -> Writer {
    Client::new(config(server)).unwrap().on_behalf_of(&somebody())
}

async fn list(client: &Client, filter: IdentityFilter) -> Result<Vec<Identity>, Error> {
    let pages: Vec<_> = client.list_identities(filter).try_collect().await?;
    Ok(pages.into_iter().flat_map(|page| page.items).collect())
}

/// How many requests a server has seen.
async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}
