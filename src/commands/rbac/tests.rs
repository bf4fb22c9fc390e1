//! What is granted where.

use rstest::rstest;
use serde_json::Value;

use super::*;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn wanted(namespaces: Option<&[&str]>) -> Wanted {
    Wanted {
        namespace: "ops".to_owned(),
        service_account: "kratos-operator".to_owned(),
        namespaces: namespaces.map(names),
        instance_namespaces: names(&["identity"]),
        watches_secrets: true,
        writes_recovery_secrets: true,
        elects: false,
        is_shard: false,
    }
}

/// `KIND NAMESPACE group/resource verbs` of all roles, a line each.
fn granted(wanted: &Wanted) -> Vec<String> {
    let mut lines = Vec::new();
    for manifest in manifests(wanted).expect("YAML") {
        let object: Value = serde_saphyr::from_str(&manifest).expect("YAML");
        let key = object["metadata"]["namespace"].as_str().unwrap_or("*");
        for rule in object["rules"].as_array().into_iter().flatten() {
            for resource in rule["resources"].as_array().into_iter().flatten() {
                let verbs: Vec<_> = rule["verbs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let what = format!("{}/{}", rule["apiGroups"][0].as_str().unwrap(), resource.as_str().unwrap());
                lines.push(format!("{key} {} {}", what.trim_start_matches('/'), verbs.join(",")));
            }
        }
    }
    lines
}

#[test]
fn in_the_whole_cluster_config_maps_are_read_and_written_in_namespaces_of_instances_alone() {
    let lines = granted(&wanted(None));
    assert!(lines.contains(&"* namespaces get,list,watch".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"* secrets create,delete,get,list,patch,update,watch".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"identity configmaps create,get,patch".to_owned()), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| !line.starts_with("* ")).count(), 1, "{lines:#?}");
}

#[test]
fn in_namespaces_of_its_own_nothing_is_granted_in_the_cluster() {
    let lines = granted(&wanted(Some(&["identity", "team-a"])));
    assert!(lines.iter().all(|line| !line.starts_with("* ")), "{lines:#?}");
    for namespace in ["identity", "team-a"] {
        assert!(lines.contains(&format!("{namespace} namespaces get")), "{lines:#?}");
        assert!(
            lines.contains(&format!("{namespace} secrets create,delete,get,list,patch,update,watch")),
            "{lines:#?}"
        );
    }
    assert!(lines.contains(&"identity configmaps create,get,patch".to_owned()), "{lines:#?}");
    let own: Vec<_> = lines.iter().filter(|line| line.starts_with("ops ")).collect();
    assert_eq!(own, ["ops secrets create,get"], "its key, and nothing else");
}

#[rstest]
#[case::all(None)]
#[case::some(Some(&["identity", "team-a"][..]))]
fn what_is_not_used_is_not_granted(#[case] namespaces: Option<&[&str]>) {
    let lines = granted(&Wanted { watches_secrets: false, ..wanted(namespaces) });
    let of_secrets = lines.iter().filter(|line| line.contains(" secrets "));
    assert!(of_secrets.clone().count() > 0 && of_secrets.clone().all(|line| !line.contains("list")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("leases")), "{lines:#?}");
    let lines = granted(&Wanted { writes_recovery_secrets: false, ..wanted(namespaces) });
    let writes = |line: &&String| line.contains(" secrets ") && (line.contains("create") || line.contains("update"));
    let key: Vec<_> = lines.iter().filter(writes).collect();
    assert!(key.iter().all(|line| line.starts_with("ops ") && !line.contains("update")), "its key alone: {lines:#?}");
    assert_eq!(key.len(), 1, "{lines:#?}");
    let lines = granted(&Wanted { is_shard: true, ..wanted(namespaces) });
    let leases: Vec<_> = lines.iter().filter(|line| line.contains("leases")).collect();
    assert_eq!(leases, ["identity coordination.k8s.io/leases create,get,update"]);
    let lines = granted(&Wanted { elects: true, ..wanted(namespaces) });
    let leases: Vec<_> = lines.iter().filter(|line| line.contains("leases")).collect();
    assert_eq!(leases, ["ops coordination.k8s.io/leases create,get,update"]);
    assert!(lines.iter().all(|line| !line.contains('*') || line.starts_with("* ")), "no wildcard: {lines:#?}");
}

#[test]
fn everything_is_bound_to_the_service_account() {
    let documents = manifests(&wanted(Some(&["identity"]))).expect("YAML");
    let objects: Vec<Value> = documents.iter().map(|text| serde_saphyr::from_str(text).expect("YAML")).collect();
    let (roles, bindings): (Vec<_>, Vec<_>) =
        objects[1..].iter().partition(|object| !object["kind"].as_str().unwrap().ends_with("Binding"));
    assert_eq!((objects[0]["kind"].as_str(), roles.len(), bindings.len()), (Some("ServiceAccount"), 2, 2));
    for (role, binding) in roles.into_iter().zip(bindings) {
        assert_eq!(role["metadata"], binding["metadata"]);
        assert_eq!(binding["roleRef"]["kind"], role["kind"]);
        assert_eq!(binding["subjects"][0]["name"], objects[0]["metadata"]["name"]);
        assert_eq!(binding["subjects"][0]["namespace"], objects[0]["metadata"]["namespace"]);
    }
}
