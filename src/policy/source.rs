//! The sources of bundles: a file, a key of Consul's KV, or an OCI registry. A bundle comes whole or
//! not at all; whether it is wanted and trusted the caller judges.

use std::path::{Path, PathBuf};

use super::{
    Bundle, Digest,
    archive::{self, BundleError},
    oci::{self, OciError, Reference},
};
use crate::{
    config::PolicySource,
    error::error_chain,
    registry::{ConsulReader, RegistryError},
};

/// The longest value that Consul takes for a key.
pub const KEY_SIZE: usize = 512 << 10;

/// Why a bundle did not come.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The place is none that is known.
    #[error("{0}")]
    Place(String),
    /// It cannot be read now; it may be later.
    #[error("{0}")]
    Away(String),
    /// The content there is no bundle.
    #[error(transparent)]
    Bundle(BundleError),
}

/// Fetch a bundle from where a document says that it is.
///
/// # Errors
///
/// See [`SourceError`].
pub async fn fetch(
    from: &str,
    kv: Option<&ConsulReader>,
    registry: &oci::Options,
) -> Result<Bundle, SourceError> {
    match PolicySource::parse(from).map_err(SourceError::Place)? {
        PolicySource::File(path) => file(path).await,
        PolicySource::ConsulKv(key) => match kv {
            Some(kv) => of_key(kv, &key).await,
            None => Err(SourceError::Place(format!("{from}: there is no Consul here"))),
        },
        PolicySource::Oci(reference) => pulled(&reference, registry).await,
    }
}

/// The bundle of a file.
///
/// # Errors
///
/// See [`SourceError`].
pub async fn file(path: PathBuf) -> Result<Bundle, SourceError> {
    let read = tokio::task::spawn_blocking(move || file_now(&path)).await;
    read.unwrap_or_else(|error| Err(SourceError::Away(error.to_string())))
}

/// The same, by whoever may wait for a disk.
///
/// # Errors
///
/// See [`SourceError`].
pub fn file_now(path: &Path) -> Result<Bundle, SourceError> {
    archive::read(path).map_err(|error| match error {
        BundleError::Read { .. } => SourceError::Away(error.to_string()),
        error => SourceError::Bundle(error),
    })
}

async fn of_key(kv: &ConsulReader, key: &str) -> Result<Bundle, SourceError> {
    let away = |error: RegistryError| SourceError::Away(error_chain(&error));
    let value = kv.value(key, None, KEY_SIZE).await.map_err(away)?;
    let name = format!("consul-kv://{key}");
    let Some(bytes) = value.bytes else {
        return Err(SourceError::Away(format!("{name}: there is no such key")));
    };
    archive::parse(&bytes, &name).map_err(SourceError::Bundle)
}

/// The digest of the bundle that an OCI registry has there now.
///
/// # Errors
///
/// See [`SourceError`].
pub async fn offered(reference: &str, registry: &oci::Options) -> Result<Digest, SourceError> {
    oci::digest(&place(reference)?, registry).await.map_err(of_registry)
}

/// The bundle of an OCI registry.
///
/// # Errors
///
/// See [`SourceError`].
pub async fn pulled(reference: &str, registry: &oci::Options) -> Result<Bundle, SourceError> {
    oci::pull(&place(reference)?, registry, oci::Limits::default()).await.map_err(of_registry)
}

fn place(reference: &str) -> Result<Reference, SourceError> {
    reference.parse().map_err(|error| SourceError::Place(format!("{error}")))
}

fn of_registry(error: OciError) -> SourceError {
    match error {
        OciError::Bundle(error) => SourceError::Bundle(error),
        error => SourceError::Away(error_chain(&error)),
    }
}
