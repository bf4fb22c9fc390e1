//! `KratosIdentity`: one way from manifest to status.
//!
//! `inputs → desired → observe → plan → apply → status`, driven by `reconcile`. `desired`, `plan`, `status` and what
//! they stand on (`absent`, `actions`, `addresses`, `adopted`, `adoption`, `asked`, `birth`, `claim`, `digest_key`, `facts`, `happenings`, `json`, `links`, `mark`, `opaque`,
//! `password`, `person`, `pointer`, `progress`, `recovery`, `remark`, `schema`, `secrets`, `traits_from`, `urgency`, `validity`, `watch`) are pure: no client, no
//! runtime, no clock.

pub mod absence;
pub mod absent;
pub mod actions;
pub mod addresses;
pub mod admission;
pub mod adopt;
pub mod adopted;
pub mod adoption;
pub mod apply;
pub mod asked;
pub mod birth;
pub mod claim;
pub mod desired;
pub mod digest_key;
pub mod enforce;
pub mod facts;
pub mod failure;
mod happenings;
pub mod inputs;
pub mod issue;
pub mod json;
pub mod last_look;
pub mod links;
pub mod lock_out;
pub mod mark;
pub mod memory;
mod named;
pub mod observe;
pub mod opaque;
pub mod password;
pub mod person;
pub mod plan;
mod planned;
pub mod pointer;
pub mod progress;
pub mod read_secrets;
pub mod reconcile;
pub mod record;
pub mod recover;
pub mod recovery;
pub mod release;
mod remark;
pub mod schema;
pub mod schemas;
pub mod secrets;
pub mod sole;
pub mod status;
pub mod succession;
pub mod successors;
pub mod traits_from;
mod turn;
pub mod unreadable;
pub mod urgency;
pub mod validity;
pub mod watch;

#[cfg(test)]
mod tests;
