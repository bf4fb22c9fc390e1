//! Who is to be reconciled again when something happens.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::base::place::Place;

/// A set of resources that are to be looked at again when something happens.
#[derive(Debug, Default)]
pub struct Waiting(Mutex<HashSet<Place>>);

impl Waiting {
    pub fn add(&self, place: &Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone());
    }

    pub fn remove(&self, place: &Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    pub fn take(&self) -> HashSet<Place> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
