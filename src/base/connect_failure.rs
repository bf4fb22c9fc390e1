//! Why a server can't be reached: which name can't be resolved, which port refuses, which certificate isn't trusted. For
//! Kratos, its proxy, and the API server. Pure. Shows only host and port of a URL, and of an error only the texts of the
//! operating system and of TLS.

use std::error::Error;
use std::io::{self, ErrorKind};

use rustls::CertificateError;
use url::Url;

/// How the operating system's text begins where a name can't be resolved. There is no error kind for it.
const LOOKUP: &str = "failed to lookup address information";

/// What prevents the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The name has no address. Holds the operating system's text.
    Name(String),
    Refused,
    NoRoute,
    Silent,
    HungUp,
    /// The server doesn't answer the TLS handshake with TLS.
    NoTls,
    /// The server doesn't answer with HTTP.
    NoHttp,
    Certificate(CertificateFlaw),
    /// The server ended the handshake because of us. Holds its alert.
    TlsRefused(String),
    /// Any other TLS error, in the library's words.
    Tls(String),
    /// Any other error, in the operating system's words.
    Other(String),
}

/// What is wrong with a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFlaw {
    Untrusted,
    Expired,
    NotYetValid,
    OtherName,
    /// Any other flaw, in the library's words.
    Other(String),
}

/// The reason, by the deepest cause that is known here. `None`: the error isn't about the connection.
pub fn connect_failure(error: &(dyn Error + 'static)) -> Option<ConnectFailure> {
    if let Some(tls) = cause::<rustls::Error>(error) {
        return Some(of_tls(tls));
    }
    if cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return Some(ConnectFailure::NoHttp);
    }
    cause::<io::Error>(error).and_then(of_system)
}

fn of_tls(error: &rustls::Error) -> ConnectFailure {
    match error {
        rustls::Error::InvalidCertificate(flaw) => ConnectFailure::Certificate(of_certificate(flaw)),
        rustls::Error::InvalidMessage(_) => ConnectFailure::NoTls,
        rustls::Error::AlertReceived(_) => ConnectFailure::TlsRefused(error.to_string()),
        other => ConnectFailure::Tls(other.to_string()),
    }
}

fn of_certificate(error: &CertificateError) -> CertificateFlaw {
    match error {
        // The issuer has the same name and another key: it was renewed, for example.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => CertificateFlaw::Untrusted,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFlaw::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => CertificateFlaw::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFlaw::OtherName
        }
        other => CertificateFlaw::Other(other.to_string()),
    }
}

fn of_system(error: &io::Error) -> Option<ConnectFailure> {
    let said = error.to_string();
    if let Some(why) = said.strip_prefix(LOOKUP) {
        return Some(ConnectFailure::Name(why.trim_start_matches([':', ' ']).to_owned()));
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(ConnectFailure::Refused),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(ConnectFailure::NoRoute),
        ErrorKind::TimedOut => Some(ConnectFailure::Silent),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof => {
            Some(ConnectFailure::HungUp)
        }
        // The text of an error that another layer made can't be trusted.
        kind => (kind != ErrorKind::Other).then(|| ConnectFailure::Other(kind.to_string())),
    }
}

impl ConnectFailure {
    /// For a message. `whom`: the server's host and port, or what it is called.
    pub fn words(&self, whom: &str) -> String {
        match self {
            Self::Name(why) if why.is_empty() => format!("the name of {whom} can't be looked up"),
            Self::Name(why) => format!("the name of {whom} can't be looked up: {why}"),
            Self::Refused => format!("connection refused by {whom}: nothing listens there"),
            Self::NoRoute => format!("there is no route to {whom}"),
            Self::Silent => format!("{whom} doesn't answer"),
            Self::HungUp => format!("{whom} hangs up"),
            Self::NoTls => format!("{whom} doesn't speak TLS: write http, or name its TLS port"),
            Self::NoHttp => format!("what {whom} answers is no HTTP: if it speaks TLS, write https"),
            Self::Certificate(CertificateFlaw::Untrusted) => {
                format!("the certificate of {whom} isn't signed by an authority that is trusted")
            }
            Self::Certificate(CertificateFlaw::Expired) => format!("the certificate of {whom} has expired"),
            Self::Certificate(CertificateFlaw::NotYetValid) => format!("the certificate of {whom} isn't valid yet"),
            Self::Certificate(CertificateFlaw::OtherName) => format!("the certificate of {whom} is for another name"),
            Self::Certificate(CertificateFlaw::Other(why)) => format!("the certificate of {whom} is refused: {why}"),
            Self::TlsRefused(why) | Self::Tls(why) | Self::Other(why) => format!("{whom}: {why}"),
        }
    }

    /// Whether it is about which certificates are trusted.
    pub fn is_about_trust(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::Tls(_))
    }
}

/// Host and port of a URL, and nothing else of it.
pub fn whom(url: &Url) -> String {
    let host = url.host_str().unwrap_or("a URL without a host");
    match url.port_or_known_default().or_else(|| url.scheme().starts_with("socks").then_some(1080)) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The deepest cause of the given type.
pub fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    // An I/O error's `source` skips the error that it wraps.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).and_then(|wrapped| cause(wrapped));
    let deeper = || error.source().and_then(|source| cause(source));
    wrapped.or_else(deeper).or_else(|| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_port("https://kratos.example:4434/admin", "kratos.example:4434")]
    #[case::the_schemes_port("https://kratos.example/", "kratos.example:443")]
    #[case::an_address("http://[::1]:4434", "[::1]:4434")]
    #[case::a_proxy("socks5h://proxy.example", "proxy.example:1080")]
    #[case::nothing_secret("https://user:S3CRET@kratos.example/S3CRET?S3CRET#S3CRET", "kratos.example:443")]
    fn of_a_url_host_and_port_are_said(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(whom(&url.parse().unwrap()), expected);
    }

    #[rstest]
    #[case::refused(
        io::Error::from(ErrorKind::ConnectionRefused),
        Some("connection refused by x: nothing listens there")
    )]
    #[case::a_name(io::Error::other(format!("{LOOKUP}: Name or service not known")), Some("the name of x can't be looked up: Name or service not known"))]
    #[case::wrapped(
        io::Error::other(rustls::Error::InvalidCertificate(CertificateError::Expired)),
        Some("the certificate of x has expired")
    )]
    #[case::what_another_layer_says(io::Error::other("S3CRET"), None)]
    fn what_is_known_is_said_and_nothing_else(#[case] error: io::Error, #[case] expected: Option<&str>) {
        assert_eq!(connect_failure(&error).map(|connect_failure| connect_failure.words("x")).as_deref(), expected);
    }
}
