//! Child processes that end when the process that started them ends, however it ends; and waiting for a condition. Knows
//! nothing of what it starts.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Result;

/// Runs the command given as arguments, sends it the signals named on standard input, and kills it at the end of
/// input: the kernel closes the pipe when its other end is gone, for whatever reason.
const WRAPPER: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & child=$!
exec 2>/dev/null
(while read -r signal; do kill -s "$signal" "$child"; done; kill -s KILL "$child") <&3 & reader=$!
exec 3<&-
wait "$child"; status=$?
kill "$reader"
exit "$status"
"#;

/// A running child with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    wrapper: Child,
    signals: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts the command with both its outputs appended to the file `log`.
    pub fn start(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command_line = Command::new("sh");
        command_line.arg("-c").arg(WRAPPER).arg(name).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => command_line.env(name, value),
                None => command_line.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            command_line.current_dir(dir);
        }
        let mut wrapper = command_line
            // Ctrl-C at a terminal is for the process that started it, which then stops it in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { name: name.to_owned(), signals: wrapper.stdin.take(), wrapper, log: log.to_owned() })
    }

    /// What the process has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The id of the command's own process (Linux), the first that the wrapper started.
    pub fn id(&self) -> Option<u32> {
        let wrapper = self.wrapper.id();
        let children = std::fs::read_to_string(format!("/proc/{wrapper}/task/{wrapper}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// How it has ended; `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.wrapper.try_wait().ok().flatten()
    }

    /// An error with the end of the log, once the process has ended.
    pub fn still_running(&mut self) -> Result<()> {
        match self.exited() {
            None => Ok(()),
            Some(status) => Err(format!("{} has ended ({status}):\n{}", self.name, self.tail()).into()),
        }
    }

    /// The last lines of the log, with the process's name before each.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(15)..];
        let last: Vec<String> = last.iter().map(|line| format!("{}: {line}", self.name)).collect();
        last.join("\n")
    }

    /// SIGTERM.
    pub fn terminate(&mut self) {
        self.signal("TERM");
    }

    /// Sends any signal, by its name without `SIG`.
    pub fn signal(&mut self, name: &str) {
        if let Some(signals) = &mut self.signals {
            // Fails only if it has ended already.
            let _ = signals.write_all(format!("{name}\n").as_bytes());
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.terminate();
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.wrapper.wait()?)
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.signals = None;
        let _ = self.wrapper.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The path of a real component: in `KUBEBUILDER_ASSETS`, or where `make testenv` puts it.
pub fn component(name: &str) -> PathBuf {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(|dir| Path::new(&dir).join(name));
    given
        .filter(|path| path.is_file())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/testenv/bin").join(name))
}

/// An error that says what to do, unless all these components exist.
pub fn require(components: &[&str]) -> Result<()> {
    match components.iter().find(|name| !component(name).is_file()) {
        None => Ok(()),
        Some(name) => Err(format!("the real {name} isn't built: run `make testenv`").into()),
    }
}

/// Repeats a check until it gives a value; when the time is over, the error says what was waited for.
pub async fn eventually<T>(what: &str, within: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = check().await {
            return Ok(value);
        }
        if Instant::now() > deadline {
            return Err(format!("not within {within:?}: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
