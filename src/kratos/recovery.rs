//! The operations that issue a recovery. It may not keep the answers: they log a person in.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::error::Error;
use super::types::{RecoveryCode, RecoveryLink};
use super::writer::Writer;

impl Writer {
    /// Issues a recovery code, for a browser or, with `is_api`, for an application that speaks to Kratos itself. Earlier codes
    /// stay valid. `expires_in` in full seconds; `None`: the server's default. Errors: [`Error::is_identity_unknown`],
    /// [`Error::is_method_disabled`]. Never retried here.
    pub async fn create_recovery_code_for_identity(
        &self,
        identity_id: &str,
        expires_in: Option<Duration>,
        is_api: bool,
    ) -> Result<RecoveryCode, Error> {
        let mut body = body(identity_id, expires_in);
        if is_api {
            body["flow_type"] = json!("api");
        }
        let path = ["admin", "recovery", "code"];
        let write = self.about(identity_id);
        self.json(&self.with("create_recovery_code_for_identity", Method::POST, &path, &body, write)?).await
    }

    /// Issues a recovery link, likewise. `return_to`: where the browser goes in the end; the server's configuration must allow
    /// it.
    pub async fn create_recovery_link_for_identity(
        &self,
        identity_id: &str,
        expires_in: Option<Duration>,
        return_to: Option<&str>,
    ) -> Result<RecoveryLink, Error> {
        let body = body(identity_id, expires_in);
        let path = ["admin", "recovery", "link"];
        let write = self.about(identity_id);
        let mut call = self.with("create_recovery_link_for_identity", Method::POST, &path, &body, write)?;
        if let Some(return_to) = return_to {
            call.url.query_pairs_mut().append_pair("return_to", return_to);
        }
        self.json(&call).await
    }
}

/// Durations are Go's: it knows seconds, but no days.
fn body(identity_id: &str, expires_in: Option<Duration>) -> serde_json::Value {
    match expires_in {
        None => json!({"identity_id": identity_id}),
        Some(time) => {
            json!({"identity_id": identity_id, "expires_in": format!("{}s", time.as_secs())})
        }
    }
}
