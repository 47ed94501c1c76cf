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
        if let Some(part) = ambiguity(text, &url) {
            return Err(format!("{text:?}: {part} can be read in more than one way"));
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
    /// The URL that a request for `text` goes to, if it may. Dots in the path are
    /// resolved; what another server might read as another path or host is refused.
    pub(super) fn admits(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let same = self.0.scheme() == url.scheme()
            && self.0.host() == url.host()
            && self.0.port_or_known_default() == url.port_or_known_default();
        let admitted = same && below(self.0.path(), url.path()) && ambiguity(text, &url).is_none();
        admitted.then_some(url)
    }
}

/// The part of a URL that not everybody reads alike, if there is one. `url` is how
/// `text` is read here.
fn ambiguity(text: &str, url: &Url) -> Option<&'static str> {
    let Some((_, rest)) = text.split_once("://") else { return Some("its scheme") };
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
        return Some("a character");
    }
    let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if !is_canonical(authority, url) {
        return Some("its host");
    }
    // Neither the path as it is written nor as it is sent.
    let path = rest[authority.len()..].split(['?', '#']).next().unwrap_or_default();
    if !is_plain_path(path) || !is_plain_path(url.path()) {
        return Some("its path");
    }
    None
}

/// Whether the host and the port are written as everybody writes them: no user, no
/// number in the place of an address, no other form of it.
fn is_canonical(authority: &str, url: &Url) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is = |port: &str| {
        let number = port.parse().ok();
        !port.starts_with(['0', '+']) && number == url.port_or_known_default()
    };
    url.host_str().is_some_and(|read| read.eq_ignore_ascii_case(host)) && port.is_none_or(port_is)
}

/// Whether every server reads a path alike. Some decode it once more, take what stands
/// after a semicolon for a parameter, a backslash or a character that looks like one
/// for a slash, or leave out spaces and dots at a part's end.
fn is_plain_path(path: &str) -> bool {
    let Some(decoded) = decoded(path) else { return false };
    let Ok(decoded) = String::from_utf8(decoded) else { return false };
    if !decoded.chars().all(|c| c.is_ascii() || c.is_alphanumeric()) {
        return false;
    }
    path.split('/').all(|part| {
        let (name, parameters) =
            part.split_once(';').map_or((part, None), |(name, rest)| (name, Some(rest)));
        let name = name.to_ascii_lowercase().replace("%2e", ".").replace("%20", " ");
        let dots = !name.is_empty() && name.trim_matches(['.', ' ']).is_empty();
        match parameters {
            // `.` and `..` are resolved by everybody.
            None => !dots || matches!(part, "." | ".."),
            Some(_) => !dots && !name.is_empty(),
        }
    })
}

/// The bytes of a path; none if a part of it is encoded that would mean something
/// else then, or is encoded wrongly.
fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(bytes.next())? * 16 + digit(bytes.next())?;
        let byte = u8::try_from(value).ok()?;
        let means = matches!(byte, b'/' | b'\\' | b'.' | b'%' | b';' | b'?' | b'#' | b':' | b'@');
        if means || byte.is_ascii_control() {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
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
            assert_eq!(origin(granted).admits(url).is_some(), expected, "{granted} {url}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        let origin = origin("http://a.example/v1/");
        for path in [
            "x",
            "x;v=1",
            "x;v=1/y",
            "x/y;a=../z",
            "a/../b",
            "a/./b",
            "x%20y",
            "caf%c3%a9",
            "%7Ex",
            "x,y=z:w@v",
            "x.json",
            "x..y",
            ".well-known/x",
            "x?q=%2f..;%25",
            "//x",
        ] {
            let url = format!("http://a.example/v1/{path}");
            assert!(origin.admits(&url).is_some(), "{path}");
        }
        for path in [
            "..;/admin",
            "..;a=b/admin",
            ".;/admin",
            ";/admin",
            ";a/../admin",
            "..%3b/admin",
            "%2e%2e;/admin",
            ".%2e;/admin",
            "%2e%2e%3b/admin",
            "%2E./admin",
            "%2e/x",
            "%252e%252e/admin",
            "%252e%252e%252fadmin",
            "%25",
            "x%25y",
            "%25%32%65",
            "..%2fadmin",
            "..%2Fadmin",
            "..%5cadmin",
            "..\\admin",
            "x%5C..%5Cadmin",
            "%c0%ae%c0%ae/admin",
            "..%c0%af",
            "..%c1%9c",
            "%e0%80%af",
            "%e0%80%ae",
            "%f0%80%80%af",
            "%ff",
            "%c3",
            "%ef%bc%8f",
            "%ef%bc%8e%ef%bc%8e/admin",
            "%e2%88%95",
            "%e2%80%a5/admin",
            "%ef%bc%bc",
            "%ef%bc%85",
            "%u002e%u002e/admin",
            "%u2215",
            "%",
            "%2",
            "%zz",
            "%+1",
            "x%00",
            "x%0a",
            "x%0d%0aHost:b",
            "x%09",
            "%7f",
            "..%20/admin",
            ".../admin",
            "..../x",
            "%20/x",
            ".%20./x",
            "x%3fy",
            "x%23y",
            "x%3a80",
            "%40b",
            "a b",
            "a\tb",
            "\u{ff0f}",
            "é",
        ] {
            let url = format!("http://a.example/v1/{path}");
            assert!(origin.admits(&url).is_none(), "{path}");
        }
        for authority in [
            "user@a.example",
            "user:pw@a.example",
            ":@a.example",
            "@a.example",
            "a.example.",
            "a.example:080",
            "a.example:",
            "a.example:+80",
            "a.example%00",
            "a%2eexample",
            "ａ.example",
            "a。example",
            "a.example\\@b",
            "a.example#@b",
        ] {
            let url = format!("http://{authority}/v1/x");
            assert!(origin.admits(&url).is_none(), "{authority}");
        }
        assert!(origin.admits("http://A.Example/v1/x").is_some());
        assert!(origin.admits("http:a.example/v1/x").is_none());
        assert!(origin.admits("http:/a.example/v1/x").is_none());
        assert!(origin.admits("http:\\\\a.example/v1/x").is_none());
        let local: Origin = "http://127.0.0.1/".parse().expect("an origin");
        assert!(local.admits("http://127.0.0.1/x").is_some());
        for host in
            ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.01", "[::ffff:127.0.0.1]"]
        {
            assert!(local.admits(&format!("http://{host}/x")).is_none(), "{host}");
            if !host.starts_with('[') {
                assert!(format!("http://{host}/").parse::<Origin>().is_err(), "{host}");
            }
        }
        let six: Origin = "http://[::1]:8080/".parse().expect("an origin");
        assert!(six.admits("http://[::1]:8080/x").is_some());
        assert!(six.admits("http://[0:0:0:0:0:0:0:1]:8080/x").is_none());
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "a.example",
            "ftp://a.example/",
            "https://a.example/?x",
            "https://u:p@a/",
            "https://a/..;/",
            "https://a/%2561/",
            "https://127.1/",
            "https://ä.example/",
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
