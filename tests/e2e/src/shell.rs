//! Runs what a user would type. Command lines are split at white space, as nothing here has any in an argument.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How often a condition is checked.
const EVERY: Duration = Duration::from_millis(200);

/// What `kubectl …` prints.
pub fn kubectl(arguments: &str) -> Result<String> {
    run("kubectl", arguments, "")
}

/// The same, given something on its standard input.
pub fn kubectl_given(arguments: &str, input: &str) -> Result<String> {
    run("kubectl", arguments, input)
}

/// What `kubectl … -o json` prints of one object.
pub fn object(arguments: &str) -> Result<Value> {
    Ok(serde_json::from_str(&kubectl(&format!("{arguments} -o json"))?)?)
}

/// The same of a list.
pub fn objects(arguments: &str) -> Result<Vec<Value>> {
    Ok(serde_json::from_value(object(arguments)?["items"].take())?)
}

/// What `helm …` prints.
pub fn helm(arguments: &str) -> Result<String> {
    run("helm", arguments, "")
}

/// Standard output; where the command fails, an error with all that it has said.
pub fn run(program: &str, arguments: &str, input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let mut given = child.stdin.take().ok_or("no standard input")?;
    let input = input.to_owned();
    // Whoever doesn't read all of it says why.
    let writer = std::thread::spawn(move || drop(given.write_all(input.as_bytes())));
    let output = child.wait_with_output()?;
    drop(writer.join());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{program} {arguments}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)).into())
}

/// Repeats a check until it finds something; the last failure is in the error.
pub fn eventually<T>(what: &str, within: Duration, mut check: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        let seen = check();
        if let Ok(Some(found)) = seen {
            return Ok(found);
        }
        if begin.elapsed() > within {
            let why = seen.err().map_or_else(String::new, |error| format!(": {error}"));
            return Err(format!("not within {} s: {what}{why}", within.as_secs()).into());
        }
        std::thread::sleep(EVERY);
    }
}
