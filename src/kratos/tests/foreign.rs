//! Whatever a server, or people through it, may send: nothing panics, nothing is misread, and one item doesn't harm others.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use reqwest::header::{HeaderMap, HeaderValue, LINK, RETRY_AFTER};
use serde_json::Value;

use super::super::fault::retry_after;
use super::super::page::next_page_token;
use super::super::transport::text;
use super::super::types::Items;
use super::super::{Identity, Session};

/// Fragments of JSON and of near-JSON, so that most combinations are nearly valid.
fn fragment() -> impl Strategy<Value = String> {
    const PARTS: [&str; 23] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"id\":",
        "\"traits\":",
        "\"a\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "1e400",
        "-1e999",
        "1.5",
        "18446744073709551616",
        "null",
        "true",
        "\"$serde_json::private::RawValue\":",
        " ",
        "\u{0}",
        "é",
    ];
    prop_oneof![proptest::sample::select(&PARTS[..]).prop_map(str::to_owned), "\\PC{0,3}"]
}

/// A JSON value, of which a part may be unreadable.
fn value() -> impl Strategy<Value = String> {
    const LEAVES: [&str; 10] =
        ["1", "1e400", "-1e999", "0.1", "null", "true", "\"x\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"", "\"\\udc00\""];
    const KEYS: [&str; 6] =
        ["a", "b", "\\ud800", "$serde_json::private::RawValue", "$serde_json::private::Number", "kratos-operator.dev"];
    let leaf = proptest::sample::select(&LEAVES[..]).prop_map(str::to_owned);
    leaf.prop_recursive(4, 32, 4, |inner| {
        let member =
            (proptest::sample::select(&KEYS[..]), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// Whether all of a text can be read, by its parts alone.
fn is_readable(text: &str) -> bool {
    let text = text.replace("\\ud83d\\ude00", "");
    !["1e400", "1e999", "\\ud800", "\\udc00"].iter().any(|odd| text.contains(odd))
}

proptest! {
    #[test]
    fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), parts in prop::collection::vec(fragment(), 0..24)) {
        for body in [bytes, parts.concat().into_bytes()] {
            let text = text(&body);
            let _ = serde_json::from_str::<Items<Identity>>(&text);
            let _ = serde_json::from_str::<Items<Session>>(&text);
            let _ = serde_json::from_str::<Identity>(&text);
        }
    }

    #[test]
    fn each_item_is_read_by_itself(contents in prop::collection::vec(value(), 1..6)) {
        let items = contents.iter().enumerate();
        let items: Vec<_> = items.map(|(at, content)| format!(r#"{{"id":"{at}","traits":{content}}}"#)).collect();
        let Items { read, unreadable } = serde_json::from_str::<Items<Identity>>(&format!("[{}]", items.join(","))).unwrap();
        prop_assert_eq!((read.len(), unreadable), (contents.len(), 0));
        for (at, (identity, content)) in read.iter().zip(&contents).enumerate() {
            prop_assert_eq!(&identity.id, &at.to_string());
            prop_assert_eq!(identity.readable().is_ok(), is_readable(content), "{}", content);
            if let Err((_, opaque)) = identity.readable() {
                prop_assert_eq!(opaque.text(), content);
            }
        }
    }

    #[test]
    fn what_can_be_read_is_what_is_there(text in value()) {
        // The library's own reading, but for the keys that are special to it.
        prop_assume!(is_readable(&text) && !text.contains("private"));
        let identity: Identity = serde_json::from_str(&format!(r#"{{"id":"1","traits":{text}}}"#)).unwrap();
        prop_assert_eq!(identity.traits, serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn bytes_within_a_text_are_readable_exactly_where_they_are_utf_8(bytes in prop::collection::vec(0x20_u8.., 0..12)) {
        prop_assume!(!bytes.contains(&b'"') && !bytes.contains(&b'\\'));
        let body = [&br#"{"id":"1","traits":{"a":""#[..], &bytes, br#""}}"#].concat();
        let identity: Identity = serde_json::from_str(&text(&body)).unwrap();
        prop_assert_eq!(identity.readable().is_ok(), std::str::from_utf8(&bytes).is_ok());
    }

    #[test]
    fn no_link_panics_and_a_right_one_is_found_after_whatever_came_before(
        before in "[ -~]{0,40}", token in "[a-zA-Z0-9_.~-]{1,20}", title in "[ !#-\\[\\]-~]{0,20}",
    ) {
        let next = |values: &[String]| {
            let mut headers = HeaderMap::new();
            values.iter().filter_map(|value| HeaderValue::from_str(value).ok()).for_each(|value| { headers.append(LINK, value); });
            next_page_token(&headers)
        };
        let link = format!(r#"</x?page_token={token}>; title="{title}"; rel="next""#);
        let found = next(&[before.clone(), link.clone()]);
        prop_assert!(found.as_deref() == Some(&*token) || before.contains("page_token"));
        prop_assert_eq!(next(&[link]), Some(token));
    }

    #[test]
    fn no_wish_to_be_left_alone_is_longer_than_an_hour(value in "[ -~]{0,40}", seconds in any::<u64>(), now in 0..4_000_000_000_u64) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        for value in [value, seconds.to_string(), format!("{seconds}0000000000")] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(&value).unwrap());
            headers.insert("x-ratelimit-reset", HeaderValue::from_str(&value).unwrap());
            prop_assert!(retry_after(&headers, now).is_none_or(|wait| wait <= Duration::from_hours(1)));
        }
    }

    #[test]
    fn a_point_in_time_is_waited_for(seconds in 0..3600_u64, now in 1_000_000_000..4_000_000_000_u64) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        let mut headers = HeaderMap::new();
        let date = httpdate::fmt_http_date(now + Duration::from_secs(seconds));
        headers.insert(RETRY_AFTER, HeaderValue::from_str(&date).unwrap());
        prop_assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(seconds)));
    }
}
