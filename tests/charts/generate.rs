//! `make charts`: writes what of the charts is generated.

mod generated;
mod manifest;
mod table;
#[path = "../testenv/mod.rs"]
mod testenv;

fn main() -> generated::Result<()> {
    let files = generated::all()?;
    for (path, text) in &files {
        write(path, text)?;
    }
    for path in generated::left_over(&files)? {
        std::fs::remove_file(generated::root().join(path))?;
    }
    // Last: it is made of the chart, as it is now.
    write(manifest::PATH, &manifest::text()?)
}

fn write(path: &str, text: &str) -> generated::Result<()> {
    let path = generated::root().join(path);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    Ok(std::fs::write(path, text)?)
}
