//! What people get wrong, and how they learn of it.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::{
    IDENTITIES, OPERATORS, WITHIN, apply, apply_identity, nothing_twice_or_lost, pods, ready, ready_pods,
};
use crate::images::BARE;
use crate::install::{OPTIONS, upgrade};
use crate::shell::{Result, eventually, helm, kubectl, object};
use crate::story::Story;

/// An option that no template can judge.
const WRONG: &str = "--no-such-option";
/// What the image lacks, as the operator names it.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

pub fn all(story: Story) -> Result<()> {
    story.step("a wrong value is said in the pod's log, and the former pods go on", wrong_value)?;
    story.step("an image without certificate authorities: http works, https says what lacks", without_authorities)
}

fn wrong_value() -> Result<()> {
    let good = ready_pods(2)?;
    // It can't become ready, so that nobody waits for it.
    let options = OPTIONS.replace("--wait", "");
    helm(&format!("upgrade kratos-operator charts/kratos-operator {options} --set extraArgs={{{WRONG}}}"))?;
    eventually("a pod's log names the option", WITHIN, || {
        let new = pods()?.into_iter().find(|pod| good.iter().all(|other| other.uid != pod.uid));
        let log = kubectl(&format!("logs -n {OPERATORS} {}", new.ok_or("there is no new pod")?.name))?;
        if log.contains(WRONG) { Ok(Some(())) } else { Err(format!("it says: {log}").into()) }
    })?;
    apply_identity("beside-a-mistake")?;
    ready("kid/beside-a-mistake")?;
    helm(&format!("rollback kratos-operator -n {OPERATORS} --wait --timeout 120s"))?;
    ready_pods(2)?;
    nothing_twice_or_lost()
}

fn without_authorities() -> Result<()> {
    upgrade(&format!("--set image.tag={BARE}"))?;
    ready_pods(2)?;
    apply_identity("without-authorities")?;
    ready("kid/without-authorities")?;
    apply(&format!(
        "apiVersion: kratos-operator.dev/v1alpha1\n\
         kind: KratosInstance\n\
         metadata: {{name: encrypted, namespace: {IDENTITIES}}}\n\
         spec: {{adminURL: 'https://kratos-admin.identity.svc:4434', ownerName: another}}\n"
    ))?;
    eventually("the instance says what lacks", Duration::from_secs(30), || {
        let instance = object(&format!("get kinst encrypted -n {IDENTITIES}"))?;
        let conditions = instance["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let says_so = |condition: &Value| {
            let message = condition["message"].as_str().unwrap_or_default();
            condition["status"] == "False" && condition["reason"] == "InvalidSpec" && message.contains(AUTHORITIES)
        };
        if conditions.iter().any(says_so) { Ok(Some(())) } else { Err(format!("it says: {conditions:?}").into()) }
    })?;
    kubectl(&format!("delete kinst encrypted -n {IDENTITIES} --timeout=30s"))?;
    upgrade("")?;
    ready_pods(2)?;
    nothing_twice_or_lost()
}
