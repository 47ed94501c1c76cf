//! What an operator grants a component beyond the contract. Nothing is granted
//! unless the configuration says so, and only what is granted is linked.

use std::{fmt, str::FromStr};

use globset::GlobSet;
use url::Url;

/// What a component is granted.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// The environment variables of a container that it sees.
    pub env: GlobSet,
    /// The real time, where it would stand still.
    pub clock: bool,
    /// Real random numbers, where they would be the same in each call.
    pub random: bool,
    /// Where it may send HTTP requests to.
    pub http: Vec<Origin>,
    /// The part of Consul's KV store that it may read.
    pub kv: Option<KvPrefix>,
}

impl Grants {
    pub(super) fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Clock => self.clock,
            Capability::Random => self.random,
            Capability::Http => !self.http.is_empty(),
            Capability::Kv => self.kv.is_some(),
        }
    }
}

/// Something beyond its arguments that the answer of a stage may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// The time.
    Clock,
    /// Random numbers.
    Random,
    /// HTTP requests.
    Http,
    /// Consul's KV store.
    Kv,
}

impl Capability {
    /// The capability that an import asks for.
    pub(super) fn of_import(name: &str) -> Option<Self> {
        let wasi = |prefix| name.starts_with(prefix) && name.contains("@0.2.");
        match name {
            "wharfinger:host/kv@0.1.0" => Some(Self::Kv),
            _ if wasi("wasi:clocks/") => Some(Self::Clock),
            _ if wasi("wasi:random/") => Some(Self::Random),
            _ if wasi("wasi:http/outgoing-handler") || wasi("wasi:http/types") => Some(Self::Http),
            _ => None,
        }
    }

    /// Whether a component that imports it without its being granted gets
    /// something that gives nothing away. Toolchains import clocks and random
    /// numbers on behalf of any program.
    pub(super) fn is_inert_otherwise(self) -> bool {
        matches!(self, Self::Clock | Self::Random)
    }

    /// The line of the configuration that grants it.
    pub(super) fn line(self) -> &'static str {
        match self {
            Self::Clock => "grant.clock = true",
            Self::Random => "grant.random = true",
            Self::Http => r#"grant.http = ["https://HOST/PATH/"]"#,
            Self::Kv => r#"grant.kv = "PREFIX""#,
        }
    }
}

/// Where HTTP requests may go: a scheme, a host and a port, and the beginning
/// of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Url);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |fault: &str| Err(format!("{text:?}: {fault}"));
        let Ok(url) = Url::parse(text) else { return fault("it is not a URL") };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return fault("it is not an http or https URL");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return fault("it has a query or a fragment");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return fault("it has a user or a password");
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Origin {
    /// Whether a request may go there. Dots in the path are resolved already,
    /// as a [`Url`] does; what a server might take for a slash is refused.
    pub(super) fn admits(&self, url: &Url) -> bool {
        let same = self.0.scheme() == url.scheme()
            && self.0.host() == url.host()
            && self.0.port_or_known_default() == url.port_or_known_default();
        let encoded = url.path().to_ascii_lowercase();
        let plain = !["%2f", "%5c", "%2e", "\\"].iter().any(|part| encoded.contains(part));
        same && plain && below(self.0.path(), url.path())
    }
}

/// Whether a path is the granted one, or below it.
fn below(granted: &str, path: &str) -> bool {
    let folder = granted.strip_suffix('/').unwrap_or(granted);
    match path.strip_prefix(folder) {
        Some("") => granted == folder || granted == "/",
        Some(rest) => rest.starts_with('/'),
        None => false,
    }
}

/// The part of Consul's KV store that a stage may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPrefix(String);

impl FromStr for KvPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let prefix = text.strip_suffix('/').unwrap_or(text);
        plain_key(prefix).map_err(|fault| format!("{text:?}: {fault}"))?;
        Ok(Self(prefix.to_string()))
    }
}

impl KvPrefix {
    /// The store's key for a guest's key, which is relative to the prefix.
    ///
    /// # Errors
    ///
    /// The guest's key could mean something outside of the prefix.
    pub(super) fn key(&self, relative: &str) -> Result<String, String> {
        plain_key(relative).map_err(|fault| format!("key: {fault}"))?;
        Ok(format!("{}/{relative}", self.0))
    }
}

/// Consul's own HTTP server resolves dots and double slashes in a path, so
/// that a key with them would be another one.
fn plain_key(key: &str) -> Result<(), &'static str> {
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("it has an empty part, or one that is . or ..");
    }
    if key.len() > 512 || key.chars().any(char::is_control) {
        return Err("it has a control character, or more than 512 bytes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap_or_else(|fault| panic!("{fault}"))
    }

    #[test]
    fn an_origin_admits_what_is_below_its_path_only() {
        for (granted, url, expected) in [
            ("https://a.example/", "https://a.example/", true),
            ("https://a.example", "https://a.example/x/y?z=1", true),
            ("https://a.example/", "https://a.example:443/x", true),
            ("https://a.example/", "http://a.example/x", false),
            ("https://a.example/", "https://a.example:8443/x", false),
            ("https://a.example/", "https://b.example/x", false),
            ("https://a.example/", "https://a.example.b.example/x", false),
            ("https://a.example/", "https://a.example@b.example/x", false),
            ("https://a.example/v1", "https://a.example/v1", true),
            ("https://a.example/v1", "https://a.example/v1/x", true),
            ("https://a.example/v1", "https://a.example/v10", false),
            ("https://a.example/v1/", "https://a.example/v1/x", true),
            ("https://a.example/v1/", "https://a.example/v1", false),
            ("https://a.example/v1/", "https://a.example/v1/../admin", false),
            ("https://a.example/v1/", "https://a.example/v1/%2e%2e/admin", false),
            ("https://a.example/v1/", "https://a.example/v1/..%2fadmin", false),
            ("https://a.example/v1/", "https://a.example/v1/..\\admin", false),
            ("https://a.example/v1/", "https://a.example/v1/x?up=../", true),
        ] {
            let url_parsed = Url::parse(url).expect("a URL");
            assert_eq!(origin(granted).admits(&url_parsed), expected, "{granted} {url}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "a.example",
            "ftp://a.example/",
            "https://a.example/?x",
            "https://u:p@a/",
            "file:///etc",
        ] {
            let fault = text.parse::<Origin>().expect_err("it is no origin");
            assert!(fault.starts_with(&format!("{text:?}: ")), "{fault}");
        }
    }

    #[test]
    fn a_key_stays_below_its_prefix() {
        let prefix: KvPrefix = "teams/".parse().expect("a prefix");
        assert_eq!(prefix.key("a/b"), Ok("teams/a/b".into()));
        for key in ["", "/", "../secret", "a/../../secret", "a//b", "./a", "a\n", &"x".repeat(600)]
        {
            assert!(prefix.key(key).is_err(), "{key:?}");
        }
        for prefix in ["", "/", "/x", "..", "a//b"] {
            assert!(prefix.parse::<KvPrefix>().is_err(), "{prefix:?}");
        }
    }
}
