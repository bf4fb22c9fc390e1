//! From a `KratosInstance`'s raw spec to ready-to-use settings. Pure.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use url::Url;

use super::headers::{self, Header, HeaderSource};
use super::protection::Limits;
use crate::api::instance::{
    AdmissionRule, AdoptionFrom, AllowedNamespaces, Auth, BearerToken, CertificateAuthority, KeyRef,
    KratosInstanceSpec, Mode, Tls,
};
use crate::api::protection::{Defaults, Protection};
use crate::api::{ReadyCondition, Reason};
use crate::kratos::RateLimit;

const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_RESYNC_INTERVAL: Duration = Duration::from_mins(5);
const DEFAULT_FULL_SCAN_INTERVAL: Duration = Duration::from_hours(24);
const DEFAULT_MAX_DELETIONS: u32 = 20;
/// In all, so many times what one namespace may.
const DEFAULT_TOTAL: u32 = 5;
const DEFAULT_WINDOW: Duration = Duration::from_mins(10);
const DEFAULT_MAX_MISSING: u32 = 20;

/// An instance's spec, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub connection: Connection,
    pub resync_interval: Duration,
    pub full_scan_interval: Duration,
    pub mode: Mode,
    pub owner_name: String,
    pub reclaim_from: Vec<String>,
    pub reclaim_namespaces: Vec<String>,
    /// Absent: only the instance's own namespace.
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// What must hold for resources of other namespaces, as written; the handle has them parsed.
    pub rules: Vec<AdmissionRule>,
    pub adoption_from: AdoptionFrom,
    /// Whether session rules may read addresses.
    pub trust_client_address: bool,
    pub protection: Limits,
    pub grace: Grace,
}

/// How long identities stay that are deleted with their resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grace {
    /// Where the manifest doesn't say.
    pub default: Duration,
    /// At least, for resources of other namespaces than the instance's.
    pub minimum: Duration,
}

impl Grace {
    /// The grace period of a resource. `own`: what its manifest says.
    pub fn period(self, own: Option<Duration>, beside_instance: bool) -> Duration {
        let wanted = own.unwrap_or(self.default);
        if beside_instance { wanted } else { wanted.max(self.minimum) }
    }
}

/// How Kratos is called, with secrets still as references.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    pub admin_url: Url,
    pub public_url: Option<Url>,
    pub token: Option<TokenRef>,
    pub certificate_authority: Option<KeyIn>,
    /// The Secret that has it.
    pub client_certificate: Option<String>,
    pub headers: Vec<Header>,
    /// Absent: directly.
    pub proxy_url: Option<Url>,
    pub request_timeout: Duration,
    pub rate_limit: Option<RateLimit>,
}

/// Where the token is, and the word before it in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRef {
    /// Empty: the token alone.
    pub prefix: String,
    pub secret: KeyRef,
}

/// A key of a Secret or of a `ConfigMap`, in the instance's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyIn {
    Secret(KeyRef),
    ConfigMap(KeyRef),
}

impl Connection {
    /// The Secrets that it refers to, by name.
    pub fn secrets(&self) -> BTreeSet<&str> {
        let token = self.token.iter().map(|token| &*token.secret.name);
        let authority = self.certificate_authority.iter().filter_map(|authority| match authority {
            KeyIn::Secret(key) => Some(&*key.name),
            KeyIn::ConfigMap(_) => None,
        });
        let headers = self.headers.iter().filter_map(|header| match &header.value {
            HeaderSource::Secret(key) => Some(&*key.name),
            HeaderSource::Here(_) => None,
        });
        token.chain(authority).chain(headers).chain(self.client_certificate.as_deref()).collect()
    }
}

/// Validates a spec. `InvalidSpec` for what the API server can't see.
pub fn parse(spec: &KratosInstanceSpec) -> Result<Settings, ReadyCondition> {
    // In full, so that a new field breaks the build instead of being forgotten.
    let KratosInstanceSpec {
        admin_url,
        public_url,
        auth,
        tls,
        headers,
        proxy_url,
        request_timeout,
        rate_limit,
        resync_interval,
        full_scan_interval,
        mode,
        // Whoever is suspended isn't asked for its settings.
        suspend: _,
        owner_name,
        reclaim_from,
        reclaim_namespaces,
        allowed_namespaces,
        rules,
        adoption_from,
        trust_client_address,
        protection,
        defaults,
    } = spec;
    let of_tls = |Tls { ca, client_certificate }: &Tls| (ca.clone(), client_certificate.clone());
    let (ca, client_certificate) = tls.as_ref().map(of_tls).unwrap_or_default();
    let connection = Connection {
        admin_url: url("adminURL", admin_url)?,
        public_url: public_url.as_deref().map(|text| url("publicURL", text)).transpose()?,
        token: auth.as_ref().map(token_ref),
        certificate_authority: ca.as_ref().map(certificate_authority).transpose()?,
        client_certificate: client_certificate.map(|certificate| certificate.secret_ref.name),
        headers: headers::parse(headers)?,
        proxy_url: proxy_url.as_deref().map(proxy).transpose()?,
        request_timeout: request_timeout.map_or(DEFAULT_REQUEST_TIMEOUT, Into::into),
        rate_limit: rate_limit.and_then(|limit| {
            Some(RateLimit {
                requests_per_second: NonZeroU32::new(limit.requests_per_second)?,
                burst: NonZeroU32::new(limit.burst.unwrap_or(limit.requests_per_second))?,
            })
        }),
    };
    ensure_unseen(&connection)?;
    Ok(Settings {
        connection,
        resync_interval: resync_interval.map_or(DEFAULT_RESYNC_INTERVAL, Into::into),
        full_scan_interval: full_scan_interval.map_or(DEFAULT_FULL_SCAN_INTERVAL, Into::into),
        mode: mode.unwrap_or_default(),
        owner_name: owner_name.clone(),
        reclaim_from: reclaim_from.clone(),
        reclaim_namespaces: reclaim_namespaces.clone(),
        allowed_namespaces: allowed_namespaces.clone(),
        rules: rules.clone(),
        adoption_from: adoption_from.unwrap_or_default(),
        trust_client_address: *trust_client_address,
        protection: limits(protection.unwrap_or_default()),
        grace: grace(defaults.unwrap_or_default(), protection.unwrap_or_default()),
    })
}

fn grace(defaults: Defaults, protection: Protection) -> Grace {
    let Defaults { deletion } = defaults;
    let default = deletion.and_then(|deletion| deletion.grace_period);
    Grace {
        default: default.map_or(Duration::ZERO, Into::into),
        minimum: protection.minimum_grace_period.map_or(Duration::ZERO, Into::into),
    }
}

fn limits(protection: Protection) -> Limits {
    let Protection { max_deletions, max_deletions_total, window, max_missing, minimum_grace_period: _ } = protection;
    let max_deletions = max_deletions.unwrap_or(DEFAULT_MAX_DELETIONS);
    Limits {
        max_deletions,
        max_deletions_total: max_deletions_total.unwrap_or_else(|| max_deletions.saturating_mul(DEFAULT_TOTAL)),
        window: window.map_or(DEFAULT_WINDOW, Into::into),
        max_missing: max_missing.unwrap_or(DEFAULT_MAX_MISSING),
    }
}

fn url(field: &str, text: &str) -> Result<Url, ReadyCondition> {
    let invalid =
        || ReadyCondition::new(Reason::InvalidSpec, format!("{field} is no http or https URL of a host; correct it"));
    let url = Url::parse(text).map_err(|_| invalid())?;
    // Credentials in a URL would end up in logs; they belong into auth.
    let is_plain = url.username().is_empty() && url.password().is_none();
    if is_plain && url.host().is_some() && matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(invalid()) }
}

/// A proxy's URL.
fn proxy(text: &str) -> Result<Url, ReadyCondition> {
    let invalid = |what: &str| ReadyCondition::new(Reason::InvalidSpec, format!("proxyURL {what}"));
    let no_url = "is no http, https, socks5 or socks5h URL of a host; correct it";
    let url = Url::parse(text).map_err(|_| invalid(no_url))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "has a user or a password in it, which would stand in the manifest; remove them, and have the \
                            proxy admit the operator by its address",
        ));
    }
    let is_proxy = url.has_host() && matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h");
    if is_proxy { Ok(url) } else { Err(invalid(no_url)) }
}

/// What is secret isn't said where a proxy reads along.
fn ensure_unseen(connection: &Connection) -> Result<(), ReadyCondition> {
    let is_secret = |header: &Header| matches!(header.value, HeaderSource::Secret(_));
    let has_secrets = connection.token.is_some() || connection.headers.iter().any(is_secret);
    if connection.proxy_url.is_some() && connection.admin_url.scheme() == "http" && has_secrets {
        let message = "adminURL is http, so that the proxy of proxyURL would read the token and the headers that come out of \
                       Secrets: make adminURL https, or remove proxyURL, or remove auth and those headers";
        return Err(ReadyCondition::new(Reason::InvalidSpec, message));
    }
    Ok(())
}

fn token_ref(auth: &Auth) -> TokenRef {
    let Auth { bearer_token: BearerToken { prefix, secret_key_ref } } = auth;
    let prefix = prefix.clone().unwrap_or_else(|| "Bearer".to_owned());
    TokenRef { prefix, secret: secret_key_ref.clone() }
}

fn certificate_authority(ca: &CertificateAuthority) -> Result<KeyIn, ReadyCondition> {
    match (&ca.secret_key_ref, &ca.config_map_key_ref) {
        (Some(key), None) => Ok(KeyIn::Secret(key.clone())),
        (None, Some(key)) => Ok(KeyIn::ConfigMap(key.clone())),
        _ => Err(ReadyCondition::new(
            Reason::InvalidSpec,
            "tls.ca needs either secretKeyRef or configMapKeyRef; name one of them",
        )),
    }
}
