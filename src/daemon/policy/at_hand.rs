//! The policy as far as it is on this machine, for commands that only look.

use std::{path::Path, time::SystemTime};

use anyhow::{Context as _, anyhow};
use tempfile::TempDir;

use super::STORE_SIZE;
use crate::{
    config::{Config, PolicySource},
    daemon::{
        hosting::Hosting,
        means::{folder, registry, trust},
    },
    model::host::Compat,
    policy::{Bundle, hosted::Hosted, kept::Kept, source, store::Store, trust::TrustError},
};

/// The policy above a host's file as this machine has it: the bundle that is in force by the store,
/// else that of a source that is a file.
/// The folder has the components; it has to be there until they are loaded.
///
/// # Errors
///
/// A key or the bundle cannot be used.
pub fn at_hand(config: &Config, compat: Compat) -> anyhow::Result<(Hosting, Option<TempDir>)> {
    let Some(source) = config.policy.read_source() else { return Ok((Hosting::Own, None)) };
    let trust = trust(config)?;
    registry(config)?;
    let kept = kept(config);
    let bundle = match (kept, &source) {
        (Some(bundle), _) => bundle,
        (None, PolicySource::File(path)) => {
            source::file_now(path).with_context(|| format!("policy.source: {source}"))?
        }
        (None, _) if config.policy.required => return Ok((Hosting::Awaited, None)),
        (None, _) => return Ok((Hosting::Optional, None)),
    };
    let key = match trust.verify(&bundle, SystemTime::now()) {
        Ok(key) | Err(TrustError::Expired { key, .. }) => key,
        Err(error) => return Err(anyhow!(error).context(format!("policy.source: {source}"))),
    };
    let folder = tempfile::tempdir().context("cannot make a folder for the policy's components")?;
    let hosted = Hosted::new(&bundle, key, compat, folder.path())
        .with_context(|| format!("policy.source: {source}"))?;
    Ok((Hosting::Below(hosted.into(), None), Some(folder)))
}

/// The bundle that is in force by the store, if this user may read it.
fn kept(config: &Config) -> Option<Bundle> {
    let folder = folder(config).ok()?;
    let kept = Kept::read(&folder).ok()??;
    stored(&folder)?.get(&kept.digest)
}

fn stored(folder: &Path) -> Option<Store> {
    folder.is_dir().then(|| Store::open(folder, STORE_SIZE).ok())?
}

/// Why a file without a policy is not this host's: it has one in force. Whoever wants to leave it
/// says so by removing the store.
pub fn left(config: &Config) -> Option<String> {
    let folder = folder(config).ok()?;
    let kept = Kept::read(&folder).ok()??;
    let (name, sequence) = (kept.name, kept.sequence);
    Some(format!(
        "policy.source: it is missing, and this host has the policy {name} {sequence} in force; to leave \
         it, remove {}",
        folder.display()
    ))
}
