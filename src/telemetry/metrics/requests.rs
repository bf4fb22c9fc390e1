//! Client-go's metrics of requests to the API server: each attempt, by method and status.

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The methods that the operator uses, and the status of a success.
const METHODS: [(&str, u16); 5] = [("GET", 200), ("POST", 201), ("PUT", 200), ("PATCH", 200), ("DELETE", 200)];
/// Statuses that are worth an alert; they exist from the start, so that the first occurrence is an increase.
const TROUBLE: [u16; 9] = [401, 403, 404, 409, 422, 429, 500, 503, 504];

/// Counts the requests to one API server. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Requests {
    host: String,
    family: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    code: Code,
    method: &'static str,
    host: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Code {
    Status(u16),
    /// There was no answer.
    Error,
}

impl EncodeLabelValue for Code {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Status(code) => code.encode(encoder),
            Self::Error => "<error>".encode(encoder),
        }
    }
}

impl Requests {
    /// `host`: with the port.
    pub fn register(host: String, registry: &mut Registry) -> Self {
        let family = Family::default();
        let help = "Requests to the API server, each try counted, by status, method and host";
        registry.register("rest_client_requests", help, family.clone());
        let requests = Self { host, family };
        for (method, success) in METHODS {
            let codes = TROUBLE.into_iter().chain([success]).map(Code::Status).chain([Code::Error]);
            for code in codes {
                drop(requests.family.get_or_create_owned(&requests.labels(method, code)));
            }
        }
        requests
    }

    /// Counts an attempt; `None`: without an answer.
    pub fn count(&self, method: &Method, status: Option<StatusCode>) {
        let known = METHODS.iter().find(|(known, _)| *known == method.as_str());
        let method = known.map_or("other", |(known, _)| known);
        let code = status.map_or(Code::Error, |status| Code::Status(status.as_u16()));
        self.family.get_or_create(&self.labels(method, code)).inc();
    }

    fn labels(&self, method: &'static str, code: Code) -> Labels {
        Labels { code, method, host: self.host.clone() }
    }
}
