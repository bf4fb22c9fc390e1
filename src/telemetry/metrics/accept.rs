//! Chooses the format of a scrape. Pure.

/// The formats of a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, version 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The preferred format of an `Accept` header; Prometheus' own by default.
    pub fn wanted(accept: &str) -> Self {
        let quality = |format| accept.split(',').filter_map(|range| quality(range, format)).max();
        if quality(Self::OpenMetrics) > quality(Self::Text) { Self::OpenMetrics } else { Self::Text }
    }

    /// As the value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_client::encoding::prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The weight of a format in a media range, in thousandths; `None`: not accepted.
fn quality(range: &str, format: Format) -> Option<u16> {
    let mut parts = range.split(';').map(str::trim);
    let is_wanted = match (parts.next()?.to_ascii_lowercase().as_str(), format) {
        ("application/openmetrics-text", Format::OpenMetrics) | ("text/plain" | "text/*" | "*/*", Format::Text) => true,
        _ => return None,
    };
    let mut quality = 1000;
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("q", value) => quality = thousandths(value)?,
            // Parameters for escaping and charset are ignored; nobody accepts only other versions.
            ("version", version) if !matches!(version, "1.0.0" | "0.0.4") => return None,
            _ => {}
        }
    }
    (is_wanted && quality > 0).then_some(quality)
}

fn thousandths(value: &str) -> Option<u16> {
    let value: f64 = value.parse().ok().filter(|value| (0.0..=1.0).contains(value))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1000")]
    Some((value * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("", Format::Text)]
    #[case::anything("*/*", Format::Text)]
    #[case::a_browser("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text)]
    #[case::prometheus(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        Format::OpenMetrics
    )]
    #[case::prometheus_that_prefers_text(
        "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2",
        Format::Text
    )]
    #[case::open_metrics_alone("application/openmetrics-text", Format::OpenMetrics)]
    #[case::open_metrics_of_a_version_that_is_older("application/openmetrics-text; version=0.0.1", Format::Text)]
    #[case::as_much("application/openmetrics-text, text/plain", Format::Text)]
    #[case::not_at_all("application/openmetrics-text;q=0", Format::Text)]
    #[case::in_capitals("Application/OpenMetrics-Text; Q=0.9, text/plain; q=0.1", Format::OpenMetrics)]
    #[case::nonsense(";;q=,,=;application/openmetrics-text;q=very", Format::Text)]
    fn the_format_is_the_one_that_is_wanted_more(#[case] accept: &str, #[case] format: Format) {
        assert_eq!(Format::wanted(accept), format);
    }
}
