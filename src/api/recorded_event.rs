//! An event about a resource. Pure.

/// The event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    pub is_warning: bool,
    /// One word, as in conditions. `docs/events.md` lists them.
    pub reason: String,
    /// What was done or tried, one word.
    pub action: &'static str,
    pub note: String,
}

impl RecordedEvent {
    pub fn normal(reason: &str, action: &'static str, note: impl Into<String>) -> Self {
        Self { is_warning: false, reason: reason.to_owned(), action, note: note.into() }
    }

    pub fn warning(reason: &str, action: &'static str, note: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::normal(reason, action, note) }
    }
}
