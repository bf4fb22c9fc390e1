//! The admission policy that gives each new `KratosIdentity` our finalizer: a `MutatingAdmissionPolicy` and its binding. Pure:
//! they are printed, and applied by whoever installs the operator.
//!
//! It selects exactly what the operator reconciles: a finalizer that nobody removes prevents a resource from being deleted.

use k8s_openapi::api::admissionregistration::v1::{
    ApplyConfiguration, MatchCondition, MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
    MutatingAdmissionPolicyBindingSpec, MutatingAdmissionPolicySpec, Mutation, NamedRuleWithOperations,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::Resource;
use kube::core::{Expression, Selector};

use crate::api::{IDENTITY_FINALIZER, KratosIdentity};

/// The label by which a namespace is selected by its name; the API server sets it.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// For whom the policy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The name of the policy and of its binding.
    pub name: String,
    /// The namespaces that the operator watches. Empty: all.
    pub namespaces: Vec<String>,
    /// The labels of the resources that it reconciles.
    pub selector: Selector,
}

/// The policy and its binding, as one text.
pub fn text(scope: Scope) -> Result<String, serde_saphyr::ser::Error> {
    let (policy, binding) = objects(scope);
    Ok(format!("---\n{}---\n{}", serde_saphyr::to_string(&policy)?, serde_saphyr::to_string(&binding)?))
}

/// The policy and its binding.
fn objects(scope: Scope) -> (MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding) {
    let Scope { name, namespaces, selector } = scope;
    let mut policy = MutatingAdmissionPolicy::default();
    policy.metadata.name = Some(name.clone());
    policy.spec = Some(policy_spec());
    let namespace_selector = (!namespaces.is_empty()).then(|| in_namespaces(namespaces));
    let object_selector = (!selector.selects_all()).then(|| label_selector(selector));
    let is_narrowed = namespace_selector.is_some() || object_selector.is_some();
    let matched = MatchResources { namespace_selector, object_selector, ..MatchResources::default() };
    let mut binding = MutatingAdmissionPolicyBinding::default();
    binding.metadata.name = Some(name.clone());
    binding.spec = Some(MutatingAdmissionPolicyBindingSpec {
        policy_name: Some(name),
        match_resources: is_narrowed.then_some(matched),
        param_ref: None,
    });
    (policy, binding)
}

fn policy_spec() -> MutatingAdmissionPolicySpec {
    let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    let created = NamedRuleWithOperations {
        api_groups: texts(&[&KratosIdentity::group(&())]),
        api_versions: texts(&[&KratosIdentity::version(&())]),
        operations: texts(&["CREATE"]),
        resources: texts(&[&KratosIdentity::plural(&())]),
        resource_names: None,
        scope: Some("Namespaced".to_owned()),
    };
    let lacks_finalizer = format!(
        "!has(object.metadata.finalizers) || !object.metadata.finalizers.exists(each, each == '{IDENTITY_FINALIZER}')"
    );
    let finalizer = format!("Object{{metadata: Object.metadata{{finalizers: ['{IDENTITY_FINALIZER}']}}}}");
    MutatingAdmissionPolicySpec {
        // The operator adds the finalizer itself where it lacks: nobody is kept from creating anything.
        failure_policy: Some("Ignore".to_owned()),
        reinvocation_policy: Some("Never".to_owned()),
        match_constraints: Some(MatchResources { resource_rules: Some(vec![created]), ..MatchResources::default() }),
        match_conditions: Some(vec![MatchCondition {
            name: "lacks-finalizer".to_owned(),
            expression: lacks_finalizer,
        }]),
        // Finalizers are merged as a set: those of others stay.
        mutations: Some(vec![Mutation {
            patch_type: "ApplyConfiguration".to_owned(),
            apply_configuration: Some(ApplyConfiguration { expression: Some(finalizer) }),
            json_patch: None,
        }]),
        param_kind: None,
        variables: None,
    }
}

fn in_namespaces(namespaces: Vec<String>) -> LabelSelector {
    let one_of = requirement(NAME_LABEL.to_owned(), "In", Some(namespaces));
    LabelSelector { match_expressions: Some(vec![one_of]), match_labels: None }
}

/// The same selector as Kubernetes' own. Each requirement stays one: of two values for one label `matchLabels` would keep
/// the last.
fn label_selector(selector: Selector) -> LabelSelector {
    let requirements = selector.into_iter().map(|expression| match expression {
        Expression::In(key, values) => requirement(key, "In", Some(values.into_iter().collect())),
        Expression::NotIn(key, values) => requirement(key, "NotIn", Some(values.into_iter().collect())),
        Expression::Equal(key, value) => requirement(key, "In", Some(vec![value])),
        Expression::NotEqual(key, value) => requirement(key, "NotIn", Some(vec![value])),
        Expression::Exists(key) => requirement(key, "Exists", None),
        Expression::DoesNotExist(key) => requirement(key, "DoesNotExist", None),
    });
    LabelSelector { match_expressions: Some(requirements.collect()), match_labels: None }
}

fn requirement(key: String, operator: &str, values: Option<Vec<String>>) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key, operator: operator.to_owned(), values }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::kubernetes::selector;

    /// The binding's own selection.
    fn matched(namespaces: &[&str], selector: &str) -> Option<MatchResources> {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        let scope = Scope { name: "it".to_owned(), namespaces, selector: selector::parse(selector).unwrap() };
        let (policy, binding) = objects(scope);
        let spec = binding.spec.unwrap();
        assert_eq!((policy.metadata.name, spec.policy_name), (Some("it".to_owned()), Some("it".to_owned())));
        spec.match_resources
    }

    #[test]
    fn it_is_bound_where_the_operator_watches_and_nowhere_else() {
        assert_eq!(matched(&[], ""), None);
        let named = matched(&["a", "b"], "").unwrap();
        let expected = json!({"namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}],
        }});
        assert_eq!(serde_json::to_value(named).unwrap(), expected);
    }

    /// Selectors of every sort, each asked of objects of every sort: it selects what `run` reconciles.
    #[rstest]
    #[case("shard=a")]
    #[case("shard!=a")]
    #[case("shard in (a,b)")]
    #[case("shard notin (a,b)")]
    #[case("shard")]
    #[case("!shard")]
    #[case("shard=")]
    #[case("shard=a,team!=x")]
    #[case("shard=a,shard=b")]
    fn it_selects_what_the_operator_reconciles(#[case] text: &str) {
        let printed = matched(&[], text).unwrap().object_selector.unwrap();
        let printed = Selector::try_from(printed).unwrap();
        let runs = selector::parse(text).unwrap();
        for shard in [None, Some(""), Some("a"), Some("b"), Some("c")] {
            for team in [None, Some("x"), Some("y")] {
                let mut labels = serde_json::Map::new();
                labels.extend(shard.map(|value| ("shard".to_owned(), json!(value))));
                labels.extend(team.map(|value| ("team".to_owned(), json!(value))));
                let object: ConfigMap = serde_json::from_value(json!({"metadata": {"labels": labels}})).unwrap();
                let (by_policy, by_run) = (selector::selects(&printed, &object), selector::selects(&runs, &object));
                assert_eq!(by_policy, by_run, "{text}: {labels:?}");
            }
        }
    }
}
