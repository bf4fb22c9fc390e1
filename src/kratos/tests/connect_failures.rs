//! For a server that can't be reached the message says why, and which host; nothing else of the URL.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use rcgen::{CertificateParams, date_time_ymd};
use url::Url;

use super::super::{Client, ClientConfig, Error};
use super::ID;
use super::tls::{authority, serve_as};

/// It is in every path.
const MARKER: &str = "S3CRET";

/// The error of a deletion.
async fn failure(url: &str, ca_pem: Option<String>, proxy_url: Option<&str>) -> Error {
    let url: Url = format!("{url}/{MARKER}").parse().unwrap();
    let config = ClientConfig {
        ca_pem: ca_pem.map(String::into_bytes),
        proxy_url: proxy_url.map(|url| url.parse().unwrap()),
        request_timeout: Duration::from_secs(5),
        ..ClientConfig::new(url)
    };
    Client::new(config).unwrap().on_behalf_of(&super::somebody()).delete_identity(ID).await.unwrap_err()
}

fn says(error: &Error, words: &[&str]) {
    let said = error.to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    assert!(!said.contains(MARKER) && !said.contains("uncategorized"), "{said}");
}

/// A port where nobody listens.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that answers everything with this text. Its port.
fn plain(answer: Option<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            if let (Some(answer), Ok(_)) = (answer, connection.read(&mut request)) {
                let _ = connection.write_all(answer.as_bytes());
            } else {
                // Neither answered nor closed.
                kept.push(connection);
            }
        }
    });
    port
}

#[tokio::test]
async fn a_name_that_has_no_address_and_a_port_that_refuses_are_named() {
    let port = closed();
    let here = format!("127.0.0.1:{port}");
    let refused = format!("connection refused by {here}");
    for scheme in ["http", "https"] {
        let error = failure(&format!("{scheme}://nothing.invalid:4434"), None, None).await;
        says(&error, &["no connection to Kratos", "the name of nothing.invalid:4434 can't be looked up"]);
        assert!(error.instance_unavailable() && !error.outcome_unknown());
        says(&failure(&format!("{scheme}://{here}"), None, None).await, &["no connection to Kratos", &refused]);
        // With a proxy it is the proxy that can't be reached.
        let error = failure(&format!("{scheme}://kratos.example"), None, Some(&format!("http://{here}"))).await;
        says(&error, &["no connection to Kratos by the proxy", &refused, "spec.proxyURL"]);
        assert!(!error.to_string().contains("kratos.example"), "{error}");
        let nowhere = Some("http://nothing.invalid:3128");
        let error = failure(&format!("{scheme}://{here}"), None, nowhere).await;
        says(&error, &["by the proxy", "the name of nothing.invalid:3128 can't be looked up"]);
        // For a SOCKS proxy the library says no more.
        let error = failure(&format!("{scheme}://kratos.example"), None, Some(&format!("socks5h://{here}"))).await;
        says(&error, &["by the proxy", &format!("no connection to {here}"), "refused"]);
    }
}

#[tokio::test]
async fn a_certificate_that_isnt_accepted_says_what_is_wrong_with_it() {
    let (ours, other) = (authority(), authority());
    let params = |name: &str| CertificateParams::new([name.to_owned()]).unwrap();
    let mut expired = params("127.0.0.1");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = params("127.0.0.1");
    (early.not_before, early.not_after) = (date_time_ymd(2120, 1, 1), date_time_ymd(2121, 1, 1));
    for (params, pem, words) in [
        (params("127.0.0.1"), other.pem(), "isn't signed by an authority that is trusted"),
        (expired, ours.pem(), "has expired"),
        (early, ours.pem(), "isn't valid yet"),
        (params("192.0.2.1"), ours.pem(), "is for another name"),
    ] {
        let port = serve_as(&ours, &params);
        let error = failure(&format!("https://127.0.0.1:{port}"), Some(pem), None).await;
        let whom = format!("the certificate of 127.0.0.1:{port} {words}");
        says(&error, &["no trusted connection to Kratos", &whom, "check its certificate and the CA"]);
    }
}

#[tokio::test]
async fn the_wrong_scheme_is_told_from_a_server_that_is_away() {
    let plain_port = plain(Some("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    let error = failure(&format!("https://127.0.0.1:{plain_port}"), None, None).await;
    let words = format!("127.0.0.1:{plain_port} doesn't speak TLS: write http");
    says(&error, &["no connection to Kratos", &words]);
    assert!(error.instance_unavailable() && !error.outcome_unknown());

    let speaks_tls = serve_as(&authority(), &CertificateParams::new(["127.0.0.1".to_owned()]).unwrap());
    let error = failure(&format!("http://127.0.0.1:{speaks_tls}"), None, None).await;
    let words = format!("what 127.0.0.1:{speaks_tls} answers is no HTTP: if it speaks TLS, write https");
    says(&error, &[&words, "check scheme and port of the URL"]);
    assert!(error.instance_suspect() && error.outcome_unknown(), "nobody can tell what was done");
    // For a proxy that reads the request it is the proxy's URL that is wrong.
    let proxy = format!("http://127.0.0.1:{speaks_tls}");
    let error = failure("http://kratos.example", None, Some(&proxy)).await;
    says(&error, &[&words, "check scheme and port of spec.proxyURL"]);
    assert!(error.instance_suspect() && error.outcome_unknown());

    let told = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let error = failure(&format!("http://127.0.0.1:{}", plain(Some(told))), None, None).await;
    says(&error, &["HTTP 400", "make the URL https"]);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_time_out() {
    let url: Url = format!("http://127.0.0.1:{}/{MARKER}", plain(None)).parse().unwrap();
    let config = ClientConfig { request_timeout: Duration::from_millis(300), ..ClientConfig::new(url) };
    let error = Client::new(config).unwrap().on_behalf_of(&super::somebody()).delete_identity(ID).await.unwrap_err();
    says(&error, &["no answer within the request timeout"]);
}
