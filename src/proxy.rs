//! Through which proxy a request goes, by the environment.
//!
//! The rules are those of Go's `golang.org/x/net/http/httpproxy`, as registrator
//! and Consul's own clients have them: `HTTP_PROXY` is for `http:`, `HTTPS_PROXY`
//! for `https:`, in capitals or not; `localhost` and loopback addresses never go
//! through one; `NO_PROXY` names further exceptions. `ALL_PROXY` means nothing.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

/// The proxies of an environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exempt: Vec<Exempt>,
}

/// The requests that do not go through a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exempt {
    All,
    Subnet(IpNet),
    Address(IpAddr, Option<String>),
    Domain { suffix: String, itself: bool, port: Option<String> },
}

/// A proxy may have a password in its URL.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = |url: &Option<Url>| url.as_ref().map(shown);
        f.debug_struct("Proxies")
            .field("http", &said(&self.http))
            .field("https", &said(&self.https))
            .field("exempt", &self.exempt)
            .finish()
    }
}

/// A proxy for people: without user and password.
pub fn shown(proxy: &Url) -> String {
    let host = proxy.host_str().unwrap_or_default();
    let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", proxy.scheme())
}

impl Proxies {
    /// Those of an environment. A value that is no URL is ignored, as in Go.
    pub fn new(env: impl Fn(&str) -> Option<String>) -> Self {
        let value =
            |names: [&str; 2]| names.into_iter().filter_map(&env).find(|value| !value.is_empty());
        // A server hands on a request's header `Proxy` to a CGI program as this
        // variable.
        let cgi = env("REQUEST_METHOD").is_some_and(|value| !value.is_empty());
        let http = value(["HTTP_PROXY", "http_proxy"]).filter(|_| !cgi);
        let https = value(["HTTPS_PROXY", "https_proxy"]);
        let no_proxy = value(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        Self {
            http: http.and_then(|text| url(&text)),
            https: https.and_then(|text| url(&text)),
            exempt: no_proxy.split(',').filter_map(Exempt::new).collect(),
        }
    }

    /// The same for a client, which asks for each request.
    pub fn for_client(self) -> reqwest::Proxy {
        reqwest::Proxy::custom(move |url| self.of(url).cloned())
    }

    /// The proxy for a URL; none if it is asked directly.
    pub fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref()?,
            "https" => self.https.as_ref()?,
            _ => return None,
        };
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let here = ip.is_some_and(|ip| ip.is_loopback());
        if here || host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return None;
        }
        let port = url.port_or_known_default().map(|port| port.to_string()).unwrap_or_default();
        let host = host.to_ascii_lowercase();
        let exempt = self.exempt.iter().any(|exempt| exempt.has(&host, ip, &port));
        (!exempt).then_some(proxy)
    }
}

/// The URL of a proxy, which may lack its scheme.
fn url(text: &str) -> Option<Url> {
    let whole = if text.contains("://") { text } else { &format!("http://{text}") };
    Url::parse(whole).ok().filter(Url::has_host)
}

impl Exempt {
    fn new(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::All);
        }
        if let Ok(subnet) = text.parse() {
            return Some(Self::Subnet(subnet));
        }
        let (host, port) = host_and_port(&text);
        let port = port.filter(|port| !port.is_empty()).map(String::from);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(Self::Address(ip.to_canonical(), port));
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let itself = !host.starts_with('.');
        let suffix = if itself { format!(".{host}") } else { host.to_string() };
        Some(Self::Domain { suffix, itself, port })
    }

    fn has(&self, host: &str, ip: Option<IpAddr>, its_port: &str) -> bool {
        let port_is = |port: &Option<String>| port.as_ref().is_none_or(|port| port == its_port);
        match self {
            Self::All => true,
            Self::Subnet(subnet) => ip.is_some_and(|ip| subnet.contains(&ip)),
            Self::Address(address, port) => ip == Some(*address) && port_is(port),
            Self::Domain { suffix, itself, port } => {
                let is = host.ends_with(suffix.as_str()) || (*itself && host == &suffix[1..]);
                is && port_is(port)
            }
        }
    }
}

/// `host:port`, `[v6]:port`, or one of them without a port; an IPv6 address
/// without brackets has none.
fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests;
