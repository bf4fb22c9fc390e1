//! Writes the pages of `docs/reference/`, for `make reference`.

use std::path::Path;

mod reference;

fn main() -> std::io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    std::fs::create_dir_all(&directory)?;
    for (name, page) in reference::pages() {
        std::fs::write(directory.join(name), page)?;
    }
    Ok(())
}
