//! A resource that this version can't read, of whatever kind: it is read live, and its status says so. What else becomes of it, and
//! what is said, is its kind's.

use std::fmt::Debug;

use kube::Api;
use serde::Serialize;

use crate::api::decode::{Decoded, Kind, Unreadable};
use crate::api::requested_at;
use crate::kubernetes::kube_write;

/// One as it is now.
pub struct Live<K: Kind> {
    pub api: Api<Decoded<K>>,
    pub unreadable: Unreadable,
    /// Its status, where that can be read.
    pub status: Option<K::Status>,
}

impl<K> Live<K>
where
    K: Kind + Clone + Debug,
    K::Status: Serialize + PartialEq,
{
    /// `None`: it is gone, or can be read by now, which is brought by the watch.
    pub async fn read(api: Api<Decoded<K>>, name: &str) -> Result<Option<Self>, kube::Error> {
        let unreadable = api.get_opt(name).await?.and_then(|object| object.0.err());
        Ok(unreadable.map(|unreadable| Self { status: unreadable.status(), api, unreadable }))
    }

    /// Its generation, and the value of the request annotation.
    pub fn asked(&self) -> (i64, Option<&str>) {
        let metadata = &self.unreadable.metadata;
        (metadata.generation.unwrap_or_default(), requested_at(metadata.annotations.as_ref()))
    }

    /// Writes its status where that changed. Returns whether it did: then it is worth an event.
    pub async fn write(self, next: &K::Status, has_concurrent_writers: bool) -> Result<bool, kube::Error> {
        if self.status.as_ref() == Some(next) {
            return Ok(false);
        }
        let object = Decoded::<K>(Err(self.unreadable));
        kube_write::status(&self.api, &object, next, has_concurrent_writers).await?;
        Ok(true)
    }
}
