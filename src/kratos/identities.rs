//! The operations that read identities. It may not chain them: each method is one operation of the API document.

use std::collections::VecDeque;
use std::time::Instant;

use futures::stream::{self, Stream};

use super::client::Client;
use super::error::Error;
use super::kind::Kind;
use super::page::{Page, next_page_token};
use super::types::{CredentialType, Identity, Items};

/// The most ids in one list request: its URL stays below 8 KiB, which every gateway takes.
pub const IDS_PER_REQUEST: usize = 150;

/// The default page size: the most that v25.4 and later return.
const PAGE_SIZE: usize = 500;

/// How fresh a listing is, on databases where that differs (`CockroachDB`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// As the server is configured.
    #[default]
    Default,
    /// Includes everything that was written before.
    Strong,
    /// Possibly some seconds old.
    Eventual,
}

/// Which identities to list. The default: all.
#[derive(Clone, Default)]
pub struct IdentityFilter {
    /// Only these. An empty list lists nothing; a long one takes several requests of [`IDS_PER_REQUEST`] each. One malformed
    /// UUID fails the request.
    pub ids: Option<Vec<String>>,
    /// Only the one with this login identifier. Addresses that aren't login identifiers aren't found.
    pub credentials_identifier: Option<String>,
    /// Experimental in Kratos: identifiers with this prefix. Not together with `credentials_identifier`.
    pub preview_credentials_identifier_similar: Option<String>,
    /// Only those of this organization; v25.4 and later, earlier servers ignore it.
    pub organization_id: Option<String>,
    /// Credential contents to include: secrets. Never for many identities at once.
    pub include_credential: Vec<CredentialType>,
    /// How many per page; absent: 500. The server may return fewer.
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
    /// The identity with this login identifier.
    pub fn by_identifier(identifier: impl Into<String>) -> Self {
        Self { credentials_identifier: Some(identifier.into()), ..Self::default() }
    }

    /// These identities.
    pub fn by_ids(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { ids: Some(ids.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// The query of one request, without the page token.
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

/// The progress of a listing.
struct Listing {
    client: Client,
    filter: IdentityFilter,
    /// Requests still to send, by their ids (empty: no filter by ids).
    chunks: VecDeque<Vec<String>>,
    /// The next page of the first chunk.
    page_token: Option<String>,
}

impl Client {
    /// Reads an identity. `include_credential` adds password hashes, seeds or decrypted tokens.
    pub async fn get_identity(
        &self,
        id: &str,
        include_credential: &[CredentialType],
    ) -> Result<Option<Identity>, Error> {
        let query: Vec<_> = include_credential.iter().map(|kind| ("include_credential", kind.as_str())).collect();
        self.find(&self.call("get_identity", &["admin", "identities", id], &query)?).await
    }

    /// Reads the identity with this external id. v25.4 and later: earlier servers lack the endpoint.
    pub async fn get_identity_by_external_id(&self, external_id: &str) -> Result<Option<Identity>, Error> {
        let path = ["admin", "identities", "by", "external", external_id];
        self.find(&self.call("get_identity_by_external_id", &path, &[])?).await
    }

    /// Lists identities page by page, while the stream is read. It ends after the first error.
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
}

impl Listing {
    /// Requests the next page.
    async fn next(mut self) -> Result<Option<(Page<Identity>, Self)>, Error> {
        const OPERATION: &str = "list_identities";
        let Some(ids) = self.chunks.front() else {
            return Ok(None);
        };
        let mut query = self.filter.query(ids);
        query.extend(self.page_token.take().map(|token| ("page_token", token)));
        let asked_for = query.last().filter(|(name, _)| *name == "page_token").map(|(_, token)| token.clone());
        let pairs: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let call = self.client.call(OPERATION, &["admin", "identities"], &pairs)?;
        let requested_at = Instant::now();
        let answer = self.client.answer(&call).await?;
        let Items { read: items, unreadable } = answer.json(OPERATION)?;
        self.page_token = next_page_token(&answer.headers);
        if self.page_token.is_none() {
            self.chunks.pop_front();
        } else if self.page_token == asked_for {
            // A page whose link leads to itself would be read for ever.
            return Err(Error::new(OPERATION, Kind::Foreign(answer.status)));
        }
        if unreadable > 0 {
            tracing::warn!(unreadable, "identities without an id that can be read are passed over");
        }
        Ok(Some((Page { items, unreadable, requested_at, total: None }, self)))
    }
}
