//! Reads sessions in the cheapest way that has the fields in use: all active sessions in pages, or identity by identity.

use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use super::reach::Reach;
use crate::kratos::{Client, Error, Expand, Page, Session, SessionFilter};
use crate::policy::desired::Needs;
use crate::policy::reachable::Reachable;

/// How many requests for sessions of single identities are under way at the same time.
const CONCURRENCY: usize = 8;
/// Identities whose sessions are judged together.
const AT_ONCE: usize = 100;
/// The largest page that servers give.
const LARGEST_PAGE: usize = 1000;

/// What one session on a page costs, and all sessions of one identity, in microseconds of one Kratos. Only how they
/// compare matters.
const PLAIN: usize = 50;
const WITH_IDENTITY: usize = 450;
const WITH_DEVICES: usize = 800;
const OF_ONE_IDENTITY: usize = 3000;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Source {
    pub needs: Needs,
    pub reach: Reach,
}

impl Source {
    /// Everything that expressions and rules need.
    pub fn new(needs: Needs, reach: &Reach) -> Self {
        // Pages show whose a session is only with its identity.
        let identity = needs.identity || reach.is_some();
        Self { needs: Needs { identity, ..needs }, reach: reach.clone() }
    }

    pub fn expand(&self) -> Vec<Expand> {
        expand(self.needs)
    }

    /// All active sessions, in batches.
    pub async fn sessions(&self, client: &Client) -> Result<BoxStream<'static, Result<Vec<Session>, Error>>, Error> {
        match &self.reach {
            Some(reach) if reach.ids().is_empty() => Ok(stream::empty().boxed()),
            Some(reach) if self.is_cheaper_one_by_one(reach.ids().len(), client).await? => {
                Ok(one_by_one(client.clone(), Arc::clone(reach)).boxed())
            }
            _ => {
                let filter = SessionFilter { active: Some(true), expand: self.expand(), page_size: None };
                Ok(client.list_sessions(filter).map_ok(all).boxed())
            }
        }
    }

    /// One request more tells how many sessions there are, where the server says so. Where it doesn't, they are counted,
    /// without anything that makes a session dear, until there are so many that their pages would cost more. So counting
    /// takes one request for few identities, and for many a small share of what reading them one by one would.
    async fn is_cheaper_one_by_one(&self, identities: usize, client: &Client) -> Result<bool, Error> {
        let plain = |size| SessionFilter { active: Some(true), expand: Vec::new(), page_size: Some(size) };
        let mut pages = std::pin::pin!(client.list_sessions(plain(1)));
        if let Some(total) = pages.try_next().await?.and_then(|page| page.total) {
            return Ok(is_cheaper_one_by_one(identities, total, self.needs));
        }
        let dear = dear_from(identities, self.needs);
        let mut counted = 0;
        let mut pages = std::pin::pin!(client.list_sessions(plain(dear.clamp(1, LARGEST_PAGE))));
        while let Some(page) = pages.try_next().await? {
            counted += page.items.len() + page.unreadable;
            if counted >= dear {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The sessions of a page; one of which not even the id can be read is one without an id.
fn all(page: Page<Session>) -> Vec<Session> {
    let mut sessions = page.items;
    sessions.resize_with(sessions.len() + page.unreadable, Session::default);
    sessions
}

/// What must be asked for to have what is needed.
pub fn expand(needs: Needs) -> Vec<Expand> {
    let identity = needs.identity.then_some(Expand::Identity);
    let devices = needs.devices.then_some(Expand::Devices);
    identity.into_iter().chain(devices).collect()
}

fn is_cheaper_one_by_one(identities: usize, sessions: usize, needs: Needs) -> bool {
    sessions >= dear_from(identities, needs)
}

/// From how many sessions on their pages cost more than those of so many identities one by one.
fn dear_from(identities: usize, needs: Needs) -> usize {
    let identity = if needs.identity { WITH_IDENTITY } else { 0 };
    let devices = if needs.devices { WITH_DEVICES } else { 0 };
    identities.saturating_mul(OF_ONE_IDENTITY).div_ceil(PLAIN + identity + devices)
}

/// The sessions of these identities, with everything.
fn one_by_one(client: Client, reach: Arc<Reachable>) -> impl futures::Stream<Item = Result<Vec<Session>, Error>> {
    let starts = (0..reach.ids().len()).step_by(AT_ONCE);
    stream::iter(starts).then(move |start| {
        let (client, reach) = (client.clone(), Arc::clone(&reach));
        async move {
            let ids = reach.ids()[start..].iter().take(AT_ONCE).map(Uuid::to_string).collect::<Vec<_>>();
            let lists = stream::iter(ids).map(|id| {
                let client = client.clone();
                async move { client.list_identity_sessions(&id, Some(true)).await }
            });
            let lists: Vec<_> = lists.buffer_unordered(CONCURRENCY).try_collect().await?;
            Ok(lists.into_iter().flatten().collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_identities_among_many_sessions_are_asked_for_one_by_one() {
        let with_identity = Needs { identity: true, devices: false };
        let with_both = Needs { identity: true, devices: true };
        for (identities, sessions, needs, one_by_one) in [
            (10, 50_000, with_identity, true),
            (10_000, 50_000, with_identity, false),
            (10_000, 50_000, with_both, true),
            (10, 10, with_both, false),
            (1, 6, with_identity, true),
        ] {
            let found = is_cheaper_one_by_one(identities, sessions, needs);
            assert_eq!(found, one_by_one, "{identities} of {sessions}");
        }
    }
}
