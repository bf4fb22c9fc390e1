//! `KratosIdentity`: one way from manifest to status.
//!
//! `inputs → desired → observe → plan → apply → status`, driven by `reconcile`. `desired`, `plan`, `status` and what
//! they stand on (`adoption`, `claim`, `json`, `mark`, `pointer`, `schema`, `secrets`, `validity`) are pure: no client, no
//! runtime, no clock.

pub mod adopt;
pub mod adoption;
pub mod apply;
pub mod claim;
pub mod desired;
pub mod enforce;
pub mod failure;
pub mod inputs;
pub mod json;
pub mod mark;
pub mod memory;
pub mod observe;
pub mod plan;
pub mod pointer;
pub mod read_secrets;
pub mod reconcile;
pub mod record;
pub mod release;
pub mod schema;
pub mod secrets;
pub mod status;
pub mod unreadable;
pub mod validity;

#[cfg(test)]
mod tests;
