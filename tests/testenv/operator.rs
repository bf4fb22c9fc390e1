//! The operator's own binary as a child process; it works as in a cluster. Knows nothing of its insides.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use super::Result;
use super::process::Process;
use super::workdir::WorkDir;

/// How the operator is to be started: `Settings::new(env!("CARGO_BIN_EXE_kratos-operator"), kubeconfig)`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub binary: PathBuf,
    pub kubeconfig: PathBuf,
    /// `NAMESPACE/NAME`
    pub default_instance: Option<String>,
    pub instance_namespaces: Vec<String>,
    /// The value of `RUST_LOG`.
    pub log: String,
    /// Added at the end of the command line.
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// The number of processes, of which one leads. A single one has no election.
    pub replicas: usize,
}

impl Settings {
    pub fn new(binary: impl Into<PathBuf>, kubeconfig: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            kubeconfig: kubeconfig.into(),
            default_instance: None,
            instance_namespaces: Vec::new(),
            log: "info,kratos_operator=debug".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            replicas: 1,
        }
    }

    fn command(&self, dir: &WorkDir) -> Command {
        let Self { binary, kubeconfig, default_instance, instance_namespaces, log, arguments, environment, replicas } =
            self;
        let mut command = Command::new(binary);
        command.arg("run");
        if let Some(instance) = default_instance {
            command.args(["--default-instance", instance]);
        }
        if !instance_namespaces.is_empty() {
            command.args(["--instance-namespaces", &instance_namespaces.join(",")]);
        }
        if *replicas > 1 {
            command.env("LEADER_ELECT", "true");
        }
        command
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", log)
            .env("AUDIT_LOG", audit_log_in(dir))
            .envs(environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A started operator; killed when dropped. Its replicas, if there are several, are treated alike: what is done to it is done
/// to all, and its log has the lines of all.
#[derive(Debug)]
pub struct Operator {
    settings: Settings,
    process: Process,
    /// All but the first.
    others: Vec<Process>,
    dir: WorkDir,
}

impl Operator {
    /// Starts it. Doesn't wait until it is ready.
    pub fn start(settings: Settings) -> Result<Self> {
        let dir = WorkDir::new("operator-")?;
        let (process, others) = start(&settings, &dir)?;
        Ok(Self { settings, process, others, dir })
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        std::iter::once(&mut self.process).chain(&mut self.others)
    }

    /// Its whole log, over all restarts.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn log_path(&self) -> PathBuf {
        log_in(&self.dir)
    }

    /// Its audit log, unless the settings name another one.
    pub fn audit_log_path(&self) -> PathBuf {
        audit_log_in(&self.dir)
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        self.process.tail()
    }

    /// Resident memory in bytes (Linux).
    pub fn memory(&self) -> Result<u64> {
        self.memory_of("VmRSS:")
    }

    /// The highest resident memory so far.
    pub fn peak_memory(&self) -> Result<u64> {
        self.memory_of("VmHWM:")
    }

    /// Measures the highest memory anew from now on.
    pub fn reset_peak_memory(&self) -> Result<()> {
        let id = self.process.id().ok_or("the operator's process can't be found")?;
        Ok(std::fs::write(format!("/proc/{id}/clear_refs"), "5")?)
    }

    /// Processor time that it has used since its start (Linux).
    pub fn processor_time(&self) -> Result<Duration> {
        /// The kernel's unit, everywhere on Linux.
        const TICKS_A_SECOND: u64 = 100;
        let id = self.process.id().ok_or("the operator's process can't be found")?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name may hold anything; numbers follow it. Time in user mode and in the kernel are the 14th and 15th.
        let (_, numbers) = stat.rsplit_once(')').ok_or("no such field")?;
        let ticks = numbers.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
    }

    fn memory_of(&self, field: &str) -> Result<u64> {
        let id = self.process.id().ok_or("the operator's process can't be found")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }

    /// An error with the end of the log if it has ended.
    pub fn still_running(&mut self) -> Result<()> {
        self.processes().try_for_each(Process::still_running)
    }

    /// SIGKILL, like a node that loses its power.
    pub fn kill(&mut self) {
        self.processes().for_each(Process::kill);
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&mut self) {
        self.processes().for_each(Process::terminate);
    }

    /// SIGSTOP: it is paused, as on an overloaded machine.
    pub fn pause(&mut self) {
        self.processes().for_each(|process| process.signal("STOP"));
    }

    /// SIGCONT.
    pub fn go_on(&mut self) {
        self.processes().for_each(|process| process.signal("CONT"));
    }

    /// How it has ended, with a failure if one of the processes failed; `None` while any runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        let all: Option<Vec<_>> = self.processes().map(Process::exited).collect();
        worst(all?)
    }

    /// SIGTERM, like a pod that is replaced; waits until it has ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.terminate();
        let all: Result<Vec<_>> = self.processes().map(Process::wait).collect();
        worst(all?).ok_or_else(|| "there is no process".into())
    }

    /// Kills it, if it still runs, and starts it again, with changed settings.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        self.kill();
        change(&mut self.settings);
        (self.process, self.others) = start(&self.settings, &self.dir)?;
        Ok(())
    }

    pub fn restart(&mut self) -> Result<()> {
        self.restart_with(|_| ())
    }
}

fn start(settings: &Settings, dir: &WorkDir) -> Result<(Process, Vec<Process>)> {
    let start = || Process::start("kratos-operator", &settings.command(dir), &log_in(dir));
    Ok((start()?, (1..settings.replicas).map(|_| start()).collect::<Result<_>>()?))
}

/// A failure, if there is one.
fn worst(all: Vec<ExitStatus>) -> Option<ExitStatus> {
    all.into_iter().max_by_key(|status| !status.success())
}

fn log_in(dir: &WorkDir) -> PathBuf {
    dir.path().join("operator.log")
}

fn audit_log_in(dir: &WorkDir) -> PathBuf {
    dir.path().join("audit.log")
}

/// The operator's binary of the same build as a running test or example.
pub fn binary_beside(executable: &Path) -> Option<PathBuf> {
    executable.ancestors().skip(1).take(2).map(|dir| dir.join("kratos-operator")).find(|path| path.is_file())
}
