//! What a plan is made of: what was seen, the steps, and the pointers that they name. Pure.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::api::{GROUP, ReadyCondition};
use crate::identity::absent_credentials::Contents;
use crate::identity::actions::ActionName;
use crate::identity::mark::Mark;
use crate::identity::pointer;
use crate::identity::recovery::{Issue, OwnSecret};
use crate::kratos::{
    CreateIdentity, CredentialType, Identity, OidcLink, PatchOperation, UpdateIdentity, VerifiedAddressImport,
};

pub const TRAITS: &str = "/traits";
pub const METADATA_PUBLIC: &str = "/metadata_public";
pub const METADATA_ADMIN: &str = "/metadata_admin";
pub const SCHEMA_ID: &str = "/schema_id";
pub const STATE: &str = "/state";
pub const CREDENTIALS: &str = "/credentials";
pub const PASSWORD: &str = "/credentials/password";
pub const OIDC: &str = "/credentials/oidc";
pub const EXTERNAL_ID: &str = "/external_id";
pub const ORGANIZATION_ID: &str = "/organization_id";
pub const RECOVERY: &str = "/recovery";

/// What was seen of the identity that a resource stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// It is proven that there is none.
    Absent,
    /// It is there.
    Present(Box<Present>),
}

/// An identity that is there, and what its mark said.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    pub identity: Identity,
    /// The mark, if it is (or was, in a former resource's hands) ours, or [`Mark::of_adoption`]. `None`: wiped, and to
    /// be restored.
    pub mark: Option<Mark>,
    /// Whether sessions are still there, where that matters (an inactive identity).
    pub has_sessions: bool,
    /// What is in its credentials, where that matters (see [`super::contents_needed`]).
    pub contents: Option<Contents>,
}

impl Present {
    pub fn new(identity: Identity, mark: Option<Mark>) -> Self {
        Self { identity, mark, has_sessions: false, contents: None }
    }

    /// Pointers of what a manifest owned before.
    pub fn owned_before(&self) -> &[String] {
        self.mark.as_ref().map_or(&[], |mark| &mark.owned_paths)
    }

    /// Whether the identity is nobody's yet, and is to be taken over.
    pub fn is_adoption(&self) -> bool {
        self.mark.as_ref().is_some_and(Mark::is_of_adoption)
    }
}

/// One step. Each may be repeated without harm, so that a crash between any two is made good by planning again.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Says that what follows is done for this action, as the manifest names it, or for none. Nothing is done by it.
    For(Option<ActionName>),
    Create(Box<CreateIdentity>),
    Patch {
        id: String,
        operations: Vec<PatchOperation>,
    },
    /// Replaces the identity as a whole, because neither a password nor a link can be patched.
    Update {
        id: String,
        update: Box<UpdateIdentity>,
    },
    /// Reads the identity again, and marks these addresses as verified where they are there and aren't.
    VerifyAddresses {
        id: String,
        addresses: Vec<VerifiedAddressImport>,
    },
    /// Ends all sessions; otherwise they would come back to life on reactivation.
    EndSessions {
        id: String,
    },
    /// Ends the sessions that began at this time or before; later ones stay.
    EndSessionsBegunBy {
        id: String,
        at: Timestamp,
    },
    /// Deletes a credential, or one link of it, if it is there.
    DeleteCredential {
        id: String,
        kind: CredentialType,
        link: Option<OidcLink>,
    },
    /// Reads back that the identity is inactive: a user's request that was under way may have undone it.
    ConfirmInactive {
        id: String,
    },
    /// Reads back that the mark written is the one of the resource with this uid: of two that take an identity over at
    /// the same time, one gives way.
    ConfirmMark {
        id: String,
        uid: String,
    },
    /// Issues a recovery into its Secret, and notes that.
    IssueRecovery(Box<Issue>),
    /// Deletes a Secret of the resource's own, if it is there.
    DeleteSecret(OwnSecret),
    Delete {
        id: String,
    },
}

/// What is to be done, and what a status may say about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Pointers of what the steps change in the identity, but for the mark; once it is checked, as they may be shown.
    pub changes: Vec<String>,
    /// What the steps do beyond that, once per token.
    pub actions: Vec<ActionName>,
    /// Pointers of what the manifest owns.
    pub owned_paths: Vec<String>,
    /// The traits as the steps leave them: what a refusal is explained by.
    pub traits: Value,
    /// Why none of it may be done.
    pub refusal: Option<ReadyCondition>,
    /// Whether it is only what leads back to where the rules admit the rest, which follows.
    pub is_partial: bool,
}

impl Plan {
    /// Whether an identity is created.
    pub fn creates(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Create(_)))
    }

    /// Pointers of all that would be done, for people who only observe.
    pub fn drift(&self) -> Vec<String> {
        let actions = self.actions.iter().map(|action| format!("/actions/{}", action.as_str()));
        self.changes.iter().cloned().chain(actions).collect()
    }
}

/// Where the mark stands in an identity.
pub fn mark_path() -> String {
    pointer::join(METADATA_ADMIN, GROUP)
}
