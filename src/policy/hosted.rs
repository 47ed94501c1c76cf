//! A bundle on a host: its components are in files, and its document stands above the host's own
//! configuration. Its invariant: what is loaded of it has the digest that was signed, whatever
//! has become of the files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{
    Bundle, Digest,
    layer::{Document, DocumentError, Layered},
    standing::InForce,
    store::Store,
};
use crate::{
    config::Config,
    files,
    model::{host::Compat, layer::Layer},
    pipeline::Pipeline,
};

const SUFFIX: &str = "wasm";
/// The most that a component may have.
const MOST: u64 = 256 << 20;

/// Why a bundle cannot be used on this host.
#[derive(Debug, thiserror::Error)]
pub enum HostedError {
    /// Its document makes no sense.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The daemon runs with other rules.
    #[error("{0}")]
    Fits(String),
    /// A component cannot be put into a file.
    #[error("cannot write {file}: {error}")]
    Write {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A bundle on a host.
#[derive(Debug, Clone)]
pub struct Hosted {
    document: Document,
    in_force: InForce,
    folder: PathBuf,
    /// The digest of each stage's component.
    components: BTreeMap<String, Digest>,
}

impl Hosted {
    /// A bundle that was signed by this key, its components put into files of this folder.
    ///
    /// # Errors
    ///
    /// See [`HostedError`].
    pub fn new(
        bundle: &Bundle,
        key: String,
        compat: Compat,
        folder: &Path,
    ) -> Result<Self, HostedError> {
        let document = Document::parse(bundle, |digest| file_of(folder, digest))?;
        document.fits(compat).map_err(HostedError::Fits)?;
        put(bundle, folder)?;
        let components = document.components().collect();
        let Bundle { digest, name, sequence, .. } = bundle;
        let in_force = InForce { digest: *digest, name: name.clone(), sequence: *sequence, key };
        Ok(Self { document, in_force, folder: folder.into(), components })
    }

    /// Which bundle it is.
    #[must_use]
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// The configuration it makes of a host's file.
    #[must_use]
    pub fn over(&self, host: &Config) -> Layered {
        self.document.over(host)
    }

    /// The digests of its components.
    #[must_use]
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.components.values().copied().collect()
    }

    /// The stage of the bundle, if there is one, that was not loaded from what was signed.
    #[must_use]
    pub fn exchanged(&self, pipeline: &Pipeline) -> Option<String> {
        let ours = pipeline.steps().iter().filter(|step| step.layer() == Some(Layer::Bundle));
        let mut loaded = ours.filter(|step| step.unloaded().is_none());
        let other = loaded.find(|step| {
            let digest = step.made().map(|made| made.digest.as_str()).unwrap_or_default();
            let wanted = self.components.get(step.name()).map(Digest::hex);
            digest != wanted.unwrap_or_default()
        })?;
        Some(other.name().to_string())
    }

    /// Put its components into their files again, from the store.
    ///
    /// # Errors
    ///
    /// The bundle is not there any more, or the files cannot be written.
    pub fn restore(&self, store: &Store) -> Result<(), String> {
        let digest = self.in_force.digest;
        let bundle = store.get(&digest).ok_or_else(|| format!("{digest} is not in the store"))?;
        put(&bundle, &self.folder).map_err(|error| error.to_string())
    }
}

fn file_of(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(digest.hex()).with_extension(SUFFIX)
}

/// Put the components into files, those that are right already stay.
fn put(bundle: &Bundle, folder: &Path) -> Result<(), HostedError> {
    let fault = |file: &Path| {
        let file = file.to_path_buf();
        move |error| HostedError::Write { file, error }
    };
    files::private_folder(folder).map_err(fault(folder))?;
    for (digest, bytes) in &bundle.components {
        let file = file_of(folder, digest);
        if files::read(&file, MOST).is_ok_and(|there| Digest::of(&there) == *digest) {
            continue;
        }
        let written = || -> io::Result<()> {
            let mut new = NamedTempFile::with_prefix_in(".new-", folder)?;
            new.write_all(bytes)?;
            new.persist(&file).map(drop).map_err(|error| error.error)
        };
        written().map_err(fault(&file))?;
    }
    Ok(())
}

/// Remove the files of components that are none of these. Files that cannot be removed stay.
pub fn prune(folder: &Path, keep: &BTreeSet<Digest>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let digest = path.file_stem().and_then(|stem| stem.to_str());
        let digest = digest.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
        let ours = path.extension().is_some_and(|suffix| suffix == SUFFIX);
        if ours && digest.is_some_and(|digest| !keep.contains(&digest)) {
            let _ = fs::remove_file(path);
        }
    }
}
