//! The client that writes: each write has an initiator, and there is no other way to send one. It may send nothing by itself:
//! the operations are in the files beside this one.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::audit::{Initiator, Outcome, Write, WriteCause};
use super::client::Client;
use super::error::{Class, Error};
use super::kind::Kind;
use super::transport::{Answer, Call};
use super::types::{Identity, Removal};

/// A client that writes on behalf of an initiator, and reads as usual.
#[derive(Clone, Debug)]
pub struct Writer {
    client: Client,
    initiator: Arc<Initiator>,
    /// Whose sessions it ends, for operations that don't say.
    identity: Option<String>,
}

impl Deref for Writer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    /// A client that writes on behalf of this initiator.
    pub fn on_behalf_of(&self, initiator: &Arc<Initiator>) -> Writer {
        Writer { client: self.clone(), initiator: Arc::clone(initiator), identity: None }
    }
}

impl Writer {
    /// The same client, for another cause.
    #[must_use]
    pub fn with_cause(&self, cause: WriteCause) -> Self {
        let initiator = Arc::new(Initiator { cause, ..(*self.initiator).clone() });
        Self { initiator, ..self.clone() }
    }

    /// The same client, for writes that name only a session: whose it is.
    #[must_use]
    pub fn of_identity(&self, id: impl Into<String>) -> Self {
        Self { identity: Some(id.into()), ..self.clone() }
    }

    pub(super) fn initiator(&self) -> &Arc<Initiator> {
        &self.initiator
    }

    /// A write to an identity.
    pub(super) fn about(&self, identity: &str) -> Write {
        Write::new(&self.initiator).of_identity(identity)
    }

    /// A write to a session.
    pub(super) fn about_session(&self, id: &str) -> Write {
        Write { session: Some(id.to_owned()), identity: self.identity.clone(), ..Write::new(&self.initiator) }
    }

    /// A request that writes, without a body.
    pub(super) fn bare(
        &self,
        operation: &'static str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        write: Write,
    ) -> Result<Call, Error> {
        self.client.writing(operation, method, path, query, vec![write])
    }

    /// A request that writes, with a JSON body.
    pub(super) fn with<B: Serialize + ?Sized>(
        &self,
        operation: &'static str,
        method: Method,
        path: &[&str],
        body: &B,
        write: Write,
    ) -> Result<Call, Error> {
        Ok(Call { body: Some(json(operation, body)?), ..self.bare(operation, method, path, &[], write)? })
    }

    /// Sends a write. Its answer must be understood before the write counts as done.
    pub(super) async fn settle<T>(
        &self,
        call: &Call,
        read: impl FnOnce(&Answer) -> Result<(T, Option<String>), Error>,
    ) -> Result<T, Error> {
        let mut answer = self.client.answer(call).await?;
        let (value, id) = read(&answer)?;
        for mut entry in answer.entries.drain(..) {
            if let Some(id) = &id {
                entry.is_about(id);
            }
            entry.close(Outcome::Ok);
        }
        Ok(value)
    }

    /// The identity as the write left it.
    pub(super) async fn identity(&self, call: &Call) -> Result<Identity, Error> {
        let read = |answer: &Answer| {
            let identity: Identity = answer.json(call.operation)?;
            let id = identity.id.clone();
            Ok((identity, Some(id)))
        };
        self.settle(call, read).await
    }

    /// The body of the answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        self.settle(call, |answer| Ok((answer.json(call.operation)?, None))).await
    }

    /// A deletion, for which Kratos' 404 counts as success.
    pub(super) async fn remove(&self, call: &Call) -> Result<Removal, Error> {
        let read = |answer: &Answer| {
            if answer.status != StatusCode::NO_CONTENT {
                // The API document says that one deletion answers with the identity. Anything else isn't Kratos'.
                answer.json::<Identity>(call.operation)?;
            }
            Ok((Removal::Removed, None))
        };
        match self.settle(call, read).await {
            Err(error) if error.class() == Class::NotFound => Ok(Removal::WasAbsent),
            removal => removal,
        }
    }
}

/// A value as a body.
pub(super) fn json<B: Serialize + ?Sized>(operation: &'static str, body: &B) -> Result<Bytes, Error> {
    let body = serde_json::to_vec(body)
        .map_err(|_| Error::new(operation, Kind::Unsendable("the body can't be written as JSON")))?;
    Ok(Bytes::from(body))
}
