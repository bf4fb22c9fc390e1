//! What the watches bring, and who is looked at because of it.

pub mod births;
pub mod caught_up;
pub mod cluster_id;
pub mod gone;
pub mod identities;
pub mod instances;
pub mod joined;
pub mod namespaces;
pub mod policies;
pub mod watches;
