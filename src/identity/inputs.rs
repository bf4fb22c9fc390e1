//! Gathers what a look at a resource stands on: its instance, that instance's consent, and who is asking.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use super::admission;
use super::claim::Claimant;
use super::failure::{self, Halt, Sent};
use crate::api::identity::{InstanceRef, KratosIdentity};
use crate::api::words::{NAME, shown};
use crate::api::{Reason, Verdict};
use crate::context::Context;
use crate::decode::Metadata;
use crate::instance::{Entry, Handle, consent, protect, reclaim, references};
use crate::kratos::{Error, Initiator, WriteCause};
use crate::place::Place;
use crate::trace::{self, TraceId};

/// How much is shown of where an instance stands, beside a namespace, in characters; and of that.
const PLACE: usize = 44;
const NAMESPACE: usize = 40;

/// What a look stands on.
pub struct Inputs {
    pub instance: Arc<Handle>,
    pub claimant: Claimant,
    /// On whose behalf Kratos is written to.
    pub initiator: Arc<Initiator>,
}

impl Inputs {
    pub fn new(resource: &KratosIdentity, instance: Arc<Handle>, claimant: Claimant, cause: WriteCause) -> Self {
        let initiator = Initiator {
            kind: "KratosIdentity",
            namespace: claimant.namespace.clone(),
            name: claimant.name.clone(),
            uid: claimant.uid.clone(),
            generation: resource.metadata.generation,
            cause,
            trace_id: TraceId::current().map(|id| id.to_string()),
        };
        Self { instance, claimant, initiator: Arc::new(initiator) }
    }

    /// Nothing is sent to an instance that is down.
    pub fn ensure_open(&self) -> Result<(), Halt> {
        if self.instance.shared.gate.is_open() { Ok(()) } else { Err(Halt::Waiting(failure::unavailable())) }
    }

    /// Nothing is made or deleted where so many identities are missing that it may be the wrong Kratos.
    pub fn ensure_whole(&self, context: &Context) -> Result<(), Halt> {
        if protect::misses_identities(&self.instance, context) {
            let what = "holds back until somebody has looked whether it is the right Kratos; see its status";
            return Err(Halt::Waiting(not_ready(&self.instance.place, what)));
        }
        Ok(())
    }

    /// The halt for an error of Kratos. An instance that gives no usable answer is left alone until a probe succeeds,
    /// and one that may not be well is probed.
    pub fn halt(&self, error: &Error, sent: Sent<'_>, context: &Context) -> Halt {
        let blame = self.instance.shared.gate.failed(&self.claimant.uid, error);
        if blame.wants_probe {
            context.pokes.instance(&self.instance.place);
        }
        failure::halt(error, sent, blame.times)
    }
}

/// The instance that a resource refers to, as its status names it.
pub fn reference(place: &Place) -> InstanceRef {
    InstanceRef { name: place.name.clone(), namespace: Some(place.namespace.clone()) }
}

/// Where the instance of a resource stands. `InvalidSpec` where the spec names another one than was chosen before.
pub fn instance_place(resource: &KratosIdentity, context: &Context) -> Result<Place, Verdict> {
    let default = context.options.default_instance.as_ref();
    let Some(place) = references::instance_of(resource, default).inspect(trace::note_instance) else {
        let message = "spec.instanceRef is missing, and the operator was started without --default-instance; name a KratosInstance";
        return Err(Verdict::new(Reason::InvalidSpec, message));
    };
    let pinned = resource.status.as_ref().and_then(|status| status.instance.clone());
    match pinned {
        Some(pinned) if pinned != reference(&place) => {
            let chosen = format!("{}/{}", pinned.namespace.unwrap_or_default(), pinned.name);
            let chosen = shown(&chosen, NAME);
            let message = format!(
                "the identity lives in KratosInstance {chosen}; instanceRef can't name another one: name that, or make a new \
                 resource"
            );
            Err(Verdict::new(Reason::InvalidSpec, message))
        }
        _ => Ok(place),
    }
}

/// The instance of a resource, if it is there, looked at, and admits the resource's namespace.
pub async fn instance(place: &Place, namespace: &str, context: &Context) -> Result<Arc<Handle>, Halt> {
    let handle = match context.registry.get(place) {
        Some(Entry::Usable(handle)) => handle,
        Some(Entry::Unusable(verdict)) if verdict.reason == Reason::NotPermitted => {
            return Err(Halt::Refused(not_permitted(place, namespace)));
        }
        Some(Entry::Unusable(verdict)) if verdict.reason == Reason::Suspended => {
            return Err(suspended(place, &labels(namespace, context).await?, namespace, context));
        }
        // Its own status says why; identities that are Ready aren't rewritten.
        Some(Entry::Unusable(_)) => return Err(Halt::Waiting(not_ready(place, "isn't usable; see its status"))),
        None => return Err(unseen(place, namespace, context).await),
    };
    if !consent::admits(
        handle.settings.allowed_namespaces.as_ref(),
        &place.namespace,
        namespace,
        &labels(namespace, context).await?,
    ) {
        return Err(Halt::Refused(not_permitted(place, namespace)));
    }
    Ok(handle)
}

/// An instance that is suspended. Whom it doesn't admit isn't told so.
fn suspended(place: &Place, labels: &BTreeMap<String, String>, namespace: &str, context: &Context) -> Halt {
    let object = context.instances.get(&ObjectRef::new(&place.name).within(&place.namespace));
    let spec = object.as_deref().and_then(|object| object.0.as_ref().ok()).map(|instance| &instance.spec);
    let allowed = spec.and_then(|spec| spec.allowed_namespaces.as_ref());
    if !consent::admits(allowed, &place.namespace, namespace, labels) {
        return Halt::Refused(not_permitted(place, namespace));
    }
    let what = "is suspended (its spec.suspend is true): nothing is sent to its Kratos, and this waits until that ends";
    Halt::Waiting(not_ready(place, what))
}

/// An instance that isn't in the registry: gone, or not looked at yet by a process that just started.
async fn unseen(place: &Place, namespace: &str, context: &Context) -> Halt {
    let object = ObjectRef::new(&place.name).within(&place.namespace);
    if !context.options.works_in(&place.namespace) {
        later(not_ready(place, "is in a namespace that the operator doesn't work in (--namespaces)"))
    } else if context.instances.get(&object).is_some() {
        Halt::Waiting(not_ready(place, "hasn't been looked at yet; the operator waits for it"))
    } else {
        let hint = meant(place, namespace, context).await.map(|meant| hint(place, &meant)).unwrap_or_default();
        later(not_ready(place, &format!("doesn't exist; the operator waits for it{hint}")))
    }
}

/// What is asked of somebody who may have meant another instance, and where that is to be corrected.
fn hint(place: &Place, meant: &Place) -> String {
    let field = if place.name == meant.name { "namespace" } else { "name" };
    format!(". Did you mean {} (spec.instanceRef.{field})?", shown(&meant.to_string(), PLACE))
}

/// The instance that may be meant: of that name in another namespace the operator's default one, or one that admits the resource's
/// namespace; of another name the only one there that does. Of others nothing is said.
async fn meant(place: &Place, namespace: &str, context: &Context) -> Option<Place> {
    let default = context.options.default_instance.clone().filter(|default| default.name == place.name);
    if default.is_some() {
        return default.filter(|default| default != place);
    }
    let all = context.registry.places();
    let (namesakes, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|other| other.name == place.name);
    let neighbours: Vec<_> = others.into_iter().filter(|other| other.namespace == place.namespace).collect();
    if namesakes.is_empty() && neighbours.is_empty() {
        return None;
    }
    let labels = labels(namespace, context).await.ok()?;
    let admits = |other: &Place| {
        let handle = context.registry.handle(other);
        handle.is_some_and(|handle| {
            consent::admits(handle.settings.allowed_namespaces.as_ref(), &other.namespace, namespace, &labels)
        })
    };
    let only = |mut places: Vec<Place>| if places.len() == 1 { places.pop() } else { None };
    let namesake = namesakes.into_iter().filter(admits).min();
    namesake.or_else(|| only(neighbours.into_iter().filter(admits).collect()))
}

/// Waits for the instance, whose every change makes those who refer to it be looked at again.
fn later(verdict: Verdict) -> Halt {
    Halt::Retry { verdict, after: Some(Duration::from_mins(5)) }
}

pub(super) fn not_ready(place: &Place, what: &str) -> Verdict {
    let place = shown(&place.to_string(), NAME);
    Verdict::new(Reason::InstanceNotReady, format!("KratosInstance {place} {what}"))
}

pub(super) fn not_permitted(place: &Place, namespace: &str) -> Verdict {
    let message = format!(
        "KratosInstance {} doesn't admit namespace {}, or isn't served; ask its administrators \
         for spec.allowedNamespaces",
        shown(&place.to_string(), PLACE),
        shown(namespace, NAMESPACE)
    );
    Verdict::new(Reason::NotPermitted, message)
}

/// The labels of a namespace.
pub async fn labels(namespace: &str, context: &Context) -> Result<BTreeMap<String, String>, kube::Error> {
    if let Some(seen) = context.namespaces.get(&ObjectRef::new(namespace)) {
        return Ok(seen.labels().clone());
    }
    Ok(live_namespace(namespace, context).await?.labels().clone())
}

/// A namespace that may not be read isn't known, which is neither gone nor refused.
async fn live_namespace(namespace: &str, context: &Context) -> Result<Metadata<Namespace>, kube::Error> {
    Api::<Metadata<Namespace>>::all(context.client.clone()).get(namespace).await
}

/// Right before something is created, where namespaces aren't watched: that the resource's is still the one that was seen,
/// and is admitted. A live read.
pub async fn ensure_admitted(inputs: &Inputs, context: &Context) -> Result<(), Halt> {
    if context.options.namespaces.is_none() {
        return Ok(());
    }
    let (claimant, place) = (&inputs.claimant, &inputs.instance.place);
    let permit = context.kubernetes.acquire(&claimant.namespace).await;
    let live = live_namespace(&claimant.namespace, context).await?;
    drop(permit);
    let allowed = inputs.instance.settings.allowed_namespaces.as_ref();
    let is_admitted = consent::admits(allowed, &place.namespace, &claimant.namespace, live.labels());
    if is_admitted && live.uid().as_ref() == Some(&claimant.namespace_uid) {
        return Ok(());
    }
    // Whoever else stands on what was seen is looked at again.
    context.namespaces_changed.notify_one();
    if !is_admitted {
        return Err(Halt::Refused(not_permitted(place, &claimant.namespace)));
    }
    let verdict = Verdict::new(Reason::Progressing, "the namespace was made anew meanwhile; it is looked at again");
    Err(Halt::Retry { verdict, after: None })
}

/// Everything for a resource that isn't being deleted.
pub async fn gather(resource: &KratosIdentity, place: &Place, context: &Context) -> Result<Inputs, Halt> {
    let namespace = resource.namespace().unwrap_or_default();
    let instance = instance(place, &namespace, context).await?;
    if instance.is_deleting {
        return Err(later(not_ready(place, "is being deleted; nothing new is made through it, see its status")));
    }
    let claimant = claimant(resource, &instance, context).await?;
    if instance.rules.is_err() && !claimant.beside_instance {
        return Err(Halt::Refused(admission::unaskable()));
    }
    Ok(Inputs::new(resource, instance, claimant, WriteCause::Spec))
}

/// Who is asking. The namespace's uid is what tells a namespace from one that was re-created under its name.
pub async fn claimant(resource: &KratosIdentity, instance: &Handle, context: &Context) -> Result<Claimant, Halt> {
    let namespace = resource.namespace().unwrap_or_default();
    let seen = context.namespaces.get(&ObjectRef::new(&namespace)).and_then(|seen| seen.meta().uid.clone());
    let namespace_uid = match seen {
        Some(uid) => uid,
        None => live_namespace(&namespace, context).await?.uid().unwrap_or_default(),
    };
    Ok(Claimant {
        owner: instance.settings.owner_name.clone(),
        cluster: context.cluster_id.clone(),
        name: resource.name_any(),
        uid: resource.uid().unwrap_or_default(),
        reclaim_from: instance.settings.reclaim_from.clone(),
        reclaim_namespaces: reclaim::open_to(instance, &namespace_uid, context),
        beside_instance: instance.place.namespace == namespace,
        namespace_uid,
        namespace,
    })
}

/// The namespace's uid, read live: what is taken back from a former resource must not go to a namespace that was
/// re-created since the watch saw it.
pub async fn confirm_namespace(claimant: &Claimant, context: &Context) -> Result<bool, Halt> {
    Ok(live_namespace(&claimant.namespace, context).await?.uid() == Some(claimant.namespace_uid.clone()))
}
