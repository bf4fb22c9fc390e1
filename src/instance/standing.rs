//! How an instance stands, in words: a verdict from what is known of it. Sends nothing.

use super::handle::Handle;
use super::status::ABOUT_SCHEMAS;
use crate::api::instance::{KratosInstance, Mode};
use crate::api::protection::ProtectionStatus;
use crate::api::{RELEASE, Reason, Verdict, condition};
use crate::place::Place;

/// The verdict on an instance that answers.
pub fn usable(handle: &Handle, instance: &KratosInstance) -> Verdict {
    if let Some(verdict) = protection(handle, instance) {
        return verdict;
    }
    if handle.is_deleting {
        let message = "being deleted; kept until the identities that refer to it are dealt with";
        return Verdict::new(Reason::Progressing, message);
    }
    if let Some(failure) = handle.shared.listing.failure() {
        let message = format!(
            "Kratos answers, but its identities can't be listed: {failure}; nothing new is created until they can \
             (often an identity whose schema was removed from Kratos' configuration)"
        );
        return Verdict::new(Reason::KratosUnavailable, message);
    }
    if let Some(failure) = handle.shared.schemas.failure() {
        let advice = match handle.settings.connection.public_url {
            Some(_) => "correct spec.publicURL, or see what answers there",
            None => "set spec.publicURL, or see where the admin port redirects /schemas to",
        };
        let message = format!(
            "{failure}; {advice}. It is tried again: what needs a schema that isn't known yet waits, everything else goes on"
        );
        return Verdict::new(Reason::KratosUnavailable, message);
    }
    if let Err(invalid) = &*handle.rules {
        return invalid.clone();
    }
    match handle.settings.mode {
        Mode::Enforce => Verdict::new(Reason::Reconciled, "Kratos answers"),
        Mode::Observe => {
            Verdict::new(Reason::Observed, "Kratos answers; mode Observe: nothing is changed through this instance")
        }
    }
}

/// The verdict while a probe isn't due: as it stands already.
pub fn unavailable(instance: &KratosInstance) -> Verdict {
    let conditions = instance.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let message = condition::find(conditions, condition::RECONCILING)
        .filter(|condition| condition.reason == Reason::KratosUnavailable.as_str())
        .filter(|condition| !condition.message.starts_with(ABOUT_SCHEMAS))
        .map_or_else(|| "Kratos gives no usable answer; it is being probed".to_owned(), |found| found.message.clone());
    Verdict::new(Reason::KratosUnavailable, message)
}

/// What the instance's protection holds, and what to do about it.
fn protection(handle: &Handle, instance: &KratosInstance) -> Option<Verdict> {
    let status = instance.status.as_ref().and_then(|status| status.protection.as_ref())?;
    let ProtectionStatus { held, missing, recreating: _, reserved: _, granted: _, last_release: _ } = status;
    let release = release(&handle.place);
    if *missing > 0 {
        let message = format!(
            "{missing} identities that resources of this instance have had aren't in Kratos any more: it may be the \
             wrong Kratos, or an empty database. Nothing is made or deleted there until they are back; to have them made \
             again, {release}"
        );
        return Some(Verdict::new(Reason::IdentitiesMissing, message));
    }
    let max = handle.settings.protection.max_deletions;
    let message = format!(
        "{held} deletions are held, and so is every further one: more than spec.protection.maxDeletions ({max}) were \
         asked for within the window. To have those carried out that are held now, {release}"
    );
    (*held > 0).then(|| Verdict::new(Reason::DeletionHeld, message))
}

/// The command that releases what an instance holds: by any value that wasn't there before.
fn release(place: &Place) -> String {
    let Place { namespace, name } = place;
    format!("kubectl annotate kinst {name} -n {namespace} --overwrite {RELEASE}=$(date +%s)")
}

/// The verdict on a resource whose deletion is held.
pub fn held(place: &Place) -> Verdict {
    let message = format!(
        "held, because many identities were to be deleted at once. If that is meant, an administrator of KratosInstance \
         {place} has them deleted: {}",
        release(place)
    );
    Verdict::new(Reason::DeletionHeld, message)
}
