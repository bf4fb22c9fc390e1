//! What this process knows of each resource beyond cluster and Kratos. Losing it costs reads; and outside the instance's
//! namespace a mark that is removed meanwhile isn't restored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::identity::mark::Mark;
use crate::identity::requested_identifiers::RequestedIdentifiers;

/// What is remembered of one resource.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// When this process first saw the resource.
    pub first_seen: Instant,
    /// Who may have asked Kratos for its identity.
    pub creators: Creators,
    /// When this process first saw the finalizer where another one may have written it, and have a create under way.
    pub finalizer_seen: Option<Instant>,
    /// Creates of ours that were left unanswered.
    pub unanswered: Vec<Unanswered>,
    /// When a create of ours met a conflict that no identifier explains.
    pub conflict: Option<Instant>,
    /// Since when the identity that the resource has had is known to be gone. Another one is made only after a listing
    /// that began later has shown how many are.
    pub gone_since: Option<Instant>,
    /// Since when the resource that this one replaces is known to do nothing any more.
    pub told_since: Option<Instant>,
    /// The identity that this process saw marked as ours.
    pub ours: Option<Arc<Ours>>,
    /// Whether the sessions of the identity, inactive, were seen to be gone.
    pub sessions_ended: bool,
    /// Digest of what the manifest wanted when the identity was last as it says.
    pub desired: Option<u64>,
    /// Since when the last reconcile has left the rest to the listings: it is reconciled again when they show a change.
    pub left_to_listings: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether a status was sent that lets people name another instance, and none that doesn't was written since: its answer
    /// may be lost.
    pub opened: bool,
    /// Whether another operator has reconciled the resource since this process last did: what this one remembers doesn't count.
    was_left: bool,
}

/// Who may have asked Kratos for the identity of a resource that carries the finalizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Creators {
    /// Another process, too: it may have written the finalizer.
    #[default]
    Others,
    /// This process alone: it wrote the finalizer, or has come as far as to ask.
    Us,
    /// Nobody yet: the resource was born to this process with the finalizer (see [`crate::identity::birth`]).
    Nobody,
}

/// A create of ours whose answer never came.
#[derive(Clone, Debug)]
pub struct Unanswered {
    pub asked: RequestedIdentifiers,
    /// Until when it may be carried out.
    pub until: Instant,
}

/// An identity that carried our mark. There may be a million: the mark, which is hardly ever asked for, is kept as text.
#[derive(Debug, PartialEq, Eq)]
pub struct Ours {
    pub id: String,
    mark: Box<str>,
}

impl Ours {
    pub fn new(id: &str, mark: &Mark) -> Self {
        // It has no keys but strings, which is all that could fail.
        Self { id: id.to_owned(), mark: serde_json::to_string(mark).unwrap_or_default().into() }
    }

    /// The mark as it was seen.
    pub fn mark(&self) -> Option<Mark> {
        serde_json::from_str(&self.mark).ok()
    }
}

/// By uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Remembered>>);

impl Memory {
    /// What is remembered; a resource that wasn't known is from now on.
    pub fn recall(&self, uid: &str) -> Remembered {
        self.lock().entry(uid.to_owned()).or_insert_with(Remembered::new).clone()
    }

    /// Changes what is remembered.
    pub fn update(&self, uid: &str, change: impl FnOnce(&mut Remembered)) {
        change(self.lock().entry(uid.to_owned()).or_insert_with(Remembered::new));
    }

    /// Another operator reconciles the resource now. What a reconcile that is under way still notes is as void as the rest.
    pub fn leave(&self, uid: &str) {
        if let Some(remembered) = self.lock().get_mut(uid) {
            remembered.was_left = true;
        }
    }

    /// Any resource may have been reconciled by another operator.
    pub fn leave_all(&self) {
        for remembered in self.lock().values_mut() {
            remembered.was_left = true;
        }
    }

    /// Notes that a reconcile begins, and whether the resource carries our finalizer.
    pub fn see(&self, uid: &str, carries_finalizer: bool) {
        self.update(uid, |remembered| {
            if remembered.was_left {
                *remembered = Remembered::new();
            }
            remembered.left_to_listings = None;
            let seen_before = remembered.finalizer_seen.filter(|_| carries_finalizer);
            let is_anothers = carries_finalizer && remembered.creators == Creators::Others;
            remembered.finalizer_seen = seen_before.or_else(|| is_anothers.then(Instant::now));
            // Whoever writes it again, after it was taken away, may create again.
            if !carries_finalizer {
                remembered.creators = Creators::Others;
            }
        });
    }

    /// Notes that a resource was born to this process, with the finalizer. To be called as its creation is seen.
    pub fn born(&self, uid: &str) {
        self.update(uid, |remembered| remembered.creators = Creators::Nobody);
    }

    /// Notes that from now on this process may ask Kratos for something. What others may have asked for stays open.
    pub fn hold(&self, uid: &str) {
        self.update(uid, |remembered| {
            if remembered.creators == Creators::Nobody {
                remembered.creators = Creators::Us;
            }
        });
    }

    /// Whether nobody has asked Kratos for anything for a resource that carries the finalizer: it was born with it, and hasn't
    /// come any further. It is let go as one without the finalizer is.
    pub fn is_untouched(&self, uid: &str) -> bool {
        self.lock().get(uid).is_some_and(|it| !it.was_left && it.creators == Creators::Nobody)
    }

    /// Takes in whether a complete listing, begun at `begun`, showed the identity that a resource has had.
    pub fn listed(&self, uid: &str, begun: Instant, is_gone: bool) {
        self.update(uid, |remembered| {
            if is_gone {
                remembered.gone_since.get_or_insert(begun);
            } else if remembered.gone_since.is_some_and(|since| since < begun) {
                remembered.gone_since = None;
            }
        });
    }

    /// Forgets what isn't there any more.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_there(uid));
    }

    /// Forgets a resource that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn new() -> Self {
        Self {
            first_seen: Instant::now(),
            creators: Creators::Others,
            finalizer_seen: None,
            unanswered: Vec::new(),
            conflict: None,
            gone_since: None,
            told_since: None,
            ours: None,
            sessions_ended: false,
            desired: None,
            left_to_listings: None,
            failures: 0,
            opened: false,
            was_left: false,
        }
    }

    /// Notes that nobody knows whether a create of ours is carried out, until then.
    pub fn is_unanswered(&mut self, asked: RequestedIdentifiers, until: Instant) {
        // What asked for the same again says no more of it.
        self.unanswered.retain(|before| before.asked != asked);
        self.unanswered.push(Unanswered { asked, until });
    }

    /// The instant after which a create of another process, which may have written the finalizer, may still be under way.
    /// Without a finalizer there can be none.
    pub fn anothers_create_since(&self) -> Option<Instant> {
        self.finalizer_seen.filter(|_| self.creators == Creators::Others)
    }
}
