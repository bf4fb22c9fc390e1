//! The operations on identities. It may not chain them: each method is one operation of the API document.

use std::collections::VecDeque;
use std::time::Instant;

use futures::stream::{self, Stream};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::error::{Error, Kind};
use super::fault::ErrorBody;
use super::page::{Page, next_page_token};
use super::types::{
    BatchAnswer, BatchItem, BatchOutcome, CreateIdentity, CredentialType, Identity, Items, PatchOperation, Removal,
    UpdateIdentity,
};

/// The most ids in one list request: its URL stays below 8 KiB, which every gateway takes.
pub const IDS_PER_REQUEST: usize = 150;

/// The page size where a filter names none: the most that v25.4 and later give.
const PAGE_SIZE: usize = 500;

/// How fresh a listing is, on databases that know the difference (Cockroach).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// As the server is configured.
    #[default]
    Default,
    /// All that was written before.
    Strong,
    /// Possibly some seconds old.
    Eventual,
}

/// Which identities are listed. Nothing set: all of them.
#[derive(Clone, Default)]
pub struct IdentityFilter {
    /// Only these. An empty list lists nothing; a long one is asked for in several requests, of
    /// [`IDS_PER_REQUEST`] each. One malformed UUID fails the request.
    pub ids: Option<Vec<String>>,
    /// Only the one that logs in with this identifier. Addresses that are no login identifier aren't found.
    pub credentials_identifier: Option<String>,
    /// Experimental in Kratos: identifiers that begin like this. Not together with `credentials_identifier`.
    pub preview_credentials_identifier_similar: Option<String>,
    /// Only those of this organization; v25.4 and later, ignored before.
    pub organization_id: Option<String>,
    /// Credential contents to be in the answer: secrets. Never in bulk.
    pub include_credential: Vec<CredentialType>,
    /// How many on a page; absent: 500. The server may give fewer.
    pub page_size: Option<usize>,
    /// How fresh.
    pub consistency: Consistency,
}

impl std::fmt::Debug for IdentityFilter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("IdentityFilter")
            .field("ids", &self.ids.as_ref().map(Vec::len))
            .field("credentials_identifier", &self.credentials_identifier.is_some())
            .field("include_credential", &self.include_credential)
            .field("page_size", &self.page_size)
            .finish_non_exhaustive()
    }
}

impl IdentityFilter {
    /// The identity that logs in with this identifier.
    pub fn by_identifier(identifier: impl Into<String>) -> Self {
        Self { credentials_identifier: Some(identifier.into()), ..Self::default() }
    }

    /// These identities.
    pub fn by_ids(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { ids: Some(ids.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// The query of one request, but for the page token.
    fn query(&self, ids: &[String]) -> Vec<(&'static str, String)> {
        let mut query = vec![("page_size", self.page_size.unwrap_or(PAGE_SIZE).max(1).to_string())];
        query.extend(ids.iter().map(|id| ("ids", id.clone())));
        query.extend(self.include_credential.iter().map(|kind| ("include_credential", kind.as_str().into())));
        let texts = [
            ("credentials_identifier", &self.credentials_identifier),
            ("preview_credentials_identifier_similar", &self.preview_credentials_identifier_similar),
            ("organization_id", &self.organization_id),
        ];
        query.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
        match self.consistency {
            Consistency::Default => {}
            Consistency::Strong => query.push(("consistency", "strong".into())),
            Consistency::Eventual => query.push(("consistency", "eventual".into())),
        }
        query
    }
}

/// Where a listing stands.
struct Listing {
    client: Client,
    filter: IdentityFilter,
    /// Requests still to be begun, by the ids that they name (none: no such filter).
    chunks: VecDeque<Vec<String>>,
    /// The next page of the first chunk.
    page_token: Option<String>,
}

impl Client {
    /// Creates identities, each on its own: one failure doesn't hinder the others (but see
    /// [`BatchOutcome::Created`]). The answers are in the items' order, as many as the items. Never repeated
    /// here. Stay at 500 items or fewer; cleartext passwords are hashed one after another.
    pub async fn batch_patch_identities(&self, items: &[BatchItem]) -> Result<Vec<BatchAnswer>, Error> {
        const OPERATION: &str = "batch_patch_identities";
        #[derive(Deserialize)]
        struct Answers {
            #[serde(default)]
            identities: Vec<Answer>,
        }
        #[derive(Deserialize)]
        struct Answer {
            action: String,
            identity: Option<String>,
            patch_id: Option<String>,
            error: Option<ErrorBody>,
        }
        let body = json!({"identities": items});
        let call = self.call_with(OPERATION, Method::PATCH, &["admin", "identities"], &body)?;
        let answer = self.answer(&call).await?;
        let unreadable = || Error::new(OPERATION, Kind::Foreign(answer.status));
        let answers: Answers = answer.json(OPERATION)?;
        if answers.identities.len() != items.len() {
            return Err(unreadable());
        }
        let outcome = |item: &Answer| match (item.action.as_str(), &item.identity, &item.error) {
            ("create", Some(id), _) => Ok(BatchOutcome::Created { id: id.clone() }),
            ("error", _, Some(error)) => Ok(BatchOutcome::Failed(error.to_error(OPERATION))),
            _ => Err(unreadable()),
        };
        answers
            .identities
            .into_iter()
            .map(|item| Ok(BatchAnswer { outcome: outcome(&item)?, patch_id: item.patch_id }))
            .collect()
    }

    /// Creates an identity. Never repeated here: where [`Error::outcome_unknown`], it may exist now.
    pub async fn create_identity(&self, identity: &CreateIdentity) -> Result<Identity, Error> {
        let path = ["admin", "identities"];
        self.json(&self.call_with("create_identity", Method::POST, &path, identity)?).await
    }

    /// Reads an identity. `include_credential` brings password hashes, seeds or decrypted tokens with it.
    pub async fn get_identity(
        &self,
        id: &str,
        include_credential: &[CredentialType],
    ) -> Result<Option<Identity>, Error> {
        let query: Vec<_> = include_credential.iter().map(|kind| ("include_credential", kind.as_str())).collect();
        self.find(&self.call("get_identity", Method::GET, &["admin", "identities", id], &query)?).await
    }

    /// Lists identities page by page, for as long as the stream is read. It ends after the first error.
    pub fn list_identities(
        &self,
        filter: IdentityFilter,
    ) -> impl Stream<Item = Result<Page<Identity>, Error>> + Send + use<> {
        let chunks = match &filter.ids {
            None => VecDeque::from([Vec::new()]),
            Some(ids) => ids.chunks(IDS_PER_REQUEST).map(<[String]>::to_vec).collect(),
        };
        let listing = Listing { client: self.clone(), filter, chunks, page_token: None };
        stream::try_unfold(listing, Listing::next)
    }

    /// Changes parts of an identity. Never repeated here. All operations take effect, or none.
    pub async fn patch_identity(&self, id: &str, operations: &[PatchOperation]) -> Result<Identity, Error> {
        let path = ["admin", "identities", id];
        self.json(&self.call_with("patch_identity", Method::PATCH, &path, operations)?).await
    }

    /// Replaces an identity, but for what [`UpdateIdentity`] says is kept. Never repeated here.
    pub async fn update_identity(&self, id: &str, identity: &UpdateIdentity) -> Result<Identity, Error> {
        let path = ["admin", "identities", id];
        self.json(&self.call_with("update_identity", Method::PUT, &path, identity)?).await
    }

    /// Deletes an identity and its sessions.
    pub async fn delete_identity(&self, id: &str) -> Result<Removal, Error> {
        self.remove(&self.call("delete_identity", Method::DELETE, &["admin", "identities", id], &[])?).await
    }

    /// Deletes a credential. [`Removal::WasAbsent`] where the identity, or the credential, isn't there. OIDC and
    /// SAML links need `identifier`, as `provider:subject`. Servers before v25.4 reject passwords and codes.
    pub async fn delete_identity_credentials(
        &self,
        id: &str,
        kind: CredentialType,
        identifier: Option<&str>,
    ) -> Result<Removal, Error> {
        let query: Vec<_> = identifier.map(|identifier| ("identifier", identifier)).into_iter().collect();
        let path = ["admin", "identities", id, "credentials", kind.as_str()];
        self.remove(&self.call("delete_identity_credentials", Method::DELETE, &path, &query)?).await
    }
}

impl Listing {
    /// Asks for the next page.
    async fn next(mut self) -> Result<Option<(Page<Identity>, Self)>, Error> {
        const OPERATION: &str = "list_identities";
        let Some(ids) = self.chunks.front() else {
            return Ok(None);
        };
        let mut query = self.filter.query(ids);
        query.extend(self.page_token.take().map(|token| ("page_token", token)));
        let asked_for = query.last().filter(|(name, _)| *name == "page_token").map(|(_, token)| token.clone());
        let pairs: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let call = self.client.call(OPERATION, Method::GET, &["admin", "identities"], &pairs)?;
        let requested_at = Instant::now();
        let answer = self.client.answer(&call).await?;
        let Items { read: items, unreadable } = answer.json(OPERATION)?;
        self.page_token = next_page_token(&answer.headers);
        if self.page_token.is_none() {
            self.chunks.pop_front();
        } else if self.page_token == asked_for {
            // A server whose page leads to itself would be read for ever.
            return Err(Error::new(OPERATION, Kind::Foreign(answer.status)));
        }
        if unreadable > 0 {
            tracing::warn!(unreadable, "identities without an id that can be read are passed over");
        }
        Ok(Some((Page { items, unreadable, requested_at, total: None }, self)))
    }
}
