//! What the benchmarks stand on: a control plane with the definitions and a namespace, and where figures are written. Starts no
//! operator.

#![allow(dead_code, reason = "each benchmark uses its own part")]

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::Value;

use crate::testenv::Result;
use crate::testenv::control_plane::ControlPlane;

/// A path in the repository, wherever the benchmark is started from.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A control plane that knows our kinds and has this namespace, and a client of it.
pub async fn control_plane(namespace: &str) -> Result<(ControlPlane, kube::Client)> {
    let plane = ControlPlane::start().await?;
    plane.install_crds(&in_repository("crds")).await?;
    let client = plane.client().await?;
    make_namespace(&client, namespace).await?;
    Ok((plane, client))
}

pub async fn make_namespace(client: &kube::Client, name: &str) -> Result<()> {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// Writes figures into a file of the repository, and says so.
pub fn write_figures(file: &str, figures: &Value) -> Result<()> {
    std::fs::write(in_repository(file), serde_json::to_vec_pretty(figures)?)?;
    println!("\nwritten to {file}");
    Ok(())
}
