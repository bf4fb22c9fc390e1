//! The operator's own binary as a child process: what it does, it does as in a cluster. Knows nothing of its insides.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

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
        }
    }

    fn command(&self) -> Command {
        let Self { binary, kubeconfig, default_instance, instance_namespaces, log, arguments, environment } = self;
        let mut command = Command::new(binary);
        command.arg("run");
        if let Some(instance) = default_instance {
            command.args(["--default-instance", instance]);
        }
        if !instance_namespaces.is_empty() {
            command.args(["--instance-namespaces", &instance_namespaces.join(",")]);
        }
        command
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", log)
            .envs(environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A started operator; killed when dropped.
#[derive(Debug)]
pub struct Operator {
    settings: Settings,
    process: Process,
    dir: WorkDir,
}

impl Operator {
    /// Starts it; whether it is of use shows in what it does.
    pub fn start(settings: Settings) -> Result<Self> {
        let dir = WorkDir::new("operator-")?;
        let process = Process::start("kratos-operator", &settings.command(), &log_in(&dir))?;
        Ok(Self { settings, process, dir })
    }

    /// Everything it has written, over all its restarts.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn log_path(&self) -> PathBuf {
        log_in(&self.dir)
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        self.process.tail()
    }

    /// Resident memory in bytes (Linux).
    pub fn memory(&self) -> Result<u64> {
        self.memory_of("VmRSS:")
    }

    /// The most that it ever was.
    pub fn peak_memory(&self) -> Result<u64> {
        self.memory_of("VmHWM:")
    }

    /// The most that it ever is counts from now on.
    pub fn reset_peak_memory(&self) -> Result<()> {
        let id = self.process.id().ok_or("the operator's process can't be found")?;
        Ok(std::fs::write(format!("/proc/{id}/clear_refs"), "5")?)
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
        self.process.still_running()
    }

    /// SIGKILL, as a node that loses its power.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, and doesn't wait.
    pub fn terminate(&mut self) {
        self.process.terminate();
    }

    /// How it has ended; `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process.exited()
    }

    /// SIGTERM, as a pod that is replaced; waits for the end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.process.stop()
    }

    /// Kills it, if it still runs, and starts it anew, with the settings changed where needed.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        self.kill();
        change(&mut self.settings);
        self.process = Process::start("kratos-operator", &self.settings.command(), &log_in(&self.dir))?;
        Ok(())
    }

    pub fn restart(&mut self) -> Result<()> {
        self.restart_with(|_| ())
    }
}

fn log_in(dir: &WorkDir) -> PathBuf {
    dir.path().join("operator.log")
}

/// The operator's binary beside a running test or example of the same build.
pub fn binary_beside(executable: &Path) -> Option<PathBuf> {
    executable.ancestors().skip(1).take(2).map(|dir| dir.join("kratos-operator")).find(|path| path.is_file())
}
