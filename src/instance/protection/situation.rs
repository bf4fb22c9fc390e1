//! What is to be decided upon, and within which limits. Shapes only.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// What an instance lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one namespace.
    pub max_deletions: u32,
    /// Of all namespaces together.
    pub max_deletions_total: u32,
    /// How long a deletion counts.
    pub window: Duration,
    pub max_missing: u32,
}

/// A resource that is being deleted, since when by the API server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub namespace: String,
    pub uid: String,
    pub at: Timestamp,
}

/// What a complete listing showed of the identities that an instance's resources have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    pub managed: u32,
    pub missing: u32,
}

/// What is to be decided upon.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub limits: Limits,
    /// The release annotation's value.
    pub token: Option<&'a str>,
    /// The keep annotation's value.
    pub keep: Option<&'a str>,
    /// All resources of the instance that are being deleted and aren't let go yet; needed where any are held or asked for.
    pub under_way: &'a [Deletion],
    /// Those of them whose identity is to be touched now.
    pub asked: &'a [Deletion],
    /// Those of them that are going to ask, as far as is known, whoever reconciles them.
    pub peers: &'a [Deletion],
    /// What the last complete listing of this process showed.
    pub census: Option<Census>,
    /// Whether those that are held are to be counted again.
    pub recount: bool,
    pub now: Timestamp,
}
