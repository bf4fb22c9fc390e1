//! Kratos, the charts, and the examples of the README.

use crate::cluster::{IDENTITIES, OPERATORS, WITHIN, nothing_twice_or_lost, ready, ready_pods};
use crate::shell::{Result, eventually, helm, kubectl};
use crate::story::Story;

/// How the operator's chart is installed throughout.
pub const OPTIONS: &str = "-n kratos-operator --set defaultInstance=identity/default --set instanceNamespaces={identity} --wait --timeout 120s";

/// Namespaces that admit restricted pods alone, and Kratos in one of them.
pub fn kratos(story: Story) -> Result<()> {
    story.step("namespaces that enforce the restricted level", || {
        kubectl("apply -f examples/namespace.yaml")?;
        kubectl(&format!("label namespace {IDENTITIES} {OPERATORS} pod-security.kubernetes.io/enforce=restricted"))?;
        // Before its service account is there, a pod is refused for another reason.
        eventually("pods that aren't restricted are refused", WITHIN, || {
            for namespace in [IDENTITIES, OPERATORS] {
                match kubectl(&format!("run any -n {namespace} --image=any --dry-run=server")) {
                    Err(error) if error.to_string().contains("violates PodSecurity") => {}
                    other => return Err(format!("{namespace}: {other:?}").into()),
                }
            }
            Ok(Some(()))
        })
    })?;
    story.step("Kratos runs in a pod", || {
        kubectl("apply -f tests/e2e/manifests/kratos.yaml")?;
        kubectl(&format!("rollout status deployment/kratos -n {IDENTITIES} --timeout=90s"))
    })?;
    Ok(())
}

/// Both charts, each with `--wait`.
pub fn charts(story: Story) -> Result<()> {
    story.step("helm install of the operator's chart", || {
        helm(&format!("install kratos-operator charts/kratos-operator {OPTIONS}"))?;
        ready_pods(2)
    })?;
    story.step("helm install of an instance's chart", || {
        helm(&format!("install default charts/kratos-instance -n {IDENTITIES} -f charts/kratos-instance/ci/example-values.yaml --wait --timeout 60s"))?;
        ready("kinst/default")
    })
}

/// What the README has people apply.
pub fn examples(story: Story) -> Result<()> {
    story.step("kubectl apply of the examples: all Ready", || {
        for example in ["customer", "employee", "session-policy"] {
            kubectl(&format!("apply -f examples/{example}.yaml"))?;
        }
        for resource in ["kid/ada", "kid/grace", "ksp/housekeeping"] {
            ready(resource)?;
        }
        nothing_twice_or_lost()
    })
}

/// `helm upgrade` to the chart as it is, with these options besides.
pub fn upgrade(options: &str) -> Result<()> {
    helm(&format!("upgrade kratos-operator charts/kratos-operator {OPTIONS} {options}")).map(drop)
}
