//! Turns a policy's raw spec into a validated type. Pure; parsing expressions takes some milliseconds.

use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;

use super::{address, view};
use crate::api::instance::Mode;
use crate::api::session_policy::{
    Assurance, KratosSessionPolicySpec, PolicyIdentities, RevokeAll, RuleAction, SessionRule, Unenrolled,
};
use crate::api::words::shown;
use crate::api::{ReadyCondition, Reason};
use crate::base::namespaced_name::NamespacedName;
use crate::rules::Expression;

/// How often a policy runs by default.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(5);
/// The shortest interval of a policy outside of its instance's namespace: each run reads everybody's sessions.
pub const SHORTEST_ELSEWHERE: Duration = Duration::from_secs(30);
/// How many revocations a run may make by default.
const DEFAULT_LIMIT: usize = 100;

/// The longest shown form of a rule's name and of the instance's, in characters.
const RULE: usize = 28;

/// How a policy is handled, even if the rest of its spec is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handling {
    pub mode: Mode,
    pub suspended: bool,
    /// How often it runs.
    pub interval: Duration,
    /// The interval in the spec, if it is shorter than allowed.
    pub asks_for: Option<Duration>,
}

/// `beside_instance`: whether the policy is in its instance's namespace, where any interval is allowed.
pub fn handling(spec: &KratosSessionPolicySpec, beside_instance: bool) -> Handling {
    let interval = spec.interval.map_or(DEFAULT_INTERVAL, Into::into);
    let is_too_short = !beside_instance && interval < SHORTEST_ELSEWHERE;
    Handling {
        mode: spec.mode.unwrap_or_default(),
        suspended: spec.suspend,
        interval: if is_too_short { SHORTEST_ELSEWHERE } else { interval },
        asks_for: is_too_short.then_some(interval),
    }
}

/// Where the policy is, and what its instance allows.
#[derive(Clone, Debug)]
pub struct PolicyScope {
    pub instance: NamespacedName,
    pub beside_instance: bool,
    pub trusts_addresses: bool,
}

/// A policy's spec, validated.
#[derive(Debug)]
pub struct Desired {
    pub selection: Selection,
    pub rules: Vec<Rule>,
    /// How many revocations a run may make.
    pub limit: usize,
    pub revoke_all: Option<RevokeAll>,
    /// Whether expressions see addresses.
    pub trusts_addresses: bool,
}

/// Which identities a policy is about; all conditions must hold.
#[derive(Debug, Default)]
pub struct Selection {
    pub labels: Option<Selector>,
    pub namespace_labels: Option<Selector>,
    /// Empty: any.
    pub schema_ids: Vec<String>,
    pub expression: Option<Expression>,
}

/// One rule. All its conditions must hold.
#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub action: RuleAction,
    /// Revoke: older than this. Extend: at most this old.
    pub max_age: Option<Duration>,
    /// Not among the newest sessions of its identity, as many as this.
    pub max_concurrent: Option<usize>,
    pub assurance: Option<AssuranceCondition>,
    /// Begun outside of these networks.
    pub networks: Option<Vec<IpNet>>,
    pub expression: Option<Expression>,
    /// Expires within this time.
    pub expires_within: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssuranceCondition {
    /// Below this level.
    pub minimum: u8,
    /// And begun longer ago than this.
    pub grace: Duration,
    /// Only where the identity has a second factor.
    pub of_enrolled: bool,
}

/// What must be read along with sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub identity: bool,
    pub devices: bool,
}

impl Selection {
    /// Whether only managed identities are meant; marks tell which ones are.
    pub fn is_by_mark(&self) -> bool {
        self.labels.is_some() || self.namespace_labels.is_some()
    }

    /// Whether the identity is needed to decide if the policy is about a session.
    pub fn needs_identity(&self) -> bool {
        !self.schema_ids.is_empty() || looks_at(self.expression.as_ref(), view::IDENTITY)
    }
}

impl Rule {
    /// Whether a session that this rule names may no longer match it a moment later.
    pub fn may_change(&self) -> bool {
        self.assurance.is_some() || self.expression.is_some() || self.max_concurrent.is_some()
    }

    fn needs(&self) -> Needs {
        let of_enrolled = self.assurance.is_some_and(|assurance| assurance.of_enrolled);
        let devices = self.expression.as_ref().is_some_and(|it| it.looks_at(view::SESSION, Some("devices")));
        Needs {
            identity: self.max_concurrent.is_some()
                || of_enrolled
                || looks_at(self.expression.as_ref(), view::IDENTITY),
            devices: self.networks.is_some() || devices,
        }
    }
}

fn looks_at(expression: Option<&Expression>, variable: usize) -> bool {
    expression.is_some_and(|expression| expression.looks_at(variable, None))
}

impl Desired {
    /// Whether there are expressions, which may read identities' traits.
    pub fn has_expressions(&self) -> bool {
        self.selection.expression.is_some() || self.rules.iter().any(|rule| rule.expression.is_some())
    }

    /// What the selection and the rules read.
    pub fn needs(&self) -> Needs {
        let rules = self.rules.iter().map(Rule::needs);
        let both = |one: Needs, two: Needs| Needs {
            identity: one.identity || two.identity,
            devices: one.devices || two.devices,
        };
        rules.fold(Needs { identity: self.selection.needs_identity(), devices: false }, both)
    }
}

/// Validates a spec. `InvalidSpec` for mistakes that the API server can't detect, `NotPermitted` for what the instance doesn't
/// allow.
pub fn parse(spec: &KratosSessionPolicySpec, scope: &PolicyScope) -> Result<Desired, ReadyCondition> {
    // In full, so that a new field breaks the build instead of being forgotten.
    let KratosSessionPolicySpec {
        instance_ref: _,
        identities,
        rules,
        interval: _,
        mode: _,
        suspend: _,
        limit,
        actions,
    } = spec;
    let limit = limit.and_then(|limit| limit.max_revocations).and_then(|limit| usize::try_from(limit).ok());
    Ok(Desired {
        selection: selection(identities)?,
        rules: rules.iter().map(|rule| self::rule(rule, scope)).collect::<Result<_, _>>()?,
        limit: limit.unwrap_or(DEFAULT_LIMIT),
        revoke_all: actions.as_ref().and_then(|actions| actions.revoke_all.clone()),
        trusts_addresses: scope.trusts_addresses,
    })
}

fn selection(identities: &PolicyIdentities) -> Result<Selection, ReadyCondition> {
    let PolicyIdentities { all, selector, namespace_selector, schema_ids, expression } = identities;
    if !all && selector.is_none() && namespace_selector.is_none() && schema_ids.is_empty() && expression.is_none() {
        return Err(invalid_spec("spec.identities names nobody; name identities, or say all: true".into()));
    }
    let expression = expression.as_deref().map(|text| {
        Expression::parse(text, view::IDENTITY_VARIABLES)
            .map_err(|invalid| invalid_spec(format!("spec.identities.expression {invalid}; correct it")))
    });
    Ok(Selection {
        labels: selector.as_ref().map(|selector| self::selector("selector", selector)).transpose()?,
        namespace_labels: namespace_selector
            .as_ref()
            .map(|selector| self::selector("namespaceSelector", selector))
            .transpose()?,
        schema_ids: schema_ids.clone(),
        expression: expression.transpose()?,
    })
}

fn selector(field: &str, selector: &LabelSelector) -> Result<Selector, ReadyCondition> {
    let invalid = || {
        invalid_spec(format!(
            "spec.identities.{field} is no valid label selector (In and NotIn need values); correct it"
        ))
    };
    let requirements = selector.match_expressions.iter().flatten();
    let lacks_values = |operator: &str, values: &Option<Vec<String>>| {
        matches!(operator, "In" | "NotIn") && values.as_ref().is_none_or(Vec::is_empty)
    };
    if requirements.clone().any(|requirement| lacks_values(&requirement.operator, &requirement.values)) {
        return Err(invalid());
    }
    Selector::try_from(selector.clone()).map_err(|_| invalid())
}

fn rule(rule: &SessionRule, scope: &PolicyScope) -> Result<Rule, ReadyCondition> {
    let SessionRule {
        name,
        action,
        max_age,
        max_concurrent,
        minimum_assurance,
        grace_period,
        unenrolled,
        allowed_networks,
        expression,
        expires_within,
    } = rule;
    let within = |what: String| format!("spec.rules: rule {}: {what}", shown(name, RULE));
    if *action == RuleAction::Extend && !scope.beside_instance {
        let message = within(format!(
            "only a policy in namespace {}, beside the KratosInstance, may extend sessions; remove the rule, or move it",
            shown(&scope.instance.namespace, RULE)
        ));
        return Err(ReadyCondition::new(Reason::NotPermitted, message));
    }
    if !allowed_networks.is_empty() && !scope.trusts_addresses {
        let message = within(format!(
            "allowedNetworks needs trustClientAddress of KratosInstance {}; set it there if a proxy makes addresses true, or \
             remove the rule",
            shown(&scope.instance.to_string(), RULE)
        ));
        return Err(ReadyCondition::new(Reason::NotPermitted, message));
    }
    let networks = allowed_networks.iter().enumerate().map(|(at, text)| {
        let message = || within(format!("allowedNetworks[{at}] is no network, as in 203.0.113.0/24; correct it"));
        address::network(text).ok_or_else(|| invalid_spec(message()))
    });
    let networks = networks.collect::<Result<Vec<_>, _>>()?;
    let parsed = expression.as_deref().map(|text| {
        Expression::parse(text, view::RULE_VARIABLES)
            .map_err(|invalid| invalid_spec(within(format!("the expression {invalid}; correct it"))))
    });
    let rule = Rule {
        name: name.clone(),
        action: *action,
        max_age: max_age.map(Into::into),
        max_concurrent: max_concurrent.and_then(|count| usize::try_from(count).ok()),
        assurance: minimum_assurance.map(|minimum| AssuranceCondition {
            minimum: if minimum == Assurance::Aal2 { 2 } else { 1 },
            grace: grace_period.map(Into::into).unwrap_or_default(),
            // Everybody has a first factor.
            of_enrolled: minimum == Assurance::Aal2 && unenrolled.unwrap_or_default() == Unenrolled::Ignore,
        }),
        networks: (!networks.is_empty()).then_some(networks),
        expression: parsed.transpose()?,
        expires_within: expires_within.map(Into::into),
    };
    ensure_conditions(&rule)?;
    Ok(rule)
}

/// The API server refuses these too. But a rule that would match every session must be refused even without it.
fn ensure_conditions(rule: &Rule) -> Result<(), ReadyCondition> {
    let Rule { name, action, max_age, max_concurrent, assurance, networks, expression, expires_within } = rule;
    let is_revocable = max_age.is_some()
        || max_concurrent.is_some()
        || assurance.is_some()
        || networks.is_some()
        || expression.is_some();
    let is_complete = match action {
        RuleAction::Revoke => is_revocable,
        RuleAction::Extend => expires_within.is_some() && max_age.is_some(),
    };
    if is_complete {
        return Ok(());
    }
    let name = shown(name, RULE);
    let message = format!("spec.rules: rule {name} lacks its conditions; see `kubectl explain ksp.spec.rules`");
    Err(invalid_spec(message))
}

fn invalid_spec(message: String) -> ReadyCondition {
    ReadyCondition::new(Reason::InvalidSpec, message)
}
