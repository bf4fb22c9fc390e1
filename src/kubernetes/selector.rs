//! Label selectors as `kubectl get -l` takes them, and what an operator sees with one. Pure.

use kube::core::{Expression, Selector, SelectorExt};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use ring::digest::{SHA256, digest};

use crate::api::decode::Decoded;
use crate::api::lifecycle::Adoption;
use crate::api::{GROUP, KratosIdentity, KratosIdentitySpec, KratosIdentityStatus, condition};
use crate::base::namespaced_name;

/// The longest label value, and the longest name of a label without its prefix.
const LONGEST: usize = 63;

/// Why a text is no label selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; write label selectors as for kubectl: shard=a, shard!=a, 'shard in (a,b)', 'shard notin (a,b)', shard, !shard"
)]
pub struct NoSelector(String);

/// Reads a label selector; an empty one selects everything.
pub fn parse(text: &str) -> Result<Selector, NoSelector> {
    let requirements = split(text)?;
    requirements.into_iter().map(requirement).collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().collect())
}

/// The parts between commas; commas within parentheses don't count.
fn split(text: &str) -> Result<Vec<&str>, NoSelector> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut parts, mut begin, mut is_inside) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        match character {
            '(' | ')' if is_inside == (character == '(') => {
                return Err(NoSelector(format!("'{character}' is misplaced")));
            }
            '(' | ')' => is_inside = character == '(',
            ',' if !is_inside => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if is_inside {
        return Err(NoSelector("')' is missing".to_owned()));
    }
    parts.push(&text[begin..]);
    Ok(parts)
}

fn requirement(text: &str) -> Result<Expression, NoSelector> {
    let text = text.trim();
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Expression::DoesNotExist(key(name)?));
    }
    if let Some((name, wanted)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(key(name)?, value(wanted)?));
    }
    if let Some((name, wanted)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(key(name)?, value(wanted)?));
    }
    let Some((name, _)) = text.split_once(|character: char| character.is_whitespace() || character == '(') else {
        return Ok(Expression::Exists(key(text)?));
    };
    let unknown = || NoSelector(format!("'{text}' has no operator that is known"));
    let listed = text[name.len()..].trim_start().strip_suffix(')').and_then(|rest| rest.split_once('('));
    let (operator, values) = listed.ok_or_else(unknown)?;
    let values = values.split(',').map(value).collect::<Result<_, _>>()?;
    match operator.trim_end() {
        "in" => Ok(Expression::In(key(name)?, values)),
        "notin" => Ok(Expression::NotIn(key(name)?, values)),
        _ => Err(unknown()),
    }
}

fn key(text: &str) -> Result<String, NoSelector> {
    let text = text.trim();
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    if prefix.is_none_or(namespaced_name::is_name) && !name.is_empty() && is_label(name) {
        Ok(text.to_owned())
    } else {
        Err(NoSelector(format!("'{text}' is no name of a label")))
    }
}

fn value(text: &str) -> Result<String, NoSelector> {
    let text = text.trim();
    if is_label(text) { Ok(text.to_owned()) } else { Err(NoSelector(format!("'{text}' is no value of a label"))) }
}

fn is_label(text: &str) -> bool {
    let is_alphanumeric = |character: char| character.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= LONGEST
            && text.starts_with(is_alphanumeric)
            && text.ends_with(is_alphanumeric)
            && text.chars().all(|character| is_alphanumeric(character) || "-_.".contains(character)))
}

/// The normal form of a selector: equal selectors, however they are written, give the same text.
pub fn normalised(selector: &Selector) -> String {
    let mut requirements: Vec<_> =
        selector.clone().into_iter().map(|expression| plain(expression).to_string()).collect();
    requirements.sort_unstable();
    requirements.dedup();
    requirements.join(",")
}

/// An `in` with a single value becomes an equality.
fn plain(expression: Expression) -> Expression {
    match expression {
        Expression::In(key, values) if values.len() == 1 => Expression::Equal(key, values.into_iter().collect()),
        Expression::NotIn(key, values) if values.len() == 1 => Expression::NotEqual(key, values.into_iter().collect()),
        expression => expression,
    }
}

/// The name of the Lease of those who reconcile what a selector selects. No instance's Lease has a name that ends like this.
pub fn lease_name(selector: &Selector) -> String {
    if selector.selects_all() {
        return format!("leader.{GROUP}");
    }
    let digest = digest(&SHA256, normalised(selector).as_bytes());
    let first = digest.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
    format!("leader-{first:016x}.{GROUP}")
}

/// Whether a selector selects an object.
pub fn selects(selector: &Selector, object: &impl Resource) -> bool {
    selector.selects_all() || selector.matches(object.labels())
}

/// Reduces a resource that another operator reconciles to what every operator must know: that it exists, its instance and
/// identity, what it replaces, what its deletion does to the identity, and whether it drifted.
pub fn outline(object: &mut Decoded<KratosIdentity>) {
    let meta = object.meta_mut();
    (meta.annotations, meta.owner_references) = (None, None);
    let Ok(resource) = &mut object.0 else { return };
    let spec = &mut resource.spec;
    *spec = KratosIdentitySpec {
        instance_ref: spec.instance_ref.take(),
        // An adopted identity stays: its deletion doesn't count for the protection.
        adoption: spec.adoption.take().map(|adoption| Adoption { policy: adoption.policy, ..Adoption::default() }),
        deletion: spec.deletion.take(),
        replaces: spec.replaces.take(),
        mode: spec.mode,
        suspend: spec.suspend,
        ..KratosIdentitySpec::default()
    };
    let Some(status) = &mut resource.status else { return };
    let mut conditions = std::mem::take(&mut status.conditions);
    conditions.retain(|condition| condition.type_ == condition::DRIFTED);
    conditions.shrink_to_fit();
    *status = KratosIdentityStatus {
        identity_id: status.identity_id.take(),
        instance: status.instance.take(),
        state: status.state,
        adopted: status.adopted,
        conditions,
        ..KratosIdentityStatus::default()
    };
}

/// An event as a watch with this selector would show it: an object that isn't selected (any more) is deleted.
pub fn narrow<K: Resource>(selector: &Selector, event: Event<K>) -> Option<Event<K>> {
    match event {
        Event::Apply(object) if !selects(selector, &object) => Some(Event::Delete(object)),
        Event::InitApply(object) if !selects(selector, &object) => None,
        event => Some(event),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn labelled(labels: &str) -> ConfigMap {
        let labels: serde_json::Map<_, _> = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        serde_json::from_value(json!({"metadata": {"name": "ada", "uid": "u", "labels": labels}})).unwrap()
    }

    #[rstest]
    #[case("", &["", "shard=a"], &[])]
    #[case(" ", &[""], &[])]
    #[case("shard=a", &["shard=a", "shard=a,x=y"], &["", "shard=b"])]
    #[case("shard == a", &["shard=a"], &["", "shard=b"])]
    #[case("shard=", &["shard="], &["", "shard=b"])]
    #[case("shard!=a", &["", "shard=b"], &["shard=a"])]
    #[case("shard in (a, b)", &["shard=a", "shard=b"], &["", "shard=c"])]
    #[case("shard in(a)", &["shard=a"], &["shard=b"])]
    #[case("shard notin (a,b)", &["", "shard=c"], &["shard=a", "shard=b"])]
    #[case("shard", &["shard=a", "shard="], &["", "x=y"])]
    #[case("!shard", &["", "x=y"], &["shard=a"])]
    #[case("example.com/shard=a,team in (x,y),!off", &["example.com/shard=a,team=x"], &["example.com/shard=a,team=x,off=1", "team=x"])]
    fn a_selector_selects(#[case] text: &str, #[case] selected: &[&str], #[case] others: &[&str]) {
        let selector = parse(text).unwrap();
        for labels in selected {
            assert!(selects(&selector, &labelled(labels)), "{labels}");
        }
        for labels in others {
            assert!(!selects(&selector, &labelled(labels)), "{labels}");
        }
    }

    #[rstest]
    #[case::another_order("a=b,c", "c,a=b")]
    #[case::spaces("shard == a", " shard=a")]
    #[case::a_set_of_one("shard in (a)", "shard=a")]
    #[case::a_set_of_one_that_is_not("shard notin (a)", "shard!=a")]
    #[case::a_set_in_another_order("shard in (b, a,a)", "shard in (a,b)")]
    #[case::twice("shard,shard", "shard")]
    fn equal_selectors_are_replicas_however_they_are_written(#[case] one: &str, #[case] other: &str) {
        let (one, other) = (parse(one).unwrap(), parse(other).unwrap());
        assert_eq!(normalised(&one), normalised(&other));
        assert_eq!(lease_name(&one), lease_name(&other));
    }

    #[test]
    fn other_selectors_have_other_leases() {
        let texts = [
            "",
            "shard=a",
            "shard=b",
            "shard!=a",
            "shard",
            "!shard",
            "shard in (a,b)",
            "shard notin (a,b)",
            "x/shard=a",
        ];
        let names: std::collections::BTreeSet<_> = texts.iter().map(|text| lease_name(&parse(text).unwrap())).collect();
        assert_eq!(names.len(), texts.len(), "{names:?}");
        assert_eq!(lease_name(&parse(" ").unwrap()), "leader.kratos-operator.dev");
        assert!(names.iter().all(|name| namespaced_name::is_name(name)), "{names:?}");
    }

    #[rstest]
    #[case("=a", "''")]
    #[case("shard=a,", "''")]
    #[case("shard=a b", "'a b'")]
    #[case("shard=-a", "'-a'")]
    #[case("a b", "operator")]
    #[case("shard over (a)", "operator")]
    #[case("shard in a", "operator")]
    #[case("shard in", "operator")]
    #[case("shard in (a", "missing")]
    #[case("shard in a)", "misplaced")]
    #[case("shard in ((a))", "misplaced")]
    #[case("shard in (a) b", "operator")]
    #[case("shard>1", "'shard>1'")]
    #[case("Up/shard=a", "'Up/shard'")]
    #[case("a/b/c=d", "'a/b/c'")]
    #[case("!", "''")]
    fn what_is_no_selector_is_named(#[case] text: &str, #[case] named: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("kubectl"), "{error}");
    }

    #[test]
    fn whoever_leaves_the_selection_is_gone_from_it_and_whoever_enters_is_new() {
        let selector = parse("shard=a").unwrap();
        let shown = |event| narrow(&selector, event);
        assert!(matches!(shown(Event::Apply(labelled("shard=a"))), Some(Event::Apply(_))));
        assert!(matches!(shown(Event::Apply(labelled("shard=b"))), Some(Event::Delete(_))));
        assert!(matches!(shown(Event::Delete(labelled("shard=b"))), Some(Event::Delete(_))));
        assert!(matches!(shown(Event::InitApply(labelled("shard=a"))), Some(Event::InitApply(_))));
        assert!(shown(Event::InitApply(labelled("shard=b"))).is_none());
        assert!(matches!(shown(Event::InitDone), Some(Event::InitDone)));
    }

    #[test]
    fn of_what_is_anothers_only_the_outline_is_kept() {
        let condition = |kind: &str| {
            let since = "2026-11-23T10:00:00Z";
            json!({"type": kind, "status": "True", "reason": "R", "message": "", "lastTransitionTime": since})
        };
        let object = |spec: serde_json::Value, status: serde_json::Value, metadata: serde_json::Value| {
            let object = json!({
                "apiVersion": "kratos-operator.dev/v1alpha1", "kind": "KratosIdentity",
                "metadata": metadata, "spec": spec, "status": status,
            });
            serde_json::from_value::<Decoded<KratosIdentity>>(object).unwrap()
        };
        let metadata = |annotations: serde_json::Value| {
            json!({
                "name": "ada", "namespace": "team-a", "uid": "u", "labels": {"shard": "b"}, "annotations": annotations,
                "finalizers": ["f"], "deletionTimestamp": "2026-11-23T10:00:00Z",
            })
        };
        let (instance, deletion) = (json!({"name": "default"}), json!({"gracePeriod": "1h"}));
        let mut kept = object(
            json!({
                "schemaID": "customer", "traits": {"email": "ada@example.com"}, "instanceRef": instance,
                "deletion": deletion, "mode": "Observe", "suspend": true, "replaces": {"name": "ada-old"},
                "adoption": {"policy": "IfUnowned", "identifier": "ada@example.com", "acceptUnverified": true},
                "metadataPublic": {"plan": "gold"},
            }),
            json!({
                "observedGeneration": 3, "identityID": "i", "instance": instance, "state": "Inactive",
                "conditions": [condition("Ready"), condition("Drifted")], "ownedPaths": ["/traits/email"],
            }),
            metadata(json!({"a": "b"})),
        );
        outline(&mut kept);
        let expected = object(
            json!({
                "schemaID": "", "instanceRef": instance, "deletion": deletion, "mode": "Observe", "suspend": true,
                "replaces": {"name": "ada-old"}, "adoption": {"policy": "IfUnowned"},
            }),
            json!({"identityID": "i", "instance": instance, "state": "Inactive", "conditions": [condition("Drifted")]}),
            metadata(json!(null)),
        );
        assert_eq!(format!("{kept:?}"), format!("{expected:?}"));
    }
}
