//! `[policy]`: from where this host takes its policy, and whom it trusts.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::CacheConfig;

/// The shortest and the longest time between two looks.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// From where this host takes its policy; without a source it has none but its own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicyConfig {
    /// `file:///…`, `consul-kv://<key>` or `oci://…`.
    pub source: Option<String>,
    /// Whose bundles are taken.
    pub trust: TrustConfig,
    /// The folder in which bundles are kept; `policy` in the one for compiled components if none.
    pub store: Option<PathBuf>,
    /// The time between two looks at a file or an OCI registry.
    #[serde(with = "humantime_serde")]
    #[cfg_attr(test, schemars(with = "String", extend("x-unit" = "time")))]
    pub poll: Duration,
    /// The certification authorities of a registry of images, in PEM; the system's if none.
    pub ca_file: Option<PathBuf>,
    /// Whether a registry of images is asked over HTTP without TLS.
    pub plain_http: bool,
    /// The logins at registries of images, in the form of Docker's `config.json`; the user's own
    /// if none.
    pub login_file: Option<PathBuf>,
    /// Whether containers keep what they have until there is a policy; otherwise the host's own
    /// stages count until then.
    pub required: bool,
}

/// Whose bundles are taken.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TrustConfig {
    /// The keys, of which one has to have signed.
    pub keys: Vec<KeyConfig>,
}

/// A key that may sign policies.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeyConfig {
    /// The name by which it is told of.
    pub name: String,
    /// The file of the public key, in PEM.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The public key itself, in PEM.
    #[serde(default)]
    pub key: Option<String>,
    /// When its signatures are worth nothing any more, in the form of RFC 3339.
    #[serde(default, with = "humantime_serde::option")]
    #[cfg_attr(test, schemars(with = "Option<String>", extend("x-unit" = "moment")))]
    pub until: Option<SystemTime>,
}

/// A source, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// The file of a bundle.
    File(PathBuf),
    /// A key in Consul's KV with the document of a rollout.
    ConsulKv(String),
    /// A bundle in an OCI registry, as it is written.
    Oci(String),
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            source: None,
            trust: TrustConfig::default(),
            store: None,
            poll: Duration::from_secs(30),
            ca_file: None,
            plain_http: false,
            login_file: None,
            required: true,
        }
    }
}

impl PolicySource {
    /// Read a URI.
    ///
    /// # Errors
    ///
    /// It is none of these.
    pub fn parse(uri: &str) -> Result<Self, String> {
        if let Some(path) = uri.strip_prefix("file://") {
            let path = Path::new(path);
            return match path.is_absolute() {
                true => Ok(Self::File(path.into())),
                false => Err(format!("{uri:?}: a file is named with three slashes and its path")),
            };
        }
        if let Some(key) = uri.strip_prefix("consul-kv://") {
            let whole = !key.is_empty() && key.split('/').all(|part| !part.is_empty());
            return match whole {
                true => Ok(Self::ConsulKv(key.into())),
                false => Err(format!("{uri:?}: what follows consul-kv:// is no key")),
            };
        }
        match uri.strip_prefix("oci://") {
            Some(rest) if !rest.is_empty() => Ok(Self::Oci(uri.into())),
            _ => Err(format!("{uri:?} is neither file:///…, consul-kv://… nor oci://…")),
        }
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "file://{}", path.display()),
            Self::ConsulKv(key) => write!(out, "consul-kv://{key}"),
            Self::Oci(reference) => out.write_str(reference),
        }
    }
}

impl PolicyConfig {
    /// The source, if there is one that can be read.
    pub fn read_source(&self) -> Option<PolicySource> {
        PolicySource::parse(self.source.as_deref()?).ok()
    }

    /// The folder in which bundles are kept; none if the user has no folder for it.
    pub fn folder(
        &self,
        cache: &CacheConfig,
        env: impl Fn(&str) -> Option<String>,
    ) -> Option<PathBuf> {
        if let Some(store) = &self.store {
            return Some(store.clone());
        }
        let own = cache.folder(&env);
        Some(own.or_else(|| CacheConfig::default().folder(&env))?.join("policy"))
    }

    /// The same with paths that are relative to this folder.
    pub(super) fn below(mut self, folder: &Path) -> Self {
        for file in [&mut self.store, &mut self.ca_file, &mut self.login_file] {
            *file = file.take().map(|file| folder.join(file));
        }
        for key in &mut self.trust.keys {
            key.file = key.file.take().map(|file| folder.join(file));
        }
        self
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, words: String| faults.push(format!("policy.{key}: {words}"));
        match &self.source {
            Some(source) => {
                if let Err(words) = PolicySource::parse(source) {
                    fault("source", words);
                }
                if self.trust.keys.is_empty() {
                    fault("trust.keys", "without a key no bundle is trusted".into());
                }
            }
            None if *self != Self::default() => {
                fault("source", "it is missing; all else in [policy] is for it".into());
            }
            None => {}
        }
        if !(POLL.0..=POLL.1).contains(&self.poll) {
            let [poll, least, most] = [self.poll, POLL.0, POLL.1].map(humantime::format_duration);
            fault("poll", format!("{poll} is not between {least} and {most}"));
        }
        if self.store.as_ref().is_some_and(|store| store.as_os_str().is_empty()) {
            fault("store", "it is empty; what was in force has to be kept".into());
        }
        for (key, file) in [("ca-file", &self.ca_file), ("login-file", &self.login_file)] {
            if file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
                fault(key, "it is empty".into());
            }
        }
        if self.plain_http && self.ca_file.is_some() {
            fault("ca-file", "with plain-http no certificate is asked for".into());
        }
        if matches!(self.read_source(), Some(PolicySource::File(_))) {
            let (ca, login) = (self.ca_file.is_some(), self.login_file.is_some());
            let all = [("ca-file", ca), ("plain-http", self.plain_http), ("login-file", login)];
            for (key, _) in all.into_iter().filter(|(_, said)| *said) {
                fault(key, "it is for a registry of images, and the source is a file".into());
            }
        }
        let mut names = BTreeSet::new();
        for key in &self.trust.keys {
            let name = &key.name;
            if name.trim().is_empty() {
                fault("trust.keys", "a key's name is empty".into());
            }
            if !names.insert(name) {
                fault("trust.keys", format!("two keys have the name {name:?}"));
            }
            if key.file.is_some() == key.key.is_some() {
                fault("trust.keys", format!("{name:?}: it needs either file or key"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<Config, String> {
        let path = Path::new("wharfinger.toml");
        Config::parse(text, path, Path::new("/etc")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_source_and_its_keys_are_read() {
        let config = parse(
            "[policy]\nsource = 'consul-kv://wharfinger/prod'\nstore = 'policies'\npoll = '5s'\n\
             required = false\nca-file = 'ca.pem'\nlogin-file = '/l'\n[policy.trust]\nkeys = \
             [{ name = 'ops', file = 'ops.pub', until = \
             '2027-01-01T00:00:00Z' }, { name = 'new', key = 'PEM' }]\n",
        )
        .expect("it is right");
        let policy = &config.policy;
        assert_eq!(policy.read_source(), Some(PolicySource::ConsulKv("wharfinger/prod".into())));
        assert_eq!(policy.store.as_deref(), Some(Path::new("/etc/policies")));
        assert_eq!(policy.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(policy.login_file.as_deref(), Some(Path::new("/l")));
        let [ops, new] = &policy.trust.keys[..] else { panic!("two keys") };
        assert_eq!(ops.file.as_deref(), Some(Path::new("/etc/ops.pub")));
        assert!(ops.until.is_some() && new.until.is_none() && !policy.required);
        let env = |name: &str| (name == "HOME").then(|| "/h".to_string());
        let none = CacheConfig { dir: Some(PathBuf::new()), ..CacheConfig::default() };
        for (cache, expected) in
            [(&config.cache, "/h/.cache/wharfinger/policy"), (&none, "/h/.cache/wharfinger/policy")]
        {
            let folder = PolicyConfig::default().folder(cache, env);
            assert_eq!(folder.as_deref(), Some(Path::new(expected)));
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let keys = "[policy.trust]\nkeys = [{ name = 'a', key = 'PEM' }]\n";
        let source = |uri: &str| format!("[policy]\nsource = '{uri}'\n{keys}");
        let with = |uri: &str, more: &str| format!("[policy]\nsource = '{uri}'\n{more}\n{keys}");
        for (text, part) in [
            (with("file:///b", "ca-file = 'a'"), "policy.ca-file: it is for a registry of images"),
            (with("file:///b", "plain-http = true"), "policy.plain-http: it is for a registry"),
            (with("file:///b", "login-file = 'a'"), "policy.login-file: it is for a registry"),
            (with("oci://a/b", "login-file = ''"), "policy.login-file: it is empty"),
            (with("oci://a/b", "ca-file = ''"), "policy.ca-file: it is empty"),
            (
                with("oci://a/b", "ca-file = 'a'\nplain-http = true"),
                "policy.ca-file: with plain-http no certificate",
            ),
            (source("file://relative"), "policy.source: \"file://relative\": a file is named"),
            (source("consul-kv://"), "what follows consul-kv:// is no key"),
            (source("consul-kv:///a"), "is no key"),
            (source("consul-kv://a//b"), "is no key"),
            (source("https://x/y"), "is neither file:///"),
            (source("oci://"), "is neither file:///"),
            ("[policy]\nsource = 'file:///b'\n".into(), "policy.trust.keys: without a key"),
            ("[policy]\nrequired = false\n".into(), "policy.source: it is missing"),
            (keys.into(), "policy.source: it is missing"),
            ("[policy]\nsurce = 'file:///b'\n".into(), "unknown field `surce`"),
            ("[policy]\nsource = 'file:///b'\npoll = '10ms'\n".into(), "policy.poll: 10ms"),
            ("[policy]\nsource = 'file:///b'\nstore = ''\n".into(), "policy.store: it is empty"),
            (
                "[policy]\nsource = 'file:///b'\n[policy.trust]\nkeys = [{ name = 'a' }, { name = \
                 'a', key = 'PEM', file = 'x' }]\n"
                    .into(),
                "\"a\": it needs either file or key; policy.trust.keys: two keys have the name",
            ),
        ] {
            let fault = parse(&text).expect_err(&text);
            assert!(fault.contains(part), "{text}: {fault}");
        }
    }
}
