//! What the operator may do in a test's cluster: what `kratos-operator rbac` prints, bound to the service account that it
//! runs as. An operator that needs more than that fails here as it does in production.

use std::path::PathBuf;
use std::process::Command;

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scene::WITHIN;
use crate::testenv::control_plane::{ControlPlane, client};
use crate::testenv::process::eventually;

/// The operator's own namespace, and its service account.
pub const OWN: &str = "default";
pub const ACCOUNT: &str = "kratos-operator";
/// Stands in the printed objects for each namespace of a test.
pub const PLACEHOLDER: &str = "of-a-test";

/// What was granted in a cluster, and what is to be granted in each namespace of a test.
pub struct Rights {
    /// An administrator's. A client belongs to the runtime of the test that it is made in.
    kubeconfig: PathBuf,
    in_each: Vec<Value>,
    /// What the service account shows the API server.
    pub token: String,
}

impl Rights {
    /// Grants what an operator needs that is started with these options, but for what concerns namespaces of tests.
    pub async fn grant(plane: &ControlPlane, options: &[&str]) -> Self {
        let (in_each, others) = printed(options).into_iter().partition(|object| {
            let metadata = &object["metadata"];
            metadata["namespace"] == PLACEHOLDER
        });
        let mut rights = Self { kubeconfig: plane.kubeconfig(), in_each, token: String::new() };
        let client = rights.client().await;
        for object in &others {
            make(object, &client).await;
        }
        let arguments = ["create", "token", ACCOUNT, "-n", OWN, "--duration=24h"];
        let token = plane.kubectl().run(arguments).await.expect("a token");
        token.trim().clone_into(&mut rights.token);
        until_in_force(&others, &client).await;
        rights
    }

    /// The same for a namespace of a test.
    pub async fn grant_in(&self, namespace: &str) {
        let text = serde_json::to_string(&self.in_each).expect("JSON").replace(PLACEHOLDER, namespace);
        let objects: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let client = self.client().await;
        for object in &objects {
            make(object, &client).await;
        }
        until_in_force(&objects, &client).await;
    }

    async fn client(&self) -> kube::Client {
        client(&self.kubeconfig).await.expect("a client")
    }
}

async fn make(object: &Value, client: &kube::Client) {
    match object["kind"].as_str() {
        Some("ServiceAccount") => create(Api::<ServiceAccount>::namespaced, object, client).await,
        Some("ClusterRole") => create(|client, _| Api::<ClusterRole>::all(client), object, client).await,
        Some("ClusterRoleBinding") => create(|client, _| Api::<ClusterRoleBinding>::all(client), object, client).await,
        Some("Role") => create(Api::<Role>::namespaced, object, client).await,
        Some("RoleBinding") => create(Api::<RoleBinding>::namespaced, object, client).await,
        kind => panic!("{kind:?} is granted by nothing here"),
    }
}

async fn create<K>(api: impl Fn(kube::Client, &str) -> Api<K>, object: &Value, client: &kube::Client)
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object: K = serde_json::from_value(object.clone()).expect("an object of its kind");
    let api = api(client.clone(), &object.namespace().unwrap_or_default());
    api.create(&PostParams::default(), &object).await.expect("it is accepted");
}

/// The API server takes in roles a moment after they are made.
async fn until_in_force(objects: &[Value], client: &kube::Client) {
    for role in objects.iter().filter(|object| object["rules"].is_array()) {
        for rule in role["rules"].as_array().into_iter().flatten() {
            let (resource, subresource) = match rule["resources"][0].as_str().expect("a resource").split_once('/') {
                Some((resource, subresource)) => (resource, subresource),
                None => (rule["resources"][0].as_str().expect("a resource"), ""),
            };
            let review = json!({"spec": {
                "user": format!("system:serviceaccount:{OWN}:{ACCOUNT}"),
                "resourceAttributes": {
                    "verb": rule["verbs"][0], "group": rule["apiGroups"][0], "resource": resource,
                    "subresource": subresource, "namespace": role["metadata"]["namespace"],
                },
            }});
            let review: SubjectAccessReview = serde_json::from_value(review).expect("a review");
            let api = Api::<SubjectAccessReview>::all(client.clone());
            let in_force = eventually("a role is in force", WITHIN, async || {
                let answer = api.create(&PostParams::default(), &review).await.ok()?;
                answer.status.is_some_and(|status| status.allowed).then_some(())
            });
            in_force.await.unwrap_or_else(|error| panic!("{error}: {rule}"));
        }
    }
}

/// The objects that the command prints.
fn printed(options: &[&str]) -> Vec<Value> {
    let arguments = ["rbac", "--namespace", OWN, "--service-account", ACCOUNT, "--instance-namespaces", PLACEHOLDER];
    let mut command = Command::new(env!("CARGO_BIN_EXE_kratos-operator"));
    let output = command.args(arguments).args(options).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let documents = text.split("---\n").skip(1);
    documents.map(|document| serde_saphyr::from_str(document).expect("YAML")).collect()
}
