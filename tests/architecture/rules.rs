//! What may import what, and what may do what.

use crate::source::{code, paths};
use crate::tree::{File, files};

/// Modules that are pure: no client, no runtime, no clock.
const PURE: &[&str] = &[
    "crate::api",
    "crate::base::duration",
    "crate::base::flow::counts",
    "crate::base::flow::fair_queue",
    "crate::base::kube_error",
    "crate::base::namespaced_name",
    "crate::base::resource_version",
    "crate::base::connect_failure",
    "crate::commands::admission_policy",
    "crate::commands::rbac",
    "crate::controllers::predicate",
    "crate::controllers::leading::lease::term",
    "crate::controllers::queue",
    "crate::controllers::watching::merged_watch",
    "crate::identity",
    "crate::instance::consent",
    "crate::instance::counts",
    "crate::instance::headers",
    "crate::instance::kept",
    "crate::instance::deletion_effect",
    "crate::instance::protection",
    "crate::instance::release_value",
    "crate::instance::reservations",
    "crate::instance::rules",
    "crate::instance::settings",
    "crate::instance::status",
    "crate::kratos::batcher::packing",
    "crate::kratos::batcher::triage",
    "crate::kratos::client_certificate",
    "crate::kratos::identifier",
    "crate::kratos::types",
    "crate::kubernetes::events::series",
    "crate::kubernetes::selector",
    "crate::kubernetes::watch_error",
    "crate::policy",
    "crate::rules",
    "crate::kratos::RateLimit",
];

/// What a pure module may name of the client's module: wire types, plain settings, and what a failure is.
const WIRE: &[&str] = &[
    "Content",
    "CreateIdentity",
    "Credential",
    "CredentialImport",
    "CredentialType",
    "Device",
    "Identity",
    "Member",
    "OidcLink",
    "Opaque",
    "PasswordImport",
    "PatchOperation",
    "Readable",
    "RateLimit",
    "Secret",
    "Session",
    "State",
    "UpdateIdentity",
    "VerifiedAddressImport",
    "error",
    "identifier",
    "kind",
];

const IMPURE: [&str; 10] = [
    "kube::Api",
    "kube::Client",
    "kube::api",
    "kube::client",
    "reqwest",
    "tokio",
    "tokio_util",
    "futures",
    "tracing",
    "rand",
];

const CLOCKS: [&str; 5] = ["Instant::now", "SystemTime", "Timestamp::now", "Zoned::now", "sleep"];

/// A task that is run in any other way than [`SUPERVISOR`]'s ends in silence when it panics.
const SPAWNERS: [&str; 4] = ["tokio::spawn", "task::spawn", "task::spawn_local", "thread::spawn"];
const SUPERVISOR: &str = "src/base/supervise.rs";

/// A client that is made in any other way than [`CLIENT`]'s waits for ever on a network that is silent.
const CLIENT_MAKERS: [&str; 3] = ["Client::try_from", "Client::try_default", "ClientBuilder"];
const CLIENT: &str = "src/kubernetes/kube_client.rs";

const PRINTERS: [&str; 7] = ["print", "println", "eprint", "eprintln", "dbg", "stdout", "stderr"];

/// What one kind may know of the other: (who, of whom, these modules).
const ACQUAINTANCES: [(&str, &str, &[&str]); 9] = [
    ("crate::engine::identity", "crate::engine::instance", &[]),
    ("crate::engine::identity", "crate::engine::policy", &[]),
    ("crate::engine::instance", "crate::engine::identity", &[]),
    // An identity schema that couldn't be read is nobody's fault.
    ("crate::engine::policy", "crate::engine::identity", &["schemas"]),
    ("crate::controllers::identity", "crate::controllers::instance", &[]),
    ("crate::controllers::identity", "crate::controllers::policy", &[]),
    ("crate::controllers::instance", "crate::controllers::identity", &[]),
    ("crate::controllers::instance", "crate::controllers::policy", &[]),
    ("crate::controllers::policy", "crate::controllers::identity", &[]),
];

fn is_within(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether a path names `what` in whatever way it was imported: `std::time::Instant::now` is `Instant::now`.
fn names(path: &str, what: &str) -> bool {
    format!("::{path}::").contains(&format!("::{what}::"))
}

/// What a file does that it may not, one line each.
fn offences(file: &File) -> Vec<String> {
    let (module, code) = (file.module(), code(&file.text));
    let mut found = Vec::new();
    let is_pure = PURE.iter().any(|pure| is_within(&module, pure));
    for path in paths(&code, &module) {
        let mut offends = |why: &str| found.push(format!("{} names {path}: {why}", file.path));
        if is_pure && IMPURE.iter().any(|impure| is_within(&path, impure)) {
            offends("a pure module has no client and no runtime");
        }
        if is_pure && CLOCKS.iter().any(|clock| names(&path, clock)) {
            offends("to a pure module time is an argument");
        }
        if is_pure && !is_within(&path, &module) && !may_be_known_to_the_pure(&path) {
            offends("a pure module imports pure modules only");
        }
        let is_ours = path.starts_with("crate::");
        let is_flow = is_within(&path, "crate::base::flow");
        // Why a server isn't reached is the same for whoever calls one.
        let is_shared = is_within(&path, "crate::base::connect_failure");
        if is_within(&module, "crate::kratos")
            && is_ours
            && !is_flow
            && !is_shared
            && !is_within(&path, "crate::kratos")
        {
            offends("the client knows nothing of the operator");
        }
        if is_within(&module, "crate::base::flow") && is_ours && !is_flow {
            offends("whose turn it is has nothing to do with what for");
        }
        if file.path != "src/base/blocking.rs" && names(&path, "spawn_blocking") {
            offends(
                "only src/base/blocking.rs hands work over to other threads: there a panic takes nothing else along",
            );
        }
        if file.path != "src/main.rs" && PRINTERS.iter().any(|printer| names(&path, printer)) {
            offends("only src/main.rs prints");
        }
        if file.path != SUPERVISOR && SPAWNERS.iter().any(|spawner| names(&path, spawner)) {
            offends("a background task is supervised");
        }
        if file.path != CLIENT && CLIENT_MAKERS.iter().any(|maker| names(&path, maker)) {
            offends("a client has time-outs");
        }
        for (who, of_whom, known) in ACQUAINTANCES {
            let is_known = known.iter().any(|known| is_within(&path, &format!("{of_whom}::{known}")));
            if is_within(&module, who) && is_within(&path, of_whom) && path != of_whom && !is_known {
                offends("the kinds don't know each other's insides");
            }
        }
    }
    found
}

fn may_be_known_to_the_pure(path: &str) -> bool {
    let is_ours = path.starts_with("crate::");
    let wire = path.strip_prefix("crate::kratos::").and_then(|path| path.split("::").next());
    !is_ours || PURE.iter().any(|pure| is_within(path, pure)) || wire.is_some_and(|name| WIRE.contains(&name))
}

#[test]
fn the_sources_keep_to_the_design() {
    let files = files("src");
    let found: Vec<_> = files.iter().filter(|file| !file.is_test()).flat_map(offences).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_pure_module_is_there() {
    let files = files("src");
    let modules: Vec<_> = files.iter().map(File::module).collect();
    for pure in PURE.iter().filter(|pure| **pure != "crate::kratos::RateLimit") {
        assert!(modules.iter().any(|module| module == pure), "{pure} is gone: correct the list");
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    for file in files("src").iter().chain(&files("tests")) {
        assert!(file.text.starts_with("//! "), "{} doesn't open with what it is for", file.path);
    }
    for file in files("src") {
        assert!(file.text.lines().count() <= 400, "{} is longer than 400 lines", file.path);
    }
}

#[test]
fn an_offence_is_noticed() {
    let rows = [
        ("src/identity/plan.rs", "use tokio::time::interval;", "runtime"),
        ("src/identity/plan.rs", "use kube::{Api, ResourceExt};", "client"),
        ("src/identity/claim.rs", "fn a(client: &kube::Client) {}", "client"),
        ("src/identity/plan.rs", "use crate::kratos::{Client, Identity};", "pure modules only"),
        ("src/identity/plan.rs", "use crate::engine::identity::observe::Search;", "pure modules only"),
        ("src/instance/settings.rs", "use crate::controllers::shared::informers::Informers;", "pure modules only"),
        ("src/api/crd.rs", "use crate::commands::operator;", "pure modules only"),
        ("src/identity/status.rs", "fn a() { let now = std::time::Instant::now(); }", "argument"),
        ("src/identity/status.rs", "use std::time::Instant;\nfn a() { Instant::now(); }", "argument"),
        ("src/identity/status.rs", "fn a() { Timestamp::now(); }", "argument"),
        ("src/kratos/types/session.rs", "use std::time::SystemTime;", "argument"),
        ("src/kratos/client.rs", "use crate::api::Reason;", "knows nothing"),
        ("src/kratos/client.rs", "use crate::{identity, kratos};", "knows nothing"),
        ("src/base/flow/fair_semaphore.rs", "use crate::base::namespaced_name::NamespacedName;", "what for"),
        ("src/commands/operator.rs", "fn a() { println!(); }", "prints"),
        ("src/engine/policy/observe.rs", "fn a() { tokio::task::spawn_blocking(|| ()); }", "other threads"),
        ("src/commands/operator.rs", "use std::io::{self, stderr};", "prints"),
        ("src/engine/instance/scan.rs", "fn a() { tokio::spawn(b()); }", "supervised"),
        ("src/controllers/leading/lease.rs", "use tokio::task;\nfn a() { task::spawn(b()); }", "supervised"),
        ("src/main.rs", "fn a() { std::thread::spawn(b); }", "supervised"),
        ("src/main.rs", "fn a() { kube::Client::try_from(config) }", "time-outs"),
        ("src/engine/identity/observe.rs", "use crate::engine::policy::reach::Reach;", "insides"),
        ("src/engine/instance/scan.rs", "use crate::engine::identity::{memory, observe};", "insides"),
        ("src/engine/policy/reach.rs", "use crate::engine::identity::observe::Search;", "insides"),
        ("src/controllers/identity/record.rs", "use crate::controllers::policy::record::write;", "insides"),
    ];
    for (path, text, why) in rows {
        let found = offences(&File { path: path.to_owned(), text: text.to_owned() });
        assert!(found.iter().any(|line| line.contains(why)), "{path}: {text}: {found:?}");
    }
    let rows = [
        (
            "src/identity/plan.rs",
            "// use tokio::time;\nuse crate::kratos::{Identity, State};\nuse super::claim::Claim;",
        ),
        (
            "src/identity/plan.rs",
            "fn a() -> &'static str { \"tokio Instant::now()\" }\n#[cfg(test)]\nmod tests { use tokio; }",
        ),
        ("src/main.rs", "fn main() { println!(); }"),
        ("src/kratos/batcher.rs", "use crate::base::flow::expected::Expected;"),
        ("src/engine/policy/reach.rs", "use crate::engine::identity::schemas;"),
        ("src/commands/operator.rs", "use crate::{controllers, instance};"),
    ];
    for (path, text) in rows {
        assert_eq!(offences(&File { path: path.to_owned(), text: text.to_owned() }), Vec::<String>::new(), "{text}");
    }
}
