//! A release grants what `kratos-operator rbac` prints for an operator that is started as the release starts it, in every mode,
//! and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use kratos_operator::commands::cli::{Cli, Command};
use kratos_operator::commands::rbac;
use serde_json::{Value, json};

use crate::helm::{objects, of_kind, rendered};

/// `verb resource` by namespace; of the whole cluster: `*`.
type Granted = BTreeMap<String, BTreeSet<String>>;

/// What the roles among these objects grant that are bound to the operator's account. What is granted in the cluster isn't
/// counted again in a namespace.
fn granted(objects: &[Value]) -> Granted {
    let mut granted = Granted::new();
    for role in objects.iter().filter(|object| object["rules"].is_array()) {
        let is_bound = objects.iter().any(|object| {
            object["roleRef"]["name"] == role["metadata"]["name"]
                && object["roleRef"]["kind"] == role["kind"]
                && object["metadata"]["namespace"] == role["metadata"]["namespace"]
                && object["subjects"][0]["namespace"] == "kratos-operator"
                && object["subjects"][0]["name"] == "kratos-operator"
        });
        if !is_bound {
            continue;
        }
        let place = role["metadata"]["namespace"].as_str().unwrap_or("*").to_owned();
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().expect("a list").iter().map(|it| it.as_str().expect("a text").to_owned()).collect()
        };
        for rule in role["rules"].as_array().expect("a list") {
            assert_eq!(rule.as_object().expect("a rule").len(), 3, "groups, resources and verbs alone: {rule}");
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    let rights = texts(&rule["verbs"]).into_iter().map(|verb| format!("{verb} {resource}.{group}"));
                    granted.entry(place.clone()).or_default().extend(rights);
                }
            }
        }
    }
    let everywhere = granted.get("*").cloned().unwrap_or_default();
    for (place, rights) in &mut granted {
        if place != "*" {
            rights.retain(|right| !everywhere.contains(right));
        }
    }
    granted.retain(|_, rights| !rights.is_empty());
    granted
}

/// What the command prints for an operator in the namespace kratos-operator with these arguments.
fn printed(arguments: &[String]) -> Granted {
    let own = ["kratos-operator", "rbac", "--namespace=kratos-operator"].map(str::to_owned);
    let Command::Rbac(args) = Cli::try_parse_from(own.iter().chain(arguments)).expect("a command line").command else {
        panic!("another command")
    };
    granted(&objects(&rbac::text(&args.wanted().expect("no contradiction")).expect("YAML")))
}

/// The arguments of a rendered operator that rights depend on.
fn arguments(deployment: &Value) -> Vec<String> {
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments = arguments.as_array().expect("a list").iter().map(|it| it.as_str().expect("a text").to_owned());
    let of_rights = [
        "--default-instance",
        "--instance-namespaces",
        "--namespaces",
        "--watch-selector",
        "--leader-elect",
        "--watch-secrets",
        "--recovery-secrets",
    ];
    arguments.filter(|argument| of_rights.iter().any(|option| argument.starts_with(&format!("{option}=")))).collect()
}

const ALL_SWITCHES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Every mode: where it works, where instances are, and each switch.
fn modes() -> Vec<Value> {
    let places = [
        json!({}),
        json!({"defaultInstance": "identity/default"}),
        json!({"instanceNamespaces": ["identity", "second"]}),
        json!({"instanceNamespaces": ["kratos-operator"]}),
        json!({"namespaces": ["identity", "team-a"], "instanceNamespaces": ["identity"], "clusterID": "an-id"}),
        json!({"namespaces": ["kratos-operator", "team-a"], "clusterID": "an-id"}),
        json!({"namespaces": ["identity"], "defaultInstance": "identity/default", "clusterID": "an-id"}),
        json!({"namespaces": ["kube-system"], "defaultInstance": "kube-system/default"}),
    ];
    let mut modes = Vec::new();
    for (number, place) in places.into_iter().enumerate() {
        // Where it works decides most; all switches together are tried in the first places alone.
        let switches: &[u8] = if number < 2 { &ALL_SWITCHES } else { &[0b0000, 0b0101, 0b1010, 0b1111] };
        for switches in switches {
            let is_on = |switch: u8| switches & (1 << switch) != 0;
            let mut values = place.clone();
            values["watchSecrets"] = json!(is_on(0));
            values["recoverySecrets"] = json!({"enabled": is_on(1)});
            if is_on(2) {
                values["leaderElection"] = json!({"enabled": false});
                values["replicas"] = json!(1);
                values["strategy"] = json!({"type": "Recreate"});
            }
            if is_on(3) {
                values["shards"] = json!([
                    {"name": "a", "selector": {"matchLabels": {"shard": "a"}}},
                    {"name": "rest", "selector": {"matchExpressions": [
                        {"key": "shard", "operator": "NotIn", "values": ["a"]},
                    ]}},
                ]);
            }
            modes.push(values);
        }
    }
    modes
}

#[tokio::test]
async fn a_release_grants_what_the_command_prints_in_every_mode() {
    let modes = modes();
    let mut seen = BTreeSet::new();
    for values in &modes {
        let objects = rendered(values).await;
        let granted = granted(&objects);
        for deployment in of_kind(&objects, "Deployment") {
            let arguments = arguments(deployment);
            assert_eq!(granted, printed(&arguments), "{values:#}\n{arguments:?}");
        }
        seen.insert(format!("{granted:?}"));
    }
    assert!(seen.len() > modes.len() / 2, "the modes hardly differ: {} of {}", seen.len(), modes.len());
}

#[tokio::test]
async fn in_namespaces_of_its_own_nothing_is_granted_in_the_cluster() {
    let values = json!({
        "namespaces": ["identity", "team-a"], "instanceNamespaces": ["identity"], "clusterID": "an-id", "crds": {"install": false},
    });
    let objects = rendered(&values).await;
    let in_cluster: Vec<_> = objects.iter().filter(|object| object["metadata"]["namespace"].is_null()).collect();
    assert!(in_cluster.is_empty(), "{in_cluster:#?}");
}

#[tokio::test]
async fn nothing_is_granted_where_somebody_else_does() {
    let values = json!({
        "rbac": {"create": false}, "serviceAccount": {"create": false, "name": "theirs"}, "aggregatedRoles": {"enabled": false},
    });
    let objects = rendered(&values).await;
    for kind in ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"] {
        assert!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
    let pod = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "theirs");
}

/// The verbs on our kinds that an aggregated role grants: `verb resource`.
fn of_people(objects: &[Value], role: &str) -> BTreeSet<String> {
    let label = format!("rbac.authorization.k8s.io/aggregate-to-{role}");
    let labelled =
        of_kind(objects, "ClusterRole").into_iter().filter(|object| object["metadata"]["labels"][&label] == "true");
    let rules = labelled.flat_map(|role| role["rules"].as_array().expect("rules").clone());
    rules
        .flat_map(|rule| {
            let texts = |value: &Value| -> Vec<String> {
                value.as_array().expect("a list").iter().map(|it| it.as_str().expect("a text").to_owned()).collect()
            };
            assert_eq!(rule["apiGroups"], json!(["kratos-operator.dev"]));
            let verbs = texts(&rule["verbs"]);
            let of = move |resource: String| verbs.clone().into_iter().map(move |verb| format!("{verb} {resource}"));
            texts(&rule["resources"]).into_iter().flat_map(of).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn no_role_of_people_may_write_an_instance_or_a_status() {
    let objects = rendered(&json!({})).await;
    let (view, edit, admin) = (of_people(&objects, "view"), of_people(&objects, "edit"), of_people(&objects, "admin"));
    let is_read = |right: &String| ["get ", "list ", "watch "].iter().any(|verb| right.starts_with(verb));
    assert!(view.len() == 9 && view.iter().all(is_read), "{view:?}");
    assert!(view.is_subset(&edit) && edit == admin, "{edit:?} {admin:?}");
    let writes: Vec<_> = edit.iter().filter(|right| !is_read(right)).collect();
    assert!(writes.len() == 10, "{writes:?}");
    assert!(writes.iter().all(|right| !right.contains("kratosinstances") && !right.contains('/')), "{writes:?}");
    let without = rendered(&json!({"aggregatedRoles": {"enabled": false}})).await;
    assert_eq!(of_people(&without, "view"), BTreeSet::new());
}
