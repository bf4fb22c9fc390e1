//! What the real Kratos does, operation by operation and trap by trap, seen through the client. Everything that the
//! operator takes for granted about Kratos is asserted here; nothing of the operator itself is tested.

#[path = "../testenv/mod.rs"]
mod testenv;

mod batch;
mod configured;
mod create;
mod credentials;
mod fixtures;
mod guilty;
mod identifiers;
mod odd;
mod patch;
mod pointers;
mod read;
mod recovery;
mod schemas;
mod sessions;
mod update;
mod values;
