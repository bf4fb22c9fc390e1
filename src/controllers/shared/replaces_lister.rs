//! Lists of the resources that have `spec.replaces`. Many that are deleted at the same time share one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kube::Api;
use kube::api::ListParams;

use crate::api::KratosIdentity;
use crate::api::decode::Decoded;

/// By namespace.
#[derive(Default)]
pub struct ReplacesLister(Mutex<HashMap<String, Arc<Last>>>);

/// The last list of a namespace, and when it began.
type Last = tokio::sync::Mutex<Option<(Instant, Arc<Vec<KratosIdentity>>)>>;

impl ReplacesLister {
    /// Those of a namespace, by a list that began after `since`.
    pub async fn list(
        &self,
        namespace: &str,
        since: Instant,
        client: &kube::Client,
    ) -> Result<Arc<Vec<KratosIdentity>>, kube::Error> {
        let last = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(namespace.to_owned()).or_default())
        };
        let mut last = last.lock().await;
        if let Some((_, named)) = last.as_ref().filter(|(begun, _)| *begun >= since) {
            return Ok(Arc::clone(named));
        }
        let begun = Instant::now();
        let api = Api::<Decoded<KratosIdentity>>::namespaced(client.clone(), namespace);
        // Those that have the field.
        let listed = api.list(&ListParams::default().fields("spec.replaces.name!=")).await?;
        let named = Arc::new(listed.items.into_iter().filter_map(|object| object.0.ok()).collect());
        *last = Some((begun, Arc::clone(&named)));
        Ok(named)
    }
}
