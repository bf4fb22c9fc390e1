//! Our kinds as they come from a cluster: an object that can't be decoded still is an object.

use super::decode::Decoded;
use super::{KratosIdentity, KratosInstance, KratosSessionPolicy};

/// A `KratosIdentity`, or what is known of one that can't be decoded.
pub type IdentityObject = Decoded<KratosIdentity>;
/// A `KratosInstance`, or what is known of one that can't be decoded.
pub type InstanceObject = Decoded<KratosInstance>;
/// A `KratosSessionPolicy`, or what is known of one that can't be decoded.
pub type PolicyObject = Decoded<KratosSessionPolicy>;
