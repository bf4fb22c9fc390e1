//! The connection part of a `KratosInstance`: authentication, TLS, headers, rate limit.
//!
//! Shapes only.

#![allow(clippy::doc_markdown, reason = "descriptions are read in `kubectl explain`, where backticks are noise")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the operator authenticates to Kratos.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// A token that is sent in the Authorization header.
    pub bearer_token: BearerToken,
}

/// Where the token is, and what stands before it in the header.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BearerToken {
    /// The word before the token in the Authorization header. Default Bearer; an empty string sends the token alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^[A-Za-z0-9_-]*$"))]
    pub prefix: Option<String>,
    /// The Secret, in the instance's namespace, and its key that holds the token.
    pub secret_key_ref: KeyRef,
}

/// Whom to trust where the URLs are https, and who the operator is there.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.ca) || has(self.clientCertificate)").message("name ca, clientCertificate or both"))]
pub struct Tls {
    /// The certificate authority that signed Kratos' certificate, in PEM; an https proxy's is judged by it too. Without it
    /// the system's certificate authorities are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CertificateAuthority>,
    /// The certificate that the operator shows to a server that asks for one (mutual TLS): to adminURL's origin alone, never
    /// to publicURL. An https proxy that asks for one is shown it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

/// Where the certificate authority is: in a Secret or in a `ConfigMap`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("name either secretKeyRef or configMapKeyRef"))]
pub struct CertificateAuthority {
    /// A Secret in the instance's namespace, and its key that holds the PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A ConfigMap in the instance's namespace, and its key that holds the PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// Where the operator's own certificate is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// A Secret of type kubernetes.io/tls in the instance's namespace: the certificate, and those that vouch for it, under
    /// tls.crt, its key under tls.key. It is read again when it changes.
    pub secret_ref: SecretRef,
}

/// A Secret in the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// A header that a gateway before Kratos wants.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != has(self.secretKeyRef)").message("name either value or secretKeyRef"))]
pub struct Header {
    /// Its name, in any case. Those that the operator sets itself are refused, and those of the connection.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$"))]
    #[x_kube(
        validation = Rule::new("self.lowerAscii() != 'authorization'").message("the token has a field of its own: spec.auth.bearerToken"),
        validation = Rule::new("!(self.lowerAscii() in ['host', 'user-agent', 'expect', 'range', 'accept']) && !self.lowerAscii().startsWith('accept-') && !self.lowerAscii().startsWith('content-') && !self.lowerAscii().startsWith('if-')").message("the operator sets this header itself, or relies on its absence; remove it"),
        validation = Rule::new("!(self.lowerAscii() in ['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings']) && !self.lowerAscii().startsWith('proxy-')").message("this header is the connection's or a proxy's own; remove it"),
    )]
    pub name: String,
    /// Its value, where it is no secret: it stands in the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^[!-~]([ -~]*[!-~])?$"))]
    pub value: Option<String>,
    /// The Secret, in the instance's namespace, and its key that holds the value; white space around it is dropped. It is
    /// read again when it changes. With --require-secret-label it must be labelled as others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
}

/// A key of a Secret or `ConfigMap` in the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key within its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A token bucket.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests per second over time.
    #[schemars(range(min = 1, max = 100_000), extend("format" = "int32"))]
    pub requests_per_second: u32,
    /// Requests that may be sent at once. Default: as many as requestsPerSecond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000), extend("format" = "int32"))]
    pub burst: Option<u32>,
}
