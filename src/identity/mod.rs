//! `KratosIdentity`: one way from manifest to status.
//!
//! `inputs → desired → observe → plan → apply → status`, driven by `reconcile`. `desired`, `plan`, `status` and what
//! they stand on (`actions`, `addresses`, `adoption`, `claim`, `facts`, `json`, `mark`, `password`, `pointer`, `schema`, `secrets`, `traits_from`,
//! `urgency`, `validity`) are pure: no client, no runtime, no clock.

pub mod actions;
pub mod addresses;
pub mod admission;
pub mod adopt;
pub mod adoption;
pub mod apply;
pub mod claim;
pub mod desired;
pub mod enforce;
pub mod facts;
pub mod failure;
pub mod inputs;
pub mod json;
pub mod lock_out;
pub mod mark;
pub mod memory;
pub mod observe;
pub mod password;
pub mod plan;
pub mod pointer;
pub mod read_secrets;
pub mod reconcile;
pub mod record;
pub mod release;
pub mod schema;
pub mod secrets;
pub mod status;
pub mod traits_from;
pub mod unreadable;
pub mod urgency;
pub mod validity;

#[cfg(test)]
mod tests;
