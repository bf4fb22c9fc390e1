//! The recovery part of an identity's manifest: how a person first gets into an account. Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crd;
use crate::base::duration::GoDuration;

/// A way into the account, issued by Kratos into a Secret.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.flowType) || self.type == 'Code'").message("flowType goes with type Code: remove it"))]
#[x_kube(validation = Rule::new("!has(self.returnTo) || self.type == 'Link'").message("returnTo goes with type Link: remove it"))]
#[x_kube(validation = Rule::new("!has(self.returnTo) || (isURL(self.returnTo) && url(self.returnTo).getScheme() in ['http', 'https'] && url(self.returnTo).getHost() != '')").message("returnTo must be a whole URL, as in https://app.example.com/welcome"))]
pub struct Recovery {
    /// Link: whoever opens it is logged in and may set a password. Code: a page, and the code that is entered there. Kratos'
    /// configuration decides which of the two it issues. Neither verifies an address: see verifiedAddresses.
    #[serde(rename = "type")]
    pub kind: RecoveryType,
    /// How long it can be used, once, as a Go duration between 1m and 87600h. Default 1h. What was issued already keeps its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crd::expiry")]
    pub expires_in: Option<GoDuration>,
    /// Name of the Secret in this namespace that the operator writes, with the keys link, code (type Code alone),
    /// expiresAt and identityID. There must be none of that name that isn't the operator's for this very resource.
    #[schemars(schema_with = "crd::object_name")]
    pub secret_name: String,
    /// With type Code: where the code is entered. Browser (default): on the page that the link leads to. API: in an
    /// application that speaks to Kratos itself, such as a mobile app. Counts for what is issued from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_type: Option<RecoveryFlowType>,
    /// With type Link: where the browser goes in the end, a URL that Kratos' configuration allows
    /// (selfservice.allowed_return_urls). Counts for what is issued from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub return_to: Option<String>,
}

/// Browser | API.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum RecoveryFlowType {
    Browser,
    #[serde(rename = "API")]
    Api,
}

/// Link | Code.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum RecoveryType {
    Link,
    Code,
}

/// The recovery that was issued last.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryStatus {
    /// The Secret that it was written into.
    #[serde(default)]
    pub secret_name: Option<String>,
    /// Until when it can be used, once; the Secret is deleted then. Kratos doesn't show whether it was.
    #[serde(default)]
    pub expires_at: Option<Time>,
}
