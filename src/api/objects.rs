//! Our kinds as they come from a cluster: an object that can't be read is one all the same.

use super::decode::Decoded;
use super::{KratosIdentity, KratosInstance, KratosSessionPolicy};

/// A `KratosIdentity`, or what is known of one that can't be read.
pub type IdentityObject = Decoded<KratosIdentity>;
/// A `KratosInstance`, or what is known of one that can't be read.
pub type InstanceObject = Decoded<KratosInstance>;
/// A `KratosSessionPolicy`, or what is known of one that can't be read.
pub type PolicyObject = Decoded<KratosSessionPolicy>;
