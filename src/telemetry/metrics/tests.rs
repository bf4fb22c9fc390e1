//! The text of a scrape, in both formats.

use std::time::Duration;

use super::controllers::ReconcileOutcome;
use super::*;

/// The lines of a scrape that are about a family, without comments.
fn lines(text: &str, family: &str) -> Vec<String> {
    let about = text.lines().filter(|line| line.contains(family) && !line.starts_with("# HELP"));
    about.map(str::to_owned).collect()
}

#[test]
fn a_counter_is_said_as_each_format_has_it() {
    let metrics = Metrics::new();
    metrics.drift_corrected();
    metrics.drift_corrected();
    let (plain, open) = (metrics.text(Format::Text).unwrap(), metrics.text(Format::OpenMetrics).unwrap());
    let name = "kratos_operator_drift_corrected";
    assert_eq!(lines(&plain, name), [format!("# TYPE {name}_total counter"), format!("{name}_total 2")]);
    assert_eq!(lines(&open, name), [format!("# TYPE {name} counter"), format!("{name}_total 2")]);
    assert!(open.ends_with("\n# EOF\n") && !plain.contains("# EOF") && !plain.contains("# UNIT"));
}

#[test]
fn how_reconciles_end_is_counted_as_controller_runtime_counts() {
    let metrics = Metrics::new();
    let value = |name: &str, labels: &str| {
        let text = metrics.text(Format::Text).unwrap();
        let start = format!("{name}{{{labels}}} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&start));
        found.unwrap_or_else(|| panic!("{start}: {text}")).to_owned()
    };
    let results = || {
        ["success", "error", "requeue", "requeue_after"].map(|result| {
            value("controller_runtime_reconcile_total", &format!("controller=\"kratosidentity\",result=\"{result}\""))
        })
    };
    let of = "controller=\"kratosidentity\"";
    assert_eq!(results(), ["0", "0", "0", "0"], "there from the start");
    let all = [
        ReconcileOutcome::Success,
        ReconcileOutcome::RequeueAfter,
        ReconcileOutcome::Requeue,
        ReconcileOutcome::Error,
        ReconcileOutcome::Terminal,
        ReconcileOutcome::Panic,
    ];
    let identities = &metrics.controllers.identities;
    for _ in all {
        identities.begins(Duration::from_millis(3));
    }
    assert_eq!(value("controller_runtime_active_workers", of), "6");
    for how in all {
        identities.ended(how, Duration::from_millis(30));
    }
    assert_eq!(results(), ["1", "3", "1", "1"]);
    for (name, expected) in [
        ("controller_runtime_active_workers", "0"),
        ("controller_runtime_reconcile_errors_total", "3"),
        ("controller_runtime_terminal_reconcile_errors_total", "1"),
        ("controller_runtime_reconcile_panics_total", "1"),
        ("controller_runtime_reconcile_time_seconds_count", "6"),
    ] {
        assert_eq!(value(name, of), expected, "{name}");
    }
    let queue = "controller=\"kratosidentity\",name=\"kratosidentity\"";
    assert_eq!(value("workqueue_retries_total", queue), "3", "an error that nothing mends isn't tried again");
    assert_eq!(value("workqueue_queue_duration_seconds_count", queue), "6");
    assert_eq!(value("controller_runtime_reconcile_errors_total", "controller=\"kratosinstance\""), "0");
}

#[test]
fn requests_are_counted_by_what_they_came_to() {
    let metrics = Metrics::new();
    let requests = metrics.requests_to("127.0.0.1:6443".to_owned());
    let counted = |code: &str, method: &str| {
        let text = metrics.text(Format::Text).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("rest_client_requests_total{"));
        let labels = [format!("code=\"{code}\""), format!("method=\"{method}\""), "host=\"127.0.0.1:6443\"".to_owned()];
        let mut found = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        found.next().and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_eq!(counted("200", "GET").as_deref(), Some("0"));
    assert_eq!(counted("<error>", "PATCH").as_deref(), Some("0"));
    requests.count(&http::Method::GET, Some(http::StatusCode::OK));
    requests.count(&http::Method::GET, Some(http::StatusCode::IM_A_TEAPOT));
    requests.count(&http::Method::PATCH, None);
    assert_eq!((counted("200", "GET"), counted("418", "GET")), (Some("1".to_owned()), Some("1".to_owned())));
    assert_eq!(counted("<error>", "PATCH").as_deref(), Some("1"));
}

#[test]
fn counting_costs_a_reconcile_microseconds() {
    const RECONCILES: u32 = 10_000;
    let metrics = Metrics::new();
    let identities = &metrics.controllers.identities;
    let rounds = (0..5).map(|_| {
        let begun = std::time::Instant::now();
        for _ in 0..RECONCILES {
            identities.begins(Duration::from_millis(3));
            identities.ended(ReconcileOutcome::Success, Duration::from_millis(30));
        }
        begun.elapsed() / RECONCILES
    });
    let took = rounds.min().expect("five rounds");
    println!("a reconcile: {took:?}");
    // In an unoptimised build, on a busy machine.
    assert!(took < Duration::from_micros(100), "{took:?}");
}

#[test]
fn every_operation_of_the_client_is_among_those_that_are_counted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kratos");
    let mut found = std::collections::BTreeSet::new();
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let text = std::fs::read_to_string(file).expect("a file");
        for before in
            ["self.call(\"", "self.call_with(\"", "self.bare(\"", "self.with(\"", "const OPERATION: &str = \""]
        {
            let named = text.split(before).skip(1).filter_map(|after| after.split_once('"'));
            found.extend(named.map(|(name, _)| name.to_owned()));
        }
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), crate::kratos::OPERATIONS, "in this order");
}
