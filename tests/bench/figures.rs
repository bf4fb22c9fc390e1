//! The figures, each beside what it is measured against: one table for people, one file for programs. Measures nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::floor::Floor;
use crate::ground::write_figures;
use crate::measured::Measured;
use crate::testenv::Result;

pub struct Row {
    figure: String,
    value: String,
    against: String,
    ratio: Option<f64>,
    /// Empty: there is none.
    aim: &'static str,
    is_met: bool,
}

impl Row {
    /// A time against a time, met where the ratio isn't larger than the aim.
    pub fn times(
        figure: &str,
        value: Duration,
        (against, floor): (&str, Duration),
        (aim, most): (&'static str, f64),
    ) -> Self {
        let ratio = value.as_secs_f64() / floor.as_secs_f64();
        Self {
            figure: figure.to_owned(),
            value: seconds(value),
            against: format!("{against}: {}", seconds(floor)),
            ratio: Some(ratio),
            aim,
            is_met: ratio <= most,
        }
    }

    /// Nobody aims at it.
    pub fn plain(figure: &str, value: String, against: &str) -> Self {
        Self { figure: figure.to_owned(), value, against: against.to_owned(), ratio: None, aim: "", is_met: true }
    }

    pub fn counts(figure: &str, value: u64, (against, most): (&str, u64)) -> Self {
        let value_text = value.to_string();
        Self {
            figure: figure.to_owned(),
            value: value_text,
            against: against.to_owned(),
            ratio: None,
            aim: "at most that",
            is_met: value <= most,
        }
    }
}

pub fn report(n: usize, floor: &Floor, measured: &Measured) -> Result<()> {
    let rows = rows(n, floor, measured);
    println!(
        "\n{n} identities. Floor: batches of {} with {} in flight, {} requests to the API server at once",
        floor.batch.0, floor.batch.1, floor.at_once
    );
    println!("(the best shapes of those tried in this run).\n");
    print(&rows);
    let all = json!({
        "n": n, "batch": floor.batch, "requestsAtOnce": floor.at_once, "figures": rows.iter().map(row_json).collect::<Vec<_>>(),
    });
    write_figures("target/bench.json", &all)
}

/// One line each.
pub fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.figure.len()).max().unwrap_or_default();
    let against = rows.iter().map(|row| row.against.len()).max().unwrap_or_default();
    for row in rows {
        let ratio = row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let met = if row.is_met { "met" } else { "missed" };
        let aim = if row.aim.is_empty() { String::new() } else { format!("aim {}: {met}", row.aim) };
        let line = format!("{:width$}  {:>10}  {:against$}  {ratio:>6}  {aim}", row.figure, row.value, row.against);
        println!("{}", line.trim_end());
    }
}

fn rows(n: usize, floor: &Floor, measured: &Measured) -> Vec<Row> {
    let writes = floor.creating + floor.finalizers + floor.statuses;
    let applied = measured.tenth_ready + measured.rest_ready;
    let (single, _) = median_and_p99(floor.singles.clone());
    let (idle, idle_p99) = median_and_p99(measured.idle.clone());
    let (busy, busy_p99) = median_and_p99(measured.busy.clone());
    let per = |time: Duration, count: usize| (time / u32::try_from(count.max(1)).unwrap_or(u32::MAX)).as_secs_f64();
    let growth = per(measured.rest_ready, n - n / 10) / per(measured.tenth_ready, n / 10);
    let [empty, with_tenth, with_all] = measured.memory;
    let bytes_at = |memory: u64, count: usize| memory.saturating_sub(empty) / count.max(1) as u64;
    let pages = n.div_ceil(500) as u64;
    let single_of = "manifest, identity and 2 writes directly";
    vec![
        Row::times(
            "there at its start, until all Ready",
            measured.started_ready,
            ("raw batches + finalizers + statuses", writes),
            ("1.25", 1.25),
        ),
        Row::times(
            "applied while it runs, until all Ready",
            applied,
            ("the same + creating the manifests", writes + floor.manifests),
            ("1.25", 1.25),
        ),
        Row::times("the former", measured.started_ready, ("kratos import identities", floor.importing), ("0.8", 0.8)),
        Row::times(
            "applied under the admission policy, until all Ready",
            measured.born_ready,
            ("the floor with two writes", writes + floor.manifests),
            ("0.8", 0.8),
        ),
        Row::times(
            "  the same",
            measured.born_ready,
            ("the floor with one write", floor.creating + floor.statuses + floor.born),
            ("1.25", 1.25),
        ),
        Row::times("  the same", measured.born_ready, ("kratos import identities", floor.importing), ("1", 1.0)),
        Row::counts(
            "  the operator's writes to identities",
            measured.born_writes,
            (&format!("one each: {n}"), n as u64),
        ),
        Row::times("resync, nothing to do", measured.resync.took, ("raw listing", measured.resync.raw), ("1.5", 1.5)),
        Row::counts(
            "  its requests to Kratos",
            measured.resync.requests,
            (&format!("N/500 + 5 = {}", pages + 5), pages + 5),
        ),
        Row::counts("  its writes to identities", measured.resync.writes, ("0", 0)),
        Row::times(
            "a tenth changed, until corrected",
            measured.corrected,
            ("raw listing + reads + patches", measured.resync.raw + floor.correcting),
            ("1.5", 1.5),
        ),
        Row::times(
            "deleted, until all gone",
            measured.deleted,
            ("raw deletes + finalizers", floor.marking + floor.deleting + floor.releasing),
            ("1.25", 1.25),
        ),
        Row::times("one applied, until Ready: median", idle, (single_of, single), ("2", 2.0)),
        Row::times("  99 of 100", idle_p99, (single_of, single), ("2 in the median", f64::INFINITY)),
        Row::times(&format!("  while {} others wait: median", measured.backlog), busy, (single_of, single), ("5", 5.0)),
        Row::times("  99 of 100", busy_p99, (single_of, single), ("5 in the median", f64::INFINITY)),
        Row::counts(&format!("bytes of memory each, with {}", n / 10), bytes_at(with_tenth, n / 10), ("6144", 6144)),
        Row::counts(&format!("bytes of memory each, with {n}"), bytes_at(with_all, n), ("6144", 6144)),
        Row {
            figure: "time for each of the last nine tenths".to_owned(),
            value: format!("{:.2} ms", per(measured.rest_ready, n - n / 10) * 1000.0),
            against: format!("of the first tenth: {:.2} ms", per(measured.tenth_ready, n / 10) * 1000.0),
            ratio: Some(growth),
            aim: "1.2",
            is_met: growth <= 1.2,
        },
    ]
}

pub fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}

pub fn row_json(row: &Row) -> Value {
    let Row { figure, value, against, ratio, aim, is_met } = row;
    json!({"figure": figure.trim(), "value": value, "against": against, "ratio": ratio, "aim": aim, "met": is_met})
}

/// The value in the middle, and the one that 99 of 100 don't exceed.
fn median_and_p99(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    (at(50).copied().unwrap_or_default(), at(99).copied().unwrap_or_default())
}
