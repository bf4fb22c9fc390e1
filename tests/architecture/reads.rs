//! In which form objects are asked for: what the client library can't parse it logs, and takes nothing else of the answer.

use crate::source::code;
use crate::tree::{File, files};

const KINDS: [&str; 3] = ["KratosIdentity", "KratosInstance", "KratosSessionPolicy"];
/// Kinds of others: of these metadata or data are asked for.
const OTHERS: [&str; 3] = ["Secret", "ConfigMap", "Namespace"];
/// What parses an object as a whole, of whatever kind; of metadata, field managers too, which users can write.
const WHOLES: [&str; 4] = ["DynamicObject", "DeserializeGuard", "ObjectList", "PartialObjectMeta"];
/// Where errors are Kratos' and not of the API server's client, whose words quote answers (see `kube_error`).
const KRATOS_ERRORS: [&str; 3] =
    ["src/controllers/instance/reconcile.rs", "src/engine/instance/grace_periods.rs", "src/engine/instance/scan.rs"];

/// What a file asks for in a form that one odd object spoils, one line each.
fn offences(file: &File) -> Vec<String> {
    let code: String = code(&file.text).split_whitespace().collect();
    let wholes = WHOLES.iter().filter(|whole| code.contains(*whole)).map(|whole| (*whole).to_owned());
    let typed = KINDS.iter().chain(&OTHERS).flat_map(|kind| [format!("Api<{kind}>"), format!("Api::<{kind}>")]);
    let typed = typed.filter(|typed| code.contains(typed));
    wholes
        .chain(typed)
        .map(|what| {
            format!("{} asks for {what}: our kinds are asked for as Decoded, others as Metadata or Stored", file.path)
        })
        .collect()
}

#[test]
fn objects_are_asked_for_as_what_can_not_fail() {
    let files = files("src");
    let found: Vec<_> = files.iter().filter(|file| !file.is_test()).flat_map(offences).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn errors_are_logged_without_what_was_answered() {
    let is_elsewhere = |file: &File| {
        !file.is_test() && !file.path.starts_with("src/kratos/") && !KRATOS_ERRORS.contains(&file.path.as_str())
    };
    let raw = ["%error", "?error", "%failure", "?failure"];
    let found = files("src").into_iter().filter(is_elsewhere);
    let found: Vec<_> = found.filter(|file| raw.iter().any(|raw| code(&file.text).contains(raw))).collect();
    let paths: Vec<_> = found.iter().map(|file| &file.path).collect();
    assert!(paths.is_empty(), "{paths:?} log an error in its own words: kube_error has others");
}

#[test]
fn an_offence_is_noticed() {
    let rows = [
        ("let api: Api<KratosIdentity> = api(context);", 1),
        ("let api = Api::<KratosInstance>::all(client);", 1),
        ("use kube::api::{ApiResource, DynamicObject};", 1),
        ("watcher(Api::<PartialObjectMeta<KratosSessionPolicy>>::all(client), config)", 1),
        ("let api: Api<IdentityObject> = api(context); // Api<KratosIdentity>", 0),
        ("fn api(client: &kube::Client) -> Api<Secret> {", 1),
        ("let found = Api::<Namespace>::all(client).get(name).await?;", 1),
        ("let api = Api::<Metadata<Secret>>::all(client);", 0),
        ("let api = Api::<Stored<ConfigMap>>::namespaced(client, namespace);", 0),
    ];
    for (text, count) in rows {
        let file = File { path: "src/a.rs".to_owned(), text: text.to_owned() };
        assert_eq!(offences(&file).len(), count, "{text}");
    }
}
