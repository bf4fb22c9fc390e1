//! The operations that write identities, each on behalf of an initiator. It may not chain them: each method is one operation of
//! the API document.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::audit::{Entry, Outcome, Write, paths_of};
use super::client::Client;
use super::error::Error;
use super::fault::ErrorBody;
use super::kind::Kind;
use super::transport::{Answer, Call};
use super::types::{
    BatchAnswer, BatchItem, BatchOutcome, CreateIdentity, CredentialType, Identity, PatchOperation, Removal,
    UpdateIdentity,
};
use super::writer::{Writer, json};

/// The result of a batch item, and its open audit entry: of one that is called created beside failed ones, which isn't proven
/// yet (see [`BatchOutcome::Created`]).
pub(super) type Answered = (BatchAnswer, Option<Entry>);

impl Client {
    /// See [`Writer::batch_patch_identities`]; each item on behalf of its own initiator.
    pub(super) async fn create_all(&self, items: &[BatchItem], writes: Vec<Write>) -> Result<Vec<Answered>, Error> {
        const OPERATION: &str = "batch_patch_identities";
        let body = json(OPERATION, &json!({"identities": items}))?;
        let call = self.writing(OPERATION, Method::PATCH, &["admin", "identities"], &[], writes)?;
        let mut answer = self.answer(&Call { body: Some(body), ..call }).await?;
        let answers = answers(OPERATION, &answer, items.len())?;
        let is_whole = answers.iter().all(|answer| matches!(answer.outcome, BatchOutcome::Created { .. }));
        let entries = answer.entries.drain(..).map(Some).chain(std::iter::repeat_with(|| None));
        Ok(answers.into_iter().zip(entries).map(|(answer, entry)| told(answer, entry, is_whole)).collect())
    }

    /// Paths of what a create sets, if there is an auditor.
    pub(super) fn paths_of(&self, create: &CreateIdentity) -> Vec<String> {
        if self.is_audited() { paths_of(create) } else { Vec::new() }
    }
}

/// Closes the audit entry where an item's outcome is certain.
fn told(answer: BatchAnswer, entry: Option<Entry>, is_whole: bool) -> Answered {
    let Some(mut entry) = entry else { return (answer, None) };
    match &answer.outcome {
        BatchOutcome::Created { id } => {
            entry.is_about(id);
            if is_whole {
                entry.close(Outcome::Ok);
                return (answer, None);
            }
            (answer, Some(entry))
        }
        BatchOutcome::Failed(error) => {
            entry.fail(error);
            (answer, None)
        }
    }
}

/// The answers to a batch: as many as the items, in their order.
fn answers(operation: &'static str, answer: &Answer, items: usize) -> Result<Vec<BatchAnswer>, Error> {
    #[derive(Deserialize)]
    struct Items {
        #[serde(default)]
        identities: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        action: String,
        identity: Option<String>,
        patch_id: Option<String>,
        error: Option<ErrorBody>,
    }
    let unreadable = || Error::new(operation, Kind::Foreign(answer.status));
    let Items { identities } = answer.json(operation)?;
    if identities.len() != items {
        return Err(unreadable());
    }
    let outcome = |item: &Item| match (item.action.as_str(), &item.identity, &item.error) {
        ("create", Some(id), _) => Ok(BatchOutcome::Created { id: id.clone() }),
        ("error", _, Some(error)) => Ok(BatchOutcome::Failed(Error::of_item(operation, error))),
        _ => Err(unreadable()),
    };
    let answers = identities.into_iter();
    answers.map(|item| Ok(BatchAnswer { outcome: outcome(&item)?, patch_id: item.patch_id })).collect()
}

impl Writer {
    /// Creates identities, each on its own: one failure doesn't fail the others (but see [`BatchOutcome::Created`]). Returns
    /// one answer per item, in their order. Never retried here. Send at most 500 items; cleartext passwords are hashed one
    /// after another.
    pub async fn batch_patch_identities(&self, items: &[BatchItem]) -> Result<Vec<BatchAnswer>, Error> {
        let write = |item: &BatchItem| Write::new(self.initiator()).to(self.paths_of(&item.create));
        let answered = self.create_all(items, items.iter().map(write).collect()).await?;
        Ok(answered.into_iter().map(|(answer, _)| answer).collect())
    }

    /// Creates an identity. Never retried here: where [`Error::outcome_unknown`], it may exist now.
    pub async fn create_identity(&self, identity: &CreateIdentity) -> Result<Identity, Error> {
        let path = ["admin", "identities"];
        let write = Write::new(self.initiator()).to(self.paths_of(identity));
        self.identity(&self.with("create_identity", Method::POST, &path, identity, write)?).await
    }

    /// Changes parts of an identity. Never retried here. All operations take effect, or none.
    pub async fn patch_identity(&self, id: &str, operations: &[PatchOperation]) -> Result<Identity, Error> {
        let path = ["admin", "identities", id];
        let write = self.about(id).to(operations.iter().map(|operation| operation.path().to_owned()));
        self.identity(&self.with("patch_identity", Method::PATCH, &path, operations, write)?).await
    }

    /// Replaces an identity, except for what [`UpdateIdentity`] keeps. Never retried here.
    pub async fn update_identity(&self, id: &str, identity: &UpdateIdentity) -> Result<Identity, Error> {
        let path = ["admin", "identities", id];
        let write = self.about(id).to(identity.changes.iter().cloned());
        self.identity(&self.with("update_identity", Method::PUT, &path, identity, write)?).await
    }

    /// Deletes an identity and its sessions.
    pub async fn delete_identity(&self, id: &str) -> Result<Removal, Error> {
        let path = ["admin", "identities", id];
        self.remove(&self.bare("delete_identity", Method::DELETE, &path, &[], self.about(id))?).await
    }

    /// Deletes a credential. [`Removal::WasAbsent`] where the identity or the credential doesn't exist. OIDC and SAML links
    /// need `identifier`, as `provider:subject`. Servers before v25.4 reject passwords and codes.
    pub async fn delete_identity_credentials(
        &self,
        id: &str,
        kind: CredentialType,
        identifier: Option<&str>,
    ) -> Result<Removal, Error> {
        let query: Vec<_> = identifier.map(|identifier| ("identifier", identifier)).into_iter().collect();
        let path = ["admin", "identities", id, "credentials", kind.as_str()];
        let write = self.about(id).to([format!("/credentials/{}", kind.as_str())]);
        self.remove(&self.bare("delete_identity_credentials", Method::DELETE, &path, &query, write)?).await
    }
}
