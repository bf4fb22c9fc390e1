//! `make audit`: what the operators of a test run asked the kube-apiserver for, by its audit logs, beside what they were granted.
//! Every right must have been used, and nothing refused but where a test took rights away.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use kratos_operator::commands::rbac::{self, Wanted};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match check() {
        Ok(complaints) if complaints.is_empty() => {
            println!("every right was used, and nothing was refused");
            ExitCode::SUCCESS
        }
        Ok(complaints) => {
            println!("{}", complaints.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<Vec<String>> {
    let directory = PathBuf::from(std::env::var("AUDIT_LOGS")?);
    let (mut used, mut complaints, mut files) = (BTreeSet::new(), BTreeSet::new(), 0);
    for entry in std::fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        files += 1;
        let may_refuse = path.with_extension("refusing").exists();
        for line in std::fs::read_to_string(&path)?.lines() {
            // The last line of a server that was killed is cut off.
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let Some(right) = right(&event) else { continue };
            match event["annotations"]["authorization.k8s.io/decision"].as_str() {
                Some("allow") => drop(used.insert(right)),
                _ if may_refuse => {}
                _ => drop(complaints.insert(format!("refused: {right} ({})", path.display()))),
            }
        }
    }
    if files == 0 {
        return Err(
            format!("{} holds no audit log: run the tests with AUDIT_LOGS set to it", directory.display()).into()
        );
    }
    complaints.extend(granted()?.difference(&used).map(|right| format!("granted and never used: {right}")));
    Ok(complaints.into_iter().collect())
}

/// `verb group/resource` of a request for a resource.
fn right(event: &Value) -> Option<String> {
    let object = &event["objectRef"];
    let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
    let group = object["apiGroup"].as_str().unwrap_or_default();
    Some(format!("{} {group}/{}{subresource}", event["verb"].as_str()?, object["resource"].as_str()?))
}

/// The same of all that roles grant, in the mode of the run.
fn granted() -> Result<BTreeSet<String>> {
    let names = |name: &str| BTreeSet::from([name.to_owned()]);
    let is_namespaced = std::env::var("OPERATOR_MODE").is_ok_and(|mode| mode == "namespaced");
    let wanted = Wanted {
        namespace: "own".to_owned(),
        service_account: "kratos-operator".to_owned(),
        namespaces: is_namespaced.then(|| names("identity")),
        instance_namespaces: names("identity"),
        watches_secrets: true,
        writes_recovery_secrets: true,
        elects: true,
        is_shard: true,
    };
    let mut granted = BTreeSet::new();
    for manifest in rbac::manifests(&wanted)? {
        let object: Value = serde_saphyr::from_str(&manifest)?;
        let words = |value: &Value| {
            let words = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        for rule in object["rules"].as_array().into_iter().flatten() {
            let group = rule["apiGroups"][0].as_str().unwrap_or_default();
            for resource in words(&rule["resources"]) {
                granted.extend(words(&rule["verbs"]).iter().map(|verb| format!("{verb} {group}/{resource}")));
            }
        }
    }
    Ok(granted)
}
