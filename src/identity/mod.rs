//! The model of an identity: whose it is, what its manifest wants, the plan from what Kratos has to that, and the status. Pure:
//! no client, no runtime, no clock. The engine does what is planned here.

#![doc = include_str!("README.md")]

pub mod absent_credentials;
pub mod actions;
pub mod addresses;
pub mod adoption;
pub mod adoption_limits;
pub mod birth;
pub mod claim;
pub mod conflict;
pub mod credential_watch;
pub mod desired;
pub mod digest_key;
pub mod events;
pub mod facts;
pub mod json;
pub mod links;
pub mod mark;
pub mod opaque;
pub mod password;
pub mod path_redaction;
pub mod person;
pub mod plan;
pub mod pointer;
pub mod progress;
pub mod ready_message;
pub mod recovery;
pub mod reference;
pub mod replacement;
pub mod requested_identifiers;
pub mod schema;
pub mod secrets;
pub mod status;
pub mod traits_from;
pub mod validity;

#[cfg(test)]
pub(crate) mod tests;
