//! `crds/` is what the source generates.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kratos_operator::commands::operator::crd_files;

#[test]
fn the_files_are_what_the_source_generates() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let generated: BTreeMap<String, String> = crd_files().expect("they can be written").into_iter().collect();
    let entries = fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let there: BTreeMap<String, String> = entries
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    assert!(
        there.keys().eq(generated.keys()),
        "crds/ holds {:?} instead of {:?}: run `make crds`, and remove what is left over",
        there.keys(),
        generated.keys()
    );
    for (name, text) in generated {
        assert!(there[&name] == text, "crds/{name} is stale: run `make crds`");
    }
}
