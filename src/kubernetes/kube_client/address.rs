//! Shows an API server's address.

use http::Uri;

/// Host, and the port if there is one.
pub fn host_and_port(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", uri.host().unwrap_or_default())
}
