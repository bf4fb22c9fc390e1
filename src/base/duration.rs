//! Durations as Go writes them (`1h30m`), in manifests and expressions. Pure. No text makes it panic.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits of a fraction that count: further ones are less than a nanosecond, even of an hour.
const FRACTION_DIGITS: usize = 18;

/// Parses what Go's `time.ParseDuration` accepts, and nothing else: a sign, then numbers with units. As in Go, the sum must fit
/// into 64 bits of nanoseconds (about 292 years).
pub fn parse(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0_i128;
    while !rest.is_empty() {
        let (part, after) = part(rest)?;
        // Each part fits into 64 bits, and so does the sum before it: nothing can overflow here.
        nanoseconds += part;
        i64::try_from(sign * nanoseconds).ok()?;
        rest = after;
    }
    i64::try_from(sign * nanoseconds).ok().map(SignedDuration::from_nanos)
}

/// The first number with its unit, in nanoseconds, and the rest of the text.
fn part(text: &str) -> Option<(i128, &str)> {
    let (whole, after) = digits(text);
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = after.find(|character: char| character == '.' || character.is_ascii_digit()).unwrap_or(after.len());
    let (unit, after) = after.split_at(end);
    let unit = unit_nanoseconds(unit)?;
    let whole = if whole.is_empty() { 0 } else { i128::from(whole.parse::<u64>().ok()?) };
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let parts = if fraction.is_empty() { 0 } else { i128::from(fraction.parse::<i64>().ok()?) };
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let part = whole * unit + parts * unit / scale;
    (part <= i128::from(i64::MAX) + 1).then_some((part, after))
}

/// The digits that a text begins with, and the rest of the text.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return None,
    })
}

/// A duration of a manifest: not negative, and within Go's range. A resource with another one can't be read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(Duration);

/// Why a text is no duration for a manifest. Doesn't quote the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no duration such as 72h or 1h30m, or less than nothing, or more than 64 bits of nanoseconds")]
pub struct NoDuration;

impl FromStr for GoDuration {
    type Err = NoDuration;

    fn from_str(text: &str) -> Result<Self, NoDuration> {
        parse(text).and_then(|duration| Duration::try_from(duration).ok()).map(Self).ok_or(NoDuration)
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<GoDuration> for Duration {
    fn from(GoDuration(duration): GoDuration) -> Self {
        duration
    }
}

/// Written in seconds, which Go reads: `5400s`.
impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    // From Go's own table of tests.
    #[case("0", Some(0))]
    #[case("5s", Some(5_000_000_000))]
    #[case("1478s", Some(1_478_000_000_000))]
    #[case("-5s", Some(-5_000_000_000))]
    #[case("+5s", Some(5_000_000_000))]
    #[case("-0", Some(0))]
    #[case("+0", Some(0))]
    #[case("5.0s", Some(5_000_000_000))]
    #[case("5.6s", Some(5_600_000_000))]
    #[case("5.s", Some(5_000_000_000))]
    #[case(".5s", Some(500_000_000))]
    #[case("1.004s", Some(1_004_000_000))]
    #[case("100.00100s", Some(100_001_000_000))]
    #[case("10ns", Some(10))]
    #[case("11us", Some(11_000))]
    #[case("12\u{b5}s", Some(12_000))]
    #[case("12\u{3bc}s", Some(12_000))]
    #[case("13ms", Some(13_000_000))]
    #[case("3h30m", Some(12_600_000_000_000))]
    #[case("10.5s4m", Some(250_500_000_000))]
    #[case("-2m3.4s", Some(-123_400_000_000))]
    #[case("1h2m3s4ms5us6ns", Some(3_723_004_005_006))]
    #[case("39h9m14.425s", Some(140_954_425_000_000))]
    #[case("52763797000ns", Some(52_763_797_000))]
    #[case("0.3333333333333333333h", Some(1_200_000_000_000 - 1))]
    #[case("9007199254740993ns", Some((1 << 53) + 1))]
    #[case("9223372036854775807ns", Some(i64::MAX))]
    #[case("9223372036854775.807us", Some(i64::MAX))]
    #[case("-9223372036854775808ns", Some(i64::MIN))]
    #[case("0.100000000000000000000h", Some(360_000_000_000))]
    #[case("0.830103483285477580700h", Some(2_988_372_539_827))]
    #[case("", None)]
    #[case("3", None)]
    #[case("-", None)]
    #[case("s", None)]
    #[case(".", None)]
    #[case("-.", None)]
    #[case(".s", None)]
    #[case("+.s", None)]
    #[case("1d", None)]
    #[case("\u{85}\u{85}", None)]
    #[case("9223372036854775810ns", None)]
    #[case("9223372036854775808ns", None)]
    #[case("-9223372036854775809ns", None)]
    #[case("9223372036854776us", None)]
    #[case("3000000h", None)]
    #[case("9223372036854775.808us", None)]
    // What other parsers accept or panic at.
    #[case("1h-2h", None)]
    #[case("--1h", None)]
    #[case("99999999999999999999h", None)]
    #[case("1e9h", None)]
    #[case("infh", None)]
    #[case("NaNs", None)]
    #[case("1h ", None)]
    #[case("00", None)]
    #[case("1h0", None)]
    #[case("2562047h2562047h", None)]
    fn a_duration_is_what_go_takes_for_one(#[case] text: &str, #[case] nanoseconds: Option<i64>) {
        assert_eq!(parse(text), nanoseconds.map(SignedDuration::from_nanos), "{text}");
    }

    #[test]
    fn a_manifests_duration_is_never_negative_and_reads_as_it_was_written() {
        let minutes: GoDuration = serde_json::from_str("\"1h30m\"").unwrap();
        assert_eq!(Duration::from(minutes), Duration::from_mins(90));
        assert_eq!(serde_json::to_string(&minutes).unwrap(), "\"5400s\"");
        for text in ["\"-1h\"", "\"1h-2h\"", "\"99999999999999999999h\"", "5", "null"] {
            assert!(serde_json::from_str::<GoDuration>(text).is_err(), "{text}");
        }
        assert!(!"-7134s".parse::<GoDuration>().unwrap_err().to_string().contains("7134"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn nothing_like_a_duration_panics(text in "[-+]?(([0-9]{0,25}|\\.|[0-9]{0,25}\\.[0-9]{0,40})(h|m|s|ms|us|\u{b5}s|ns|-|e|)){0,6}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read(nanoseconds in 0..=i64::MAX) {
            let duration = GoDuration(Duration::from_nanos(nanoseconds.unsigned_abs()));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
