//! What a plan does about links and unwanted credentials. Pure.
//!
//! Links are added before anything is removed, and nothing is removed that would leave nothing to log in with.

use super::step::{OIDC, Present};
use crate::api::{ReadyCondition, Reason};
use crate::identity::absent_credentials::{self, Contents};
use crate::identity::desired::Desired;
use crate::identity::links::{self, Links};
use crate::identity::pointer;
use crate::kratos::{CredentialType, OidcLink};

/// What is to change.
pub(super) struct Change {
    pub added: Links,
    /// Links that the first login is to make.
    pub added_automatic: Vec<OidcLink>,
    pub removals: Vec<(CredentialType, Option<OidcLink>)>,
    /// What the mark says until the removals are done: the manifest's links, and those of it that are to go.
    pub noted: Links,
    /// The same of links that the first login makes, or has made.
    pub noted_automatic: Vec<OidcLink>,
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
    let sent = automatic(present);
    let added_automatic = links::automatic(&desired.auto_links, sent, &desired.auto_subject);
    let is_wanted = |link: &&OidcLink| desired.auto_links.contains(&link.provider);
    // One that a login has made is the person's: what was sent in its place isn't there any more.
    let waiting = sent.iter().filter(|link| !is_wanted(link) && there.oidc.contains(link));
    let (waiting, kept): (Vec<_>, Vec<_>) =
        (waiting.cloned().collect(), sent.iter().filter(is_wanted).cloned().collect());
    paths.extend(added_automatic.iter().chain(&waiting).map(|link| pointer::join(OIDC, &link.provider)));
    let noted_automatic = [kept, added_automatic.clone(), waiting.clone()].concat();
    removals.extend(waiting.into_iter().map(|link| (CredentialType::Oidc, Some(link))));
    for kind in desired.absent.iter().copied().filter(|kind| absent_credentials::is_there(identity, *kind, contents)) {
        paths.push(absent_credentials::path(kind));
        let links = there.each().filter(|(of, _)| *of == kind).map(|(kind, link)| (kind, Some(link.clone())));
        let of_kind: Vec<_> = links.collect();
        let of_kind = if of_kind.is_empty() { vec![(kind, None)] } else { of_kind };
        removals.extend(
            of_kind.into_iter().filter(|removal| !leaving.each().any(|(_, link)| Some(link) == removal.1.as_ref())),
        );
    }
    Change { noted: desired.links.and(&leaving), noted_automatic, added, added_automatic, removals, paths }
}

impl Change {
    /// Why the removals may not be done: nothing to log in with would be left. `sends_password`: one comes with it.
    pub(super) fn refusal(&self, present: &Present, sends_password: bool) -> Option<ReadyCondition> {
        let removes = |kind| self.removals.iter().any(|(removed, _)| *removed == kind);
        let contents = present.contents.unwrap_or_default();
        let is_password_left = sends_password || (contents.password && !removes(CredentialType::Password));
        let is_left = self.leaves_links(present) || is_password_left || contents.other_first_factor;
        let removes_first_factors = self.removals.iter().any(|(kind, _)| absent_credentials::is_first_factor(*kind));
        (removes_first_factors && !is_left).then(last_first_factor)
    }

    fn leaves_links(&self, present: &Present) -> bool {
        let is_kept = |(kind, link): (CredentialType, &OidcLink)| {
            !self.removals.iter().any(|(of, removed)| *of == kind && removed.as_ref() == Some(link))
        };
        // One that no login has made yet lets nobody in.
        let waiting = Links { oidc: automatic(present).to_vec(), saml: Vec::new() };
        Links::of(&present.identity).without(&waiting).and(&self.added).each().any(is_kept)
    }
}

/// Links that the first login makes, as they were sent.
fn automatic(present: &Present) -> &[OidcLink] {
    present.mark.as_ref().map_or(&[], |mark| &mark.auto_links)
}

/// Which credentials' contents must be known before it can be said what is to change: none, but for what only contents
/// tell. Where something to log in with goes, and no link stays, also what else there is to log in with.
pub fn contents_needed(desired: &Desired, present: &Present) -> Vec<CredentialType> {
    let has = |kind| desired.absent.contains(&kind) && present.identity.credential(kind).is_some();
    let assumed = Contents { password: has(CredentialType::Password), ..Contents::default() };
    let change = change(desired, present, assumed);
    let removes_first_factors = change.removals.iter().any(|(kind, _)| absent_credentials::is_first_factor(*kind));
    if removes_first_factors && !change.leaves_links(present) {
        return vec![CredentialType::Password, CredentialType::Webauthn, CredentialType::Passkey];
    }
    [CredentialType::Password, CredentialType::Webauthn].into_iter().filter(|kind| has(*kind)).collect()
}

/// The condition for a removal that would leave nothing to log in with.
pub fn last_first_factor() -> ReadyCondition {
    let message = "what spec.credentials doesn't give any more, or wants absent, isn't removed: it would leave the identity \
                   without anything to log in with; give it a password or another link first";
    ReadyCondition::new(Reason::InvalidSpec, message)
}
