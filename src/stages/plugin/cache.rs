//! Compiled code on disk, so that a start compiles nothing that was compiled
//! before.
//!
//! An engine runs such code as it is, so whoever can write it can do whatever
//! the daemon can. Therefore the folder and the files in it belong to the
//! daemon's user and nobody else can write them, no symbolic link is followed
//! on the way, and each file carries a digest, which finds what a disk or a
//! crash has damaged. The digest has no secret key: a key would lie where the
//! same user can read it, and who is this user needs no cache to do harm.

use std::{
    fs::File,
    hash::{Hash as _, Hasher},
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use bytesize::ByteSize;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, fstat,
    futimens, openat, renameat, statat, unlinkat,
};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::files;
use crate::stages::plugin::{artifact::Artifact, hex};
use crate::telemetry::event;

/// The end of the name of an entry's file.
const SUFFIX: &str = ".code";
/// The end of the name of a file that is being written.
const UNFINISHED: &str = ".new";
/// A writer that has not finished by then never will.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or opened. A symbolic link is not opened.
    #[error("cannot use the folder {}", .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// Others could put code into it.
    #[error("the folder {} {fault}", .path.display())]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// The fault of the folder, and the remedy.
        fault: String,
    },
}

/// A folder with compiled code.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    folder: OwnedFd,
    most: ByteSize,
}

impl Cache {
    /// The cache in this folder, which is made if it is not there, of at most
    /// this size.
    ///
    /// # Errors
    ///
    /// See [`CacheError`].
    pub fn open(path: &Path, most: ByteSize) -> Result<Self, CacheError> {
        let failed = |error: io::Error| CacheError::Open(path.into(), error);
        files::private_folder(path).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || {
            let folder = openat(CWD, path, flags, Mode::empty())?;
            let stat = fstat(&folder)?;
            Ok::<_, rustix::io::Errno>((folder, stat))
        };
        let (folder, stat) = open().map_err(|error| failed(error.into()))?;
        if let Some(fault) = exposed(&stat, 0o077) {
            return Err(CacheError::NotPrivate { path: path.into(), fault });
        }
        Ok(Self { path: path.into(), folder, most })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The code that is kept under a key, if it can be trusted.
    pub(super) fn get(&self, key: &str) -> Option<Artifact> {
        match self.read(key) {
            Ok(sealed) => {
                let artifact = Artifact::unsealed(key, sealed);
                if artifact.is_none() {
                    self.complain(key, "it is damaged");
                }
                artifact
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.complain(key, &error.to_string());
                None
            }
        }
    }

    fn complain(&self, key: &str, reason: &str) {
        let file = self.path.join(name(key));
        warn!(
            event = event::CODE_REJECTED,
            file = %file.display(),
            reason,
            "compiled code is not used, and made again"
        );
    }

    fn read(&self, key: &str) -> io::Result<Vec<u8>> {
        // Without waiting, should it be a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.folder, name(key), flags, Mode::empty())?;
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no file"));
        }
        if let Some(fault) = exposed(&stat, 0o022) {
            return Err(io::Error::other(format!("it {fault}")));
        }
        // By the time of its last use the oldest one is found.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
        let mut sealed = Vec::new();
        File::from(file).take(self.most.as_u64()).read_to_end(&mut sealed)?;
        Ok(sealed)
    }

    /// Keep what was compiled. It is there as a whole or not at all.
    ///
    /// # Errors
    ///
    /// It cannot be written. Nothing is left of it then.
    pub(super) fn put(&self, key: &str, artifact: &Artifact) -> io::Result<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let sealed = artifact.sealed(key);
        if sealed.len() as u64 > self.most.as_u64() {
            return Err(io::Error::other(format!("it is larger than the cache of {}", self.most)));
        }
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{}-{number}{UNFINISHED}", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.folder, &unfinished, flags, Mode::from_raw_mode(0o600))?;
        let written = File::from(file)
            .write_all(&sealed)
            .and_then(|()| Ok(renameat(&self.folder, &unfinished, &self.folder, name(key))?));
        if written.is_err() {
            let _ = unlinkat(&self.folder, &unfinished, AtFlags::empty());
        }
        written.and_then(|()| self.prune())
    }

    /// Remove what was not used for the longest time, until the rest is within
    /// the size.
    fn prune(&self) -> io::Result<()> {
        let mut entries = self.entries()?;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        let mut total = 0;
        for entry in entries {
            let unfinished = entry.name.ends_with(UNFINISHED);
            let abandoned = unfinished && entry.used.elapsed().is_ok_and(|age| age > ABANDONED);
            total += entry.size;
            if abandoned || (!unfinished && total > self.most.as_u64()) {
                unlinkat(&self.folder, entry.name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            // What somebody else put here is not the cache's to remove.
            if !name.ends_with(SUFFIX) && !name.ends_with(UNFINISHED) {
                continue;
            }
            let Ok(stat) = statat(&self.folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
            let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
            let used = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
            entries.push(Entry { name, size: stat.st_size.unsigned_abs(), used });
        }
        Ok(entries)
    }
}

struct Entry {
    name: String,
    size: u64,
    used: SystemTime,
}

fn name(key: &str) -> String {
    format!("{key}{SUFFIX}")
}

/// Why somebody else could write something, if anybody could. `others` are the
/// permissions that it must not give.
fn exposed(stat: &Stat, others: u32) -> Option<String> {
    let (owner, user) = (stat.st_uid, rustix::process::geteuid().as_raw());
    if owner != user {
        return Some(format!("belongs to user {owner}, not to user {user}, who runs this"));
    }
    let mode = stat.st_mode & 0o7777;
    (mode & others != 0)
        .then(|| format!("has the mode {mode:04o}, so that others have a part in it: chmod go= it"))
}

/// The key of a component that is compiled by this engine: its content, the
/// engine's version and all settings that have a bearing on the code.
pub(super) fn key(engine: &wasmtime::Engine, digest: &str) -> String {
    let mut hasher = Settings(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    digest.hash(&mut hasher);
    hex(&hasher.0.finalize())
}

/// A hasher whose digest does not collide by accident.
struct Settings(Sha256);

impl Hasher for Settings {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests;
