//! Which proxy the API server is reached through. Chosen as kubectl does: the kubeconfig's `proxy-url`, else the environment's
//! proxy for the server's scheme, unless `NO_PROXY` excepts the server. Connects to nothing, and shows no password.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use ipnet::IpNet;
use kube::Config;
use kube::config::Kubeconfig;
use tower::BoxError;

use super::address::host_and_port;

/// The port of SOCKS proxies, unless another one is given.
const SOCKS_PORT: u16 = 1080;

/// A proxy setting that can't be used. Names the setting, never its address or password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} names no http, https or socks5 proxy; correct it")]
pub struct Unusable(&'static str);

/// A connection that failed on the way through the proxy.
#[derive(Debug, thiserror::Error)]
#[error("by the proxy {proxy}")]
pub struct ByProxy {
    /// Scheme, host and port.
    pub proxy: String,
    #[source]
    pub source: BoxError,
}

/// The proxy's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
    Socks,
}

/// A proxy, ready for use.
pub struct Proxy {
    pub scheme: Scheme,
    /// Without credentials; with a port where the scheme doesn't imply it.
    pub uri: Uri,
    credentials: Intercept,
}

impl Proxy {
    /// The proxy of a client configuration.
    pub fn of(config: &Config) -> Result<Option<Self>, Unusable> {
        let read = |url: &Uri| Self::parse(&url.to_string()).ok_or(Unusable("the kubeconfig"));
        config.proxy_url.as_ref().map(read).transpose()
    }

    fn parse(text: &str) -> Option<Self> {
        let anything = Uri::from_static("https://kubernetes.default.svc");
        let credentials = Matcher::builder().all(text).build().intercept(&anything)?;
        let scheme = match credentials.uri().scheme_str()? {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "socks5" | "socks5h" => Scheme::Socks,
            _ => return None,
        };
        let mut uri = credentials.uri().clone();
        if scheme == Scheme::Socks && uri.port().is_none() {
            let authority = format!("{}:{SOCKS_PORT}", uri.host()?);
            uri = Uri::builder().scheme(uri.scheme_str()?).authority(authority).path_and_query("/").build().ok()?;
        }
        Some(Self { scheme, uri, credentials })
    }

    /// The `Proxy-Authorization` header for an http or https proxy.
    pub fn authorization(&self) -> Option<http::HeaderValue> {
        self.credentials.basic_auth().cloned()
    }

    /// User and password for a SOCKS proxy.
    pub fn login(&self) -> Option<(String, String)> {
        self.credentials.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()))
    }
}

/// Scheme, host and port.
impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.uri.scheme_str().unwrap_or_default(), host_and_port(&self.uri))
    }
}

/// What the environment says about proxies.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub http: Option<String>,
    pub https: Option<String>,
    pub excepted: Option<String>,
}

impl Environment {
    /// That of this process.
    fn of_process() -> Self {
        let first =
            |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
        Self {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            excepted: first(["NO_PROXY", "no_proxy"]),
        }
    }
}

/// Sets the proxy in a configuration. Returns it for the log, without its password.
pub fn choose(config: &mut Config) -> Result<Option<String>, Unusable> {
    let of_kubeconfig = of_kubeconfig(&config.cluster_url);
    config.proxy_url = chosen(of_kubeconfig.as_deref(), &Environment::of_process(), &config.cluster_url)?;
    Ok(Proxy::of(config)?.map(|proxy| proxy.to_string()))
}

/// Which proxy, see the module. `NO_PROXY` and the exception of loopback addresses don't apply to a kubeconfig's proxy.
fn chosen(of_kubeconfig: Option<&str>, environment: &Environment, server: &Uri) -> Result<Option<Uri>, Unusable> {
    if let Some(text) = of_kubeconfig {
        return read("proxy-url of the kubeconfig", text).map(Some);
    }
    let (name, of_scheme) = match server.scheme_str() {
        Some("http") => ("HTTP_PROXY", &environment.http),
        _ => ("HTTPS_PROXY", &environment.https),
    };
    let Some(text) = of_scheme else { return Ok(None) };
    if is_excepted(server, environment.excepted.as_deref().unwrap_or_default()) {
        return Ok(None);
    }
    read(name, text).map(Some)
}

fn read(name: &'static str, text: &str) -> Result<Uri, Unusable> {
    let uri = text.parse().ok().filter(|_| Proxy::parse(text).is_some());
    uri.ok_or(Unusable(name))
}

/// The `proxy-url` of the kubeconfig's current context, if its cluster is `server`.
fn of_kubeconfig(server: &Uri) -> Option<String> {
    let kubeconfig = Kubeconfig::read().ok()?;
    let current = kubeconfig.current_context?;
    let context = kubeconfig.contexts.into_iter().find(|context| context.name == current)?.context?;
    let cluster = kubeconfig.clusters.into_iter().find(|cluster| cluster.name == context.cluster)?.cluster?;
    let is_used = cluster.server.and_then(|url| url.parse::<Uri>().ok()).as_ref() == Some(server);
    cluster.proxy_url.filter(|url| is_used && !url.is_empty())
}

/// Whether the environment's proxy isn't used for a server: by Go's rules, which kubectl follows.
fn is_excepted(server: &Uri, excepted: &str) -> bool {
    let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let excepts = |entry: &str| {
        if entry == "*" {
            return true;
        }
        if let Ok(network) = entry.parse::<IpNet>() {
            return address.is_some_and(|address| network.contains(&address));
        }
        let (name, of_port) = split_port(entry);
        if of_port.is_some_and(|of_port| of_port != port) {
            return false;
        }
        if let Ok(of_address) = name.parse::<IpAddr>() {
            return address == Some(of_address);
        }
        let name = name.strip_prefix('*').unwrap_or(name);
        // A leading dot means subdomains only.
        let is_itself = host == name;
        let is_below = host.strip_suffix(name).is_some_and(|left| name.starts_with('.') || left.ends_with('.'));
        address.is_none() && (is_itself || is_below)
    };
    let entries = excepted.split(',').map(|entry| entry.trim().to_ascii_lowercase());
    entries.filter(|entry| !entry.is_empty()).any(|entry| excepts(&entry))
}

/// Name or address, and the port if there is one. An IPv6 address with a port has brackets.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    let with_port = entry.split_once(':').and_then(|(name, port)| Some((name, Some(port.parse().ok()?))));
    with_port.unwrap_or((entry, None))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BY_HTTP: &str = "http://http.proxy.example:3128";
    const BY_HTTPS: &str = "http://https.proxy.example:3128";

    fn environment(excepted: &str) -> Environment {
        let some = |text: &str| Some(text.to_owned());
        Environment { http: some(BY_HTTP), https: some(BY_HTTPS), excepted: some(excepted) }
    }

    fn by(of_kubeconfig: Option<&str>, server: &str, excepted: &str) -> String {
        let found = chosen(of_kubeconfig, &environment(excepted), &server.parse().unwrap()).unwrap();
        found.map(|uri| uri.to_string().trim_end_matches('/').to_owned()).unwrap_or_default()
    }

    #[rstest]
    #[case::its_scheme_decides("https://api.example:6443", BY_HTTPS)]
    #[case::also_for_plain_text("http://api.example:8080", BY_HTTP)]
    #[case::its_own_machine("https://localhost:6443", "")]
    #[case::its_own_address("https://127.0.0.1:6443", "")]
    #[case::its_own_newer_address("https://[::1]:6443", "")]
    fn the_environment_names_a_proxy(#[case] server: &str, #[case] expected: &str) {
        assert_eq!(by(None, server, ""), expected);
        assert_eq!(chosen(None, &Environment::default(), &server.parse().unwrap()), Ok(None));
    }

    #[rstest]
    #[case("*", "https://api.example")]
    #[case("api.example", "https://api.example")]
    #[case("example", "https://api.example:6443")]
    #[case(".example", "https://api.example")]
    #[case("*.example", "https://api.example")]
    #[case(" other.test, API.Example ,", "https://api.example")]
    #[case("api.example:6443", "https://api.example:6443")]
    #[case("api.example:443", "https://api.example")]
    #[case("10.0.0.0/8", "https://10.96.0.1")]
    #[case("10.96.0.1", "https://10.96.0.1:443")]
    #[case("10.96.0.1:443", "https://10.96.0.1")]
    #[case("fd00::/8", "https://[fd00::1]:6443")]
    #[case("fd00::1", "https://[fd00::1]:6443")]
    #[case("[fd00::1]:6443", "https://[fd00::1]:6443")]
    fn what_is_excepted_is_reached_directly(#[case] excepted: &str, #[case] server: &str) {
        assert_eq!(by(None, server, excepted), "");
    }

    #[rstest]
    #[case(".api.example", "https://api.example")]
    #[case("pi.example", "https://api.example")]
    #[case("api.example.test", "https://api.example")]
    #[case("api.example:443", "https://api.example:6443")]
    #[case("10.0.0.0/8", "https://11.0.0.1")]
    #[case("10.96.0.1:6443", "https://10.96.0.1")]
    #[case("10.0.0.0/8", "https://api.example")]
    #[case("fd00::1", "https://[fd00::2]:6443")]
    fn what_is_not_excepted_is_reached_by_it(#[case] excepted: &str, #[case] server: &str) {
        assert_eq!(by(None, server, excepted), BY_HTTPS);
    }

    #[test]
    fn what_the_kubeconfig_names_goes_before_the_environment_and_its_exceptions() {
        let own = "socks5://own.proxy.example";
        assert_eq!(by(Some(own), "https://api.example", "*"), own);
        assert_eq!(by(Some(own), "https://127.0.0.1:6443", ""), own);
    }

    #[rstest]
    #[case("http://proxy.example:3128", Scheme::Http, "http://proxy.example:3128")]
    #[case("proxy.example:3128", Scheme::Http, "http://proxy.example:3128")]
    #[case("https://ada:hunter2@proxy.example", Scheme::Https, "https://proxy.example")]
    #[case("socks5://proxy.example", Scheme::Socks, "socks5://proxy.example:1080")]
    #[case("socks5h://ada:hunter2@[::1]:9050", Scheme::Socks, "socks5h://[::1]:9050")]
    fn a_proxy_is_told_by_its_url(#[case] url: &str, #[case] scheme: Scheme, #[case] shown: &str) {
        let proxy = Proxy::parse(url).unwrap();
        assert_eq!((proxy.scheme, proxy.to_string().as_str()), (scheme, shown));
        let has_credentials = proxy.authorization().is_some() || proxy.login().is_some();
        assert_eq!(has_credentials, url.contains("hunter2"));
    }

    #[rstest]
    fn what_is_no_proxy_is_named_by_where_it_stands_and_never_quoted(
        #[values("ftp://ada:hunter2@proxy.example", "socks4://hunter2.example", "http://hunter2 hunter2", "/hunter2")]
        url: &str,
    ) {
        let environment = Environment { https: Some(url.to_owned()), ..Environment::default() };
        let server = "https://api.example".parse().unwrap();
        for (error, name) in [
            (chosen(None, &environment, &server).unwrap_err(), "HTTPS_PROXY"),
            (chosen(Some(url), &Environment::default(), &server).unwrap_err(), "proxy-url"),
        ] {
            let words = format!("{error} {error:?}");
            assert!(words.contains(name) && !words.contains("hunter2"), "{words}");
        }
    }
}
