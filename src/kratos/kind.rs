//! How a request to Kratos can fail, and how that is worded. Holds nothing that a server, a person or a manifest wrote.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use super::fault::Fault;

/// How it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The request can't be sent as it is.
    Unsendable(&'static str),
    /// Not sent, because the request before it got no usable answer.
    KeptBack,
    /// Not sent, or no longer waited for: another process may lead.
    NotLeading,
    /// Not sent: this client is fenced off.
    Fenced,
    /// The connection failed.
    Connect(String),
    /// TLS failed.
    Tls(String),
    /// The server, or a proxy before it, ended the handshake because of us.
    TlsRefused(String),
    /// The connection failed because of the proxy.
    Proxy(String),
    /// The answer isn't HTTP: the port may speak TLS.
    NoHttp {
        detail: String,
        /// Whether the other end is our proxy.
        by_proxy: bool,
    },
    /// The server answers that it expects TLS.
    WantsTls(StatusCode),
    /// Something before Kratos refuses the request.
    Before {
        status: StatusCode,
        /// Whether it may be our proxy, which reads the request.
        by_proxy: bool,
    },
    /// The time was up before the whole answer was there.
    Timeout,
    /// The connection was lost before the whole answer was there.
    Interrupted,
    /// An answer that isn't one of Kratos.
    Foreign(StatusCode),
    /// An answer beyond the size that is read.
    TooLarge(StatusCode),
    /// A redirect that isn't followed.
    Redirected(StatusCode),
    /// Kratos says no.
    Answer {
        status: StatusCode,
        fault: Fault,
        /// How long the server wants no requests, if it says so.
        retry_after: Option<Duration>,
    },
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsendable(why) => write!(formatter, "not sent: {why}"),
            Self::NotLeading => formatter.write_str("not sent, or not waited for: another process may lead by now"),
            Self::Fenced => {
                formatter.write_str("not sent: the instance is suspended, or isn't used as it was any more")
            }
            Self::KeptBack => formatter.write_str("not sent: Kratos gave no usable answer just before"),
            Self::Connect(detail) => {
                write!(formatter, "no connection to Kratos ({detail}); check the URL and that the server runs")
            }
            Self::Tls(detail) => {
                write!(formatter, "no trusted connection to Kratos ({detail}); check its certificate and the CA")
            }
            Self::TlsRefused(detail) => write!(
                formatter,
                "Kratos, or what is before it, ended the TLS handshake ({detail}); check spec.tls.clientCertificate, and whom \
                 the server trusts"
            ),
            Self::Proxy(detail) => {
                write!(
                    formatter,
                    "no connection to Kratos by the proxy ({detail}); check spec.proxyURL, and what the proxy allows"
                )
            }
            Self::NoHttp { detail, by_proxy } => {
                let of = if *by_proxy { "of spec.proxyURL" } else { "of the URL" };
                write!(formatter, "no answer of Kratos ({detail}); check scheme and port {of}")
            }
            Self::WantsTls(status) => {
                write!(formatter, "HTTP {}, the port speaks TLS; make the URL https", status.as_u16())
            }
            Self::Before { status, by_proxy: true } => write!(
                formatter,
                "HTTP {}, not in Kratos' form: the answer of the proxy, or of a gateway behind it; check spec.proxyURL, and what \
                 the proxy allows",
                status.as_u16()
            ),
            Self::Before { status, by_proxy: false } => write!(
                formatter,
                "HTTP {}, not in Kratos' form: the answer of a gateway before it; check spec.headers, spec.auth and \
                 spec.tls.clientCertificate",
                status.as_u16()
            ),
            Self::Timeout => {
                formatter.write_str("no answer within the request timeout; check the server's load, or allow more time")
            }
            Self::Interrupted => formatter.write_str("the connection was lost before the answer was complete"),
            Self::Foreign(status) => {
                write!(formatter, "HTTP {}, but not an answer of Kratos' admin API; check the URL", status.as_u16())
            }
            Self::TooLarge(status) => {
                write!(formatter, "HTTP {}, with an answer too large to be read", status.as_u16())
            }
            Self::Redirected(status) => write!(
                formatter,
                "HTTP {}, a redirect, which is not followed; the URL must be the admin API's own",
                status.as_u16()
            ),
            Self::Answer { status, fault, .. } => {
                write!(formatter, "HTTP {}, {}", status.as_u16(), fault.advice(*status))
            }
        }
    }
}
