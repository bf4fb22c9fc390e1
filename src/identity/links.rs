//! Links to the providers that people sign in with (OIDC, SAML): which a manifest gives, and which are there. Pure.
//!
//! A subject is personal data: it stands in the mark and in requests, and shows nowhere else.

use serde::{Deserialize, Serialize};

use super::pointer;
use crate::api::credentials::{Credentials, Link};
use crate::api::words::{NAME, shown};
use crate::api::{ReadyCondition, Reason};
use crate::kratos::{CredentialType, Identity, OidcLink};

/// Links by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oidc: Vec<OidcLink>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub saml: Vec<OidcLink>,
}

impl Links {
    /// Those of a manifest, and the providers at which the first login makes one. `InvalidSpec` for the same entry twice,
    /// which Kratos takes for a conflict.
    pub fn parse(credentials: &Credentials) -> Result<(Self, Vec<String>), ReadyCondition> {
        let (oidc, automatic) = parse("oidc", &credentials.oidc)?;
        let (saml, other) = parse("saml", &credentials.saml)?;
        if !other.is_empty() {
            return Err(neither("saml"));
        }
        Ok((Self { oidc, saml }, automatic))
    }

    /// Those that an identity has.
    pub fn of(identity: &Identity) -> Self {
        let links = |kind| {
            let identifiers = identity.credential(kind).into_iter().flat_map(|credential| &credential.identifiers);
            identifiers.filter_map(|identifier| OidcLink::from_identifier(identifier)).collect()
        };
        Self { oidc: links(CredentialType::Oidc), saml: links(CredentialType::Saml) }
    }

    pub fn is_empty(&self) -> bool {
        self.oidc.is_empty() && self.saml.is_empty()
    }

    /// Those that aren't among `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        self.filter(|kind, link| !others.has(kind, link))
    }

    /// Those that are among `others` too.
    #[must_use]
    pub fn among(&self, others: &Self) -> Self {
        self.filter(|kind, link| others.has(kind, link))
    }

    /// These and `others`, each once.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let Self { mut oidc, mut saml } = others.without(self);
        oidc.splice(0..0, self.oidc.iter().cloned());
        saml.splice(0..0, self.saml.iter().cloned());
        Self { oidc, saml }
    }

    /// Each with its kind.
    pub fn each(&self) -> impl Iterator<Item = (CredentialType, &OidcLink)> {
        let kind = |kind: CredentialType| move |link| (kind, link);
        self.oidc.iter().map(kind(CredentialType::Oidc)).chain(self.saml.iter().map(kind(CredentialType::Saml)))
    }

    /// Where they stand, without subjects: `/credentials/oidc/PROVIDER`.
    pub fn paths(&self) -> Vec<String> {
        let path = |(kind, link): (CredentialType, &OidcLink)| {
            pointer::join(&format!("/credentials/{}", kind.as_str()), &link.provider)
        };
        let mut paths: Vec<_> = self.each().map(path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn filter(&self, is_kept: impl Fn(CredentialType, &OidcLink) -> bool) -> Self {
        let kept = |kind, links: &[OidcLink]| links.iter().filter(|link| is_kept(kind, link)).cloned().collect();
        Self { oidc: kept(CredentialType::Oidc, &self.oidc), saml: kept(CredentialType::Saml, &self.saml) }
    }

    fn has(&self, kind: CredentialType, link: &OidcLink) -> bool {
        let links = if kind == CredentialType::Saml { &self.saml } else { &self.oidc };
        links.contains(link)
    }
}

fn parse(field: &str, links: &[Link]) -> Result<(Vec<OidcLink>, Vec<String>), ReadyCondition> {
    let (mut parsed, mut automatic): (Vec<OidcLink>, Vec<String>) = (Vec::new(), Vec::new());
    for Link { provider, subject, use_auto_link } in links {
        let is_known = match (subject, use_auto_link) {
            (Some(subject), false) => {
                parsed.push(OidcLink { provider: provider.clone(), subject: subject.clone() });
                parsed.iter().rev().skip(1).any(|link| Some(link) == parsed.last())
            }
            (None, true) => {
                automatic.push(provider.clone());
                automatic.iter().rev().skip(1).any(|other| other == provider)
            }
            (Some(_), true) | (None, false) => return Err(neither(field)),
        };
        if is_known {
            let provider = shown(provider, NAME);
            let message = format!("spec.credentials.{field} has an entry of the provider {provider} twice; remove one");
            return Err(ReadyCondition::new(Reason::InvalidSpec, message));
        }
    }
    parsed.sort_unstable();
    automatic.sort_unstable();
    Ok((parsed, automatic))
}

fn neither(field: &str) -> ReadyCondition {
    let what = if field == "oidc" { "either a subject or useAutoLink: true" } else { "a subject" };
    ReadyCondition::new(Reason::InvalidSpec, format!("an entry of spec.credentials.{field} needs {what}; correct it"))
}

/// Links that the first login makes: those that are asked for and weren't sent yet, as the mark knows. `subject`: what is
/// sent for each in place of one, nobody's.
pub fn automatic(wanted: &[String], noted: &[OidcLink], subject: &str) -> Vec<OidcLink> {
    let is_new = |provider: &&String| !noted.iter().any(|link| link.provider == **provider);
    let link = |provider: &String| OidcLink { provider: provider.clone(), subject: subject.to_owned() };
    wanted.iter().filter(is_new).map(link).collect()
}
