//! The message for the state of an instance, from what is known of it. Sends nothing.

use std::cmp::Reverse;

use super::handle::Handle;
use super::protection::{self, State, config_map};
use super::release_value::{self, Release};
use super::status::ABOUT_SCHEMAS;
use crate::api::decode::unread;
use crate::api::instance::{KratosInstance, Mode};
use crate::api::protection::{Held, ProtectionStatus};
use crate::api::recorded_event::RecordedEvent;
use crate::api::words::{NAME, listed, shown};
use crate::api::{KEEP, RELEASE, ReadyCondition, Reason, condition};
use crate::base::namespaced_name::NamespacedName;

/// How much is shown of the namespaces whose deletions are held, in characters.
const HOLDERS: usize = 108;
/// The same of a namespace that is there.
const FORMER: usize = 52;
/// And of a field.
const FIELD: usize = 100;

/// The condition for an instance that answers. `alive`: the name of a namespace that is there and is said to be gone.
/// `holders`: how many resources keep it from going, where it is being deleted.
pub fn usable(handle: &Handle, instance: &KratosInstance, (alive, holders): (Option<&str>, usize)) -> ReadyCondition {
    if let Some(condition) = protection(handle, instance) {
        return condition;
    }
    if handle.is_deleting {
        return leaving(&handle.key, holders);
    }
    if let Some(failure) = handle.shared.listing.failure() {
        return unlisted(&failure);
    }
    if let Some(failure) = handle.shared.schemas.failure() {
        return without_schemas(&failure, handle.settings.connection.public_url.is_some());
    }
    if let Err(invalid) = &*handle.rules {
        return invalid.clone();
    }
    if let Some(name) = alive {
        return alive_after_all(name);
    }
    match handle.settings.mode {
        Mode::Enforce => ReadyCondition::new(Reason::Reconciled, "Kratos answers"),
        Mode::Observe => ReadyCondition::new(
            Reason::Observed,
            "Kratos answers; mode Observe: nothing is changed through this instance",
        ),
    }
}

/// The condition for an instance whose identities can't be listed.
pub fn unlisted(failure: &str) -> ReadyCondition {
    let message = format!(
        "Kratos answers, but its identities can't be listed: {failure}; nothing new is created until they can \
         (often an identity whose schema was removed from Kratos' configuration)"
    );
    ReadyCondition::new(Reason::KratosUnavailable, message)
}

/// The condition for an instance whose schemas can't be read.
pub fn without_schemas(failure: &str, has_public_url: bool) -> ReadyCondition {
    let advice = if has_public_url {
        "correct spec.publicURL, or see what answers there"
    } else {
        "set spec.publicURL, or see where the admin port redirects /schemas to"
    };
    let message = format!(
        "{failure}; {advice}. It is tried again: what needs a schema that isn't known yet waits, all else goes on"
    );
    ReadyCondition::new(Reason::KratosUnavailable, message)
}

/// The condition for an instance that takes a namespace for gone which isn't.
pub fn alive_after_all(name: &str) -> ReadyCondition {
    let message = format!(
        "spec.reclaimNamespaces names the uid of namespace {}, which is there: nothing of it is taken; name namespaces that are \
         gone (status.formerNamespaces)",
        shown(name, FORMER)
    );
    ReadyCondition::new(Reason::InvalidSpec, message)
}

/// The condition for an instance that is being deleted, which may be a mistake.
pub fn leaving(key: &NamespacedName, holders: usize) -> ReadyCondition {
    let NamespacedName { namespace, name } = key;
    let held = match holders {
        1 => "1 KratosIdentity holds it".to_owned(),
        holders => format!("{holders} KratosIdentities hold it"),
    };
    let message = format!(
        "being deleted; {held}. To get it back: kubectl patch kinst {name} -n {namespace} --type=merge \
         -p '{{\"metadata\":{{\"finalizers\":null}}}}', then apply its manifest again. Identities stay as they are; delete no \
         KratosIdentity before it is back"
    );
    ReadyCondition::new(Reason::Progressing, message)
}

/// The condition for an instance in a namespace where none counts.
pub fn not_permitted(namespace: &str) -> ReadyCondition {
    let message = format!(
        "a KratosInstance doesn't count in namespace {namespace}: the operator was started with --instance-namespaces that leave \
         it out"
    );
    ReadyCondition::new(Reason::NotPermitted, message)
}

/// The condition for an instance that this version can't read.
pub fn unreadable(field: &str) -> ReadyCondition {
    unread(&shown(field, FIELD), "kinst", "")
}

/// The condition for an instance that is suspended.
pub fn suspended() -> ReadyCondition {
    let message = "spec.suspend is true: nothing is sent to Kratos, and what is to be done there waits until that ends";
    ReadyCondition::new(Reason::Suspended, message)
}

/// The condition for a probe, or another request, that got no usable answer.
pub fn failing(error: &str) -> ReadyCondition {
    let message = format!("{error}; it is probed until it answers, and nothing else is sent to it");
    ReadyCondition::new(Reason::KratosUnavailable, message)
}

/// The condition while a probe isn't due: as it stands already, or what tripped the circuit breaker.
pub fn unavailable(instance: &KratosInstance, closed_by: Option<&str>) -> ReadyCondition {
    let conditions = instance.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let told = condition::find(conditions, condition::RECONCILING)
        .filter(|condition| condition.reason == Reason::KratosUnavailable.as_str())
        .filter(|condition| !condition.message.starts_with(ABOUT_SCHEMAS))
        .map(|found| ReadyCondition::new(Reason::KratosUnavailable, found.message.clone()));
    told.unwrap_or_else(|| failing(closed_by.unwrap_or("Kratos gives no usable answer")))
}

/// What the instance's protection holds, and what to do about it.
fn protection(handle: &Handle, instance: &KratosInstance) -> Option<ReadyCondition> {
    let uid = instance.metadata.uid.as_deref();
    let protector = &handle.shared.protector;
    if protector.is_odd(uid) {
        return Some(odd(&handle.key, uid.unwrap_or_default()));
    }
    let told = || instance.status.as_ref().and_then(|status| status.protection.clone());
    holding(&handle.key, &protector.for_status(uid).or_else(told)?)
}

/// The condition where what was counted can't be read.
pub fn odd(key: &NamespacedName, uid: &str) -> ReadyCondition {
    let NamespacedName { namespace, .. } = key;
    let name = config_map::name(uid);
    let message = format!(
        "ConfigMap {name} isn't what the operator wrote into it, so that every deletion is held. Counting begins anew, and what is \
         held stays so, after: kubectl delete configmap {name} -n {namespace}"
    );
    ReadyCondition::new(Reason::DeletionHeld, message)
}

/// The condition for an instance that holds something.
pub fn holding(key: &NamespacedName, status: &ProtectionStatus) -> Option<ReadyCondition> {
    let ProtectionStatus { held, holding, missing, .. } = status;
    let release = annotate(key, RELEASE, "");
    if *missing > 0 {
        let message = format!(
            "{missing} identities that resources of this instance have had aren't in Kratos any more: it may be the \
             wrong Kratos, or an empty database. Nothing is made or deleted there until they are back; to have them made \
             again, {release}"
        );
        return Some(ReadyCondition::new(Reason::IdentitiesMissing, message));
    }
    let message = format!(
        "{held} deletions are held, more than spec.protection allows; so are all further ones of {}. To delete the identities: \
         {release}. To keep them: the same with {KEEP}. For one namespace alone: the value NAMESPACE=anything",
        holders(holding)
    );
    (*held > 0).then(|| ReadyCondition::new(Reason::DeletionHeld, message))
}

/// The namespaces whose deletions are held, those with the most first.
fn holders(holding: &[Held]) -> String {
    let mut most: Vec<_> = holding.iter().collect();
    most.sort_by_key(|held| Reverse(held.count));
    let named: Vec<_> = most.iter().map(|Held { namespace, count }| format!("{namespace} ({count})")).collect();
    if named.is_empty() { "every namespace".to_owned() } else { listed(&named, HOLDERS) }
}

/// What is to be said of a release: of what there was before it and is after it. `None`: it was only noted.
pub fn released(before: &State, after: &State) -> Option<RecordedEvent> {
    let last = after.last_release.as_ref().filter(|last| before.last_release.as_ref() != Some(*last))?;
    let token = last.token.as_deref()?;
    let note = match release_value::read(token) {
        Release::Namespace(namespace) if protection::is_held(before, namespace) => {
            format!("what namespace {namespace} was deleting and was held is carried out")
        }
        Release::Namespace(namespace) => {
            let note = format!(
                "nothing of namespace {namespace} is held, so that this value of the annotation {RELEASE} released nothing"
            );
            return Some(RecordedEvent::warning("NothingReleased", "Release", note));
        }
        Release::Everything if before.missing > 0 && after.missing == 0 => {
            format!("{} identities that are gone from Kratos are made again", after.recreating)
        }
        Release::Everything if is_over(before, after) && before.last_keep == after.last_keep => {
            format!("{} deletions that were held are carried out", before.held)
        }
        Release::Everything => return None,
    };
    Some(RecordedEvent::normal("Released", "Release", note))
}

/// Whether what was held before isn't any more, whoever may be held now.
fn is_over(before: &State, after: &State) -> bool {
    let is_held = |held: &Held| protection::is_held(after, &held.namespace);
    before.held > 0 && !before.holding.iter().any(is_held) && (!before.holding.is_empty() || after.held == 0)
}

/// What is to be said of deletions that were let go. `None`: the value was only noted.
pub fn kept(before: &State, after: &State) -> Option<RecordedEvent> {
    let last = after.last_keep.as_ref().filter(|last| before.last_keep.as_ref() != Some(*last))?;
    let note = match release_value::read(last.token.as_deref()?) {
        Release::Namespace(namespace) if protection::is_held(before, namespace) => {
            format!("what namespace {namespace} was deleting and was held is let go; its identities stay as they are")
        }
        Release::Namespace(namespace) => {
            let note = format!(
                "nothing of namespace {namespace} is held, so that this value of the annotation {KEEP} kept nothing"
            );
            return Some(RecordedEvent::warning("NothingKept", "Keep", note));
        }
        Release::Everything if before.held > 0 => {
            format!("{} resources whose deletion was held are let go; their identities stay as they are", before.held)
        }
        Release::Everything => return None,
    };
    Some(RecordedEvent::normal("Kept", "Keep", note))
}

/// The command that gives an instance's annotation a value that wasn't there before. `of`: `NAMESPACE=`, or nothing.
fn annotate(key: &NamespacedName, annotation: &str, of: &str) -> String {
    let NamespacedName { namespace, name } = key;
    format!("kubectl annotate kinst {name} -n {namespace} --overwrite {annotation}={of}$(date +%s)")
}

/// The condition for a resource whose deletion nobody can count.
pub fn uncountable(key: &NamespacedName) -> ReadyCondition {
    let message = format!(
        "held, because what KratosInstance {} has counted can't be read; ask an administrator to see in its conditions what to do",
        shown(&key.to_string(), NAME)
    );
    ReadyCondition::new(Reason::DeletionHeld, message)
}

/// The condition for a resource of a namespace whose deletion is held. It says nothing of other namespaces.
pub fn held(key: &NamespacedName, namespace: &str) -> ReadyCondition {
    let message = format!(
        "the deletion is held, because many identities were to be deleted at once. An administrator of KratosInstance {} has \
         those of this namespace deleted: {}; or kept: the same with {KEEP}",
        shown(&key.to_string(), NAME),
        annotate(key, RELEASE, &format!("{namespace}="))
    );
    ReadyCondition::new(Reason::DeletionHeld, message)
}
