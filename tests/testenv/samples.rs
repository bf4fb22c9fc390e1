//! Parses a scrape of Prometheus metrics. Pure, except for the request.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Result;

/// One series of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Series {
    /// Whether it has this name and these labels.
    pub fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name && labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|is| is == value))
    }
}

/// Parses a scrape.
pub fn series(text: &str) -> Vec<Series> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let series = lines.map(|line| {
        let (left, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = left.split_once('{').unwrap_or((left, "}"));
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.split_once("=\"").expect("a label"));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
        Series { name: name.to_owned(), labels: labels.collect(), value: value.parse().expect("a number") }
    });
    series.collect()
}

/// The sum of the series with this name and these labels. `None`: there is no such series.
pub fn sum(series: &[Series], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let found = series.iter().filter(|series| series.is(name, labels));
    found.map(|series| series.value).reduce(|one, other| one + other)
}

/// The sums of the series with this name and these labels, by the values of the labels `by`, joined by a space.
pub fn sums_by(series: &[Series], name: &str, labels: &[(&str, &str)], by: &[&str]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::<String, f64>::new();
    for series in series.iter().filter(|series| series.is(name, labels)) {
        let values: Vec<_> = by.iter().filter_map(|label| series.labels.get(*label)).map(String::as_str).collect();
        *sums.entry(values.join(" ").trim().to_owned()).or_default() += series.value;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters, far below 2^53")]
    sums.into_iter().map(|(values, sum)| (values, sum as u64)).collect()
}

/// The metrics of an operator that serves them at this address.
pub async fn scrape(client: &reqwest::Client, address: SocketAddr) -> Result<Vec<Series>> {
    let answer = client.get(format!("http://{address}/metrics")).send().await?;
    Ok(series(&answer.error_for_status()?.text().await?))
}
