//! What is rendered is what the values say.

use serde_json::{Value, json};

use crate::helm::{MONITORS, POLICIES, names, objects, of_kind, rendered, rendered_with, template};

fn pod(objects: &[Value]) -> Value {
    of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"].clone()
}

#[tokio::test]
async fn by_default_there_are_two_replicas_that_a_restricted_namespace_takes() {
    let objects = rendered(&json!({})).await;
    let deployment = of_kind(&objects, "Deployment")[0];
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = pod(&objects);
    assert_eq!(pod["securityContext"], json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
    let container = &pod["containers"][0];
    let context =
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(container["securityContext"], context);
    assert!(!deployment.to_string().contains("runAsUser"), "the user is the image's");
    assert_eq!(container["image"], format!("ghcr.io/kratos-operator/kratos-operator:{}", env!("CARGO_PKG_VERSION")));
    assert!(container["args"].as_array().expect("arguments").contains(&json!("--leader-elect=true")), "{container:#}");
    let budget = &of_kind(&objects, "PodDisruptionBudget")[0]["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["unhealthyPodEvictionPolicy"]), (&json!(1), &json!("AlwaysAllow")));
    assert_eq!(budget["selector"], deployment["spec"]["selector"]);
    for kind in ["ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap", "Secret", "MutatingAdmissionPolicy"] {
        assert!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "Certificate", "Job"] {
        assert!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn the_same_values_render_the_same_text() {
    let values = json!({"commonLabels": {"b": "1", "a": "2"}, "nodeSelector": {"z": "1", "y": "2"}});
    assert_eq!(template(&[], &values).await.expect("it renders"), template(&[], &values).await.expect("it renders"));
}

#[tokio::test]
async fn an_autoscaler_may_say_how_many_there_are() {
    for set in [&["--set", "replicas=null"][..], &[]] {
        let values = if set.is_empty() { json!({"replicas": null}) } else { Value::Null };
        let objects = rendered_with(set, &values).await;
        let spec = &of_kind(&objects, "Deployment")[0]["spec"];
        assert!(spec.get("replicas").is_none(), "{spec:#}");
        assert_eq!(of_kind(&objects, "PodDisruptionBudget").len(), 1);
    }
    let objects = rendered(&json!({"replicas": 1})).await;
    assert!(of_kind(&objects, "PodDisruptionBudget").is_empty(), "it would keep a node from being drained");
    assert_eq!(of_kind(&rendered(&json!({"replicas": 0})).await, "Deployment")[0]["spec"]["replicas"], 0);
}

#[tokio::test]
async fn the_image_is_put_together_of_its_parts() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let cases = [
        (json!({"image": {"tag": "v9"}}), "ghcr.io/kratos-operator/kratos-operator:v9".to_owned()),
        (
            json!({"image": {"tag": "v9", "digest": digest}}),
            format!("ghcr.io/kratos-operator/kratos-operator:v9@{digest}"),
        ),
        (json!({"image": {"registry": "", "repository": "localhost/it", "tag": "1"}}), "localhost/it:1".to_owned()),
        (
            json!({"image": {"registry": "one.example", "repository": "it", "tag": "1"}, "global": {"imageRegistry": "two.example"}}),
            "two.example/it:1".to_owned(),
        ),
    ];
    for (values, expected) in cases {
        assert_eq!(pod(&rendered(&values).await)["containers"][0]["image"], expected, "{values}");
    }
    let secrets =
        json!({"imagePullSecrets": ["a", {"name": "b"}], "global": {"imagePullSecrets": ["c", {"name": "a"}]}});
    let secrets = pod(&rendered(&secrets).await)["imagePullSecrets"].clone();
    assert_eq!(secrets, json!([{"name": "c"}, {"name": "a"}, {"name": "b"}]));
}

#[tokio::test]
async fn what_a_pod_may_have_it_gets() {
    let values = json!({
        "priorityClassName": "high", "runtimeClassName": "gvisor", "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "hostNetwork": true, "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["kratos.internal"]}],
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "initContainers": [{"name": "first", "image": "localhost/first:1"}],
        "extraContainers": [{"name": "beside", "image": "localhost/beside:1"}],
        "extraArgs": ["--debug-address=127.0.0.1:6060"], "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:1"}],
        "extraEnvFrom": [{"secretRef": {"name": "env"}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}], "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        "podLabels": {"sidecar.example/inject": "false"}, "podAnnotations": {"a": "b"}, "annotations": {"c": "d"},
        "log": {"format": "Json", "filter": "info,kratos_operator=debug"}, "auditLog": {"enabled": true},
        "requireSecretLabel": true, "minPasswordLength": 12, "concurrency": 8, "terminationGracePeriodSeconds": 60,
        "strategy": {"type": "Recreate"}, "resources": {"limits": {"cpu": "1"}},
        "livenessProbe": {"failureThreshold": 5}, "health": {"port": 9001}, "metrics": {"port": 9002},
    });
    let objects = rendered(&values).await;
    let deployment = of_kind(&objects, "Deployment")[0];
    let template = &deployment["spec"]["template"];
    let pod = &template["spec"];
    for name in [
        "priorityClassName",
        "runtimeClassName",
        "nodeSelector",
        "tolerations",
        "affinity",
        "hostNetwork",
        "hostAliases",
        "dnsConfig",
        "initContainers",
        "terminationGracePeriodSeconds",
    ] {
        assert_eq!(pod[name], values[name], "{name}");
    }
    assert_eq!((&pod["dnsPolicy"], &pod["volumes"]), (&json!("ClusterFirstWithHostNet"), &values["extraVolumes"]));
    assert_eq!(pod["containers"][1], values["extraContainers"][0]);
    let container = &pod["containers"][0];
    let env = json!([{"name": "RUST_LOG", "value": "info,kratos_operator=debug"}, values["extraEnv"][0]]);
    assert_eq!((&container["env"], &container["envFrom"]), (&env, &values["extraEnvFrom"]));
    assert_eq!(container["volumeMounts"], values["extraVolumeMounts"]);
    assert_eq!(
        container["resources"],
        json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}})
    );
    assert_eq!(
        container["livenessProbe"],
        json!({
            "httpGet": {"path": "/livez", "port": "health"}, "periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 5,
        })
    );
    let arguments = container["args"].as_array().expect("arguments");
    for argument in [
        "--debug-address=127.0.0.1:6060",
        "--log-format=json",
        "--audit-log=-",
        "--require-secret-label",
        "--min-password-length=12",
        "--concurrency=8",
        "--health-address=:9001",
        "--metrics-address=:9002",
    ] {
        assert!(arguments.contains(&json!(argument)), "{argument}: {arguments:?}");
    }
    assert_eq!(
        container["ports"],
        json!([{"name": "health", "containerPort": 9001}, {"name": "metrics", "containerPort": 9002}])
    );
    assert_eq!(deployment["spec"]["strategy"], values["strategy"]);
    assert_eq!(deployment["metadata"]["annotations"], values["annotations"]);
    assert_eq!(template["metadata"]["labels"]["sidecar.example/inject"], "false");
    assert_eq!(template["metadata"]["annotations"]["a"], "b");
    assert!(deployment["spec"]["selector"].to_string().find("inject").is_none(), "a selector can't change");
}

#[tokio::test]
async fn the_arguments_are_such_as_the_operator_takes() {
    use clap::Parser;
    let shards = json!([
        {"name": "a", "selector": {"matchLabels": {"shard": "a", "team": "x"}}},
        {"name": "b", "selector": {"matchExpressions": [
            {"key": "shard", "operator": "In", "values": ["b", "c"]}, {"key": "old", "operator": "DoesNotExist"},
            {"key": "team", "operator": "Exists"}, {"key": "tier", "operator": "NotIn", "values": ["free"]},
        ]}},
    ]);
    let values = json!({"shards": shards, "defaultInstance": "identity/default", "auditLog": {"enabled": true}, "requireSecretLabel": true});
    let objects = rendered(&values).await;
    let mut selectors = Vec::new();
    for deployment in of_kind(&objects, "Deployment") {
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let arguments: Vec<String> = serde_json::from_value(arguments.clone()).expect("texts");
        let parsed = kratos_operator::commands::cli::Cli::try_parse_from(
            std::iter::once("kratos-operator".to_owned()).chain(arguments),
        );
        let kratos_operator::commands::cli::Command::Run(run) = parsed.expect("a command line").command else {
            panic!("another command")
        };
        selectors.push(run.scope.watch_selector.to_string());
    }
    assert_eq!(selectors, ["shard=a,team=x", "shard in (b,c),!old,team,tier notin (free)"]);
    assert_eq!(names(&objects).iter().filter(|name| name.starts_with("PodDisruptionBudget/")).count(), 2);
    let selected: std::collections::BTreeSet<_> =
        of_kind(&objects, "Deployment").iter().map(|deployment| deployment["spec"]["selector"].to_string()).collect();
    assert_eq!(selected.len(), 2, "each Deployment has pods of its own");
}

#[tokio::test]
async fn labels_for_everything_are_on_everything_and_in_no_selector() {
    let values = json!({
        "commonLabels": {"cost-centre": "42", "app.kubernetes.io/name": "theirs"},
        "metrics": {"serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}, "prometheusRule": {"enabled": true},
            "dashboard": {"enabled": true}},
    });
    let objects = rendered_with(&["--api-versions", POLICIES, "--api-versions", MONITORS], &values).await;
    assert!(objects.len() > 15, "{:?}", names(&objects));
    for object in &objects {
        assert_eq!(object["metadata"]["labels"]["cost-centre"], "42", "{:?}", names(std::slice::from_ref(object)));
        let name = if object["kind"] == "Pod" { "kratos-operator-test" } else { "kratos-operator" };
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/name"], name);
    }
    let deployment = of_kind(&objects, "Deployment")[0];
    assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["cost-centre"], "42");
    assert!(!deployment["spec"]["selector"].to_string().contains("cost-centre"));
}

#[tokio::test]
async fn what_the_cluster_does_not_serve_is_left_out() {
    let values = json!({"metrics": {
        "serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"}, "interval": "30s", "scrapeTimeout": "5s",
            "relabelings": [{"action": "labeldrop", "regex": "pod"}]},
        "podMonitor": {"enabled": true},
    }});
    let without = rendered(&values).await;
    let with = rendered_with(&["--api-versions", MONITORS], &values).await;
    for kind in ["ServiceMonitor", "PodMonitor"] {
        assert_eq!((of_kind(&without, kind).len(), of_kind(&with, kind).len()), (0, 1), "{kind}");
    }
    let monitor = of_kind(&with, "ServiceMonitor")[0];
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(
        (&endpoint["port"], &endpoint["interval"], &endpoint["scrapeTimeout"]),
        (&json!("metrics"), &json!("30s"), &json!("5s"))
    );
    let service = of_kind(&with, "Service")[0];
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    assert!(wanted.iter().all(|(key, value)| service["metadata"]["labels"][key] == *value), "it finds the Service");
    assert!(service["spec"]["ports"].as_array().expect("ports").iter().any(|port| port["name"] == "metrics"));
}

#[tokio::test]
async fn without_metrics_nothing_is_served_or_scraped() {
    let values =
        json!({"metrics": {"enabled": false, "serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}}});
    let objects = rendered_with(&["--api-versions", MONITORS], &values).await;
    let text = serde_json::to_string(
        &objects.iter().filter(|it| it["kind"] != "CustomResourceDefinition").collect::<Vec<_>>(),
    );
    assert!(!text.expect("JSON").contains("metrics"), "{:?}", names(&objects));
}

#[tokio::test]
async fn who_may_scrape_can_be_said() {
    let peer = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}});
    let objects = rendered(&json!({"networkPolicy": {"metricsFrom": [peer]}})).await;
    let spec = &of_kind(&objects, "NetworkPolicy")[0]["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress"]), "what goes out is the user's to say");
    assert_eq!(
        spec["ingress"],
        json!([{"ports": [{"port": "health"}]}, {"ports": [{"port": "metrics"}], "from": [peer]}])
    );
    let without = rendered(&json!({"networkPolicy": {"enabled": false}})).await;
    assert!(of_kind(&without, "NetworkPolicy").is_empty());
}

#[tokio::test]
async fn definitions_are_kept_unless_it_is_said_otherwise() {
    let kept = |object: &&Value| object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
    let kind = "CustomResourceDefinition";
    let objects = rendered(&json!({})).await;
    assert_eq!((of_kind(&objects, kind).len(), of_kind(&objects, kind).iter().filter(|it| kept(it)).count()), (3, 3));
    let objects = rendered(&json!({"crds": {"keep": false, "annotations": {"a": "b"}}})).await;
    assert_eq!(of_kind(&objects, kind).iter().filter(|it| kept(it)).count(), 0);
    assert!(of_kind(&objects, kind).iter().all(|it| it["metadata"]["annotations"] == json!({"a": "b"})));
    assert!(of_kind(&rendered(&json!({"crds": {"install": false}})).await, kind).is_empty());
}

/// A definition that went through a template is what it was, but for its labels and annotations.
#[tokio::test]
async fn definitions_are_those_of_the_source() {
    let rendered = rendered(&json!({})).await;
    for (name, text) in kratos_operator::commands::operator::crd_files().expect("YAML") {
        let source = &objects(&text)[0];
        let found = rendered
            .iter()
            .find(|object| object["metadata"]["name"] == source["metadata"]["name"])
            .expect("it is there");
        assert_eq!(found["spec"], source["spec"], "{name}");
    }
}

#[tokio::test]
async fn other_objects_may_be_templates() {
    let values = json!({"extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-one"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: two-of-{{ .Release.Namespace }}\n",
    ]});
    let names = names(&rendered(&values).await);
    for name in ["ConfigMap/kratos-operator-one", "ConfigMap/two-of-kratos-operator"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
}

/// `helm test` runs what the operator's program takes, in a pod that the operator's Service doesn't find.
#[tokio::test]
async fn the_test_of_a_release_asks_the_service() {
    use clap::Parser;
    let objects = rendered(&json!({"health": {"port": 9001}})).await;
    let pod = of_kind(&objects, "Pod")[0];
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    let arguments: Vec<String> = serde_json::from_value(pod["spec"]["containers"][0]["args"].clone()).expect("texts");
    let service = of_kind(&objects, "Service")[0];
    let (name, port) = (service["metadata"]["name"].as_str().expect("a name"), &service["spec"]["ports"][0]["port"]);
    assert_eq!(arguments.last().expect("a URL"), &format!("http://{name}.kratos-operator.svc:{port}/readyz?verbose"));
    let parsed = kratos_operator::commands::cli::Cli::try_parse_from(
        std::iter::once("kratos-operator".to_owned()).chain(arguments),
    );
    assert!(matches!(parsed.expect("a command line").command, kratos_operator::commands::cli::Command::Probe(_)));
    let selector = service["spec"]["selector"].as_object().expect("labels");
    assert!(selector.iter().any(|(key, value)| pod["metadata"]["labels"][key] != *value), "it isn't asked itself");
    assert!(of_kind(&rendered(&json!({"test": {"enabled": false}})).await, "Pod").is_empty());
}
