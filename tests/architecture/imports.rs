//! Which file imports which, from the paths that the sources name. What a module hands on (`pub use`) is its owner's.

use std::collections::BTreeMap;

use crate::source::{code, handed_on, paths};
use crate::tree::File;

/// One file that names something of another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: String,
    pub to: String,
    /// What is named.
    pub path: String,
}

/// What is known of the modules.
struct Modules<'a> {
    files: BTreeMap<String, &'a str>,
    /// By module and name: what it hands on.
    handed_on: BTreeMap<(String, String), String>,
}

/// The imports of all files but tests.
pub fn imports(files: &[File]) -> Vec<Import> {
    let code: Vec<_> = files.iter().filter(|file| !file.is_test()).map(|file| (file, code(&file.text))).collect();
    let is_module = |(file, _): &&(&File, String)| file.path != "src/main.rs";
    let mut modules = Modules {
        files: code.iter().filter(is_module).map(|(file, _)| (file.module(), file.path.as_str())).collect(),
        handed_on: BTreeMap::new(),
    };
    for (file, code) in code.iter().filter(is_module) {
        for (name, path) in handed_on(code, &file.module()) {
            let path = modules.absolute(&path, &file.module());
            modules.handed_on.insert((file.module(), name), path);
        }
    }
    let mut found = Vec::new();
    for (file, code) in &code {
        for path in paths(code, &file.module()) {
            let path = modules.absolute(&path, &file.module());
            if let Some(to) = modules.owner(&path).filter(|to| **to != file.path) {
                found.push(Import { from: file.path.clone(), to: to.to_owned(), path });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

impl Modules<'_> {
    /// A path from the crate's root, where it begins at a child of the module, or is the binary's.
    fn absolute(&self, path: &str, module: &str) -> String {
        if let Some(rest) = path.strip_prefix("kratos_operator::") {
            return format!("crate::{rest}");
        }
        let first = path.split("::").next().unwrap_or_default();
        let child = format!("{module}::{first}");
        if path.contains("::") && self.files.contains_key(&child) {
            format!("{module}::{path}")
        } else {
            path.to_owned()
        }
    }

    /// The file that defines what a path names.
    fn owner(&self, path: &str) -> Option<&str> {
        let mut path = path.to_owned();
        // A name may be handed on several times.
        for _ in 0..8 {
            let (module, rest) = self.split(&path)?;
            let mut names = rest.split("::");
            let next = names.next().unwrap_or_default();
            let Some(further) = self.handed_on.get(&(module.to_owned(), next.to_owned())) else {
                return self.files.get(module).copied();
            };
            path = names.fold(further.clone(), |path, name| format!("{path}::{name}"));
        }
        None
    }

    /// The longest module in a path, and what comes after it.
    fn split<'p>(&self, path: &'p str) -> Option<(&'p str, &'p str)> {
        if !path.starts_with("crate::") {
            return None;
        }
        let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
        let module = ends.filter(|end| self.files.contains_key(&path[..*end])).max()?;
        Some((&path[..module], path[module..].trim_start_matches("::")))
    }
}

#[test]
fn imports_are_found_wherever_a_name_comes_from() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let files = [
        file("src/main.rs", "use kratos_operator::a::B;"),
        file("src/lib.rs", "pub mod a;\npub mod d;"),
        file("src/a/mod.rs", "mod b;\nmod c;\npub use b::{B, E as F};\npub use self::c::C;"),
        file("src/a/b.rs", "use super::c::C;\n#[cfg(test)]\nmod tests { use crate::d; }"),
        file("src/a/c.rs", "use std::fmt; // crate::d::D"),
        file("src/d.rs", "use crate::a::{C, F};\nfn x() { crate::a::B::y() }"),
        file("src/d/tests.rs", "use crate::a;"),
    ];
    let found: Vec<_> = imports(&files).into_iter().map(|import| (import.from, import.to)).collect();
    let expected = [
        ("src/a/b.rs", "src/a/c.rs"),
        ("src/a/mod.rs", "src/a/b.rs"),
        ("src/a/mod.rs", "src/a/b.rs"),
        ("src/a/mod.rs", "src/a/c.rs"),
        ("src/d.rs", "src/a/b.rs"),
        ("src/d.rs", "src/a/b.rs"),
        ("src/d.rs", "src/a/c.rs"),
        ("src/main.rs", "src/a/b.rs"),
    ];
    assert_eq!(found, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
}
