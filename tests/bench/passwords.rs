//! `make bench-passwords`: how long a real Kratos takes to change a password, with so many changes in flight. What is
//! measured decides how many the operator has in flight. Prints a table and writes `target/bench-passwords.json`; judges no
//! time.
//!
//! `AT_ONCE`: how many in flight, one run each (`1 2 3 4 8` by default). Nothing is left running, however it ends.

#[path = "../testenv/mod.rs"]
mod testenv;

mod ground;
mod many;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kratos_operator::kratos::{
    CreateIdentity, CredentialImport, PasswordImport, Secret, State, UpdateIdentity, Writer,
};
use serde_json::{Value, json};
use testenv::kratos::{Kratos, Options};
use testenv::screen::{self, Screen};

/// What Kratos hashes with where nobody says otherwise.
const COST: u32 = 12;
/// Changes of each run.
const CHANGES: usize = 40;

#[tokio::main]
async fn main() -> ExitCode {
    let asked = std::env::var("AT_ONCE").ok().filter(|asked| !asked.trim().is_empty());
    let at_once = asked.as_deref().unwrap_or("1 2 3 4 8").split_whitespace().map(str::parse::<usize>);
    let at_once = at_once.collect::<Result<Vec<_>, _>>().unwrap_or_default();
    if at_once.first() != Some(&1) || at_once.contains(&0) {
        eprintln!("bench-passwords: AT_ONCE must be numbers, the first of them 1: the others are compared with it");
        return ExitCode::from(2);
    }
    screen::run(async |screen| run(&at_once, screen).await).await
}

async fn run(at_once: &[usize], screen: &mut Screen) -> testenv::Result<()> {
    let starting = Kratos::start(Options { bcrypt_cost: COST, ..Options::default() });
    let kratos = screen.step("a Kratos", starting).await?;
    let client = Arc::new(kratos.client());
    let ids = screen.step("its identities", identities(&client)).await?;
    let mut measured = Vec::new();
    for &at_once in at_once {
        let what = format!("{CHANGES} changes, {at_once} in flight");
        measured.push((at_once, screen.step(&what, measure(&client, &ids, at_once)).await?));
    }
    let lone = measured[0].1.0;
    let mut lines: Vec<Value> = Vec::new();
    println!("\nChanges of a password (bcrypt, cost {COST}):\n");
    println!("  in flight   median    beside a lone one   changes a second");
    for (at_once, (median, in_all)) in measured {
        let ratio = median.as_secs_f64() / lone.as_secs_f64();
        let rate = f64::from(u32::try_from(CHANGES)?) / in_all.as_secs_f64();
        println!("  {at_once:>9}   {:>4} ms   {ratio:>18.2}   {rate:>16.1}", median.as_millis());
        lines.push(json!({
            "inFlight": at_once, "medianMilliseconds": median.as_secs_f64() * 1000.0, "ratio": ratio, "perSecond": rate,
        }));
    }
    ground::write_figures("target/bench-passwords.json", &json!({"cost": COST, "figures": lines}))
}

async fn identities(client: &Writer) -> testenv::Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0..CHANGES {
        let create = CreateIdentity {
            schema_id: "customer".to_owned(),
            traits: traits(number),
            state: Some(State::Active),
            ..CreateIdentity::default()
        };
        ids.push(client.create_identity(&create).await?.id);
    }
    Ok(ids)
}

fn traits(number: usize) -> Value {
    json!({"email": format!("n{number}@bench.example")})
}

/// Changes the password of each, so many in flight. Returns what the median one took, and all.
async fn measure(client: &Arc<Writer>, ids: &[String], at_once: usize) -> testenv::Result<(Duration, Duration)> {
    let took = Arc::new(Mutex::new(Vec::new()));
    let changes: Vec<_> = ids.iter().cloned().enumerate().collect();
    let in_all = many::each(changes, at_once, |(number, id)| {
        let (client, took) = (Arc::clone(client), Arc::clone(&took));
        async move {
            let password = PasswordImport::Cleartext(Secret::new(format!("horse-battery-{at_once}-{number}")));
            let update = UpdateIdentity {
                schema_id: "customer".to_owned(),
                traits: traits(number),
                state: Some(State::Active),
                metadata_public: Value::Null,
                metadata_admin: Value::Null,
                external_id: None,
                credentials: CredentialImport { password: Some(password), ..CredentialImport::default() },
                changes: Vec::new(),
            };
            let began = Instant::now();
            client.update_identity(&id, &update).await?;
            took.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
            Ok(())
        }
    })
    .await?;
    let mut took = std::mem::take(&mut *took.lock().unwrap_or_else(PoisonError::into_inner));
    took.sort_unstable();
    Ok((took[took.len() / 2], in_all))
}
