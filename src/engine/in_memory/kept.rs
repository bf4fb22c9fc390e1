//! One Secret that is kept in memory.

use std::collections::BTreeMap;

/// See the module.
#[derive(Default)]
pub struct Kept {
    pub values: BTreeMap<String, Vec<u8>>,
    /// The uid of the resource whose own it is.
    pub owner: Option<String>,
    pub version: u64,
}
