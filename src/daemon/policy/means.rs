//! What the configuration says of how a policy is come by: whom it trusts, where bundles are kept,
//! and how registries of images are reached.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::{
    config::{Config, PolicySource},
    files,
    policy::{
        oci::{self, Reference},
        trust::{Trust, TrustedKey},
    },
};

/// Where the components of bundles are.
pub(super) fn components(folder: &Path) -> PathBuf {
    folder.join("components")
}

/// The folder in which bundles are kept.
pub(super) fn folder(config: &Config) -> anyhow::Result<PathBuf> {
    let folder = config.policy.folder(&config.cache, |name| std::env::var(name).ok());
    folder.ok_or_else(|| anyhow!("policy.store: it is missing, and the user has no folder for it"))
}

/// How registries of images are reached.
pub(super) fn registry(config: &Config) -> anyhow::Result<oci::Options> {
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
pub(super) fn trust(config: &Config) -> anyhow::Result<Trust> {
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
