//! The figures of `make bench-scale`: one table for people, one file for programs. Measures nothing.

use std::time::Duration;

use serde_json::json;

use crate::figures::{Row, print, row_json, seconds};
use crate::floor::Sample;
use crate::ground::write_figures;
use crate::scale::{Memory, Phase, Scaled};
use crate::testenv::Result;
use crate::work::Counts;

/// Bytes a resource.
const AIM: u64 = 4096;

pub fn report(n: usize, sample: &Sample, scaled: &Scaled) -> Result<()> {
    let shards = scaled.memory.len();
    let rows = rows(n, sample, scaled);
    println!(
        "\n{n} identities over one Kratos, operators: {shards}. The floor is what {} took when the servers",
        sample.count
    );
    println!("were asked directly, times {:.0}.\n", factor(n, sample));
    print(&rows);
    let name = format!("target/bench-scale-{n}-{shards}.json");
    let all = json!({
        "n": n, "shards": shards, "sample": sample.count, "figures": rows.iter().map(row_json).collect::<Vec<_>>(),
    });
    write_figures(&name, &all)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn factor(n: usize, sample: &Sample) -> f64 {
    n as f64 / sample.count as f64
}

fn rows(n: usize, sample: &Sample, scaled: &Scaled) -> Vec<Row> {
    let Scaled { manifests, ready, resync, listing, stopping, restart, memory } = scaled;
    let floor = (sample.creating + sample.finalizers + sample.statuses).mul_f64(factor(n, sample));
    let pages = (n.div_ceil(500) + 5) as u64;
    let mut rows = vec![
        Row::times(
            "creating the manifests",
            *manifests,
            ("a sample of them, extrapolated", sample.manifests.mul_f64(factor(n, sample))),
            ("", f64::INFINITY),
        ),
        Row::times(
            "there at its start, until all Ready",
            ready.took,
            ("the floor, extrapolated", floor),
            ("1.25", 1.25),
        ),
    ];
    rows.extend(done(n, ready));
    rows.push(Row::times("resync, nothing to do", resync.took, ("raw listing", *listing), ("1.5", 1.5)));
    for (operator, work) in named(&resync.each) {
        let requests = work.kratos.values().sum();
        let figure = format!("  {operator}requests to Kratos");
        rows.push(Row::counts(&figure, requests, (&format!("N/500 + 5 = {pages}"), pages)));
    }
    rows.push(Row::counts("  writes to identities", written(&resync.served.kubernetes), ("0", 0)));
    rows.extend(done(n, resync));
    rows.push(Row::plain("asked to end, until it has", seconds(*stopping), ""));
    rows.push(Row::plain("restart, until all was looked at", seconds(restart.took), ""));
    rows.push(Row::counts("  writes to identities", written(&restart.served.kubernetes), ("0", 0)));
    rows.extend(done(n, restart));
    for (operator, memory) in named(memory) {
        rows.extend(remembered(n, &operator, memory));
    }
    if memory.len() > 1 {
        let grown: u64 = memory.iter().map(|memory| memory.restarted.saturating_sub(memory.idle)).sum();
        rows.push(Row::plain("bytes of memory each, together", (grown / n as u64).to_string(), ""));
    }
    rows
}

/// What each operator and the servers did.
fn done(n: usize, phase: &Phase) -> Vec<Row> {
    let mut rows = Vec::new();
    let per_identity = |used: Duration| format!("{:.2} ms an identity", used.as_secs_f64() * 1000.0 / share(n));
    for (operator, work) in named(&phase.each) {
        let count = |what: &str, counts: &Counts| {
            Row::plain(&format!("  {operator}{what}"), counts.values().sum::<u64>().to_string(), &words(counts))
        };
        rows.push(count("requests to Kratos, by operation", &work.kratos));
        rows.push(count("requests to the API server, by method", &work.kubernetes));
        rows.push(Row::plain(&format!("  {operator}reconciles"), work.reconciles.to_string(), ""));
        let figure = format!("  {operator}processor time");
        rows.push(Row::plain(&figure, seconds(work.processor_time), &per_identity(work.processor_time)));
    }
    let [apiserver, kratos] = phase.served.processor_time;
    rows.push(Row::plain("  processor time of the API server", seconds(apiserver), &per_identity(apiserver)));
    rows.push(Row::plain("  processor time of Kratos", seconds(kratos), &per_identity(kratos)));
    rows.push(Row::plain(
        "  the API server's own count",
        phase.served.kubernetes.values().sum::<u64>().to_string(),
        &words(&phase.served.kubernetes),
    ));
    rows.push(Row::plain("  etcd's database", mebibytes(phase.served.stored), ""));
    rows
}

fn remembered(n: usize, operator: &str, memory: &Memory) -> Vec<Row> {
    let Memory { idle, settled, peak, restarted, restarted_peak } = memory;
    let each = |bytes: u64| bytes.saturating_sub(*idle) / n as u64;
    let most = format!("at most {}", mebibytes(*peak));
    let restarted_most = format!("at most {}", mebibytes(*restarted_peak));
    let aim = format!("{AIM} above idle");
    vec![
        Row::plain(&format!("{operator}memory without identities"), mebibytes(*idle), ""),
        Row::plain(&format!("{operator}memory with all Ready"), mebibytes(*settled), &most),
        Row::counts(&format!("  {operator}bytes each"), each(*settled), (&aim, AIM)),
        Row::plain(&format!("{operator}memory after a restart"), mebibytes(*restarted), &restarted_most),
        Row::counts(&format!("  {operator}bytes each"), each(*restarted), (&aim, AIM)),
    ]
}

/// Each with words that tell whose it is, where there are several.
fn named<T>(all: &[T]) -> impl Iterator<Item = (String, &T)> {
    let name = |number: usize| if all.len() > 1 { format!("operator {}: ", number + 1) } else { String::new() };
    all.iter().enumerate().map(move |(number, one)| (name(number), one))
}

/// Writes to `KratosIdentity` resources.
fn written(counts: &Counts) -> u64 {
    let is_write = |what: &str| {
        let mut words = what.split(' ');
        let is_write = words.next().is_some_and(|verb| !["GET", "LIST", "WATCH"].contains(&verb));
        is_write && words.next() == Some("kratosidentities")
    };
    counts.iter().filter(|(what, _)| is_write(what)).map(|(_, count)| count).sum()
}

fn words(counts: &Counts) -> String {
    let words: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    words.join(", ")
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn share(n: usize) -> f64 {
    n as f64
}
