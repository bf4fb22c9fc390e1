//! The environment of tests and demo: the real etcd, kube-apiserver, kube-controller-manager, Kratos and operator as child
//! processes on loopback, and a proxy that counts requests and injects faults. Nothing in here may test anything, or leave a
//! process or a directory behind.

#![allow(dead_code, reason = "each test binary, and the demo, uses its own part")]
#![allow(clippy::missing_panics_doc, reason = "a panic is how a test fails")]

pub mod authority;
pub mod certificates;
pub mod control_plane;
pub mod credentials;
pub mod databases;
pub mod faults;
pub mod forward_proxy;
pub mod kratos;
pub mod kratos_people;
pub mod kratos_recovery;
pub mod kratos_schemas;
pub mod kubectl;
pub mod labels;
pub mod operator;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod samples;
pub mod screen;
pub mod upstream;
pub mod wire;
pub mod workdir;

pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
