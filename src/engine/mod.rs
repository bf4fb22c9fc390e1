//! What is done to Kratos, and nothing else: observe, plan, apply. What it needs of a cluster it gets as traits.

#![doc = include_str!("README.md")]

pub mod cluster;
pub mod failure;
pub mod identity;
pub mod in_memory;
pub mod instance;
pub mod policy;

#[cfg(test)]
mod tests;
