//! Everything that the tour takes place on: the control plane, Kratos, the operator. Starts it step by step and holds
//! it; shows nothing of what the operator does.

use std::path::Path;

use crate::screen::{self, Screen};
use crate::testenv::Result;
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::{Operator, Settings, binary_beside};

/// What has been started so far; ends when dropped, the operator first.
#[derive(Default)]
pub struct Stage {
    operator: Option<Operator>,
    kratos: Option<Kratos>,
    control_plane: Option<ControlPlane>,
}

/// The stage, with everything on it.
pub struct Set<'a> {
    pub operator: &'a mut Operator,
    pub kratos: &'a Kratos,
    pub control_plane: &'a ControlPlane,
}

impl Stage {
    pub async fn set(&mut self, screen: &mut Screen) -> Result<Set<'_>> {
        screen::heading("Starting a Kubernetes control plane and Kratos on this machine, on free loopback ports:");
        let what = "etcd, kube-apiserver and kube-controller-manager";
        let control_plane = screen.step(what, ControlPlane::start()).await?;
        let control_plane = self.control_plane.insert(control_plane);

        let what = "Ory Kratos, with SQLite and the identity schemas customer and employee";
        let kratos = screen.step(what, Kratos::start(Options::default())).await?;
        let kratos = self.kratos.insert(kratos);

        let what = "the custom resource definitions in crds/";
        screen.step(what, control_plane.install_crds(&in_repository("crds"))).await?;

        let what =
            "the operator: kratos-operator run --default-instance identity/default --instance-namespaces identity";
        let operator = screen.step(what, async { start_operator(control_plane) }).await?;
        let operator = self.operator.insert(operator);
        Ok(Set { operator, kratos, control_plane })
    }

    /// The end of the operator's log, empty if it hasn't been started: for a step that failed.
    pub fn explain(&self) -> String {
        self.operator.as_ref().map(Operator::tail).unwrap_or_default()
    }

    /// What a person can do now that the tour is over.
    pub fn invite(&self) {
        let Self { operator: Some(operator), kratos: Some(kratos), control_plane: Some(control_plane) } = self else {
            return;
        };
        let admin = kratos.admin_url();
        let kubectl = crate::testenv::process::component("kubectl");
        println!(
            "
The tour is over; everything keeps running until Ctrl-C. In another terminal:

    export KUBECONFIG={}
    alias kubectl={}

    kubectl get kratos -n identity
    kubectl explain kratosidentity.spec
    kubectl edit kid ada -n identity
    kubectl apply -f examples/employee.yaml
    curl -s {admin}admin/identities
    tail -f {}

Kratos' admin API: {admin}   public API: {}",
            control_plane.kubeconfig().display(),
            kubectl.display(),
            operator.log_path().display(),
            kratos.public_url(),
        );
    }
}

fn start_operator(control_plane: &ControlPlane) -> Result<Operator> {
    let this = std::env::current_exe()?;
    let binary = binary_beside(&this).ok_or("the operator isn't built: run `make demo`, or `cargo build` first")?;
    let mut settings = Settings::new(binary, control_plane.kubeconfig());
    settings.default_instance = Some("identity/default".into());
    settings.instance_namespaces = vec!["identity".into()];
    settings.log = "info".into();
    Operator::start(settings)
}

/// A path in the repository, wherever the demo is started from.
pub fn in_repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
