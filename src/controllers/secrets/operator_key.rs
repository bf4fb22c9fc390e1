//! The operator's own key: a Secret in its own namespace, created once and never overwritten. Without it the digests in marks
//! can't be compared. With a new one passwords count as unchanged, and if a person has changed all login identifiers nobody can
//! tell whose the identity is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::sync::OnceCell;

use crate::api::decode::{self, Stored};
use crate::api::{ReadyCondition, Reason};
use crate::identity::digest_key::DigestKey;
use crate::kubernetes::kube_write;

/// The Secret's name.
pub const NAME: &str = "kratos-operator-key";
const KEY: &str = "key";
const KEY_ID: &str = "keyID";
const LENGTH: usize = 32;

/// Why it can't be had.
pub const FOREIGN: &str = "isn't the operator's key; delete it, and a new one is made";
pub const FORBIDDEN: &str = "can't be read or made; grant the operator get and create on secrets there";
pub const UNREADABLE: &str = "can't be used: what the API server answers can't be read; it is asked for again";

/// How soon whoever can do without it asks again, after it couldn't be had.
const AGAIN: Duration = Duration::from_mins(1);

/// The key, once it was read.
#[derive(Debug, Default)]
pub struct OperatorKey {
    key: OnceCell<Arc<DigestKey>>,
    /// Since when it can't be had, and why.
    lacks: Mutex<Option<(Instant, ReadyCondition)>>,
}

impl OperatorKey {
    /// The key; read, or made, when it is first needed, by one of those that need it. The condition says why it can't
    /// be had: whoever doesn't `need` it is told what was found a moment ago. `refused` is told of a right that lacks.
    pub async fn get(
        &self,
        (client, namespace): (&kube::Client, &str),
        need: bool,
        refused: impl Fn(&kube::Error),
    ) -> Result<Result<Arc<DigestKey>, ReadyCondition>, kube::Error> {
        let read = async || {
            if let Some(condition) = self.lacking().filter(|_| !need) {
                return Err(Ok(condition));
            }
            let key = read(client, namespace, &refused).await.map_err(Err)?;
            key.map(Arc::new).map_err(|condition| {
                *self.lacks.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), condition.clone()));
                Ok(condition)
            })
        };
        match self.key.get_or_try_init(read).await {
            Ok(key) => Ok(Ok(Arc::clone(key))),
            Err(Ok(condition)) => Ok(Err(condition)),
            Err(Err(error)) => Err(error),
        }
    }

    fn lacking(&self) -> Option<ReadyCondition> {
        let lacks = self.lacks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        lacks.filter(|(since, _)| since.elapsed() < AGAIN).map(|(_, condition)| condition)
    }
}

async fn read(
    client: &kube::Client,
    namespace: &str,
    refused: &impl Fn(&kube::Error),
) -> Result<Result<DigestKey, ReadyCondition>, kube::Error> {
    match read_or_make(client, namespace).await {
        Ok(Some(key)) => Ok(Ok(key)),
        Ok(None) => Ok(Err(not_ready(namespace, FOREIGN))),
        Err(error) if matches!(&error, kube::Error::Api(status) if matches!(status.code, 403 | 404)) => {
            refused(&error);
            Ok(Err(not_ready(namespace, FORBIDDEN)))
        }
        Err(error) if decode::is_unreadable(&error) => Ok(Err(not_ready(namespace, UNREADABLE))),
        Err(error) => Err(error),
    }
}

/// `None`: what is there is no key of ours.
async fn read_or_make(client: &kube::Client, namespace: &str) -> Result<Option<DigestKey>, kube::Error> {
    let api = Api::<Stored<Secret>>::namespaced(client.clone(), namespace);
    if let Some(secret) = api.get_opt(NAME).await? {
        return Ok(key_of(&secret));
    }
    let secret: [u8; LENGTH] = rand::random();
    let id = format!("{:016x}", rand::random::<u64>());
    let data = BTreeMap::from([
        (KEY.to_owned(), ByteString(secret.to_vec())),
        (KEY_ID.to_owned(), ByteString(id.into_bytes())),
    ]);
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    let secret = Secret { metadata, data: Some(data), ..Secret::default() };
    match kube_write::own_secret::put(client, namespace, &PostParams::default(), &secret).await {
        Ok(()) => {}
        // Another process was faster: its key counts.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => return Err(error),
    }
    Ok(key_of(&api.get(NAME).await?))
}

fn key_of(secret: &Stored<Secret>) -> Option<DigestKey> {
    let id = secret.value(KEY_ID).ok()?.0.clone();
    let secret = secret.value(KEY).ok().filter(|secret| secret.0.len() == LENGTH)?;
    let id = String::from_utf8(id).ok().filter(|id| !id.is_empty() && id.len() <= 64)?;
    Some(DigestKey::new(id, secret.0.clone()))
}

/// The condition where it can't be had.
pub fn not_ready(namespace: &str, what: &str) -> ReadyCondition {
    ReadyCondition::new(Reason::SecretNotReady, format!("Secret {NAME} in namespace {namespace} {what}"))
}
