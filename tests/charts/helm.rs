//! The real Helm, apart from whatever a person has set for themselves. Says what went wrong as Helm said it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::testenv::Result;
use crate::testenv::process::component;
use crate::testenv::workdir::WorkDir;

/// Kinds that a server may lack.
pub const POLICIES: &str = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";
pub const MONITORS: &str = "monitoring.coreos.com/v1/ServiceMonitor,monitoring.coreos.com/v1/PodMonitor,\
                            monitoring.coreos.com/v1/PrometheusRule";

pub struct Helm {
    home: WorkDir,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// One that reaches no cluster.
    pub fn offline() -> Self {
        Self { home: WorkDir::new("helm-").expect("a directory"), kubeconfig: None }
    }

    pub fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig: Some(kubeconfig), ..Self::offline() }
    }

    /// Runs it with these values, as JSON. Gives back what came of it, success or not.
    pub async fn output<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        values: &Value,
    ) -> Result<Output> {
        let home = |name: &str| self.home.path().join(name);
        let mut command = tokio::process::Command::new(component("helm"));
        command.args(arguments);
        if !values.is_null() {
            command.args(["--values", "-"]);
        }
        let none = home("none");
        let mut child = command
            .env("HELM_CACHE_HOME", home("cache"))
            .env("HELM_CONFIG_HOME", home("config"))
            .env("HELM_DATA_HOME", home("data"))
            .env("KUBECONFIG", self.kubeconfig.as_deref().unwrap_or(&none))
            .env_remove("HELM_NAMESPACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take()
            && !values.is_null()
        {
            // It may end without having read everything: its exit code tells.
            let _ = stdin.write_all(values.to_string().as_bytes()).await;
        }
        Ok(child.wait_with_output().await?)
    }

    /// Runs it and gives back its standard output; an exit code other than 0 is an error with what it complained of.
    pub async fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, values: &Value) -> Result<String> {
        let output = self.output(arguments, values).await?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into())
    }
}

/// A chart of ours.
pub fn chart(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts").join(name).to_string_lossy().into_owned()
}

/// What the operator's chart renders for a release `kratos-operator` in a namespace of that name: its objects.
pub async fn rendered(values: &Value) -> Vec<Value> {
    rendered_with(&[], values).await
}

/// The same, with further options.
pub async fn rendered_with(options: &[&str], values: &Value) -> Vec<Value> {
    let text = template(options, values).await.unwrap_or_else(|error| panic!("{error}\n{values}"));
    objects(&text)
}

/// The same as text, or what is wrong.
pub async fn template(options: &[&str], values: &Value) -> Result<String> {
    let chart = chart("kratos-operator");
    let arguments = ["template", "kratos-operator", chart.as_str(), "--namespace", "kratos-operator"];
    Helm::offline().run(arguments.iter().chain(options), values).await
}

/// The objects in a text of several documents.
pub fn objects(text: &str) -> Vec<Value> {
    let documents = serde_saphyr::from_multiple::<Value>(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Those of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// `Kind/name` of each.
pub fn names(objects: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    objects.iter().map(|object| format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))).collect()
}
