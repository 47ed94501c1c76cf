//! Bundles on disk, by digest: what a host had in force is there when neither Consul nor a
//! registry is.
//!
//! A file takes its place when it is whole, and what is read is verified anew: a damaged file is
//! as good as none. The folder is bounded; the bundles that were put longest ago go first, and
//! the one that was put last is never one of them.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use tempfile::NamedTempFile;

use super::{Bundle, Digest, archive};

const SUFFIX: &str = ".tar";

/// Why a bundle cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it cannot be written.
    #[error("cannot write {file}: {error}")]
    Write {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The folder is another user's, or others may write to it.
    #[error("{0}: others may write to it")]
    Open(PathBuf),
    /// It alone is larger than the store.
    #[error("a bundle of {size} bytes is more than the {limit} that {folder} may have")]
    TooLarge {
        /// The folder.
        folder: PathBuf,
        /// The bundle's size.
        size: u64,
        /// The store's.
        limit: u64,
    },
}

/// A folder of bundles.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    limit: u64,
}

impl Store {
    /// The store in this folder, which is made if it is not there, with at most so many bytes.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or others may write to it.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, StoreError> {
        let fault = |error| StoreError::Write { file: folder.into(), error };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
        let mode = fs::metadata(folder).map_err(fault)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(StoreError::Open(folder.into()));
        }
        Ok(Self { folder: folder.into(), limit })
    }

    /// Keep a bundle with its signatures, in the place of what was kept of it before.
    ///
    /// # Errors
    ///
    /// It is too large, or cannot be written; what was there stays.
    pub fn put(&self, bundle: &Bundle) -> Result<(), StoreError> {
        let bytes = archive::write(bundle);
        let size = bytes.len() as u64;
        if size > self.limit {
            let (folder, limit) = (self.folder.clone(), self.limit);
            return Err(StoreError::TooLarge { folder, size, limit });
        }
        let path = self.path(&bundle.digest);
        self.write(&path, &bytes)
            .map_err(|error| StoreError::Write { file: path.clone(), error })?;
        self.bound(&path);
        Ok(())
    }

    /// The bundle of this digest, verified; none if it is not there or not whole.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<Bundle> {
        let bundle = archive::read(&self.path(digest)).ok()?;
        (bundle.digest == *digest).then_some(bundle)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}{SUFFIX}", digest.hex()))
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
                let digest = name.strip_suffix(SUFFIX)?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::build::Draft;

    fn bundle(sequence: u64) -> Bundle {
        let text = "[[pipeline]]\nname = 'a'\nbuiltin = 'registrator'\n";
        let draft = Draft::parse(text, "w.toml").expect("a policy");
        draft.finish("prod", sequence, &[]).expect("a bundle")
    }

    #[test]
    fn what_is_kept_is_there_again_unless_it_is_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("a/b");
        let store = Store::open(&at, 1 << 20).expect("a store");
        let one = bundle(1);
        assert_eq!(store.get(&one.digest), None);
        store.put(&one).expect("kept");
        assert_eq!(store.get(&one.digest).as_ref(), Some(&one));
        let path = store.path(&one.digest);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&at), mode(&path)), (0o700, 0o600));

        let other = store.path(&Digest::of(b"another"));
        fs::copy(&path, other).expect("copied");
        assert_eq!(store.get(&Digest::of(b"another")), None, "its name is not its digest");
        let whole = fs::read(&path).expect("there");
        fs::write(&path, &whole[..whole.len() / 2]).expect("cut");
        assert_eq!(store.get(&one.digest), None);

        fs::set_permissions(&at, fs::Permissions::from_mode(0o777)).expect("opened");
        assert!(matches!(Store::open(&at, 1), Err(StoreError::Open(_))));
    }

    #[test]
    fn what_was_put_longest_ago_goes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let size = archive::write(&bundle(1)).len() as u64;
        let store = Store::open(folder.path(), 2 * size + 10).expect("a store");
        let all: Vec<_> = (1..=3).map(bundle).collect();
        for (age, one) in [(100, &all[0]), (200, &all[1])] {
            store.put(one).expect("kept");
            let file = fs::File::open(store.path(&one.digest)).expect("there");
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
            file.set_modified(then).expect("aged");
        }
        store.put(&all[2]).expect("kept");
        let there: Vec<_> = all.iter().map(|one| store.get(&one.digest).is_some()).collect();
        assert_eq!(there, [false, true, true]);
        let small = Store::open(folder.path(), 10).expect("a store");
        assert!(matches!(small.put(&all[0]), Err(StoreError::TooLarge { .. })));
    }
}
