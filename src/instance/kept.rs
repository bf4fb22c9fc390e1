//! What is kept of an instance's protection, as it was read or written last, and where. Pure: its controller reads and writes it.

use kube::ResourceExt;

use super::protection::State;
use super::protection::config_map::Version;
use crate::api::KratosInstance;

/// What is kept of an instance, as it was read or written last.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The instance's uid: one that is made anew under the name begins with nothing.
    pub of: String,
    pub content: Content,
}

/// What it says, and where it is.
#[derive(Clone, Debug)]
pub enum Content {
    /// In this version of the ConfigMap.
    ConfigMap(State, Version),
    /// In the instance's status, as far as a status has it.
    Status(State),
    /// The ConfigMap isn't the instance's, or isn't what we write. Nothing is known.
    Odd,
}

impl Kept {
    pub fn new(instance: &KratosInstance, content: Content) -> Self {
        Self { of: instance.uid().unwrap_or_default(), content }
    }

    /// `None`: nothing is known.
    pub fn state(&self) -> Option<&State> {
        match &self.content {
            Content::ConfigMap(state, _) | Content::Status(state) => Some(state),
            Content::Odd => None,
        }
    }
}
