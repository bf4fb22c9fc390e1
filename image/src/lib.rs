//! Container images without an engine: files and settings become a layer and a configuration, and these an OCI layout or an
//! archive as `docker load` and `ctr images import` take it. The same input gives the same bytes: nothing here reads a
//! clock, and of a file nothing counts but its content and whether it can be run.

pub mod archive;
pub mod dockerfile;
pub mod layer;
pub mod layout;

use std::collections::BTreeMap;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What an image is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub files: Vec<File>,
    /// `UID:GID`
    pub user: String,
    pub entrypoint: Vec<String>,
    /// `NAME=value`
    pub environment: Vec<String>,
    pub labels: BTreeMap<String, String>,
}

/// A file in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is now.
    pub from: PathBuf,
    /// Its absolute path in the image.
    pub to: String,
}

/// An image for one architecture, ready to be written.
#[derive(Clone, Debug)]
pub struct Packed {
    /// As Go calls it: `amd64`, `arm64`.
    pub architecture: String,
    /// JSON.
    pub config: Vec<u8>,
    /// A tar archive.
    pub layer: Vec<u8>,
}

impl Image {
    /// Reads the files. `created`, in seconds since 1970, stands for every time in the image.
    pub fn pack(&self, architecture: &str, created: u32) -> Result<Packed> {
        let layer = layer::tar(&self.files, created)?;
        let mut settings = json!({"User": self.user, "Entrypoint": self.entrypoint, "Labels": self.labels});
        if !self.environment.is_empty() {
            settings["Env"] = json!(self.environment);
        }
        let created = Timestamp::from_second(created.into())?.to_string();
        let config = json!({
            "architecture": architecture,
            "config": settings,
            "created": created,
            "history": [{"created": created, "created_by": "make image"}],
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        Ok(Packed { architecture: architecture.to_owned(), config: serde_json::to_vec(&config)?, layer })
    }
}

/// As registries name content: `sha256:…`.
pub fn digest(content: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(content)))
}
