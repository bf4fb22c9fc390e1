//! An API server's address in words.

use http::Uri;

/// Host, and the port where it is given.
pub fn host_and_port(uri: &Uri) -> String {
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", uri.host().unwrap_or_default())
}
