//! The content that was fetched once, by digest: a manifest or a component, so that it need not be
//! fetched again, nor its registry be there.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use super::{StoreError, shelf::Shelf};
use crate::{files, policy::Digest};

/// A bounded folder of blobs.
#[derive(Debug, Clone)]
pub struct Contents(Shelf);

impl Contents {
    /// The store in this folder, which is made if it is not there, with at most so many bytes.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or others may write to it.
    pub fn open(folder: &Path, limit: u64) -> Result<Self, StoreError> {
        Shelf::open(folder, limit, ".blob").map(Self)
    }

    /// Keep a blob.
    ///
    /// # Errors
    ///
    /// It is too large, or cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.put(&Digest::of(bytes), bytes)
    }

    /// The blob of this digest, of at most so many bytes, verified; none if it is not there or
    /// not whole.
    #[must_use]
    pub fn get(&self, digest: &Digest, most: u64) -> Option<Arc<[u8]>> {
        let path = self.0.path(digest);
        let bytes = files::read(&path, most).ok().filter(|bytes| Digest::of(bytes) == *digest)?;
        // It is wanted still. That this cannot be noted costs a fetch some day.
        let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_blob_is_there_again_unless_it_is_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let contents = Contents::open(&folder.path().join("a"), 10).expect("a store");
        let one = Digest::of(b"one");
        assert_eq!(contents.get(&one, 10), None);
        contents.put(b"one").expect("kept");
        assert_eq!(contents.get(&one, 10).as_deref(), Some(&b"one"[..]));
        assert_eq!(contents.get(&one, 2), None, "it is larger than is wanted");
        fs::write(contents.0.path(&one), "ONE").expect("damaged");
        assert_eq!(contents.get(&one, 10), None);
        assert!(matches!(contents.put(b"a long one .."), Err(StoreError::TooLarge { .. })));
    }

    #[test]
    fn a_blob_that_is_wanted_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let contents = Contents::open(folder.path(), 8).expect("a store");
        for (age, blob) in [(100, b"1234"), (200, b"5678")] {
            contents.put(blob).expect("kept");
            let file = fs::File::open(contents.0.path(&Digest::of(blob))).expect("there");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(age)).expect("aged");
        }
        assert!(contents.get(&Digest::of(b"1234"), 4).is_some());
        contents.put(b"abcd").expect("kept");
        let there = |blob: &[u8]| contents.get(&Digest::of(blob), 4).is_some();
        assert_eq!([there(b"1234"), there(b"5678"), there(b"abcd")], [true, false, true]);
    }
}
