//! The charts: what is generated is up to date, what they render says what the values say, and a real API server takes it as
//! Helm installs, upgrades and uninstalls it. No pod runs here; that is what `make e2e` is for.

#[path = "../testenv/mod.rs"]
mod testenv;

mod generated;
mod helm;
mod manifest;
mod table;

mod cluster;
mod documents;
mod files;
mod instance;
mod monitoring;
mod operators;
mod policy;
mod rendering;
mod rights;
mod values;
