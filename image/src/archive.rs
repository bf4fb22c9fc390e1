//! An archive of one image, as `docker load`, `podman load` and `ctr images import` take it.

use std::fs;
use std::path::Path;

use serde_json::json;
use tar::{Builder, Header};

use crate::{Packed, Result, digest};

/// Writes the archive; `name` is what the image is called once it was loaded: `REPOSITORY:TAG`.
pub fn write(file: &Path, name: &str, Packed { architecture: _, config, layer }: &Packed) -> Result<()> {
    let config_name = format!("{}.json", digest(config).trim_start_matches("sha256:"));
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut archive = Builder::new(Vec::new());
    for (path, content) in [
        (config_name.as_str(), config.as_slice()),
        ("layer.tar", layer),
        ("manifest.json", &serde_json::to_vec(&manifest)?),
    ] {
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)?;
    }
    fs::write(file, archive.into_inner()?).map_err(|error| format!("{}: {error}", file.display()).into())
}
