//! Links to the providers that people sign in with (OIDC, SAML): which a manifest gives, and which are there. Pure.
//!
//! A subject is personal data: it stands in the mark and in requests, and shows nowhere else.

use serde::{Deserialize, Serialize};

use super::pointer;
use crate::api::credentials::{Credentials, Link};
use crate::api::{Reason, Verdict};
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
    /// Those of a manifest. `InvalidSpec` for two of one provider, which Kratos would take.
    pub fn parse(credentials: &Credentials) -> Result<Self, Verdict> {
        Ok(Self { oidc: parse("oidc", &credentials.oidc)?, saml: parse("saml", &credentials.saml)? })
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

fn parse(field: &str, links: &[Link]) -> Result<Vec<OidcLink>, Verdict> {
    let mut parsed: Vec<OidcLink> = Vec::new();
    for Link { provider, subject } in links {
        if parsed.iter().any(|link| link.provider == *provider) {
            let message = format!(
                "spec.credentials.{field} has two entries for the provider {provider}: an identity has one link for \
                 each; remove one of them"
            );
            return Err(Verdict::new(Reason::InvalidSpec, message));
        }
        parsed.push(OidcLink { provider: provider.clone(), subject: subject.clone() });
    }
    parsed.sort_unstable();
    Ok(parsed)
}
