//! Session policies: rules, what they say of one session, and what follows from all sessions. Pure: no client, no runtime, no
//! clock. `engine` carries it out.

#![doc = include_str!("README.md")]

pub mod action;
pub mod address;
pub mod answer;
pub mod desired;
pub mod enrolment;
pub mod expression_results;
pub mod judge;
pub mod reachable;
pub mod status;
pub mod tally;
pub mod view;

#[cfg(test)]
mod tests;
