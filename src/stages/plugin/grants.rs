//! The grants of an operator to a component, beyond the contract. Nothing is granted
//! unless the configuration says so, and only what is granted is linked.

use std::{fmt, str::FromStr};

use globset::GlobSet;
use url::Url;

/// The grants of a component.
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
mod tests;
