//! What operators are measured on: a control plane with the definitions, a Kratos, and how an instance of it is made. Starts no
//! operator.

use std::time::{Duration, Instant};

use kratos_operator::api::{KratosIdentity, KratosInstance, RECONCILE_REQUESTED_AT, condition};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::ground::control_plane;
use crate::people::NAMESPACE;
use crate::testenv::Result;
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::{Operator, Settings, binary_beside};
use crate::testenv::process::eventually;
use crate::testenv::samples::{self, Series};

pub const PATIENCE: Duration = Duration::from_mins(15);

pub struct Servers {
    pub kratos: Kratos,
    pub plane: ControlPlane,
    pub client: kube::Client,
    /// The identities that are measured.
    pub api: Api<KratosIdentity>,
}

impl Servers {
    pub async fn start() -> Result<Self> {
        let (plane, client) = control_plane(NAMESPACE).await?;
        let kratos = Kratos::start(Options::default()).await?;
        let api = Api::namespaced(client.clone(), NAMESPACE);
        Ok(Self { kratos, plane, client, api })
    }

    /// How an operator over them is started.
    pub fn operator(&self) -> Result<Settings> {
        let binary = binary_beside(&std::env::current_exe()?).ok_or("the operator isn't built: run `make bench`")?;
        let mut settings = Settings::new(binary, self.plane.kubeconfig());
        settings.default_instance = Some(format!("{NAMESPACE}/default"));
        // The words at the end of each resync, and no more: writing takes processor time that nobody else has.
        settings.log = "info,kratos_operator::engine::instance::scan=debug".into();
        Ok(settings)
    }

    /// Makes the instance, and waits until an operator has made it Ready.
    pub async fn make_instance(&self) -> Result<()> {
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosInstance",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {
                "adminURL": self.kratos.admin_url(), "publicURL": self.kratos.public_url(), "ownerName": "bench",
                "resyncInterval": "1h", "protection": {"maxDeletions": 1_000_000},
            },
        });
        self.instances().create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        self.ready_instance().await
    }

    /// The same for an instance that is there.
    pub async fn change_instance(&self, changes: &Value) -> Result<()> {
        self.instances().patch("default", &PatchParams::default(), &Patch::Merge(changes)).await?;
        self.ready_instance().await
    }

    async fn ready_instance(&self) -> Result<()> {
        let api = self.instances();
        let ready = eventually("the instance is Ready", PATIENCE, async || {
            let instance = api.get("default").await.ok()?;
            let status = instance.status.as_ref()?;
            let is_current = status.observed_generation == instance.metadata.generation;
            (is_current && condition::is_true(&status.conditions, "Ready")).then_some(())
        });
        ready.await
    }

    /// Asks for a comparison of all identities now, as a person would.
    pub async fn request_resync(&self) -> Result<()> {
        let token = format!("{:?}", Instant::now());
        let annotations = json!({"metadata": {"annotations": {RECONCILE_REQUESTED_AT: token}}});
        self.instances().patch("default", &PatchParams::default(), &Patch::Merge(annotations)).await?;
        Ok(())
    }

    /// What the API server tells Prometheus.
    pub async fn told_by_apiserver(&self) -> Result<Vec<Series>> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        Ok(samples::series(&self.client.request_text(request).await?))
    }

    fn instances(&self) -> Api<KratosInstance> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }
}

/// Resident bytes of an operator once they have stopped falling: what was only needed for a moment is given back within
/// seconds.
pub async fn settled_memory(operator: &Operator) -> Result<u64> {
    let (mut least, mut fell) = (operator.memory()?, Instant::now());
    let settled = eventually("the operator's memory stops falling", PATIENCE, async || {
        let now = operator.memory().ok()?;
        if now < least {
            (least, fell) = (now, Instant::now());
        }
        (fell.elapsed() >= Duration::from_secs(5)).then_some(least)
    });
    settled.await
}

/// An operator's own words at the end of each resync.
pub fn resync_lines(log: &str) -> impl Iterator<Item = &str> {
    log.lines().filter(|line| line.contains("identities were compared"))
}

/// A number in a line of the log.
pub fn field(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("{name}="))?;
    rest.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}
