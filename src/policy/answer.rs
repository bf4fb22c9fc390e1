//! Yes, no, or unknown. Pure.

/// Whether something holds for a session, as far as it is known.
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
