//! Locks an identity out although the rest of its manifest can't be carried out: that somebody may not log in any more
//! must not wait for a Secret, or for traits that fit. Touches nothing but the state, the
//! sessions, and the Secret of a recovery that doesn't work any more.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::apply::{self, ApplyError};
use super::desired::{self, Handling};
use super::failure::{Halt, Sent};
use super::inputs;
use super::observe::Search;
use super::plan::{self, Leaving, Observed, Step};
use super::record::uid;
use super::recovery::{self, OwnSecret};
use crate::api::identity::KratosIdentity;
use crate::api::instance::Mode;
use crate::api::lifecycle::DeletionPolicy;
use crate::api::{IDENTITY_FINALIZER, Reason, Verdict};
use crate::context::Context;
use crate::events::Happening;
use crate::kratos::{State, Travel};
use crate::kube_write;

/// After a look that came to nothing: deactivates an identity that is this resource's own, if its manifest wants it
/// inactive. Returns what is said of a recovery that doesn't work any more.
pub async fn after(halt: &Halt, resource: &KratosIdentity, handling: &Handling, context: &Context) -> Option<Verdict> {
    let wants_inactive = desired::state(&resource.spec, Timestamp::now()) == Some(State::Inactive);
    let is_held = kube_write::carries(resource, IDENTITY_FINALIZER);
    if !wants_inactive || !is_held || handling.mode == Mode::Observe || !is_meant(halt) {
        return None;
    }
    match run(resource, context).await {
        Ok(LockedOut { was_active: false, recovery }) => recovery,
        Ok(LockedOut { was_active: true, recovery }) => {
            let note =
                "the identity was deactivated and its sessions ended; the rest of the manifest is still to be done";
            context.events.publish(resource, Happening::normal("IdentityDeactivated", "Change", note));
            recovery
        }
        Err(halt) => {
            tracing::warn!(
                why = halt.words(),
                "an identity that is to be inactive couldn't be deactivated; it is tried again"
            );
            None
        }
    }
}

/// Not where nothing may be changed, and not where Kratos or Kubernetes didn't answer: then the whole look is repeated.
fn is_meant(halt: &Halt) -> bool {
    let meant = |reason: Reason| {
        matches!(
            reason,
            Reason::SecretNotReady
                | Reason::InvalidSpec
                | Reason::TraitsRejected
                | Reason::SchemaNotFound
                | Reason::UnsupportedByServer
                | Reason::KratosRejected
        )
    };
    match halt {
        Halt::Waiting(verdict) | Halt::Refused(verdict) | Halt::Retry { verdict, .. } => meant(verdict.reason),
        // That takes no schema.
        Halt::Unread(_) => true,
        Halt::Down(_) | Halt::Kubernetes(_) => false,
    }
}

/// What was done.
#[derive(Default)]
struct LockedOut {
    was_active: bool,
    /// What is said of a recovery, if one was issued.
    recovery: Option<Verdict>,
}

async fn run(resource: &KratosIdentity, context: &Context) -> Result<LockedOut, Halt> {
    let place = inputs::instance_place(resource, context)?;
    let inputs = inputs::gather(resource, &place, context).await?;
    inputs.ensure_open()?;
    if inputs.instance.settings.mode == Mode::Observe {
        return Ok(LockedOut::default());
    }
    let remembered = context.memory.recall(&uid(resource));
    let search = Search {
        context,
        inputs: &inputs,
        resource,
        remembered,
        schema: None,
        traits: &Value::Null,
        adoption: None,
        only_looks: true,
    };
    let Observed::Present(present) = search.run().await? else { return Ok(LockedOut::default()) };
    let is_done = present.identity.state == State::Inactive && search.remembered.sessions_ended;
    // An identity whose mark is another's, or that is still to be taken over, isn't this resource's to lock.
    let is_ours = present.mark.as_ref().is_some_and(|mark| inputs.claimant.is_ours(mark));
    if is_done || !is_ours {
        return Ok(LockedOut::default());
    }
    let issued = present.mark.as_ref().and_then(|mark| mark.recovery.as_ref());
    let issued = issued.map(|issued| OwnSecret::of(&inputs.claimant, &issued.secret_name));
    let was_active = present.identity.state == State::Active;
    let leaving =
        Leaving { claimant: &inputs.claimant, policy: DeletionPolicy::Deactivate, delete_after: None, known: None };
    let mut steps = plan::plan_deletion(leaving, &[present.identity])?;
    steps.extend(issued.clone().map(Step::DeleteSecret));
    match apply::apply(&inputs, &context.client, &steps, Travel::Together).await {
        Ok(_) => {}
        Err(ApplyError::Create { error, .. } | ApplyError::Other(error)) => {
            return Err(inputs.halt(&error, Sent::default(), context));
        }
        Err(ApplyError::Kubernetes(error)) => return Err(error.into()),
        Err(error @ (ApplyError::Undone | ApplyError::Taken)) => {
            let verdict = Verdict::new(Reason::Progressing, error.to_string());
            return Err(Halt::Retry { verdict, after: None });
        }
    }
    context.memory.update(&uid(resource), |remembered| remembered.sessions_ended = true);
    Ok(LockedOut { was_active, recovery: issued.map(|_| recovery::locked_out()) })
}
