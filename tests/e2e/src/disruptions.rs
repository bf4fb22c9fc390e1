//! What happens to pods: one is killed, each is evicted, all are replaced. Meanwhile identities become Ready, each once.

use std::process::Command;

use crate::cluster::{
    OPERATORS, Pod, WITHIN, apply_identity, leader, nothing_twice_or_lost, pods, process_of, ready, ready_pods,
};
use crate::images::NEXT;
use crate::install::upgrade;
use crate::shell::{Result, eventually, kubectl_given};
use crate::story::Story;

/// All of it, in an order.
pub fn all(story: Story) -> Result<()> {
    story.step("the leading pod is killed: another leads, and goes on", killed)?;
    story.step("each pod is evicted: nothing stops for long", evicted)?;
    story.step("a new image is rolled out", || rolled_out(NEXT, "rolled"))?;
    story.step("and the former one again", || rolled_out("", "rolled-back"))
}

/// SIGKILL, as the kernel does it where memory lacks.
fn killed() -> Result<()> {
    let victim = leader()?;
    let id = process_of(&victim)?;
    let status = Command::new("kill").args(["-s", "KILL", &id.to_string()]).status()?;
    if !status.success() {
        return Err(format!("process {id} can't be killed").into());
    }
    // Applied while nobody leads.
    apply_identity("after-a-kill")?;
    ready("kid/after-a-kill")?;
    eventually(&format!("pod {} was started again", victim.name), WITHIN, || {
        let is_back = |pod: &Pod| pod.name == victim.name && pod.restarts > victim.restarts && pod.is_ready;
        Ok(pods()?.iter().any(is_back).then_some(()))
    })?;
    nothing_twice_or_lost()
}

fn evicted() -> Result<()> {
    for (number, pod) in ready_pods(2)?.into_iter().enumerate() {
        evict(&pod)?;
        let name = format!("after-eviction-{number}");
        apply_identity(&name)?;
        ready(&format!("kid/{name}"))?;
        let replaced = ready_pods(2)?;
        if replaced.iter().any(|other| other.uid == pod.uid) {
            return Err(format!("pod {} is still there", pod.name).into());
        }
    }
    nothing_twice_or_lost()
}

/// By the Eviction API, as `kubectl drain` does it: while the disruption budget says no, it is asked again.
fn evict(pod: &Pod) -> Result<()> {
    let path = format!("/api/v1/namespaces/{OPERATORS}/pods/{}/eviction", pod.name);
    let eviction = format!(
        r#"{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{}","namespace":"{OPERATORS}"}}}}"#,
        pod.name
    );
    eventually("the disruption budget allows the eviction", WITHIN, || {
        kubectl_given(&format!("create --raw {path} -f -"), &eviction).map(Some)
    })
    .map(drop)
}

/// `helm upgrade` to another tag of the image.
fn rolled_out(tag: &str, name: &str) -> Result<()> {
    let before = ready_pods(2)?;
    upgrade(&format!("--set image.tag={tag}"))?;
    let after = ready_pods(2)?;
    if after.iter().any(|pod| before.iter().any(|other| other.image == pod.image)) {
        return Err(format!("the pods still run {}", before[0].image).into());
    }
    if pods()?.len() != 2 {
        return Err("there are more pods than replicas".into());
    }
    apply_identity(name)?;
    ready(&format!("kid/{name}"))?;
    nothing_twice_or_lost()
}
