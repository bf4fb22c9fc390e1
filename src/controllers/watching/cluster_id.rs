//! Which cluster this is: the uid of its namespace kube-system, as named on the command line, else asked for.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};

use crate::api::decode::Metadata;
use crate::base::backoff;
use crate::base::kube_error;
use crate::kubernetes::watch_backoff::WatchBackoff;
use crate::kubernetes::watches::Watches;

/// The namespace whose uid stands for the cluster.
const NAMESPACE: &str = "kube-system";
/// What is asked for, in the log.
const WHAT: &str = "reading namespace kube-system";
/// How often it is asked for where that is forbidden.
const WHILE_FORBIDDEN: Duration = Duration::from_secs(45);

/// The cluster's id; waits for an API server that answers, and for the right to ask.
pub async fn get(named: Option<&str>, client: &kube::Client, watches: &Watches) -> String {
    if let Some(named) = named {
        return named.to_owned();
    }
    let api = Api::<Metadata<Namespace>>::all(client.clone());
    let mut backoff = WatchBackoff::default();
    let mut is_told = false;
    loop {
        let error = match api.get(NAMESPACE).await {
            Ok(namespace) => {
                watches.request_succeeded(WHAT);
                return namespace.uid().unwrap_or_default();
            }
            Err(error) => error,
        };
        if !kube_error::is_forbidden(&error) {
            watches.request_failed(WHAT, &error);
            tokio::time::sleep(backoff.wait()).await;
            continue;
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::error!(
                "the operator may not get namespaces in namespace {NAMESPACE}, whose uid is the cluster's id: start it with \
                 --cluster-id=UID, where UID is what `kubectl get namespace {NAMESPACE} -o jsonpath='{{.metadata.uid}}'` \
                 prints, or grant it that right. Nothing is reconciled until then"
            );
        }
        tokio::time::sleep(backoff::jitter(WHILE_FORBIDDEN)).await;
    }
}
