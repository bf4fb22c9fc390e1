//! Counts what session policies did, by the kind of rule that caused it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What caused the end or the extension of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleKind {
    MaxAge,
    MaxConcurrent,
    MinimumAssurance,
    AllowedNetworks,
    Expression,
    ExpiresWithin,
    /// A rule with several conditions.
    Several,
    /// Not a rule, but the action `revokeAll`.
    RevokeAll,
}

const ALL: [RuleKind; 8] = [
    RuleKind::MaxAge,
    RuleKind::MaxConcurrent,
    RuleKind::MinimumAssurance,
    RuleKind::AllowedNetworks,
    RuleKind::Expression,
    RuleKind::ExpiresWithin,
    RuleKind::Several,
    RuleKind::RevokeAll,
];

/// Counts sessions. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Sessions {
    revoked: [Counter; ALL.len()],
    extended: Counter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRule {
    rule: &'static str,
}

impl RuleKind {
    /// As in the manifest.
    fn word(self) -> &'static str {
        match self {
            Self::MaxAge => "maxAge",
            Self::MaxConcurrent => "maxConcurrent",
            Self::MinimumAssurance => "minimumAssurance",
            Self::AllowedNetworks => "allowedNetworks",
            Self::Expression => "expression",
            Self::ExpiresWithin => "expiresWithin",
            Self::Several => "several",
            Self::RevokeAll => "revokeAll",
        }
    }
}

impl Sessions {
    pub fn register(registry: &mut Registry) -> Self {
        let revoked = Family::<OfRule, Counter>::default();
        let help = "Sessions that policies ended, by what the rule that named them looks at";
        registry.register("kratos_operator_sessions_revoked", help, revoked.clone());
        let extended = Counter::default();
        registry.register("kratos_operator_sessions_extended", "Sessions that policies extended", extended.clone());
        Self { revoked: ALL.map(|kind| revoked.get_or_create_owned(&OfRule { rule: kind.word() })), extended }
    }

    pub fn revoked(&self, by: RuleKind) {
        self.revoked[by as usize].inc();
    }

    pub fn extended(&self) {
        self.extended.inc();
    }
}
