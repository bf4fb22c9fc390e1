//! Pages and the links between them. It may not send anything.

use std::time::Instant;

use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many are on it besides, of which not even the id can be read.
    pub unreadable: usize,
    /// When the page was asked for: what was written later need not be on it.
    pub requested_at: Instant,
    /// How many there are on all pages, where the server says so.
    pub total: Option<usize>,
}

/// The `page_token` of the `Link` header's `rel="next"`, if there is a next page. The link's host and path don't
/// matter: a page is always asked of the server that was configured.
pub(super) fn next_page_token(headers: &HeaderMap) -> Option<String> {
    // Links are often relative; any base does, since only the query is read.
    let base = Url::parse("http://localhost").ok()?;
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).flat_map(links).find_map(
        |(target, parameters)| {
            let is_next = parameters.split(';').any(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or_default();
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split(' ').any(|relation| relation == "next")
            });
            let url = is_next.then(|| base.join(target).ok()).flatten()?;
            let token = url.query_pairs().find(|(name, _)| name == "page_token")?.1.into_owned();
            (!token.is_empty()).then_some(token)
        },
    )
}

/// The links of one header value: what is between `<` and `>`, and the parameters up to the next one.
fn links(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split('<').skip(1).filter_map(|link| link.split_once('>'))
}

/// The `X-Total-Count` header.
pub(super) fn total_count(headers: &HeaderMap) -> Option<usize> {
    headers.get("x-total-count")?.to_str().ok()?.trim().parse().ok()
}
