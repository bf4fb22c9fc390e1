//! What a session policy is: its rules, what they say of a session, and what follows from all of them. Pure: no client, no runtime,
//! no clock. What is done by it is `engine`'s.

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
