//! Runs the real kubectl with a kubeconfig. Errors have kubectl's own message.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;

use super::Result;
use super::process::component;

#[derive(Clone, Debug)]
pub struct Kubectl {
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig }
    }

    /// Runs it and returns its output, whether it succeeded or not.
    pub async fn output<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Output> {
        self.with_input(arguments, "").await
    }

    /// Runs it and returns its standard output; an exit code other than 0 is an error with its error output.
    pub async fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        succeeded(self.output(arguments).await?)
    }

    /// `kubectl apply` of manifests given as text (YAML or JSON).
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        succeeded(self.with_input(["apply", "-f", "-"], manifests).await?)
    }

    async fn with_input<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, input: &str) -> Result<Output> {
        let mut child = tokio::process::Command::new(component("kubectl"))
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            // The user's own settings (colours, plugins, `kubectl.kuberc`) mustn't influence the tests.
            .env("KUBECTL_KUBERC", "false")
            // A cache of its own per server: another server may get the same port later.
            .env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without having read everything: its exit code decides.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        Ok(child.wait_with_output().await?)
    }
}

fn succeeded(output: Output) -> Result<String> {
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        Err(format!("kubectl failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()).into())
    }
}
