//! The Secrets that resources refer to, as they change, and the operator's own key.

pub mod operator_key;
pub mod rotation;
