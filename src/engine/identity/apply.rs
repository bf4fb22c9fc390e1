//! Runs a plan's steps, in order. Decides nothing, and never reads the manifest.

use std::collections::HashSet;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use tracing::Instrument;

use super::apply_error::ApplyError;
use super::inputs::Inputs;
use super::recovery_issue;
use crate::engine::cluster::Secrets;
use crate::identity::actions::ActionName;
use crate::identity::addresses;
use crate::identity::mark::{Found, Mark};
use crate::identity::plan::Step;
use crate::kratos::{BatchMode, Client, Error, Identity, OidcLink, State, WriteCause, Writer};

/// What running a plan left behind.
#[derive(Debug, Default)]
pub enum Applied {
    /// Nothing was written.
    #[default]
    Unchanged,
    /// The identity as the last write, or the read that confirmed it, answered it.
    Written(Box<Identity>),
    /// It isn't there any more: somebody else deleted it.
    Gone,
}

/// Runs the steps, against Kratos and, where a Secret of our own is concerned, in the cluster. `mode`: how a create
/// among them goes.
pub async fn apply(
    inputs: &Inputs,
    secrets: &dyn Secrets,
    steps: &[Step],
    mode: BatchMode,
) -> Result<Applied, ApplyError> {
    let client = &inputs.instance.client;
    let within = tracing::debug_span!("apply", steps = steps.len());
    apply_by(client, inputs, secrets, steps, mode).instrument(within).await
}

/// The same, by a client of the instance's that has waited for its rate limit already.
pub async fn apply_by(
    client: &Client,
    inputs: &Inputs,
    secrets: &dyn Secrets,
    steps: &[Step],
    mode: BatchMode,
) -> Result<Applied, ApplyError> {
    let Inputs { instance, claimant, initiator } = inputs;
    let by_spec = client.on_behalf_of(initiator);
    let mut client = by_spec.clone();
    let mut applied = Applied::default();
    for step in steps {
        match step {
            Step::For(action) => {
                client = action.map_or_else(|| by_spec.clone(), |action| by_spec.with_cause(action.into()));
            }
            Step::Create(create) => {
                let created = instance.batcher.create(create, (mode, &claimant.namespace), initiator).await;
                let identity = created.map_err(|error| ApplyError::Create { error, at: Instant::now() })?;
                applied = Applied::Written(Box::new(identity));
            }
            Step::Patch { id, operations } => {
                applied = Applied::Written(Box::new(client.patch_verbatim(id, operations).await?));
            }
            Step::Update { id, update } => {
                applied = Applied::Written(Box::new(client.update_identity(id, update).await?));
            }
            Step::VerifyAddresses { id, addresses } => match client.get_identity(id, &[]).await? {
                Some(identity) => {
                    let operations = addresses::operations(&identity, addresses);
                    let identity =
                        if operations.is_empty() { identity } else { client.patch_identity(id, &operations).await? };
                    applied = Applied::Written(Box::new(identity));
                }
                None => applied = Applied::Gone,
            },
            Step::EndSessions { id } => {
                client.delete_identity_sessions(id).await?;
            }
            Step::EndSessionsBegunBy { id, at } => end_sessions_begun_by(&client, id, *at).await?,
            Step::DeleteCredential { id, kind, link } => {
                let identifier = link.as_ref().map(OidcLink::identifier);
                client.delete_identity_credentials(id, *kind, identifier.as_deref()).await?;
            }
            Step::ConfirmInactive { id } => match client.get_identity(id, &[]).await? {
                Some(identity) if identity.state == State::Active => return Err(ApplyError::Undone),
                Some(identity) => applied = Applied::Written(Box::new(identity)),
                // Gone altogether: more than was asked for, and nothing that can log in.
                None => applied = Applied::Gone,
            },
            Step::ConfirmMark { id, uid } => match client.get_identity(id, &[]).await? {
                Some(identity) => match Mark::read(&identity.metadata_admin) {
                    Found::Mark(mark) if mark.uid == *uid => applied = Applied::Written(Box::new(identity)),
                    _ => return Err(ApplyError::Taken),
                },
                None => applied = Applied::Gone,
            },
            Step::IssueRecovery(issue) => {
                applied = Applied::Written(Box::new(recovery_issue::run(&client, secrets, issue).await?));
            }
            Step::DeleteSecret(secret) => secrets.delete(secret).await?,
            Step::Delete { id } => {
                client.delete_identity(id).await?;
            }
        }
    }
    Ok(applied)
}

impl From<ActionName> for WriteCause {
    fn from(action: ActionName) -> Self {
        Self::Action(action.as_str())
    }
}

/// Ends sessions one by one, so that those which began later stay. Looks again until none is left: a session that ends
/// while pages are read can hide another.
async fn end_sessions_begun_by(client: &Writer, identity_id: &str, at: Timestamp) -> Result<(), Error> {
    let client = client.of_identity(identity_id);
    let mut ended = HashSet::new();
    loop {
        let before = ended.len();
        for session in client.list_identity_sessions(identity_id, Some(true)).await? {
            if session.began().is_none_or(|began| began <= at) && ended.insert(session.id.clone()) {
                client.disable_session(&session.id).await?;
            }
        }
        if ended.len() == before {
            return Ok(());
        }
    }
}
