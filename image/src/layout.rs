//! An OCI image layout: a folder that `skopeo`, `crane`, `oras` and others copy to a registry.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::{Packed, Result, digest, layer};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// One image of several architectures: what it is called by in registries, and the size of each layer that is pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub digest: String,
    /// Bytes, in the order of the images given.
    pub compressed: Vec<usize>,
}

/// Writes the layout to a folder that isn't there yet.
pub fn write(directory: &Path, tag: &str, images: &[Packed]) -> Result<Written> {
    fs::create_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let blobs = Blobs(directory);
    fs::create_dir_all(directory.join("blobs/sha256"))?;
    let (mut manifests, mut compressed) = (Vec::new(), Vec::new());
    for Packed { architecture, config, layer } in images {
        let layer = layer::gzip(layer)?;
        compressed.push(layer.len());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blobs.add(CONFIG, config)?,
            "layers": [blobs.add(LAYER, &layer)?],
        });
        let mut manifest = blobs.add(MANIFEST, &serde_json::to_vec(&manifest)?)?;
        manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifests.push(manifest);
    }
    let image = serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))?;
    let mut descriptor = blobs.add(INDEX, &image)?;
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]});
    fs::write(directory.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(Written { digest: digest(&image), compressed })
}

/// The folder of content.
struct Blobs<'a>(&'a Path);

impl Blobs<'_> {
    /// Adds content; its descriptor.
    fn add(&self, media_type: &str, content: &[u8]) -> Result<Value> {
        let digest = digest(content);
        fs::write(self.0.join("blobs").join(digest.replace(':', "/")), content)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": content.len()}))
    }
}
