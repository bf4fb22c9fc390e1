//! `KratosSessionPolicy`: sessions end, or go on, by rules.
//!
//! `inputs → desired → reach → observe → tally → enforce → status`, driven by `reconcile`; `revoke_all` is what is done
//! once per token, and `whose` what mode Observe shows. `address`, `answer`, `desired`, `enrolment`, `judge`, `status`, `tally`, `truth`, `view` and `within` are pure: no client, no
//! runtime, no clock.

pub mod address;
pub mod answer;
pub mod desired;
pub mod enforce;
pub mod enrolment;
pub mod inputs;
pub mod judge;
pub mod observe;
pub mod poke;
pub mod reach;
pub mod reconcile;
pub mod record;
pub mod revoke_all;
pub mod runs;
pub mod source;
pub mod status;
pub mod tally;
pub mod truth;
pub mod turn;
pub mod unreadable;
pub mod urgency;
pub mod view;
pub mod whose;
pub mod within;

#[cfg(test)]
mod tests;
