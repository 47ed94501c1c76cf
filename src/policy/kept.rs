//! A host's memory of its policy beyond its own end: the bundle it has in force, and the one it
//! had before. A small file beside the bundles, there as a whole or not at all.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{Digest, standing::InForce};
use crate::files;

const FILE: &str = "in-force.json";
const MOST: u64 = 64 << 10;

/// A host's memory of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The digest of the bundle in force.
    pub digest: Digest,
    /// The policy's name.
    pub name: String,
    /// The number of its version.
    pub sequence: u64,
    /// The name of the key that had signed it.
    pub key: String,
    /// The bundle before, to which an operator may go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
}

/// Why nothing is remembered.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file cannot be read or written.
    #[error("{file}: {error}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is damaged.
    #[error("{file}: it is damaged: {reason}")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The fault that was found.
        reason: String,
    },
}

impl Kept {
    /// The memory once this bundle comes into force. The one before is forgotten on the way back, so
    /// that nobody is led back further step by step.
    #[must_use]
    pub fn of(now: &InForce, former: Option<&Self>, back: bool) -> Self {
        let before = match former {
            Some(former) if former.digest == now.digest => former.before,
            Some(former) if !back => Some(former.digest),
            _ => None,
        };
        let InForce { digest, name, sequence, key } = now.clone();
        Self { digest, name, sequence, key, before }
    }

    /// The bundle in force.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        let Self { digest, name, sequence, key, .. } = self.clone();
        InForce { digest, name, sequence, key }
    }

    /// Read the memory in this folder; none if there is none.
    ///
    /// # Errors
    ///
    /// See [`KeptError`].
    pub fn read(folder: &Path) -> Result<Option<Self>, KeptError> {
        let file = folder.join(FILE);
        let bytes = match files::read(&file, MOST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KeptError::File { file, error }),
        };
        let kept = serde_json::from_slice(&bytes);
        kept.map_err(|error| KeptError::Damaged { file, reason: error.to_string() })
    }

    /// Remember this.
    ///
    /// # Errors
    ///
    /// It cannot be written; what was remembered before still is.
    pub fn write(&self, folder: &Path) -> Result<(), KeptError> {
        let file = folder.join(FILE);
        let written = || -> io::Result<()> {
            // A temporary file has the mode 0600.
            let mut new = NamedTempFile::with_prefix_in(".new-", folder)?;
            new.write_all(&serde_json::to_vec_pretty(self)?)?;
            new.as_file().sync_all()?;
            new.persist(&file).map_err(|error| error.error)?;
            fs::File::open(folder)?.sync_all()
        };
        written().map_err(|error| KeptError::File { file: file.clone(), error })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn in_force(sequence: u64) -> InForce {
        let digest = Digest::of(&sequence.to_be_bytes());
        InForce { digest, name: "prod".into(), sequence, key: "ops".into() }
    }

    #[test]
    fn one_step_back_is_remembered_and_no_further_one() {
        let six = Kept::of(&in_force(6), None, false);
        assert_eq!(six.before, None);
        let seven = Kept::of(&in_force(7), Some(&six), false);
        assert_eq!(seven.before, Some(in_force(6).digest));
        assert_eq!(Kept::of(&in_force(7), Some(&seven), false), seven, "the same again");
        let back = Kept::of(&in_force(6), Some(&seven), true);
        assert_eq!((back.sequence, back.before), (6, None));
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Kept::read(folder.path()).expect("readable"), None);
        let kept = Kept::of(&in_force(6), None, false);
        kept.write(folder.path()).expect("written");
        assert_eq!(Kept::read(folder.path()).expect("readable"), Some(kept.clone()));
        assert_eq!(kept.in_force(), in_force(6));
        let file = folder.path().join(FILE);
        let mode = fs::metadata(&file).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::write(&file, "{\"digest\":").expect("cut");
        let fault = Kept::read(folder.path()).expect_err("damaged").to_string();
        assert!(fault.contains(FILE) && fault.contains("damaged"), "{fault}");
    }
}
