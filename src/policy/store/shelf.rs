//! A folder of files that are named by digests, with a bound on all of them together: those that
//! were put or asked for longest ago go first, and the one that was put last is never one of them.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tempfile::NamedTempFile;

use super::StoreError;
use crate::{files, policy::Digest};

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    folder: PathBuf,
    limit: u64,
    suffix: &'static str,
}

impl Shelf {
    pub(super) fn open(
        folder: &Path,
        limit: u64,
        suffix: &'static str,
    ) -> Result<Self, StoreError> {
        let fault = |error| StoreError::Write { file: folder.into(), error };
        files::private_folder(folder).map_err(fault)?;
        let mode = fs::metadata(folder).map_err(fault)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(StoreError::Open(folder.into()));
        }
        Ok(Self { folder: folder.into(), limit, suffix })
    }

    /// Put a file in the place of what was there.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let size = bytes.len() as u64;
        if size > self.limit {
            let (folder, limit) = (self.folder.clone(), self.limit);
            return Err(StoreError::TooLarge { folder, size, limit });
        }
        let path = self.path(digest);
        self.write(&path, bytes)
            .map_err(|error| StoreError::Write { file: path.clone(), error })?;
        self.bound(&path);
        Ok(())
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}{}", digest.hex(), self.suffix))
    }

    /// A temporary file has the mode 0600.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = NamedTempFile::with_prefix_in(".new-", &self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        fs::File::open(&self.folder)?.sync_all()
    }

    /// Remove what was put longest ago until the rest is within the limit.
    fn bound(&self, newest: &Path) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let digest = name.strip_suffix(self.suffix)?;
                format!("sha256:{digest}").parse::<Digest>().ok()?;
                let about = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((about.modified().ok()?, about.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut whole: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files.iter().filter(|(.., path)| path != newest) {
            if whole <= self.limit {
                return;
            }
            if fs::remove_file(path).is_ok() {
                whole -= size;
            }
        }
    }
}
