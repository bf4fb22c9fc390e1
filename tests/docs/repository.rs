//! The Markdown of the repository.

use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page of the site, by its path from the root of the repository, in order.
pub fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    below(Path::new("docs"), &mut found);
    found.retain(|path| path != Path::new("docs/SUMMARY.md"));
    found.sort();
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The READMEs beside the code: what architecture.md leaves to them.
pub fn readmes_of_source() -> Vec<PathBuf> {
    let mut found = Vec::new();
    below(Path::new("src"), &mut found);
    found.sort();
    assert!(found.len() >= 10, "{found:?}");
    found
}

/// The pages, and what else people read in Markdown.
pub fn documents() -> Vec<PathBuf> {
    let mut found = pages();
    found.extend(readmes_of_source());
    for folder in ["charts", "gitops", "examples"] {
        below(Path::new(folder), &mut found);
    }
    found.push("README.md".into());
    found
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return };
    for entry in entries {
        let path = folder.join(entry.expect("an entry").file_name());
        if root().join(&path).is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}
