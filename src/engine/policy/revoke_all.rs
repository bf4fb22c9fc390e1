//! `revokeAll`: ends every session that began before the action did, once per token. The intent stands in the status,
//! guarded by the resource's version, before anything is done; repeating it is harmless, since later logins stay.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use uuid::Uuid;

use super::enforce::CONCURRENCY;
use super::inputs::Inputs;
use super::observe::{judge_all, rule_matches};
use super::reach::Reach;
use super::source::Source;
use crate::api::{ReadyCondition, Reason};
use crate::engine::failure::{self, ReconcileError};
use crate::kratos::{Error, Removal, WriteCause};
use crate::policy::action::Ended;
use crate::policy::desired::{Desired, Needs};
use crate::policy::judge::Judgement;
use crate::telemetry::metrics::sessions::{RuleKind, Sessions};

/// How often all sessions are read before the next run checks whether any is left: logins in progress when it began may come
/// late.
const PASSES: usize = 5;

/// Ends the sessions. Also returns how many were where it ends early.
pub async fn end_all(
    inputs: &Inputs,
    desired: &Arc<Desired>,
    reach: &Reach,
    started_at: Timestamp,
    sessions: &Sessions,
) -> (Ended, Result<(), ReconcileError>) {
    let mut ended = Ended::default();
    for _ in 0..PASSES {
        match pass(inputs, desired, reach, started_at, &mut ended, sessions).await {
            Ok(Met::Some) => {}
            Ok(Met::None) => return (ended, Ok(())),
            Err(failure) => return (ended, Err(failure)),
        }
    }
    (ended, Err(unending().into()))
}

/// The condition for a policy that is another one by now.
pub fn changed() -> ReadyCondition {
    ReadyCondition::new(Reason::Progressing, "the policy was changed meanwhile; it is looked at again")
}

/// The condition where each pass meets more.
pub fn unending() -> ReadyCondition {
    ReadyCondition::new(
        Reason::Progressing,
        "sessions that began before revokeAll keep coming; the operator goes on until none is left",
    )
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
    sessions: &Sessions,
) -> Result<Met, ReconcileError> {
    let classify = |error: Error| inputs.classify(&error);
    let needs = Needs { identity: desired.selection.needs_identity(), devices: false };
    let client = &inputs.instance.client;
    let writer = inputs.writer(WriteCause::Action("revokeAll"));
    let mut batches = Source::new(needs, reach).sessions(client).await.map_err(classify)?;
    ended.failed = 0;
    let (mut met, mut last) = (Met::None, Ok(()));
    while let Some(batch) = batches.next().await {
        let (judgements, results) = judge_all(inputs, desired, reach, 0, batch.map_err(classify)?).await;
        ended.results.add(results);
        ended.failed += judgements.iter().filter(|judgement| **judgement == Judgement::Unknown).count();
        let began_by = |began: Option<i64>| began.is_none_or(|began| began <= started_at.as_microsecond());
        let meant = rule_matches(&judgements).into_iter().filter(|rule_match| began_by(rule_match.began));
        let end = |(session, identity): (Uuid, Uuid)| {
            let writer = if identity.is_nil() { writer.clone() } else { writer.of_identity(identity) };
            async move {
                if inputs.instance.shared.circuit_breaker.allows_requests() {
                    writer.disable_session(&session.to_string()).await.map_err(Some)
                } else {
                    Err(None)
                }
            }
        };
        let those: Vec<_> = meant.map(|rule_match| (rule_match.session, rule_match.identity)).collect();
        let mut ending = futures::stream::iter(those).map(end).buffer_unordered(CONCURRENCY);
        while let Some(result) = ending.next().await {
            match result {
                Ok(Removal::Removed) => {
                    met = Met::Some;
                    ended.ended += 1;
                    sessions.revoked(RuleKind::RevokeAll);
                }
                // Whoever ended it has counted it.
                Ok(Removal::WasAbsent) => met = Met::Some,
                Err(Some(error)) => match classify(error) {
                    failure if failure.is_instance_wide() => return Err(failure),
                    // One session's own trouble keeps none of the others alive.
                    failure => {
                        ended.failed += 1;
                        last = Err(failure);
                    }
                },
                Err(None) => return Err(ReconcileError::Down(failure::unavailable())),
            }
        }
        inputs.next_permit().await?;
    }
    last.map(|()| met)
}
