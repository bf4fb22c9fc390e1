//! Pages of a list and the links between them. It may not send anything.

use std::time::Instant;

use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many further items couldn't be read, not even their ids.
    pub unreadable: usize,
    /// When the page was requested: later writes may be missing on it.
    pub requested_at: Instant,
    /// How many items all pages have, where the server says so.
    pub total: Option<usize>,
}

/// The `page_token` of the `Link` header's `rel="next"`, if there is a next page. The link's host and path are ignored: every
/// page is requested from the configured server.
pub(super) fn next_page_token(headers: &HeaderMap) -> Option<String> {
    // Links are often relative; any base will do, since only the query is read.
    let base = Url::parse("http://localhost").ok()?;
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(Links).filter(Link::is_next).find_map(|link| {
        let url = base.join(link.target).ok()?;
        let token = url.query_pairs().find(|(name, _)| name == "page_token")?.1.into_owned();
        (!token.is_empty()).then_some(token)
    })
}

/// One link of a header value (RFC 8288): the text between `<` and `>`, and its parameters.
struct Link<'a> {
    target: &'a str,
    parameters: &'a str,
}

impl Link<'_> {
    /// Whether it leads to the next page. Only the first `rel` counts; it may hold several relations.
    fn is_next(&self) -> bool {
        let mut rest = self.parameters;
        while !rest.is_empty() {
            let (parameter, others) = split_outside_quotes(rest, ';');
            rest = others;
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            if name.trim().eq_ignore_ascii_case("rel") {
                let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
                return relations.any(|relation| relation.eq_ignore_ascii_case("next"));
            }
        }
        false
    }
}

/// The links of a header value.
struct Links<'a>(&'a str);

impl<'a> Iterator for Links<'a> {
    type Item = Link<'a>;

    fn next(&mut self) -> Option<Link<'a>> {
        let (target, rest) = self.0.split_once('<')?.1.split_once('>')?;
        let (parameters, others) = split_outside_quotes(rest, ',');
        self.0 = others;
        Some(Link { target, parameters })
    }
}

/// The text before the first `separator` outside quotes, and the text after it.
fn split_outside_quotes(text: &str, separator: char) -> (&str, &str) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if character == separator && !is_quoted => return (&text[..at], &text[at + separator.len_utf8()..]),
            _ => {}
        }
    }
    (text, "")
}

/// The `X-Total-Count` header.
pub(super) fn total_count(headers: &HeaderMap) -> Option<usize> {
    headers.get("x-total-count")?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_kratos_writes_it(&[r#"</x?page_token=a>; rel="first",</x?page_token=b>; rel="next""#], Some("b"))]
    #[case::without_quotes_and_in_other_letters(&["</x?page_token=b>;REL=Next"], Some("b"))]
    #[case::one_of_several_relations(&[r#"</x?page_token=b>; rel="prev  next""#], Some("b"))]
    #[case::in_a_header_of_its_own(&[r#"</x?page_token=a>; rel="first""#, r#"</x?page_token=b>; rel="next""#], Some("b"))]
    #[case::after_a_title_that_looks_like_one(&[r#"</x?page_token=a>; title="a, </y?page_token=c>; rel=next", </x?page_token=b>; rel=next"#], Some("b"))]
    #[case::with_a_quote_in_the_title(&[r#"</x?page_token=b>; title="\"; x"; rel=next"#], Some("b"))]
    #[case::only_the_first_relation_counts(&[r#"</x?page_token=a>; rel="first"; rel="next""#], None)]
    #[case::a_parameter_that_only_ends_like_it(&[r#"</x?page_token=a>; xrel="next""#], None)]
    #[case::a_comma_in_the_target(&[r#"</x?a=1,2&page_token=b%26c>; rel="next""#], Some("b&c"))]
    #[case::no_token(&[r#"</x?page=2>; rel="next""#], None)]
    #[case::an_empty_one(&[r#"</x?page_token=>; rel="next""#], None)]
    #[case::broken(&["<", "<>", "rel=next", "</x?page_token=a; rel=next", r#"</x?page_token=a>; rel="nex"#], None)]
    fn the_link_to_the_next_page_is_found(#[case] values: &[&str], #[case] expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(next_page_token(&headers).as_deref(), expected);
    }
}
