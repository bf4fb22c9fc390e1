//! What a value of the release annotation releases, and which values were served. Pure.
//!
//! A value is served once. The last ones are kept, so a revert in Git to an older one releases nothing.

use crate::api::protection::LastRelease;

/// How many values are kept beside the last one.
const EARLIER: usize = 15;
/// Values are told apart by so many characters.
const TOLD_APART: usize = 256;
/// The longest name of a namespace.
const LONGEST_NAMESPACE: usize = 63;

/// What a value is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release<'a> {
    /// Whatever is held.
    Everything,
    /// A namespace's deletions alone.
    Namespace(&'a str),
}

/// Reads a value: `NAMESPACE=anything`, or anything.
pub fn read(value: &str) -> Release<'_> {
    match value.split_once('=') {
        Some((namespace, _)) if is_namespace(namespace) => Release::Namespace(namespace),
        _ => Release::Everything,
    }
}

/// Whether a value was served, or was there when something was held.
pub fn is_served(value: &str, last: Option<&LastRelease>) -> bool {
    let Some(LastRelease { token, at: _, earlier }) = last else { return false };
    token.iter().chain(earlier).any(|served| kept(served) == kept(value))
}

/// Notes a value: it releases nothing any more.
pub fn serve(value: &str, last: &mut LastRelease) {
    if let Some(before) = last.token.replace(kept(value).to_owned()) {
        last.earlier.insert(0, before);
    }
    last.earlier.retain(|earlier| kept(earlier) != kept(value));
    last.earlier.truncate(EARLIER);
}

/// What an earlier version noted, which kept values as a whole, as it is noted now.
pub fn shortened(last: LastRelease) -> LastRelease {
    let LastRelease { token, earlier, at } = last;
    let short = |value: String| kept(&value).to_owned();
    LastRelease { token: token.map(short), earlier: earlier.into_iter().map(short).collect(), at }
}

/// What is kept of a value.
fn kept(value: &str) -> &str {
    value.char_indices().nth(TOLD_APART).map_or(value, |(end, _)| &value[..end])
}

/// Whether a text is what namespaces are called: a DNS label.
fn is_namespace(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_bounded = !text.starts_with('-') && !text.ends_with('-');
    (1..=LONGEST_NAMESPACE).contains(&text.len()) && is_bounded && text.bytes().all(is_inner)
}
