//! The configured means to a policy: its source, the trusted keys, where bundles are kept, and how
//! registries of images are reached.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};

use crate::{
    config::{Config, PolicySource},
    files,
    policy::{
        oci::{self, Reference},
        trust::{Trust, TrustedKey},
    },
};

/// The means to a policy. All of them can be changed while the daemon runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Means {
    /// From where.
    pub source: PolicySource,
    /// Whose bundles are taken.
    pub trust: Trust,
    /// The access to registries of images.
    pub registry: oci::Options,
    /// The time between two looks at a file or a registry of images.
    pub poll: Duration,
}

impl Means {
    /// As a configuration says; none if it names no source. `kv` is whether there is a store of keys
    /// and values here.
    ///
    /// # Errors
    ///
    /// A key of `[policy]` cannot be used.
    pub fn of(config: &Config, kv: bool) -> anyhow::Result<Option<Self>> {
        let Some(source) = config.policy.read_source() else { return Ok(None) };
        let (trust, registry) = (trust(config)?, registry(config)?);
        if matches!(source, PolicySource::ConsulKv(_)) && !kv {
            return Err(anyhow!("policy.source: the registry has no store of keys and values"));
        }
        Ok(Some(Self { source, trust, registry, poll: config.policy.poll }))
    }
}

/// Where the components of bundles are.
pub fn components(folder: &Path) -> PathBuf {
    folder.join("components")
}

/// The folder in which bundles are kept.
///
/// # Errors
///
/// None is named, and the user has none.
pub fn folder(config: &Config) -> anyhow::Result<PathBuf> {
    let folder = config.policy.folder(&config.cache, |name| std::env::var(name).ok());
    folder.ok_or_else(|| anyhow!("policy.store: it is missing, and the user has no folder for it"))
}

/// The configured access to registries of images.
///
/// # Errors
///
/// A key of `[policy]` cannot be used.
pub fn registry(config: &Config) -> anyhow::Result<oci::Options> {
    let policy = &config.policy;
    let options = oci::Options {
        plain_http: policy.plain_http,
        ca_file: policy.ca_file.clone(),
        login_file: policy.login_file.clone(),
    };
    options.check().context("policy.ca-file, policy.login-file")?;
    if let Some(PolicySource::Oci(place)) = policy.read_source() {
        place.parse::<Reference>().context("policy.source")?;
    }
    Ok(options)
}

/// Whom the configuration trusts.
///
/// # Errors
///
/// A key cannot be used.
pub fn trust(config: &Config) -> anyhow::Result<Trust> {
    let mut keys = Vec::new();
    for one in &config.policy.trust.keys {
        let place = || format!("policy.trust.keys: {:?}", one.name);
        let key = match (&one.key, &one.file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => files::read_text(file, files::TEXT)
                .with_context(|| format!("{}: cannot read {}", place(), file.display()))?,
            (None, None) => String::new(),
        };
        keys.push(TrustedKey { name: one.name.clone(), key, until: one.until });
    }
    Trust::new(keys).context("policy.trust.keys")
}
