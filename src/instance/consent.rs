//! Whether an instance admits a namespace. Pure.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};

use crate::api::instance::{AllowedNamespaces, NamespacesFrom};

/// Whether resources of namespace `namespace` with these labels may refer to an instance that stands in `home`.
///
/// A selector that can't be read admits nobody but its own namespace: consent is never guessed.
pub fn admits(
    allowed: Option<&AllowedNamespaces>,
    home: &str,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    if namespace == home {
        return true;
    }
    let Some(AllowedNamespaces { from, selector }) = allowed else { return false };
    match from {
        NamespacesFrom::Same => false,
        NamespacesFrom::All => true,
        NamespacesFrom::Selector => selector
            .clone()
            .and_then(|selector| Selector::try_from(selector).ok())
            .is_some_and(|selector| selector.matches(labels)),
    }
}
