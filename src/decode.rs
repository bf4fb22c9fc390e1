//! Our kinds, and metadata of others, as the API server sends them. Pure.
//!
//! Each object is read by itself, from its own piece of JSON text: whatever one holds, the others of its list are read, and
//! so is the next event of a watch. Nothing here descends into what a user nested. Only a text that is no JSON is an error, so
//! the client library never has a body to complain of.

mod members;
mod metadata;
mod stored;

use std::borrow::Cow;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use self::members::members;
pub use self::stored::{Lacking, Store, Stored, UNREADABLE, is_unreadable};
use crate::api::{
    KratosIdentity, KratosIdentitySpec, KratosIdentityStatus, KratosInstance, KratosInstanceSpec, KratosInstanceStatus,
    KratosSessionPolicy, KratosSessionPolicySpec, KratosSessionPolicyStatus,
};

/// An object of one of our kinds, or what is known of one that can't be read.
#[derive(Clone, Debug)]
pub struct Decoded<K>(pub Result<K, Unreadable>);

/// What is known of an object that can't be read: one of a newer version, or from before the definition said what it says.
#[derive(Clone)]
pub struct Unreadable {
    pub metadata: ObjectMeta,
    /// Whether the manifest says that what it stands for is to stay as it is when the resource goes.
    pub is_let_go: bool,
    status: Option<Box<RawValue>>,
}

impl Unreadable {
    /// The status, where that can be read.
    pub fn status<S: DeserializeOwned>(&self) -> Option<S> {
        self.status.as_deref().and_then(read)
    }
}

/// Nothing of what it holds.
impl std::fmt::Debug for Unreadable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Unreadable")
    }
}

/// An object of any kind, of which the metadata alone is asked for. Users can write field managers of their own into it, of any
/// depth, so that it is read as ours are.
#[derive(Clone, Debug)]
pub struct Metadata<K> {
    pub metadata: ObjectMeta,
    kind: PhantomData<K>,
}

impl<K> From<ObjectMeta> for Metadata<K> {
    fn from(metadata: ObjectMeta) -> Self {
        Self { metadata, kind: PhantomData }
    }
}

impl<'de, K> Deserialize<'de> for Metadata<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let [metadata] = members(raw.get(), ["metadata"]);
        Ok(metadata::decode(metadata).into())
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Metadata<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        true
    }

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A kind of ours: it is made of metadata, spec and status.
pub trait Kind: Resource<DynamicType = ()> {
    type Spec: DeserializeOwned;
    type Status: DeserializeOwned;
    fn assemble(metadata: ObjectMeta, spec: Self::Spec, status: Option<Self::Status>) -> Self;
}

macro_rules! kind {
    ($kind:ident, $spec:ident, $status:ident) => {
        impl Kind for $kind {
            type Spec = $spec;
            type Status = $status;
            fn assemble(metadata: ObjectMeta, spec: $spec, status: Option<$status>) -> Self {
                Self { metadata, spec, status }
            }
        }
    };
}

kind!(KratosIdentity, KratosIdentitySpec, KratosIdentityStatus);
kind!(KratosInstance, KratosInstanceSpec, KratosInstanceStatus);
kind!(KratosSessionPolicy, KratosSessionPolicySpec, KratosSessionPolicyStatus);

impl<'de, K: Kind> Deserialize<'de> for Decoded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Skipping a value takes no stack, whatever is in it.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(decode(raw.get()))
    }
}

fn decode<K: Kind>(json: &str) -> Decoded<K> {
    let [metadata, spec, status] = members(json, ["metadata", "spec", "status"]);
    let metadata = metadata::decode(metadata);
    let read = || Some((read(spec?)?, status.map_or(Some(None), read)?));
    Decoded(match read() {
        Some((spec, status)) => Ok(K::assemble(metadata, spec, status)),
        None => {
            Err(Unreadable { metadata, is_let_go: spec.is_some_and(is_let_go), status: status.map(ToOwned::to_owned) })
        }
    })
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    // What the parser says quotes values, so it isn't passed on.
    serde_json::from_str(raw.get()).ok()
}

/// Whether a spec that can't be read says that the identity is to stay. Each word is read by itself.
fn is_let_go(spec: &RawValue) -> bool {
    let [deletion, suspend] = members(spec.get(), ["deletion", "suspend"]);
    let policy = deletion.and_then(|deletion| {
        let [policy] = members(deletion.get(), ["policy"]);
        policy
    });
    policy.and_then(read::<String>).as_deref() == Some("Orphan") || suspend.and_then(read::<bool>) == Some(true)
}

impl<K: Kind> Resource for Decoded<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(unreadable) => &mut unreadable.metadata,
        }
    }
}

#[cfg(test)]
mod tests;
