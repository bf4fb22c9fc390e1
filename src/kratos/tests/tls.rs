//! Whom the client trusts: only the given CA, only for the URL's host.

use std::io::{Read, Write};
use std::net::TcpListener;

use rcgen::CertificateParams;
use rustls::{ServerConnection, StreamOwned};

use super::super::{Client, ClientConfig, Removal, Writer};
use super::ID;
use super::authority::Authority;

pub(super) fn authority() -> Authority {
    Authority::new().unwrap()
}

/// A server with a certificate for this name that answers 204 to each request. Its port.
fn serve(authority: &Authority, name: &str) -> u16 {
    serve_as(authority, &CertificateParams::new([name.to_owned()]).unwrap())
}

/// The same, with a certificate of this sort.
pub(super) fn serve_as(authority: &Authority, params: &CertificateParams) -> u16 {
    let config = authority.server_as(params, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let tls = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(tls, connection);
            let mut request = [0; 4096];
            // A client that doesn't trust us hangs up here.
            if stream.read(&mut request).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            }
        }
    });
    port
}

fn client(port: u16, ca_pem: Option<String>) -> Writer {
    let url = format!("https://127.0.0.1:{port}").parse().unwrap();
    let ca_pem = ca_pem.map(String::into_bytes);
    Client::new(ClientConfig { ca_pem, ..ClientConfig::new(url) }).unwrap().on_behalf_of(&super::somebody())
}

#[tokio::test]
async fn a_server_of_the_given_authority_is_trusted_also_among_several() {
    let (ours, other) = (authority(), authority());
    let port = serve(&ours, "127.0.0.1");
    for pem in [ours.pem(), format!("{}{}", other.pem(), ours.pem())] {
        assert_eq!(client(port, Some(pem)).delete_identity(ID).await.unwrap(), Removal::Removed);
    }
}

#[tokio::test]
async fn a_server_of_another_authority_or_with_another_name_is_not() {
    let (ours, other) = (authority(), authority());
    let right = serve(&ours, "127.0.0.1");
    let misnamed = serve(&ours, "192.0.2.1");
    for client in [client(right, Some(other.pem())), client(right, None), client(misnamed, Some(ours.pem()))] {
        let error = client.delete_identity(ID).await.unwrap_err();
        assert!(error.instance_unavailable() && !error.outcome_unknown());
        assert!(error.to_string().contains("check its certificate and the CA"), "{error}");
    }
}
