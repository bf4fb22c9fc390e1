//! Which identities a policy may be about, if not all of an instance are: those whose mark says so, read again in the run.
//! Labels select resources. What the listing knows is a hint. The mark alone decides. Identities that the instance's rules
//! don't admit are within reach, but only for rules that use no trait.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use kube::core::SelectorExt;
use kube::{Resource, ResourceExt};
use serde_json::json;
use uuid::Uuid;

use super::inputs::Inputs;
use super::surroundings::Engine;
use crate::api::{ReadyCondition, Reason};
use crate::base::blocking;
use crate::base::namespaced_name::{KeyHash, KeyHashes, NamespaceHash, NamespacedName};
use crate::engine::failure::ReconcileError;
use crate::engine::identity::schemas;
use crate::identity::facts;
use crate::identity::mark::{Found, Mark};
use crate::identity::reference;
use crate::instance::rules::Facts;
use crate::kratos::{Identity, IdentityFilter};
use crate::policy::desired::Selection;
use crate::policy::enrolment;
use crate::policy::reachable::{Reachability, Reachable};

/// `None`: all of the instance.
pub type Reach = Option<Arc<Reachable>>;

/// The condition until the identities are known.
pub fn unlisted() -> ReadyCondition {
    ReadyCondition::new(Reason::Progressing, "waits until the identities of the KratosInstance were listed")
}

/// Finds the identities.
pub async fn find(inputs: &Inputs, selection: &Selection, engine: Engine<'_>) -> Result<Reach, ReconcileError> {
    if inputs.beside_instance && !selection.is_by_mark() {
        return Ok(None);
    }
    let asking = Asking { inputs, selection, engine };
    let may_mean = asking.may_mean();
    let Some(ids) = inputs.instance.shared.listing.ids(|key| may_mean.contains(key)) else {
        return Err(ReconcileError::Waiting(unlisted()));
    };
    let is_bound = !inputs.beside_instance && !matches!(&*inputs.instance.rules, Ok(rules) if rules.is_empty());
    let mut filter = IdentityFilter::by_ids(ids);
    if is_bound {
        // Rules read login identifiers, which come along with any credential that is requested.
        filter.include_credential = vec![enrolment::ASKED_FOR];
    }
    // Nobody is left out because schemas are still being read.
    if is_bound && !inputs.instance.shared.schemas.settled().await {
        return Err(ReconcileError::Unread(schemas::unread(&inputs.instance.key)));
    }
    let labels = if is_bound { engine.others.labels(&inputs.namespace).await? } else { BTreeMap::new() };
    let mut within = Vec::new();
    let mut pages = std::pin::pin!(inputs.instance.client.list_identities(filter));
    while let Some(page) = pages.next().await {
        inputs.ensure_available()?;
        let page = page.map_err(|error| inputs.classify(&error))?;
        let mut meant = page.items;
        meant.retain(|identity| asking.means(identity));
        let ids: Vec<_> = meant.iter().map(|identity| identity.id.parse::<Uuid>().ok()).collect();
        let reachabilities = if is_bound {
            reachabilities(inputs, meant, &labels).await
        } else {
            vec![Reachability::Admitted; ids.len()]
        };
        within.extend(ids.into_iter().zip(reachabilities).filter_map(|(id, reachability)| Some((id?, reachability))));
        inputs.next_permit().await?;
    }
    Ok(Some(Arc::new(Reachable::new(within))))
}

/// Where identities stand that may be meant; a hint.
enum MayMean {
    Keys(KeyHashes),
    Namespaces(HashSet<NamespaceHash>),
}

impl MayMean {
    fn contains(&self, key: KeyHash) -> bool {
        match self {
            Self::Keys(keys) => keys.contains(&key),
            Self::Namespaces(namespaces) => namespaces.contains(&key.namespace()),
        }
    }
}

struct Asking<'a> {
    inputs: &'a Inputs,
    selection: &'a Selection,
    engine: Engine<'a>,
}

impl Asking<'_> {
    /// Whose identities may be meant, by the labels of namespaces and, where they select, of the resources that are there.
    fn may_mean(&self) -> MayMean {
        let is_meant = |key: &NamespacedName| self.uids(key).is_some();
        if self.selection.labels.is_some() {
            let all = self.engine.others.all();
            let meant = all.iter().map(|object| NamespacedName::of(&**object)).filter(is_meant);
            return MayMean::Keys(meant.map(|key| key.key_hash()).collect());
        }
        let all = self.engine.others.namespaces();
        let meant = all.iter().map(|namespace| NamespacedName::new(namespace.name_any(), "")).filter(is_meant);
        MayMean::Namespaces(meant.map(|key| NamespaceHash::new(&key.namespace)).collect())
    }

    /// Whether an identity is meant, by its mark.
    fn means(&self, identity: &Identity) -> bool {
        let Found::Mark(mark) = Mark::read(&identity.metadata_admin) else { return false };
        let key = NamespacedName::new(mark.namespace.as_str(), mark.name.as_str());
        let Some((namespace_uid, uid)) = self.uids(&key) else { return false };
        mark.owner == self.inputs.instance.settings.owner_name
            && mark.cluster == self.engine.terms.cluster_id
            && mark.namespace_uid == namespace_uid
            && uid.is_none_or(|uid| mark.uid == uid)
    }

    /// The uids that a mark of this key must name, of its namespace and, where labels select resources, of the resource.
    /// `None`: the key isn't meant.
    fn uids(&self, key: &NamespacedName) -> Option<(String, Option<String>)> {
        let Inputs { beside_instance, namespace, namespace_uid, instance, .. } = self.inputs;
        if !beside_instance && key.namespace != *namespace {
            return None;
        }
        let seen = self.engine.others.namespace(&key.namespace)?;
        if self.selection.namespace_labels.as_ref().is_some_and(|selector| !selector.matches(seen.labels())) {
            return None;
        }
        let uid = if *beside_instance { seen.meta().uid.clone()? } else { namespace_uid.clone() };
        let Some(selector) = &self.selection.labels else { return Some((uid, None)) };
        let resource = self.engine.others.seen(key)?;
        let default = self.engine.terms.default_instance.as_ref();
        let refers = resource
            .0
            .as_ref()
            .is_ok_and(|resource| reference::instance_of(resource, default).as_ref() == Some(&instance.key));
        (refers && selector.matches(resource.labels())).then(|| (uid, resource.meta().uid.clone()))
    }
}

/// How each stands to the instance's rules, in this order; outside where the rules can't be asked. Asked off the runtime.
async fn reachabilities(
    inputs: &Inputs,
    identities: Vec<Identity>,
    labels: &BTreeMap<String, String>,
) -> Vec<Reachability> {
    let (instance, namespace) = (Arc::clone(&inputs.instance), json!({"name": inputs.namespace, "labels": labels}));
    let is_admitted = move |identity: &Identity| {
        let rules = instance.rules.as_ref().as_ref().ok()?;
        let schema = instance.shared.schemas.usable(&identity.schema_id);
        let schema = schema.filter(|schema| !schema.hides_identifiers)?;
        let view = facts::observed(identity, std::slice::from_ref(&schema.shape))?;
        let (identity, identifiers) = (view.identity, view.identifiers);
        let facts = Facts { identity, identifiers, namespace: namespace.clone(), adopts: false };
        rules.ensure(&facts).ok()
    };
    let asked = blocking::each(identities, move |identity| {
        if identity.readable().is_err() {
            return Reachability::Unknown;
        }
        is_admitted(&identity).map_or(Reachability::NotAdmitted, |()| Reachability::Admitted)
    });
    let answers = asked.await;
    let untold = answers.iter().filter(|answer| answer.is_err()).count();
    if untold > 0 {
        tracing::error!(instance = %inputs.instance.key, untold, "rules couldn't be asked about identities, which is an \
                        error of the operator; what would have to look at them counts as failed");
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Reachability::Unknown)).collect()
}
