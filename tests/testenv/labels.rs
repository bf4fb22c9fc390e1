//! Names a request without the values in it, so that requests of the same sort can be counted. Pure: text in, text out.

/// The API that a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Kratos,
    Kubernetes,
}

impl Api {
    /// The name of a request: `POST /admin/identities`, `GET /admin/identities/{id}` for Kratos;
    /// `PATCH kratosidentities/status`, `POST events`, `GET secrets`, `LIST secrets`, `WATCH secrets` for Kubernetes (a path that
    /// isn't a resource's is kept: `GET /readyz`).
    pub fn label(self, method: &str, path: &str, query: &str) -> String {
        match self {
            Self::Kratos => format!("{method} {}", kratos(path)),
            Self::Kubernetes => kubernetes(method, path, query),
        }
    }
}

fn kratos(path: &str) -> String {
    let mut template = String::new();
    let mut after = "";
    for segment in path.split('/').skip(1) {
        let value = match after {
            "identities" if segment == "by" => None,
            "identities" | "schemas" => Some("{id}"),
            "external" => Some("{externalID}"),
            "sessions" if segment != "whoami" => Some("{id}"),
            _ => None,
        };
        template.push('/');
        template.push_str(value.unwrap_or(segment));
        after = segment;
    }
    template
}

fn kubernetes(method: &str, path: &str, query: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let prefix = match segments.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        _ => return format!("{method} {path}"),
    };
    if segments.len() <= prefix {
        return format!("{method} {path}");
    }
    segments.drain(..prefix);
    // `namespaces/NAME/status` is about the namespace itself, `namespaces/NAME/secrets` about what is in it.
    let within = segments[0] == "namespaces" && segments.len() > 2 && !matches!(segments[2], "status" | "finalize");
    if within {
        segments.drain(..2);
    }
    let verb = match (method, segments.len()) {
        ("GET", 1) if watches(query) => "WATCH",
        ("GET", 1) => "LIST",
        ("DELETE", 1) => "DELETECOLLECTION",
        _ => method,
    };
    match segments.get(2..) {
        Some(sub) if !sub.is_empty() => format!("{verb} {}/{}", segments[0], sub.join("/")),
        _ => format!("{verb} {}", segments[0]),
    }
}

fn watches(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "watch" && matches!(&*value, "true" | "1"))
}

/// The names of a query's parameters, in order, as often as they occur (so that `ids` can be counted).
pub fn parameter_names(query: &str) -> Vec<String> {
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// Whether a label matches a pattern: the label itself, or its beginning followed by `*`.
pub fn matches(pattern: &str, label: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => label.starts_with(beginning),
        None => pattern == label,
    }
}
