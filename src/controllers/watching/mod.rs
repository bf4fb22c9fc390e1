//! What the watches bring, and who is looked at because of it.

pub mod caught_up;
pub mod cluster_id;
pub mod joined;
pub mod namespaces;
pub mod watches;
