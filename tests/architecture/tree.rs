//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub struct File {
    /// From the repository's root, as in `src/api/mod.rs`.
    pub path: String,
    pub text: String,
}

impl File {
    /// Whether it is compiled for tests alone.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("_tests.rs") || self.path.ends_with("/tests.rs")
    }

    /// As other modules name it: `crate::api`.
    pub fn module(&self) -> String {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod").replace('/', "::");
        if matches!(path.as_str(), "lib" | "main") { "crate".to_owned() } else { format!("crate::{path}") }
    }
}

/// All Rust files below a directory of the repository.
pub fn files(directory: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(&root.join(directory), &mut found);
    found.sort();
    assert!(found.len() > 5, "there are sources in {directory}");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a text");
            File { path: path.strip_prefix(root).expect("below the root").display().to_string(), text }
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
