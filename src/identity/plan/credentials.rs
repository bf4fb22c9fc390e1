//! What a plan does about links and unwanted credentials. Pure.
//!
//! Links are added before anything is removed, and nothing is removed that would leave nothing to log in with.

use super::Present;
use crate::api::{Reason, Verdict};
use crate::identity::absent::{self, Contents};
use crate::identity::desired::Desired;
use crate::identity::links::Links;
use crate::kratos::{CredentialType, OidcLink};

/// What is to change.
pub(super) struct Change {
    pub added: Links,
    pub removals: Vec<(CredentialType, Option<OidcLink>)>,
    /// What the mark says until the removals are done: the manifest's links, and those of it that are to go.
    pub noted: Links,
    /// Pointers of all that changes.
    pub paths: Vec<String>,
}

/// What is to change in an identity that is there. `contents`: what is known of its credentials beyond what they show.
pub(super) fn change(desired: &Desired, present: &Present, contents: Contents) -> Change {
    let identity = &present.identity;
    let there = Links::of(identity);
    let owned = present.mark.as_ref().map(|mark| mark.links.clone()).unwrap_or_default();
    let leaving = owned.without(&desired.links).among(&there);
    let added = desired.links.without(&there);
    let mut removals: Vec<_> = leaving.each().map(|(kind, link)| (kind, Some(link.clone()))).collect();
    let mut paths = added.and(&leaving).paths();
    for kind in desired.absent.iter().copied().filter(|kind| absent::is_there(identity, *kind, contents)) {
        paths.push(absent::path(kind));
        let links = there.each().filter(|(of, _)| *of == kind).map(|(kind, link)| (kind, Some(link.clone())));
        let of_kind: Vec<_> = links.collect();
        let of_kind = if of_kind.is_empty() { vec![(kind, None)] } else { of_kind };
        removals.extend(
            of_kind.into_iter().filter(|removal| !leaving.each().any(|(_, link)| Some(link) == removal.1.as_ref())),
        );
    }
    Change { noted: desired.links.and(&leaving), added, removals, paths }
}

impl Change {
    /// Why the removals may not be done: nothing to log in with would be left. `sends_password`: one comes with it.
    pub(super) fn refusal(&self, present: &Present, sends_password: bool) -> Option<Verdict> {
        let removes = |kind| self.removals.iter().any(|(removed, _)| *removed == kind);
        let contents = present.contents.unwrap_or_default();
        let is_password_left = sends_password || (contents.password && !removes(CredentialType::Password));
        let is_left = self.leaves_links(present) || is_password_left || contents.other_first_factor;
        let removes_first_factors = self.removals.iter().any(|(kind, _)| absent::is_first_factor(*kind));
        (removes_first_factors && !is_left).then(last_first_factor)
    }

    fn leaves_links(&self, present: &Present) -> bool {
        let is_kept = |(kind, link): (CredentialType, &OidcLink)| {
            !self.removals.iter().any(|(of, removed)| *of == kind && removed.as_ref() == Some(link))
        };
        Links::of(&present.identity).and(&self.added).each().any(is_kept)
    }
}

/// Which credentials' contents must be known before it can be said what is to change: none, but for what only contents
/// tell. Where something to log in with goes, and no link stays, also what else there is to log in with.
pub fn contents_needed(desired: &Desired, present: &Present) -> Vec<CredentialType> {
    let has = |kind| desired.absent.contains(&kind) && present.identity.credential(kind).is_some();
    let assumed = Contents { password: has(CredentialType::Password), ..Contents::default() };
    let change = change(desired, present, assumed);
    let removes_first_factors = change.removals.iter().any(|(kind, _)| absent::is_first_factor(*kind));
    if removes_first_factors && !change.leaves_links(present) {
        return vec![CredentialType::Password, CredentialType::Webauthn, CredentialType::Passkey];
    }
    [CredentialType::Password, CredentialType::Webauthn].into_iter().filter(|kind| has(*kind)).collect()
}

/// The verdict on a removal that would leave nothing to log in with.
pub fn last_first_factor() -> Verdict {
    let message = "removing what spec.credentials doesn't give any more, or wants absent, would leave the identity \
                   without anything to log in with, so nothing is removed: give it a password or another link first, \
                   and let that be Ready";
    Verdict::new(Reason::InvalidSpec, message)
}
