//! Decodes our kinds, and the metadata of others, as the API server sends them. Pure.
//!
//! Each object is parsed by itself, from its own piece of JSON: a bad object doesn't affect the others of its list, nor the
//! next event of a watch. Nothing here descends into what users nest. Only text that isn't JSON is an error, so the client
//! library never logs a body.

/// Takes over the names of another kind.
macro_rules! named_as {
    ($kind:ident) => {
        type DynamicType = ();
        type Scope = $kind::Scope;

        fn kind((): &()) -> std::borrow::Cow<'_, str> {
            $kind::kind(&())
        }

        fn group((): &()) -> std::borrow::Cow<'_, str> {
            $kind::group(&())
        }

        fn version((): &()) -> std::borrow::Cow<'_, str> {
            $kind::version(&())
        }

        fn plural((): &()) -> std::borrow::Cow<'_, str> {
            $kind::plural(&())
        }
    };
}

mod members;
mod metadata;
mod stored;

use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use self::members::members;
pub use self::stored::{HasData, Lacking, Stored, UNREADABLE, is_unreadable};
use crate::api::{
    KratosIdentity, KratosIdentitySpec, KratosIdentityStatus, KratosInstance, KratosInstanceSpec, KratosInstanceStatus,
    KratosSessionPolicy, KratosSessionPolicySpec, KratosSessionPolicyStatus, ReadyCondition, Reason,
};

/// A longer field name is cut: maps have keys that people choose.
const LONGEST_FIELD: usize = 256;

/// An object of one of our kinds, or what is known of one that can't be decoded.
#[derive(Clone, Debug)]
pub struct Decoded<K>(pub Result<K, Unreadable>);

/// What is known of an object that can't be decoded: it is from a newer version, or older than its definition.
#[derive(Clone)]
pub struct Unreadable {
    pub metadata: ObjectMeta,
    /// Whether the manifest says that the identity stays when the resource is deleted.
    pub is_let_go: bool,
    /// The field that can't be decoded, or its nearest parent: `spec.credentials.oidc[0].provider`.
    pub field: String,
    status: Option<Box<RawValue>>,
}

impl Unreadable {
    /// The status, if it can be decoded.
    pub fn status<S: DeserializeOwned>(&self) -> Option<S> {
        self.status.as_deref().and_then(read)
    }
}

/// The condition for a resource of which a field can't be read. `kind`: its short name. `until_then`: what becomes of what it stands
/// for, after a semicolon.
pub fn unread(field: &str, kind: &str, until_then: &str) -> ReadyCondition {
    let message = format!(
        "{field} can't be read by this version of the operator: compare it with `kubectl explain {kind}.spec`{until_then}"
    );
    ReadyCondition::new(Reason::InvalidSpec, message)
}

/// Shows no content.
impl std::fmt::Debug for Unreadable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Unreadable")
    }
}

/// An object of any kind, of which only the metadata is requested. Users can write field managers of any depth into it, so it
/// is decoded like ours.
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
    named_as!(K);

    fn metadata_api() -> bool {
        true
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// One of our kinds: metadata, spec and status.
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
    let spec_read = spec.ok_or_else(|| "spec".to_owned()).and_then(|spec| field("spec", spec));
    let status_read = status.map(|status| field("status", status)).transpose();
    Decoded(match spec_read.and_then(|spec| Ok((spec, status_read?))) {
        Ok((spec, status)) => Ok(K::assemble(metadata, spec, status.flatten())),
        Err(field) => {
            let (is_let_go, status) = (spec.is_some_and(is_let_go), status.map(ToOwned::to_owned));
            Err(Unreadable { metadata, is_let_go, field, status })
        }
    })
}

/// Decodes a part of an object, or names the field that can't be decoded. The parser's message quotes values, so it isn't
/// passed on.
fn field<T: DeserializeOwned>(part: &str, raw: &RawValue) -> Result<T, String> {
    read(raw).ok_or_else(|| {
        // A second, slower pass finds the field: failures are rare.
        let read = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(raw.get()));
        let path = read.err().map(|error| error.path().to_string()).filter(|path| path != ".");
        let field = path.map_or_else(|| part.to_owned(), |path| format!("{part}.{path}"));
        field.chars().take(LONGEST_FIELD).collect()
    })
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// Whether a spec that can't be decoded says that the identity stays. Each word is read by itself.
fn is_let_go(spec: &RawValue) -> bool {
    let [deletion, suspend] = members(spec.get(), ["deletion", "suspend"]);
    let policy = deletion.and_then(|deletion| {
        let [policy] = members(deletion.get(), ["policy"]);
        policy
    });
    policy.and_then(read::<String>).as_deref() == Some("Orphan") || suspend.and_then(read::<bool>) == Some(true)
}

impl<K: Kind> Resource for Decoded<K> {
    named_as!(K);

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
