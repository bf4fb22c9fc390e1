//! An instance's rules for resources outside its namespace: parsed once, asked about an identity. Pure.

use serde_json::{Value, json};

use crate::api::instance::AdmissionRule;
use crate::api::{ReadyCondition, Reason};
use crate::rules::{Budget, Expression, Known, Problem, Variable};

/// As `identity::facts` makes them.
const VARIABLES: &[Variable] = &[
    Variable { name: "identity", known: IDENTITY },
    Variable { name: "identifiers", known: Known::List(&Known::Plain) },
    Variable { name: "namespace", known: Known::Fields(&[("name", Known::Plain), ("labels", Known::Any)]) },
    Variable { name: "adopts", known: Known::Plain },
];
const IDENTITY: Known = Known::Fields(&[
    ("id", Known::Plain),
    ("schema_id", Known::Plain),
    ("state", Known::Plain),
    ("traits", Known::Any),
    ("metadata_public", Known::Any),
    ("metadata_admin", Known::Any),
    ("external_id", Known::Plain),
    ("organization_id", Known::Plain),
    ("verifiable_addresses", Known::List(&ADDRESS)),
    ("credentials", CREDENTIALS),
]);
const ADDRESS: Known = Known::Fields(&[("value", Known::Plain), ("via", Known::Plain), ("verified", Known::Plain)]);
const CREDENTIALS: Known = Known::Fields(&[
    ("oidc", Known::List(&LINK)),
    ("saml", Known::List(&LINK)),
    ("password", Known::Fields(&[("use_password_migration_hook", Known::Plain)])),
]);
const LINK: Known =
    Known::Fields(&[("provider", Known::Plain), ("subject", Known::Plain), ("use_auto_link", Known::Plain)]);
/// Work that all rules of an instance together may take for one identity, which in an unoptimised build is done
/// within a second or two.
const BUDGET: usize = 1_000_000;
/// Bytes of JSON that rules are asked about.
const MAX_INPUT: usize = 256 * 1024;

/// What rules are asked about.
#[derive(Clone, PartialEq)]
pub struct Facts {
    pub identity: Value,
    pub identifiers: Vec<String>,
    /// `{name, labels}`.
    pub namespace: Value,
    /// Whether an identity that was there before, and nobody's, would be taken over.
    pub adopts: bool,
}

/// The rules of an instance.
#[derive(Debug, Default)]
pub struct Rules(Vec<(Expression, String)>);

/// Parses rules. `InvalidSpec`, for the instance, where one can't be asked.
pub fn parse(rules: &[AdmissionRule]) -> Result<Rules, ReadyCondition> {
    let parsed = rules.iter().enumerate().map(|(at, AdmissionRule { expression, message })| {
        let number = at + 1;
        let parsed = Expression::parse(expression, VARIABLES).map_err(|invalid| {
            let message = format!(
                "spec.rules: rule {number} {invalid}; correct it: until then nothing outside this namespace is admitted"
            );
            ReadyCondition::new(Reason::InvalidSpec, message)
        })?;
        let said = message.as_deref().filter(|message| !message.trim().is_empty());
        Ok((parsed, said.map_or_else(|| format!("rule {number}"), |said| format!("rule {number}: {said}"))))
    });
    Ok(Rules(parsed.collect::<Result<_, _>>()?))
}

impl Rules {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses what a rule doesn't hold for, or can't be answered for. Never says why beyond the rule's own message.
    pub fn ensure(&self, facts: &Facts) -> Result<(), ReadyCondition> {
        let Facts { identity, identifiers, namespace, adopts } = facts;
        let values = [identity.clone(), json!(identifiers), namespace.clone(), json!(adopts)];
        let size: usize = values.iter().map(|value| value.to_string().len()).sum();
        if size > MAX_INPUT {
            return Err(refusal("the identity is too large to be asked about"));
        }
        let mut budget = Budget::new(BUDGET);
        for (expression, said) in &self.0 {
            match expression.holds(&values, &mut budget) {
                Ok(true) => {}
                Ok(false) => return Err(refusal(said)),
                Err(problem @ (Problem::Failed | Problem::Exhausted | Problem::NotBool)) => {
                    return Err(refusal(&format!("{said} (it {problem})")));
                }
            }
        }
        Ok(())
    }
}

fn refusal(what: &str) -> ReadyCondition {
    let message = format!(
        "a rule of the KratosInstance refuses it: {what}; change the manifest or the identity accordingly, or ask the \
         instance's administrators"
    );
    ReadyCondition::new(Reason::NotPermitted, message)
}

/// The condition where the rules themselves are of no use: consent is never guessed.
pub fn unaskable() -> ReadyCondition {
    let message = "a rule of the KratosInstance is wrong, so that it admits no namespace but its own; its administrators have \
                   to correct it, and see in its status how";
    ReadyCondition::new(Reason::NotPermitted, message)
}
