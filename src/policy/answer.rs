//! Yes, no, or nobody can tell. Pure.

/// Whether something holds of a session, as far as anybody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    No,
    Unknown,
    Yes,
}

impl Answer {
    pub fn of(holds: Option<bool>) -> Self {
        holds.map_or(Self::Unknown, |holds| if holds { Self::Yes } else { Self::No })
    }
}
