//! Releases that come and go: `helm test`, uninstalling, an upgrade from the first chart, a release with Roles alone.

use crate::cluster::{
    IDENTITIES, OPERATORS, apply_identity, in_kratos, in_status, nothing_twice_or_lost, pods, ready, ready_pods,
};
use crate::images::NEXT;
use crate::install::{OPTIONS, upgrade};
use crate::shell::{Result, eventually, helm, kubectl, objects};
use crate::story::Story;

/// The chart as it first was.
const FROZEN: &str = "tests/e2e/frozen/kratos-operator-0.1.0.tgz";

pub fn all(story: Story) -> Result<()> {
    story.step("helm test", || helm(&format!("test kratos-operator -n {OPERATORS} --timeout 60s")))?;
    story.step("helm uninstall: definitions and identities are kept", uninstalled)?;
    story.step("the chart as it first was takes them over", || {
        // Its own tag is no longer that of the image which is built here once there are later versions.
        helm(&format!("install kratos-operator {FROZEN} {OPTIONS} --set image.tag={NEXT}"))?;
        ready_pods(2)?;
        new_identity("under-the-first-chart")
    })?;
    story.step("helm upgrade to the chart as it is", || {
        upgrade("")?;
        ready_pods(2)?;
        new_identity("after-the-upgrade")
    })?;
    story.step("helm uninstall, again", uninstalled)?;
    story.step("a release for one namespace, with Roles alone", namespaced)?;
    story.step("helm uninstall, of that too", uninstalled)
}

fn new_identity(name: &str) -> Result<()> {
    apply_identity(name)?;
    ready(&format!("kid/{name}"))?;
    nothing_twice_or_lost()
}

fn uninstalled() -> Result<()> {
    let (before, resources) = (in_kratos()?, in_status()?);
    helm(&format!("uninstall kratos-operator -n {OPERATORS} --wait --timeout 120s"))?;
    eventually("the pods are gone", crate::cluster::WITHIN, || Ok(pods()?.is_empty().then_some(())))?;
    for kind in ["kratosidentities", "kratosinstances", "kratossessionpolicies"] {
        kubectl(&format!("get crd {kind}.kratos-operator.dev"))?;
    }
    if in_kratos()? != before || in_status()? != resources {
        return Err("identities went with the release".into());
    }
    Ok(())
}

fn namespaced() -> Result<()> {
    let id = kubectl("get namespace kube-system -o jsonpath={.metadata.uid}")?;
    helm(&format!(
        "install kratos-operator charts/kratos-operator {OPTIONS} --set namespaces={{{IDENTITIES}}} --set clusterID={id}"
    ))?;
    ready_pods(2)?;
    holds_no_rights_of_the_whole_cluster()?;
    new_identity("with-roles-alone")
}

/// Neither does the release have any, nor is its service account bound to any.
fn holds_no_rights_of_the_whole_cluster() -> Result<()> {
    let whole_cluster = "get clusterroles,clusterrolebindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings \
                         -l app.kubernetes.io/name=kratos-operator -o name";
    let found = kubectl(whole_cluster)?;
    if !found.trim().is_empty() {
        return Err(format!("the release holds rights of the whole cluster: {found}").into());
    }
    for binding in objects("get clusterrolebindings")? {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        if subjects.into_iter().any(|subject| subject["namespace"] == OPERATORS) {
            return Err(format!("the service account is bound by {}", binding["metadata"]["name"]).into());
        }
    }
    Ok(())
}
