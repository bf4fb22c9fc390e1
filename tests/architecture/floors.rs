//! The house stands on floors: no import looks up, or across to a neighbour's folder, and none runs in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{Import, imports};
use crate::source::{code, paths};
use crate::tree::{File, files};

/// From the ground up: the folders of each floor, and what stands there. Files of `src/` itself stand on the roof.
const FLOORS: [(&[&str], &str); 9] = [
    (&["base"], "helpers that know nothing of the product"),
    (&["api", "kratos"], "the kinds and their conditions; the client of Kratos"),
    (&["rules", "telemetry"], "expressions; what is told beside the resources"),
    (&["identity", "policy"], "what an identity and a policy are: pure"),
    (&["instance"], "a Kratos as it stands now"),
    (&["engine"], "what is done to Kratos: observe, plan, apply"),
    (&["kubernetes"], "the client of Kubernetes: reading, writing, watching, events"),
    (&["controllers"], "watches, queues, leases, finalizers, statuses"),
    (&["commands"], "commands and the composition root"),
];

/// The first floor that may have a client of Kubernetes, its stores and its watches.
const KUBERNETES: &str = "kubernetes";
const OF_KUBERNETES: [&str; 5] = ["kube::Client", "kube::Api", "kube::api", "kube::client::Client", "kube::runtime"];

/// The folder below `src/`; `None`: the roof.
fn folder(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split_once('/').map(|(folder, _)| folder)
}

/// The floor of a file, counted from the ground.
fn floor(path: &str) -> usize {
    let of = |folder: &str| FLOORS.iter().position(|(folders, _)| folders.contains(&folder));
    folder(path).map_or(FLOORS.len(), |folder| of(folder).unwrap_or_else(|| panic!("{folder} stands on no floor")))
}

/// Whether an import looks up, or across to a neighbour.
fn looks_up(Import { from, to, .. }: &Import) -> bool {
    let (here, there) = (floor(from), floor(to));
    there > here || there == here && folder(from) != folder(to)
}

/// What is reached from one, by whatever way.
fn reached<'a>(next: &BTreeMap<&'a str, Vec<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        for to in next.get(at).into_iter().flatten() {
            if found.insert(*to) {
                open.push(*to);
            }
        }
    }
    found
}

/// Those that import each other, directly or by others; each in order.
fn circles(arrows: &BTreeSet<(&str, &str)>) -> BTreeSet<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<_, _> = next.keys().map(|from| (*from, reached(&next, from))).collect();
    let meets = |one: &str, other: &str| reached.get(one).is_some_and(|found| found.contains(other));
    let members = next.keys().filter(|at| meets(at, at));
    members
        .map(|at| reached[at].iter().filter(|other| meets(other, at)).map(|other| (*other).to_owned()).collect())
        .collect()
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Whether one directory is within the other: a folder and its parts are one house.
fn are_related(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}/"));
    within(one, other) || within(other, one)
}

/// What ties these files or folders together, an import a line.
fn ties<'a>(all: impl IntoIterator<Item = &'a Import>, is_one: impl Fn(&Import) -> bool) -> String {
    let ties = all.into_iter().filter(|it| is_one(it));
    let lines: Vec<_> = ties.map(|it| format!("{} names {} ({})", it.from, it.path, it.to)).collect();
    lines.join("\n")
}

#[test]
fn no_import_looks_up() {
    let found = ties(&imports(&files("src")), looks_up);
    assert!(found.is_empty(), "these look up, or across:\n{found}");
}

#[test]
fn no_files_import_each_other() {
    let imports = imports(&files("src"));
    // What looks up is said above, each by itself.
    let arrows = imports.iter().filter(|import| !looks_up(import)).map(|it| (&*it.from, &*it.to)).collect();
    let found = circles(&arrows);
    let is_in_one = |it: &Import| found.iter().any(|circle| circle.contains(&it.from) && circle.contains(&it.to));
    assert!(found.is_empty(), "these import each other:\n{}", ties(&imports, is_in_one));
}

#[test]
fn no_folders_import_each_other() {
    let imports = imports(&files("src"));
    let is_between = |it: &Import| !looks_up(it) && !are_related(directory(&it.from), directory(&it.to));
    let between = imports.iter().filter(|it| is_between(it));
    let found = circles(&between.map(|it| (directory(&it.from), directory(&it.to))).collect());
    let is_within = |circle: &Vec<String>, path: &str| circle.iter().any(|folder| folder == directory(path));
    let is_in_one =
        |it: &Import| is_between(it) && found.iter().any(|one| is_within(one, &it.from) && is_within(one, &it.to));
    assert!(found.is_empty(), "these folders import each other:\n{}", ties(&imports, is_in_one));
}

#[test]
fn below_its_floor_nothing_knows_a_client_of_kubernetes() {
    let first = FLOORS.iter().position(|(folders, _)| folders.contains(&KUBERNETES)).expect("its floor");
    let below = |file: &&File| !file.is_test() && floor(&file.path) < first;
    let names = |file: &&File| {
        let paths = paths(&code(&file.text), &file.module());
        let is_one =
            |path: &String| OF_KUBERNETES.iter().any(|known| path == known || path.starts_with(&format!("{known}::")));
        paths.iter().any(is_one)
    };
    let files = files("src");
    let found: Vec<_> = files.iter().filter(below).filter(names).map(|file| &*file.path).collect();
    assert!(found.is_empty(), "these name Kubernetes' client, stores or watches: {found:?}");
}

#[test]
fn every_folder_stands_on_one_floor() {
    let there: BTreeSet<_> = files("src").iter().filter_map(|file| folder(&file.path).map(str::to_owned)).collect();
    let named: Vec<_> =
        FLOORS.iter().flat_map(|(folders, _)| folders.iter().map(|folder| (*folder).to_owned())).collect();
    assert_eq!(named.len(), named.iter().collect::<BTreeSet<_>>().len(), "a folder stands on one floor");
    assert_eq!(there, named.into_iter().collect());
}

#[test]
fn what_looks_up_and_what_runs_in_a_circle_is_noticed() {
    let import = |from: &str, to: &str| Import { from: from.to_owned(), to: to.to_owned(), path: String::new() };
    assert!(looks_up(&import("src/engine/a.rs", "src/controllers/b.rs")));
    assert!(looks_up(&import("src/identity/a.rs", "src/policy/b.rs")), "across");
    assert!(looks_up(&import("src/commands/a.rs", "src/lib.rs")));
    assert!(!looks_up(&import("src/engine/a.rs", "src/engine/b/c.rs")));
    assert!(!looks_up(&import("src/main.rs", "src/base/b.rs")));
    let arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "f")].into_iter().collect();
    let found: Vec<_> = circles(&arrows).into_iter().collect();
    assert_eq!(found, [vec!["a", "b", "c"], vec!["f"]]);
    assert!(are_related("src/a", "src/a/b") && !are_related("src/a", "src/ab") && !are_related("src/a/b", "src/a/c"));
}
