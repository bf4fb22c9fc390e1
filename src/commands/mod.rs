//! The commands, what they print, and the composition root.

pub mod admission_policy;
pub mod cli;
pub mod operator;
pub mod parts;
pub mod rbac;
