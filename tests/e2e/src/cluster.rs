//! What the steps read: the operator's pods and which of them leads, resources, and the identities in Kratos.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::shell::{Result, eventually, kubectl, kubectl_given, objects};

/// Where the operator is installed.
pub const OPERATORS: &str = "kratos-operator";
/// Where Kratos, its instance and the people are.
pub const IDENTITIES: &str = "identity";
/// The operator's pods, of whichever release.
const PODS: &str = "get pods -n kratos-operator -l app.kubernetes.io/name=kratos-operator";
/// A lead that was lost without a word is taken over after 15 seconds; on a busy machine a pod takes as long to start.
pub const WITHIN: Duration = Duration::from_secs(90);
/// How many identities Kratos is asked for at a time.
const PER_PAGE: usize = 500;

/// A pod of the operator's.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub uid: String,
    pub image: String,
    pub is_ready: bool,
    pub restarts: u64,
    /// How it ended before it was started again, as the kubelet says it.
    pub last_end: Value,
}

/// All that are there and not about to go.
pub fn pods() -> Result<Vec<Pod>> {
    let found = objects(PODS)?;
    let pods = found.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    Ok(pods
        .map(|pod| {
            let status = &pod["status"]["containerStatuses"][0];
            Pod {
                name: text(&pod["metadata"]["name"]),
                uid: text(&pod["metadata"]["uid"]),
                image: text(&pod["spec"]["containers"][0]["image"]),
                is_ready: status["ready"] == true,
                restarts: status["restartCount"].as_u64().unwrap_or(0),
                last_end: status["lastState"]["terminated"].clone(),
            }
        })
        .collect())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Waits until exactly so many pods are there and ready.
pub fn ready_pods(count: usize) -> Result<Vec<Pod>> {
    eventually(&format!("{count} ready pods"), WITHIN, || {
        let pods = pods()?;
        Ok((pods.len() == count && pods.iter().all(|pod| pod.is_ready)).then_some(pods))
    })
}

/// Waits until a Lease says that one of the pods leads.
pub fn leader() -> Result<Pod> {
    eventually("one of the pods leads", WITHIN, || {
        let leases = objects(&format!("get leases -n {OPERATORS}"))?;
        // `POD_RANDOM`
        let mut holders = leases.iter().filter_map(|lease| lease["spec"]["holderIdentity"].as_str()?.rsplit_once('_'));
        let pods = pods()?;
        Ok(holders.find_map(|(name, _)| pods.iter().find(|pod| pod.name == name)).cloned())
    })
}

/// The id of the operator's process in a pod.
pub fn process_of(pod: &Pod) -> Result<u32> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Processes end while they are read.
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if command.starts_with(b"/kratos-operator\0") && groups.contains(&pod.uid) {
            return Ok(id);
        }
    }
    Err(format!("pod {} has no process", pod.name).into())
}

/// Applies a manifest.
pub fn apply(manifest: &str) -> Result<()> {
    kubectl_given("apply -f -", manifest).map(drop)
}

/// Applies an identity of this name.
pub fn apply_identity(name: &str) -> Result<()> {
    apply(&identity(name))
}

/// A manifest.
pub fn identity(name: &str) -> String {
    format!(
        "apiVersion: kratos-operator.dev/v1alpha1\n\
         kind: KratosIdentity\n\
         metadata: {{name: {name}, namespace: {IDENTITIES}}}\n\
         spec: {{schemaID: customer, traits: {{email: {name}@example.com}}}}\n"
    )
}

/// Waits until a resource is Ready.
pub fn ready(resource: &str) -> Result<()> {
    kubectl(&format!("wait {resource} -n {IDENTITIES} --for=condition=Ready --timeout={}s", WITHIN.as_secs())).map(drop)
}

/// The ids of all identities in Kratos.
pub fn in_kratos() -> Result<BTreeSet<String>> {
    let path = "/api/v1/namespaces/identity/services/kratos-admin:4434/proxy/admin/identities";
    let mut ids = BTreeSet::new();
    for page in 0.. {
        let query = format!("per_page={PER_PAGE}&page={page}");
        let identities: Vec<Value> = serde_json::from_str(&kubectl(&format!("get --raw {path}?{query}"))?)?;
        ids.extend(identities.iter().map(|identity| text(&identity["id"])));
        // Kratos was seen to refuse a page far behind the last one.
        if identities.len() < PER_PAGE {
            break;
        }
    }
    Ok(ids)
}

/// The ids that the resources have in their status.
pub fn in_status() -> Result<BTreeSet<String>> {
    let found = objects(&format!("get kid -n {IDENTITIES}"))?;
    Ok(found.iter().map(|identity| text(&identity["status"]["identityID"])).collect())
}

/// An error unless each resource has one identity, and Kratos has none besides.
pub fn nothing_twice_or_lost() -> Result<()> {
    let (kratos, status) = (in_kratos()?, in_status()?);
    if kratos != status {
        return Err(format!("Kratos has {} identities, the resources {}", kratos.len(), status.len()).into());
    }
    Ok(())
}
