//! `revokeAll`: ends every session that began before the action did, once per token. The intent stands in the status,
//! guarded by the resource's version, before anything is done; repeating it is harmless, since later logins stay.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use uuid::Uuid;

use super::desired::{Desired, Needs};
use super::enforce::CONCURRENCY;
use super::inputs::Inputs;
use super::judge::Sight;
use super::observe::{judge_all, opinions};
use super::reach::Reach;
use super::source::Source;
use super::truth::Truth;
use crate::api::session_policy::{KratosSessionPolicy, PolicyActionStatuses, RevokeAll, RevokeAllStatus};
use crate::api::{Reason, Verdict};
use crate::context::{Context, PolicyObject};
use crate::identity::failure::{self, Halt};
use crate::kratos::{Error, Removal, WriteCause};
use crate::kube_write;
use crate::metrics::sessions::RuleKind;

/// How often all sessions are looked at before it is left to the next run whether any is left: logins that were under
/// way when it began may come late.
const PASSES: usize = 5;

/// What came of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub ended: usize,
    /// Sessions of which nobody could tell, in the last pass, whether the policy is about them.
    pub failed: usize,
    pub truth: Truth,
}

/// The action that isn't done yet. One that was begun keeps the time at which it was.
pub fn pending<'a>(
    wanted: Option<&'a RevokeAll>,
    noted: Option<&RevokeAllStatus>,
) -> Option<(&'a RevokeAll, Option<Timestamp>)> {
    let wanted = wanted?;
    match noted.filter(|noted| noted.token.as_deref() == Some(&*wanted.token)) {
        Some(RevokeAllStatus { completed_at: Some(_), .. }) => None,
        Some(noted) => Some((wanted, noted.started_at.as_ref().map(|time| time.0))),
        None => Some((wanted, None)),
    }
}

/// What the status says of an action that was begun, and of one that was done.
pub fn status(wanted: &RevokeAll, started_at: Timestamp, completed: Option<(Timestamp, &Ended)>) -> RevokeAllStatus {
    let message = match completed {
        None => "begun, not known to be done; the operator goes on with it".to_owned(),
        Some((_, Ended { ended, failed: 0, .. })) => {
            format!("no session is left that began by {started_at}; the last run ended {ended}")
        }
        Some((_, Ended { ended, failed, .. })) => format!(
            "no session is left that began by {started_at}, but for {failed} of which nobody can tell whether the policy is \
             about them; the last run ended {ended}"
        ),
    };
    RevokeAllStatus {
        token: Some(wanted.token.clone()),
        started_at: Some(MicroTime(started_at)),
        completed_at: completed.map(|(at, _)| Time(whole_second(at))),
        message: Some(message),
    }
}

/// Writes that the action is begun, unless the resource was changed meanwhile. Returns it as it is now.
pub async fn begin(
    policy: &KratosSessionPolicy,
    wanted: &RevokeAll,
    started_at: Timestamp,
    context: &Context,
) -> Result<KratosSessionPolicy, Halt> {
    let mut next = policy.status.clone().unwrap_or_default();
    next.actions = Some(PolicyActionStatuses { revoke_all: Some(status(wanted, started_at, None)) });
    let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
    let api = Api::<PolicyObject>::namespaced(context.client.clone(), namespace);
    let written = kube_write::guarded_status(&api, policy, &next).await?;
    context.latest_policies.note(written.clone());
    match written.0 {
        Ok(policy) => Ok(policy),
        Err(_) => {
            Err(Verdict::new(Reason::Progressing, "the policy was changed meanwhile; it is looked at again").into())
        }
    }
}

/// Ends the sessions. Also returns how many were where it ends early.
pub async fn end_all(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    started_at: Timestamp,
    context: &Context,
) -> (Ended, Result<(), Halt>) {
    let mut ended = Ended::default();
    for _ in 0..PASSES {
        match pass(inputs, desired, reach, started_at, &mut ended, context).await {
            Ok(Met::Some) => {}
            Ok(Met::None) => return (ended, Ok(())),
            Err(halt) => return (ended, Err(halt)),
        }
    }
    let verdict = Verdict::new(
        Reason::Progressing,
        "sessions that began before revokeAll keep coming; the operator goes on until none is left",
    );
    (ended, Err(verdict.into()))
}

/// Whether a pass met sessions that were to end, whoever ended them: the next one shows whether more came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    None,
    Some,
}

async fn pass(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    started_at: Timestamp,
    ended: &mut Ended,
    context: &Context,
) -> Result<Met, Halt> {
    let halt = |error: Error| inputs.halt(&error, context);
    let needs = Needs { identity: desired.selection.needs_identity(), devices: false };
    let client = &inputs.instance.client;
    let writer = inputs.writer(WriteCause::Action("revokeAll"));
    let mut batches = Source::new(needs, reach).sessions(client).await.map_err(halt)?;
    ended.failed = 0;
    let (mut met, mut last) = (Met::None, Ok(()));
    while let Some(batch) = batches.next().await {
        let (sights, truth) = judge_all(inputs, desired, reach, 0, batch.map_err(halt)?).await;
        ended.truth.add(truth);
        ended.failed += sights.iter().filter(|sight| **sight == Sight::Unknown).count();
        let began_by = |began: Option<i64>| began.is_none_or(|began| began <= started_at.as_microsecond());
        let meant = opinions(&sights).into_iter().filter(|opinion| began_by(opinion.began));
        let end = |(session, identity): (Uuid, Uuid)| {
            let writer = if identity.is_nil() { writer.clone() } else { writer.of_identity(identity) };
            async move {
                if inputs.instance.shared.gate.is_open() {
                    writer.disable_session(&session.to_string()).await.map_err(Some)
                } else {
                    Err(None)
                }
            }
        };
        let sessions: Vec<_> = meant.map(|opinion| (opinion.session, opinion.identity)).collect();
        let mut ending = futures::stream::iter(sessions).map(end).buffer_unordered(CONCURRENCY);
        while let Some(result) = ending.next().await {
            match result {
                Ok(Removal::Removed) => {
                    met = Met::Some;
                    ended.ended += 1;
                    context.metrics.sessions.revoked(RuleKind::RevokeAll);
                }
                // Whoever ended it has counted it.
                Ok(Removal::WasAbsent) => met = Met::Some,
                Err(Some(error)) => match halt(error) {
                    halt if halt.is_everybodys() => return Err(halt),
                    // One session's own trouble keeps none of the others alive.
                    halt => {
                        ended.failed += 1;
                        last = Err(halt);
                    }
                },
                Err(None) => return Err(Halt::Down(failure::unavailable())),
            }
        }
        inputs.turn().await?;
    }
    last.map(|()| met)
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
