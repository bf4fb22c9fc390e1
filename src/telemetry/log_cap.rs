//! Limits what libraries may log, whatever filter a user sets. Logs nothing itself.
//!
//! The body of an answer holds traits, and the query of a request an identifier. Some libraries log them, the Kubernetes client
//! even as a warning. The operator's own lines describe failures without either (see [`crate::base::kube_error`]), so a user's
//! filter affects only those.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::FilterFn;

/// The most verbose level of each library's module; the longest match counts.
const OTHERS: [(&str, Level); 5] = [
    // Its warnings quote bodies that it can't parse.
    ("kube_client", Level::ERROR),
    // These say what is wrong with a kubeconfig, and see no answer.
    ("kube_client::config", Level::WARN),
    ("kube_client::client::tls", Level::WARN),
    // Its warnings quote answers.
    ("kube_runtime", Level::ERROR),
    ("", Level::WARN),
];

/// Lets through what may be logged. As a separate layer it limits all other filters.
pub fn layer() -> FilterFn {
    FilterFn::new(|metadata: &Metadata<'_>| may_log(metadata.target(), *metadata.level()))
}

fn may_log(target: &str, level: Level) -> bool {
    if is_within(target, env!("CARGO_CRATE_NAME")) {
        return true;
    }
    let near = OTHERS.iter().filter(|(module, _)| is_within(target, module)).max_by_key(|(module, _)| module.len());
    near.is_none_or(|(_, most)| level <= *most)
}

fn is_within(target: &str, module: &str) -> bool {
    module.is_empty() || target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::base::log_buffer::LogBuffer;

    #[rstest]
    #[case("kratos_operator", Level::TRACE, true)]
    #[case("kratos_operator::kratos::client", Level::TRACE, true)]
    #[case("kratos_operator_of_somebody", Level::INFO, false)]
    #[case("kube_client::client", Level::WARN, false)]
    #[case("kube_client::client::builder", Level::ERROR, true)]
    #[case("kube_client::client::builder", Level::DEBUG, false)]
    #[case("kube_client::config", Level::WARN, true)]
    #[case("kube_client::client::tls", Level::WARN, true)]
    #[case("kube_client::client::tls", Level::DEBUG, false)]
    #[case("kube_runtime::watcher", Level::WARN, false)]
    #[case("hyper::proto::h1::io", Level::TRACE, false)]
    #[case("reqwest::connect", Level::DEBUG, false)]
    #[case("rustls::client::hs", Level::WARN, true)]
    #[case("a_library_of_tomorrow", Level::INFO, false)]
    fn others_say_little(#[case] target: &str, #[case] level: Level, #[case] may: bool) {
        assert_eq!(may_log(target, level), may);
    }

    #[test]
    fn the_nearest_filter_of_a_user_does_not_lift_it() {
        let written = LogBuffer::default();
        let writer = written.clone();
        let asked = EnvFilter::new("trace,kube_client::client=trace,hyper::proto::h1=trace");
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(asked).with_writer(move || writer.clone()).finish().with(layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "kube_client::client", "a body");
            let span = tracing::debug_span!(target: "kube_client::client::builder", "HTTP", url = "a query");
            span.in_scope(|| tracing::trace!(target: "kratos_operator::watch", "our own line"));
            tracing::trace!(target: "hyper::proto::h1", "bytes");
        });
        let written = written.text();
        assert!(written.contains("our own line"), "{written}");
        assert!(["a body", "a query", "bytes"].iter().all(|other| !written.contains(other)), "{written}");
    }
}
