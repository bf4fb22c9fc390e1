//! The operations on sessions. It may not judge a session: `policy` does.

use std::collections::HashSet;
use std::time::Instant;

use futures::stream::{self, Stream};
use reqwest::{Method, StatusCode};

use super::client::Client;
use super::error::Error;
use super::kind::Kind;
use super::page::{Page, next_page_token, total_count};
use super::transport::Answer;
use super::types::{Items, Removal, Session};
use super::writer::Writer;

/// The default page size: the most that servers return.
const PAGE_SIZE: usize = 1000;

/// The page size of one identity's sessions.
const IDENTITY_PAGE_SIZE: &str = "500";

/// What a listing includes of each session. Each makes it slower by a factor of ten or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expand {
    /// Its identity, without `metadata_admin`.
    Identity,
    /// Where it was begun (devices).
    Devices,
}

impl Expand {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Devices => "devices",
        }
    }
}

/// Which sessions to list. The default: all.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Only active ones that haven't expired, or only the others.
    pub active: Option<bool>,
    /// What to include.
    pub expand: Vec<Expand>,
    /// How many per page; absent: 1000. The server may return fewer.
    pub page_size: Option<usize>,
}

impl Client {
    /// Lists sessions page by page, the newest first, while the stream is read. It ends after the first error.
    pub fn list_sessions(
        &self,
        filter: SessionFilter,
    ) -> impl Stream<Item = Result<Page<Session>, Error>> + Send + use<> {
        let start = (self.clone(), filter, Some(None));
        stream::try_unfold(start, |(client, filter, token)| async move {
            let Some(token) = token else { return Ok(None) };
            let (page, next) = client.session_page(&filter, token.as_deref()).await?;
            if next.is_some() && next == token {
                // A page whose link leads to itself would be read for ever.
                return Err(Error::new("list_sessions", Kind::Foreign(StatusCode::OK)));
            }
            Ok(Some((page, (client, filter, next.map(Some)))))
        })
    }

    async fn session_page(
        &self,
        filter: &SessionFilter,
        token: Option<&str>,
    ) -> Result<(Page<Session>, Option<String>), Error> {
        const OPERATION: &str = "list_sessions";
        let page_size = filter.page_size.unwrap_or(PAGE_SIZE).max(1).to_string();
        let mut query = vec![("page_size", page_size.as_str())];
        query.extend(filter.active.map(|active| ("active", flag(active))));
        query.extend(filter.expand.iter().map(|expand| ("expand", expand.as_str())));
        query.extend(token.map(|token| ("page_token", token)));
        let call = self.call(OPERATION, &["admin", "sessions"], &query)?;
        let requested_at = Instant::now();
        let answer = self.answer(&call).await?;
        let Items { read: items, unreadable } = answer.json(OPERATION)?;
        let total = total_count(&answer.headers);
        Ok((Page { items, unreadable, requested_at, total }, next_page_token(&answer.headers)))
    }

    /// Lists the sessions of one identity, with devices. An unknown identity has none. The pages' links are wrong in every
    /// version of Kratos, so pages are counted; a session that ends meanwhile can hide another one.
    pub async fn list_identity_sessions(&self, identity_id: &str, active: Option<bool>) -> Result<Vec<Session>, Error> {
        const OPERATION: &str = "list_identity_sessions";
        let mut sessions = Vec::new();
        let mut known = HashSet::new();
        for page in 1_usize.. {
            let page = page.to_string();
            let mut query = vec![("per_page", IDENTITY_PAGE_SIZE), ("page", page.as_str())];
            query.extend(active.map(|active| ("active", flag(active))));
            let path = ["admin", "identities", identity_id, "sessions"];
            let answer = self.answer(&self.call(OPERATION, &path, &query)?).await?;
            let items: Items<Session> = answer.json(OPERATION)?;
            let before = sessions.len();
            sessions.extend(items.read.into_iter().filter(|item| known.insert(item.id.clone())));
            let total = total_count(&answer.headers).unwrap_or_default();
            if sessions.len() == before || sessions.len() >= total {
                break;
            }
        }
        Ok(sessions)
    }

    /// Reads a session. Only with [`Expand::Identity`] does `active` consider the identity's state.
    pub async fn get_session(&self, id: &str, expand: &[Expand]) -> Result<Option<Session>, Error> {
        let query: Vec<_> = expand.iter().map(|expand| ("expand", expand.as_str())).collect();
        self.find(&self.call("get_session", &["admin", "sessions", id], &query)?).await
    }
}

impl Writer {
    /// Ends a session. [`Removal::Removed`] also where it had already ended.
    pub async fn disable_session(&self, id: &str) -> Result<Removal, Error> {
        let path = ["admin", "sessions", id];
        self.remove(&self.bare("disable_session", Method::DELETE, &path, &[], self.about_session(id))?).await
    }

    /// Extends a session to now plus the server's lifespan. Returns the session where the server does. Success proves nothing:
    /// outside of `earliest_possible_extend` nothing changes, and even an expired session is revived. So read it before, and
    /// compare `expires_at` afterwards. Never retried here.
    pub async fn extend_session(&self, id: &str) -> Result<Option<Session>, Error> {
        const OPERATION: &str = "extend_session";
        let path = ["admin", "sessions", id, "extend"];
        let call = self.bare(OPERATION, Method::PATCH, &path, &[], self.about_session(id))?;
        let read = |answer: &Answer| {
            let is_silent = answer.status == StatusCode::NO_CONTENT;
            let session = if is_silent { None } else { Some(answer.json(OPERATION)?) };
            Ok((session, None))
        };
        self.settle(&call, read).await
    }

    /// Deletes all sessions of an identity. [`Removal::WasAbsent`] where it had none.
    pub async fn delete_identity_sessions(&self, identity_id: &str) -> Result<Removal, Error> {
        let path = ["admin", "identities", identity_id, "sessions"];
        let write = self.about(identity_id);
        self.remove(&self.bare("delete_identity_sessions", Method::DELETE, &path, &[], write)?).await
    }
}

const fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
