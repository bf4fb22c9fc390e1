//! The steps of the actions that aren't done yet. Pure.

use k8s_openapi::jiff::Timestamp;

use super::step::{Step, mark_path};
use crate::identity::actions::{self, ActionSpec, Pending};
use crate::identity::mark::Mark;
use crate::kratos::PatchOperation;

/// Does each action and notes in the mark that it was done: one that goes on failing doesn't have those before it
/// repeated. `mark` says that all of them are begun.
pub(super) fn steps(id: &str, pending: &[Pending<'_>], mut mark: Mark, now: Timestamp) -> Vec<Step> {
    let mut steps = Vec::new();
    for Pending { wanted, started_at } in pending {
        steps.push(Step::For(Some(wanted.doing.name())));
        match &wanted.doing {
            ActionSpec::ResetSecondFactors(kinds) => {
                let delete = |kind: &_| Step::DeleteCredential { id: id.to_owned(), kind: *kind, link: None };
                steps.extend(kinds.iter().map(delete));
                steps.push(Step::EndSessions { id: id.to_owned() });
            }
            // With the change itself, and its sessions after it.
            ActionSpec::SetPassword | ActionSpec::Rewrite => {}
            ActionSpec::RevokeSessions => {
                steps.push(Step::EndSessionsBegunBy { id: id.to_owned(), at: *started_at });
            }
        }
        actions::complete(&mut mark, wanted.doing.name(), now);
        let operation = PatchOperation::Replace { path: mark_path(), value: mark.to_value() };
        steps.push(Step::Patch { id: id.to_owned(), operations: vec![operation] });
    }
    steps
}
