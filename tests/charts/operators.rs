//! What a release grants is enough: the operator's own program, started with the arguments of the release's Deployment as the
//! release's service account, makes identities Ready; and a release that goes leaves nothing hanging without saying so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{accepted, install, make_namespace, uninstall};
use crate::helm::Helm;
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::kratos::Kratos;
use crate::testenv::operator::{Operator, Settings};
use crate::testenv::process::eventually;

const WITHIN: Duration = Duration::from_mins(2);
const RELEASE: &str = "kratos-operator";

/// A cluster with the operator's release in `ops`, and the namespaces of tests.
struct Released {
    plane: ControlPlane,
    helm: Helm,
}

impl Released {
    async fn with(values: impl Fn(&str) -> Value) -> Self {
        let plane = ControlPlane::start().await.expect("the control plane starts");
        let helm = Helm::new(plane.kubeconfig());
        for namespace in ["ops", "identity", "team-a"] {
            make_namespace(&plane, namespace, json!({})).await;
        }
        let id = plane.id().await.expect("its id");
        install(&helm, RELEASE, "kratos-operator", "ops", &values(&id)).await;
        let this = Self { plane, helm };
        for kind in ["kratosidentities", "kratosinstances", "kratossessionpolicies"] {
            let crd = format!("crd/{kind}.kratos-operator.dev");
            let wait = ["wait", "--for=condition=Established", "--timeout=60s", crd.as_str()];
            this.plane.kubectl().run(wait).await.expect("the definition is established");
        }
        this
    }

    /// Starts an operator as the release's pods are. Returns once its roles are in force in a namespace.
    async fn operator(&self, namespace: &str) -> Operator {
        let kubectl = self.plane.kubectl();
        let account = format!("--as=system:serviceaccount:ops:{RELEASE}");
        let may = ["auth", "can-i", "list", "kratosidentities.kratos-operator.dev", "-n", namespace, account.as_str()];
        let in_force = eventually("its roles are in force", WITHIN, async || {
            kubectl.output(may).await.ok()?.status.success().then_some(())
        });
        in_force.await.expect("its roles are in force");
        let shown = kubectl.run(["get", "deployment", RELEASE, "-n", "ops", "-o", "json"]).await.expect("it is there");
        let deployment: Value = serde_json::from_str(&shown).expect("JSON");
        let arguments =
            deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().expect("arguments").iter();
        let arguments = arguments.map(|argument| match argument.as_str().expect("a text").split_once("-address=") {
            Some((option, _)) => format!("{option}-address=127.0.0.1:0"),
            None => argument.as_str().expect("a text").to_owned(),
        });
        let token = kubectl.run(["create", "token", RELEASE, "-n", "ops", "--duration=1h"]).await.expect("a token");
        let kubeconfig = self.plane.kubeconfig_for(token.trim()).expect("a kubeconfig");
        let mut settings = Settings::new(env!("CARGO_BIN_EXE_kratos-operator"), kubeconfig);
        // The first is `run`, which the settings say, too.
        settings.arguments = arguments.skip(1).collect();
        // In a pod it is known by the service account.
        settings.environment = vec![("POD_NAMESPACE".to_owned(), "ops".to_owned())];
        Operator::start(settings).expect("it starts")
    }

    async fn instance(&self, kratos: &Kratos) {
        let spec = json!({"adminURL": kratos.admin_url(), "publicURL": kratos.public_url(), "ownerName": "production",
            "allowedNamespaces": {"from": "All"}});
        install(&self.helm, "main", "kratos-instance", "identity", &json!({"spec": spec})).await;
    }

    async fn apply(&self, namespace: &str, name: &str, spec: Value) {
        let identity = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        accepted(&self.plane.kubectl(), &identity).await;
    }

    /// Waits until a condition of a resource is as expected, and returns its message.
    async fn until(&self, operator: &Operator, what: &[&str], condition: (&str, &str)) -> String {
        let (name, status) = condition;
        let mut last = Value::Null;
        let wanted = format!("{what:?} has {name} {status}");
        let found = eventually(&wanted, WITHIN, async || {
            let shown = self.plane.kubectl().run(["get"].iter().chain(what).chain(&["-o", "json"])).await.ok()?;
            last = serde_json::from_str(&shown).ok()?;
            let conditions = last["status"]["conditions"].as_array()?;
            let found = conditions.iter().find(|it| it["type"] == name && it["status"] == status)?;
            Some(found["message"].as_str().unwrap_or_default().to_owned())
        });
        found.await.unwrap_or_else(|error| panic!("{error}\n{last:#}\n{}", operator.tail()))
    }

    async fn lacks_nothing(&self, operator: &Operator) {
        let shown = self.plane.kubectl().run(["get", "kinst", "default", "-n", "identity", "-o", "json"]).await;
        let shown = shown.expect("it is there");
        assert!(
            !shown.contains("PermissionsMissing") && !operator.log().contains("may not"),
            "{shown}\n{}",
            operator.log()
        );
    }

    async fn is_there(&self, what: &[&str]) -> bool {
        let output = self.plane.kubectl().output(["get"].iter().chain(what)).await.expect("kubectl answers");
        output.status.success()
    }

    async fn gone(&self, operator: &Operator, what: &[&str]) {
        let wanted = format!("{what:?} is gone");
        let gone = eventually(&wanted, WITHIN, async || (!self.is_there(what).await).then_some(()));
        gone.await.unwrap_or_else(|error| panic!("{error}\n{}", operator.tail()));
    }
}

fn customer(name: &str) -> Value {
    json!({"schemaID": "customer", "traits": {"email": format!("{name}@charts.example")}})
}

const ADA: [&str; 4] = ["kid", "ada", "-n", "identity"];
const INSTANCE: [&str; 4] = ["kinst", "default", "-n", "identity"];

#[tokio::test]
async fn in_the_whole_cluster_what_is_granted_is_enough_and_recoveries_are_issued_once_a_value_says_so() {
    let kratos = Kratos::shared().await;
    let values = |recovery: bool| json!({"defaultInstance": "identity/default", "instanceNamespaces": ["identity"], "recoverySecrets": {"enabled": recovery}});
    let released = Released::with(|_| values(false)).await;
    let mut operator = released.operator("identity").await;
    released.instance(kratos).await;
    let mut ada = customer("ada");
    ada["recovery"] = json!({"type": "Link", "secretName": "way-in"});
    released.apply("identity", "ada", ada).await;
    released.until(&operator, &ADA, ("Ready", "True")).await;
    let told = released.until(&operator, &ADA, ("RecoveryIssued", "False")).await;
    assert!(told.contains("recoverySecrets.enabled"), "{told}");
    released.lacks_nothing(&operator).await;
    assert!(!released.is_there(&["secret", "way-in", "-n", "identity"]).await);

    operator.stop().expect("it ends");
    install(&released.helm, RELEASE, "kratos-operator", "ops", &values(true)).await;
    let operator = released.operator("identity").await;
    released.until(&operator, &ADA, ("RecoveryIssued", "True")).await;
    assert!(released.is_there(&["secret", "way-in", "-n", "identity"]).await);
}

#[tokio::test]
async fn in_namespaces_of_its_own_roles_alone_are_enough() {
    let kratos = Kratos::shared().await;
    let released = Released::with(|id| {
        json!({"namespaces": ["identity", "team-a"], "instanceNamespaces": ["identity"], "defaultInstance": "identity/default",
            "clusterID": id, "watchSecrets": false})
    });
    let released = released.await;
    for kind in ["clusterrole", "clusterrolebinding"] {
        let names = released.plane.kubectl().run(["get", kind, "-o", "name"]).await.expect("a list");
        assert!(!names.contains(RELEASE), "{names}");
    }
    let operator = released.operator("team-a").await;
    released.instance(kratos).await;
    released.apply("team-a", "bob", customer("bob")).await;
    released.until(&operator, &["kid", "bob", "-n", "team-a"], ("Ready", "True")).await;
    released.lacks_nothing(&operator).await;
}

#[tokio::test]
async fn releases_go_in_either_order_and_what_waits_goes_on_once_there_is_an_operator() {
    let kratos = Kratos::shared().await;
    let values = json!({"defaultInstance": "identity/default", "instanceNamespaces": ["identity"]});
    let released = Released::with(|_| values.clone()).await;
    let mut operator = released.operator("identity").await;
    released.instance(kratos).await;
    released.apply("identity", "ada", customer("in-order")).await;
    released.until(&operator, &ADA, ("Ready", "True")).await;

    // As NOTES say: identities, the instance, the operator.
    released.plane.kubectl().run(["delete", "kid", "--all", "-n", "identity", "--wait"]).await.expect("they go");
    uninstall(&released.helm, "main", "identity").await;
    released.gone(&operator, &INSTANCE).await;

    // The other way round: nothing hangs, and what waits goes once there is an operator.
    released.instance(kratos).await;
    released.apply("identity", "ada", customer("out-of-order")).await;
    released.until(&operator, &ADA, ("Ready", "True")).await;
    operator.stop().expect("it ends");
    uninstall(&released.helm, RELEASE, "ops").await;
    uninstall(&released.helm, "main", "identity").await;
    released
        .plane
        .kubectl()
        .run(["delete", "kid", "ada", "-n", "identity", "--wait=false"])
        .await
        .expect("it is being deleted");
    assert!(released.is_there(&ADA).await && released.is_there(&INSTANCE).await, "finalizers keep them");
    install(&released.helm, RELEASE, "kratos-operator", "ops", &values).await;
    let operator = released.operator("identity").await;
    released.gone(&operator, &ADA).await;
    released.gone(&operator, &INSTANCE).await;
}
