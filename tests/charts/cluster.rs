//! What the charts render meets a real API server: each object is accepted as it is written, Helm installs, upgrades and
//! uninstalls, and what people made is still there afterwards.

use rstest::rstest;
use serde_json::{Value, json};

use crate::helm::{Helm, chart, of_kind, rendered, template};
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::kubectl::Kubectl;
use crate::testenv::process::eventually;
use crate::testenv::workdir::WorkDir;

const WITHIN: std::time::Duration = std::time::Duration::from_mins(1);
const RELEASE: &str = "kratos-operator";

pub async fn make_namespace(plane: &ControlPlane, name: &str, labels: Value) {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    plane.kubectl().apply(&object.to_string()).await.expect("the namespace is made");
}

/// Installs or upgrades a release of one of our charts, and doesn't wait for pods: there is no node.
pub async fn install(helm: &Helm, release: &str, name: &str, namespace: &str, values: &Value) -> String {
    let chart = chart(name);
    let arguments = ["upgrade", "--install", release, chart.as_str(), "--namespace", namespace];
    helm.run(arguments, values).await.unwrap_or_else(|error| panic!("{error}\n{values}"))
}

pub async fn uninstall(helm: &Helm, release: &str, namespace: &str) -> String {
    helm.run(["uninstall", release, "--namespace", namespace], &Value::Null).await.expect("it is uninstalled")
}

/// Applies what an admission policy is about. For some seconds after the definitions were made the API server can't evaluate a
/// policy for their kinds, and says 503.
pub async fn accepted(kubectl: &Kubectl, object: &Value) {
    let mut last = String::new();
    let applied = eventually("it is accepted", WITHIN, async || {
        let result = kubectl.apply(&object.to_string()).await;
        result.map_err(|error| last = error.to_string()).ok()
    });
    applied.await.unwrap_or_else(|error| panic!("{error}: {last}"));
}

async fn is_there(kubectl: &Kubectl, what: &[&str]) -> bool {
    let arguments = ["get"].iter().chain(what);
    let output = kubectl.output(arguments).await.expect("kubectl answers");
    assert!(output.status.success() || String::from_utf8_lossy(&output.stderr).contains("NotFound"), "{output:?}");
    output.status.success()
}

#[rstest]
#[case::by_default(json!({}))]
#[case::with_all_that_there_is(json!({
    "commonLabels": {"a": "b"}, "imagePullSecrets": ["one"], "defaultInstance": "default/main", "recoverySecrets": {"enabled": true},
    "crds": {"annotations": {"a": "b"}}, "metrics": {"dashboard": {"enabled": true}}, "log": {"filter": "debug"},
    "networkPolicy": {"metricsFrom": [{"podSelector": {}}]}, "priorityClassName": "high", "hostNetwork": true,
    "tolerations": [{"key": "a", "operator": "Exists"}], "dnsConfig": {"searches": ["example.com"]},
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}], "initContainers": [{"name": "a", "image": "a:1"}],
    "extraContainers": [{"name": "b", "image": "b:1"}], "extraEnv": [{"name": "A", "value": "b"}],
    "extraVolumes": [{"name": "v", "emptyDir": {}}], "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "default"}}],
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
}))]
#[case::with_shards(json!({"shards": [
    {"name": "a", "selector": {"matchLabels": {"shard": "a"}}},
    {"name": "rest", "selector": {"matchExpressions": [{"key": "shard", "operator": "NotIn", "values": ["a"]}]}},
]}))]
#[case::in_a_namespace(json!({"namespaces": ["default"], "instanceNamespaces": ["default"], "clusterID": "an-id"}))]
#[case::of_one_replica(json!({"replicas": 1, "strategy": {"type": "Recreate"}, "leaderElection": {"enabled": false}}))]
#[tokio::test]
async fn every_object_is_accepted_without_an_unknown_field(#[case] values: Value) {
    let plane = ControlPlane::shared().await;
    let policies = ["--api-versions", crate::helm::POLICIES, "--namespace", "default"];
    let text = template(&policies, &values).await.expect("it renders");
    let dir = WorkDir::new("rendered-").expect("a directory");
    let path = dir.path().join("all.yaml");
    std::fs::write(&path, &text).expect("a file");
    let path = path.to_string_lossy();
    let arguments = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", &path];
    let applied = plane.kubectl().run(arguments).await.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(applied.lines().count(), crate::helm::objects(&text).len(), "{applied}");
}

/// A pod as the Deployment makes it; no controller makes pods without a node to run them on.
async fn a_pod_of_the_deployment(kubectl: &Kubectl, namespace: &str) -> Result<String, String> {
    let text = kubectl.run(["get", "deployment", RELEASE, "-n", namespace, "-o", "json"]).await.expect("it is there");
    let deployment: Value = serde_json::from_str(&text).expect("JSON");
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("by-hand");
    pod["metadata"]["namespace"] = json!(namespace);
    kubectl.apply(&pod.to_string()).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_release_is_installed_upgraded_uninstalled_and_installed_again() {
    let plane = ControlPlane::start().await.expect("the control plane starts");
    let (helm, kubectl) = (Helm::new(plane.kubeconfig()), plane.kubectl());
    let enforced = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    make_namespace(&plane, "ops", enforced).await;
    let notes = install(&helm, RELEASE, "kratos-operator", "ops", &json!({})).await;
    for words in ["KratosInstance in ops", "owns every identity", "Before you uninstall"] {
        assert!(notes.contains(words), "{words}:\n{notes}");
    }
    let crds =
        ["kratosidentities", "kratosinstances", "kratossessionpolicies"].map(|it| format!("{it}.kratos-operator.dev"));
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", &crds[0], &crds[1], &crds[2]];
    kubectl.run(wait).await.expect("the definitions are established");
    a_pod_of_the_deployment(&kubectl, "ops").await.expect("the restricted level lets it in");
    // The cluster of these tests has admission policies.
    assert!(is_there(&kubectl, &["mutatingadmissionpolicy", "ops-kratos-operator"]).await);

    // Somebody scaled it; whoever leaves that to an autoscaler doesn't scale it back.
    kubectl.run(["scale", "deployment", RELEASE, "-n", "ops", "--replicas=5"]).await.expect("it is scaled");
    let values = json!({"replicas": null, "commonLabels": {"team": "identity"}, "recoverySecrets": {"enabled": true},
        "metrics": {"port": 9090}, "image": {"tag": "next"}});
    install(&helm, RELEASE, "kratos-operator", "ops", &values).await;
    let shown = ["get", "deployment", RELEASE, "-n", "ops", "-o"];
    let replicas = kubectl.run(shown.iter().chain(&["jsonpath={.spec.replicas}"])).await.expect("it is there");
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let image = kubectl.run(shown.iter().chain(&[image])).await.expect("it is there");
    assert_eq!(replicas, "5", "it is the autoscaler's");
    assert!(image.ends_with(":next"), "{image}");
    install(&helm, RELEASE, "kratos-operator", "ops", &values).await;

    let identity = json!({
        "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity", "metadata": {"name": "ada", "namespace": "ops"},
        "spec": {"schemaID": "customer", "traits": {"email": "ada@example.com"}},
    });
    accepted(&kubectl, &identity).await;
    uninstall(&helm, RELEASE, "ops").await;
    assert!(!is_there(&kubectl, &["deployment", RELEASE, "-n", "ops"]).await);
    assert!(!is_there(&kubectl, &["clusterrole", "ops-kratos-operator"]).await);
    assert!(
        !is_there(&kubectl, &["mutatingadmissionpolicy", "ops-kratos-operator"]).await,
        "it goes with the operator"
    );
    assert!(is_there(&kubectl, &["kid", "ada", "-n", "ops"]).await, "definitions are kept, and resources with them");

    // Definitions that were kept are taken over, and the resource is where it was.
    install(&helm, RELEASE, "kratos-operator", "ops", &json!({"crds": {"keep": false}})).await;
    assert!(is_there(&kubectl, &["kid", "ada", "-n", "ops"]).await);
}

#[tokio::test]
async fn as_a_part_of_an_umbrella_it_follows_what_the_umbrella_says() {
    let plane = ControlPlane::start().await.expect("the control plane starts");
    let helm = Helm::new(plane.kubeconfig());
    let dir = WorkDir::new("umbrella-").expect("a directory");
    let of = |name: &str| {
        json!({"name": name, "version": env!("CARGO_PKG_VERSION"), "repository": format!("file://{}", chart(name)),
            "condition": format!("{name}.enabled")})
    };
    let umbrella =
        json!({"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": [of("kratos-operator")]});
    std::fs::write(dir.path().join("Chart.yaml"), umbrella.to_string()).expect("a file");
    let path = dir.path().to_string_lossy().into_owned();
    helm.run(["dependency", "update", path.as_str()], &Value::Null).await.expect("it has its parts");
    make_namespace(&plane, "platform", json!({})).await;
    let release = ["upgrade", "--install", "all", path.as_str(), "--namespace", "platform"];

    let off = json!({"global": {"other": 1}, "kratos-operator": {"enabled": false}});
    helm.run(release, &off).await.expect("it is installed");
    assert!(!is_there(&plane.kubectl(), &["deployment", "all-kratos-operator", "-n", "platform"]).await);

    let on = json!({
        "global": {"imageRegistry": "mirror.example", "other": 1},
        "kratos-operator": {"enabled": true, "replicas": null},
    });
    helm.run(release, &on).await.expect("it is installed");
    let image = [
        "get",
        "deployment",
        "all-kratos-operator",
        "-n",
        "platform",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].image} {.spec.replicas}",
    ];
    let found = plane.kubectl().run(image).await.expect("it is there");
    // One is what Kubernetes itself makes of none.
    assert!(found.starts_with("mirror.example/kratos-operator/kratos-operator:") && found.ends_with(" 1"), "{found}");

    let wrong = json!({"kratos-operator": {"replcas": 3}});
    let error = helm.run(release, &wrong).await.expect_err("it is refused").to_string();
    assert!(error.contains("kratos-operator") && error.contains("replcas"), "{error}");
}

#[tokio::test]
async fn two_releases_share_a_cluster() {
    let plane = ControlPlane::start().await.expect("the control plane starts");
    let (helm, kubectl) = (Helm::new(plane.kubeconfig()), plane.kubectl());
    for namespace in ["ops-a", "ops-b", "team-a", "team-b"] {
        make_namespace(&plane, namespace, json!({})).await;
    }
    let id = plane.id().await.expect("its id");
    for (namespace, team, installs) in [("ops-a", "team-a", true), ("ops-b", "team-b", false)] {
        let values = json!({"namespaces": [team], "instanceNamespaces": [team], "clusterID": id, "crds": {"install": installs},
            "admissionPolicy": {"enabled": true}});
        install(&helm, RELEASE, "kratos-operator", namespace, &values).await;
    }
    let policies = eventually("both policies are there", WITHIN, async || {
        let names = kubectl.run(["get", "mutatingadmissionpolicybinding", "-o", "name"]).await.ok()?;
        (names.contains("/ops-a-kratos-operator") && names.contains("/ops-b-kratos-operator")).then_some(())
    });
    policies.await.expect("both are there");
    uninstall(&helm, RELEASE, "ops-b").await;
    assert!(is_there(&kubectl, &["role", "ops-a-kratos-operator", "-n", "team-a"]).await);
    assert!(!is_there(&kubectl, &["role", "ops-b-kratos-operator", "-n", "team-b"]).await);
}

/// Whoever may edit a namespace.
#[tokio::test]
async fn who_may_edit_a_namespace_declares_identities_and_writes_neither_instances_nor_statuses() {
    let plane = ControlPlane::start().await.expect("the control plane starts");
    let (helm, kubectl) = (Helm::new(plane.kubeconfig()), plane.kubectl());
    for namespace in ["ops", "team-a"] {
        make_namespace(&plane, namespace, json!({})).await;
    }
    install(&helm, RELEASE, "kratos-operator", "ops", &json!({})).await;
    for role in ["view", "edit", "admin"] {
        let (role_of, user) = (format!("--clusterrole={role}"), format!("--user=who-may-{role}"));
        kubectl.run(["create", "rolebinding", role, &role_of, &user, "-n", "team-a"]).await.expect("it is bound");
    }
    let may = async |role: &str, verb: &str, resource: &str| {
        let (user, resource) = (format!("--as=who-may-{role}"), format!("{resource}.kratos-operator.dev"));
        let output =
            kubectl.output(["auth", "can-i", verb, &resource, "-n", "team-a", &user]).await.expect("an answer");
        output.status.success()
    };
    let aggregated = eventually("the roles are aggregated", WITHIN, async || {
        (may("edit", "create", "kratosidentities").await && may("view", "get", "kratosinstances").await).then_some(())
    });
    aggregated.await.expect("the roles are aggregated");
    for role in ["edit", "admin"] {
        for kind in ["kratosidentities", "kratossessionpolicies"] {
            assert!(may(role, "delete", kind).await, "{role}: {kind}");
        }
        for verb in ["create", "update", "patch", "delete"] {
            assert!(!may(role, verb, "kratosinstances").await, "{role}: {verb}");
        }
    }
    assert!(!may("view", "create", "kratosidentities").await);
    for kind in ["kratosidentities", "kratosinstances", "kratossessionpolicies"] {
        for role in ["view", "edit", "admin"] {
            let user = format!("--as=who-may-{role}");
            let resource = format!("{kind}.kratos-operator.dev");
            let arguments = ["auth", "can-i", "patch", &resource, "--subresource=status", "-n", "team-a", &user];
            assert!(!kubectl.output(arguments).await.expect("an answer").status.success(), "{role}: {kind}/status");
        }
    }
}

/// A resource without its definition.
#[tokio::test]
async fn an_instance_without_definitions_is_refused_with_its_kind() {
    let plane = ControlPlane::shared().await;
    let helm = Helm::new(plane.kubeconfig());
    let chart = chart("kratos-instance");
    let arguments = ["install", "main", chart.as_str(), "--namespace", "default"];
    let values = json!({"spec": {"adminURL": "http://kratos.example", "ownerName": "production"}});
    let error = helm.run(arguments, &values).await.expect_err("there are no definitions").to_string();
    assert!(error.contains("KratosInstance") && error.contains("kratos-operator.dev"), "{error}");
}

/// What the operator's pod is told and what reaches it fit together.
#[tokio::test]
async fn the_service_and_the_policy_are_about_the_pods() {
    let objects = rendered(&json!({})).await;
    let labels = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["metadata"]["labels"];
    let selectors = [
        &of_kind(&objects, "Service")[0]["spec"]["selector"],
        &of_kind(&objects, "NetworkPolicy")[0]["spec"]["podSelector"]["matchLabels"],
        &of_kind(&objects, "PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"],
        &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]
            ["matchLabels"],
    ];
    for selector in selectors {
        let selector = selector.as_object().expect("labels");
        assert!(selector.len() == 2 && selector.iter().all(|(key, value)| labels[key] == *value), "{selector:?}");
    }
}
