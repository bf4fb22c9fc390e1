//! What a listing checks in an identity's credentials. So a second factor that a user enrols, or a provider that a user
//! unlinks, is noticed without reading identities one by one. Pure.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::absent_credentials::{self, Contents};
use super::desired::Desired;
use super::links::Links;
use crate::kratos::{CredentialType, Identity};

/// What a manifest says of credentials, and how they were when the identity was last reconciled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialWatch {
    absent: Vec<CredentialType>,
    links: Links,
    /// What was left as it is by a reconcile that only observes.
    left: BTreeSet<String>,
    /// When the password's credential was written last, where there may be none: its contents aren't listed.
    password_at: Option<Timestamp>,
}

impl CredentialWatch {
    /// `identity`: as the reconcile found or left it. One that was written since shows once more than it need.
    pub fn new(desired: &Desired, identity: &Identity) -> Self {
        let mut watch = Self { absent: desired.absent.clone(), links: desired.links.clone(), ..Self::default() };
        watch.password_at = watch.password_at(identity);
        watch
    }

    /// With what is left as it is, by a reconcile that only observes.
    #[must_use]
    pub fn leaving(self, identity: &Identity, contents: Option<Contents>) -> Self {
        let left = self.off(identity, contents.unwrap_or_default());
        Self { left, ..self }
    }

    /// Whether there is nothing to compare.
    pub fn is_empty(&self) -> bool {
        self.absent.is_empty() && self.links.is_empty()
    }

    /// Whether an identity, listed with its credentials and the contents of `webauthn`, has to be reconciled.
    pub fn is_off(&self, identity: &Identity) -> bool {
        self.off(identity, Contents::of(identity, false)) != self.left || self.password_at != self.password_at(identity)
    }

    /// Where it isn't as the manifest says. What of a password is there doesn't show.
    fn off(&self, identity: &Identity, contents: Contents) -> BTreeSet<String> {
        let shown = Contents { password: false, ..contents };
        let there = self.absent.iter().filter(|kind| absent_credentials::is_there(identity, **kind, shown));
        let missing = self.links.without(&Links::of(identity));
        there.map(|kind| absent_credentials::path(*kind)).chain(missing.paths()).collect()
    }

    fn password_at(&self, identity: &Identity) -> Option<Timestamp> {
        let is_watched = self.absent.contains(&CredentialType::Password);
        let password = identity.credential(CredentialType::Password).filter(|_| is_watched);
        password.and_then(|password| password.updated_at)
    }
}
