//! Lets a process that gains the lead wait until its watches have caught up with the API server. A watch that is dead or lags
//! behind shows an older state, and the former leader and people have changed things since. The watch itself doesn't tell: its
//! bookmarks come once a minute. So the metadata of all objects is listed, and compared with what the watch has brought.
//! Changes nothing.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Resource, ResourceExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::watches::PAGE_SIZE;
use crate::api::decode::Metadata;
use crate::api::{KratosIdentity, KratosInstance, KratosSessionPolicy};
use crate::base::flow::leadership::Leadership;
use crate::base::kube_error::{self, brief};
use crate::base::resource_version::ResourceVersion;
use crate::controllers::shared::access::Access;
use crate::controllers::shared::informers::Informers;
use crate::controllers::shared::options::Options;
use crate::kubernetes::watch_backoff::WatchBackoff;

/// A watch that works brings what a list shows in less.
const BROUGHT_WITHIN: Duration = Duration::from_secs(2);
const LOOKED_EVERY: Duration = Duration::from_millis(50);

/// What it takes to catch up.
pub struct CatchingUp {
    pub client: kube::Client,
    pub options: Arc<Options>,
    pub seen: Arc<Informers>,
    pub leadership: Leadership,
    pub access: Arc<Access>,
    pub namespaces_changed: Arc<Notify>,
}

/// Has reconciles begin once all that they look up is as new as it was when this process began to lead.
pub async fn wait_for_cache_sync(catching: CatchingUp) {
    cache_synced(&catching).await;
    let _ = catching.seen.cache_synced.set(());
}

async fn cache_synced(catching: &CatchingUp) {
    catching.leadership.gained().await;
    // Where nobody else leads, nobody has done anything before the first list.
    if !catching.leadership.is_elected() {
        return;
    }
    let namespaces = async {
        if catching.options.namespaces.is_some() {
            // They are asked for, now and then: now.
            catching.namespaces_changed.notify_one();
        } else {
            let all = Api::<Metadata<Namespace>>::all(catching.client.clone());
            is_as_new(&all, None, &catching.seen.namespaces, catching).await;
        }
    };
    futures::join!(
        namespaces,
        are_as_new::<KratosInstance, _>(&catching.seen.instances, catching),
        are_as_new::<KratosIdentity, _>(&catching.seen.identities, catching),
        are_as_new::<KratosSessionPolicy, _>(&catching.seen.policies, catching),
    );
    tracing::debug!("the watches have caught up; reconciles begin");
}

/// The same of a kind, in all namespaces that the operator works in.
async fn are_as_new<K, S>(store: &Store<S>, catching: &CatchingUp)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
    S: Resource<DynamicType = ()> + Clone + 'static,
{
    let client = || catching.client.clone();
    match &catching.options.namespaces {
        None => is_as_new(&Api::<Metadata<K>>::all(client()), None, store, catching).await,
        Some(names) => {
            let each = names.iter().map(|name| async {
                is_as_new(&Api::<Metadata<K>>::namespaced(client(), name), Some(name), store, catching).await;
            });
            futures::future::join_all(each).await;
        }
    }
}

/// The same of a kind, in one namespace or in all.
async fn is_as_new<K, S>(api: &Api<Metadata<K>>, namespace: Option<&str>, store: &Store<S>, catching: &CatchingUp)
where
    K: Resource<DynamicType = ()> + Clone + Debug,
    S: Resource<DynamicType = ()> + Clone + 'static,
{
    let (mut backoff, mut is_said) = (WatchBackoff::default(), false);
    loop {
        match list(api, namespace, store).await {
            Ok(mut behind) => {
                let until = Instant::now() + BROUGHT_WITHIN;
                while !behind.is_empty() && Instant::now() < until {
                    sleep(LOOKED_EVERY).await;
                    behind.retain(|object| object.is_behind(store));
                }
                if behind.is_empty() {
                    return;
                }
                if !std::mem::replace(&mut is_said, true) {
                    tracing::warn!(
                        what = %K::plural(&()), objects = behind.len(),
                        "this process leads, but a watch hasn't brought what the API server shows; nothing is done until it has"
                    );
                }
                // It may have changed again, or gone: what was awaited may never be seen.
            }
            // What may not be listed isn't known, and holds up nobody.
            Err(error) if kube_error::is_forbidden(&error) => return catching.access.note_refused(&error),
            // The definition lacks: what there will be is news.
            Err(kube::Error::Api(status)) if status.code == 404 => return,
            // An API server that is away is said by its heartbeat.
            Err(error) => tracing::debug!(error = brief(&error), "a list failed; it is tried again"),
        }
        sleep(backoff.wait()).await;
    }
}

/// An object that the store shows as it was before.
struct Behind<S: Resource<DynamicType = ()>> {
    object: ObjectRef<S>,
    /// What the list shows in its place; `None`: nothing.
    listed: Option<ObjectMeta>,
}

impl<S: Resource<DynamicType = ()> + Clone + 'static> Behind<S> {
    fn is_behind(&self, store: &Store<S>) -> bool {
        is_behind(store.get(&self.object).as_deref().map(Resource::meta), self.listed.as_ref())
    }
}

/// Lists, and tells what the store shows as it was before.
async fn list<K, S>(
    api: &Api<Metadata<K>>,
    namespace: Option<&str>,
    store: &Store<S>,
) -> Result<Vec<Behind<S>>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug,
    S: Resource<DynamicType = ()> + Clone + 'static,
{
    // Without a version asked for, the answer is as of now.
    let mut params = ListParams::default().limit(PAGE_SIZE);
    let (mut behind, mut uids, mut since) = (Vec::new(), HashSet::new(), None);
    loop {
        let page = api.list(&params).await?;
        since = since.or_else(|| ResourceVersion::<S>::of_list(&page.metadata));
        for listed in page.items {
            let object = reference(&listed.metadata);
            uids.extend(listed.metadata.uid.clone());
            let one = Behind { object, listed: Some(listed.metadata) };
            if one.is_behind(store) {
                behind.push(one);
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    for known in store.state() {
        let meta = known.meta();
        let is_within = namespace.is_none_or(|namespace| meta.namespace.as_deref() == Some(namespace));
        if is_within && !uids.contains(&known.uid().unwrap_or_default()) && is_gone(meta, since) {
            // One that was made anew under the same name is among those that are listed.
            behind.push(Behind { object: reference(meta), listed: None });
        }
    }
    Ok(behind)
}

fn reference<S: Resource<DynamicType = ()>>(meta: &ObjectMeta) -> ObjectRef<S> {
    let object = ObjectRef::new(meta.name.as_deref().unwrap_or_default());
    match &meta.namespace {
        Some(namespace) => object.within(namespace),
        None => object,
    }
}

/// Whether what is known of an object is older than what a list shows in its place. What can't be compared is, unless it is the
/// same.
fn is_behind(known: Option<&ObjectMeta>, listed: Option<&ObjectMeta>) -> bool {
    let version = |meta| ResourceVersion::<()>::of_metadata(meta);
    match (known, listed) {
        (None, None) => false,
        (Some(known), Some(listed)) if known.resource_version == listed.resource_version => false,
        (Some(known), Some(listed)) => match (version(known), version(listed)) {
            (Some(known), Some(listed)) => known < listed,
            _ => true,
        },
        (Some(_), None) | (None, Some(_)) => true,
    }
}

/// Whether an object that a list of this version doesn't show was there before. One that is newer came after it.
fn is_gone<S>(known: &ObjectMeta, listed: Option<ResourceVersion<S>>) -> bool {
    match (ResourceVersion::of_metadata(known), listed) {
        (Some(known), Some(listed)) => known <= listed,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn meta(version: &str) -> ObjectMeta {
        ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() }
    }

    #[rstest]
    #[case::nothing_and_nothing(None, None, false)]
    #[case::the_same(Some("7"), Some("7"), false)]
    #[case::newer(Some("10"), Some("9"), false)]
    #[case::older(Some("9"), Some("10"), true)]
    #[case::not_seen_yet(None, Some("9"), true)]
    #[case::gone(Some("9"), None, true)]
    #[case::the_same_although_it_cannot_be_compared(Some("a"), Some("a"), false)]
    #[case::not_to_be_compared(Some("a"), Some("b"), true)]
    #[case::not_to_be_compared_with_a_number(Some("a"), Some("7"), true)]
    #[case::nor_a_number_with_it(Some("7"), Some("a"), true)]
    fn what_is_older_than_a_list(#[case] known: Option<&str>, #[case] listed: Option<&str>, #[case] expected: bool) {
        assert_eq!(is_behind(known.map(meta).as_ref(), listed.map(meta).as_ref()), expected);
    }

    #[rstest]
    #[case::before(Some("9"), true)]
    #[case::at_the_list(Some("10"), true)]
    #[case::after(Some("11"), false)]
    #[case::not_to_be_compared(Some("a"), true)]
    #[case::without_one(None, true)]
    fn what_a_list_does_not_show_is_gone_unless_it_is_newer(#[case] known: Option<&str>, #[case] expected: bool) {
        let known = known.map(meta).unwrap_or_default();
        let list = k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta {
            resource_version: Some("10".to_owned()),
            ..Default::default()
        };
        assert_eq!(is_gone(&known, ResourceVersion::<()>::of_list(&list)), expected);
    }
}
