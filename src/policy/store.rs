//! Bundles on disk, by digest: what a host had in force is there when neither Consul nor a
//! registry is.
//!
//! A file takes its place when it is whole, and what is read is verified anew: a damaged file is
//! as good as none. The folder is bounded; the bundles that were put longest ago go first, and
//! the one that was put last is never one of them.

mod contents;
mod shelf;

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Bundle, Digest, archive};

pub use contents::Contents;
use shelf::Shelf;

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
pub struct Store(Shelf);

impl Store {
    /// The store in this folder, which is made if it is not there, with at most so many bytes.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or others may write to it.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, StoreError> {
        Shelf::open(folder, limit, SUFFIX).map(Self)
    }

    /// Keep a bundle with its signatures, in the place of what was kept of it before.
    ///
    /// # Errors
    ///
    /// It is too large, or cannot be written; what was there stays.
    pub fn put(&self, bundle: &Bundle) -> Result<(), StoreError> {
        self.0.put(&bundle.digest, &archive::write(bundle))
    }

    /// The bundle of this digest, verified; none if it is not there or not whole.
    #[must_use]
    pub fn get(&self, digest: &Digest) -> Option<Bundle> {
        let bundle = archive::read(&self.0.path(digest)).ok()?;
        (bundle.digest == *digest).then_some(bundle)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        time::{Duration, SystemTime},
    };

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
        let path = store.0.path(&one.digest);
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&at), mode(&path)), (0o700, 0o600));

        let other = store.0.path(&Digest::of(b"another"));
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
            let file = fs::File::open(store.0.path(&one.digest)).expect("there");
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
