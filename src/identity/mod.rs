//! The model of an identity: whose it is, what its manifest wants, the plan from what Kratos has to that, and the status. Pure:
//! no client, no runtime, no clock. The engine does what is planned here.

#![doc = include_str!("README.md")]

pub mod absent;
pub mod actions;
pub mod addresses;
pub mod adopted;
pub mod adoption;
pub mod asked;
pub mod birth;
pub mod claim;
pub mod conflict;
pub mod desired;
pub mod digest_key;
pub mod facts;
pub mod happenings;
pub mod json;
pub mod links;
pub mod mark;
pub mod named;
pub mod opaque;
pub mod password;
pub mod person;
pub mod plan;
pub mod pointer;
pub mod progress;
pub mod recovery;
pub mod reference;
pub mod remark;
pub mod replacement;
pub mod schema;
pub mod secrets;
pub mod status;
pub mod traits_from;
pub mod validity;
pub mod watch;

#[cfg(test)]
pub(crate) mod tests;
