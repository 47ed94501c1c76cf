//! The socket's place in the file system: who may make one there, and who may ask at it.

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use tokio::net::{UnixListener, UnixStream};

use super::own_user;
use crate::files;

/// Listen at a path. A socket there that nobody listens at any more is replaced;
/// nothing else is.
pub(super) async fn bind(path: &Path) -> io::Result<UnixListener> {
    let folder = folder_of(path);
    if !folder.exists() {
        files::private_folder(folder)?;
    }
    if let Some(fault) = exposed(folder, own_user()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, fault));
    }
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            let fault = "there is something that is no socket, and it stays";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, fault));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon listens there"));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Device and inode of what is at a path.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let there = std::fs::symlink_metadata(path).ok()?;
    Some((there.dev(), there.ino()))
}

/// Why somebody else could put another socket into a folder, if anybody but this user
/// and root could. On the way to it, what others may write to has to protect what
/// belongs to somebody.
pub(super) fn exposed(folder: &Path, user: u32) -> Option<String> {
    let folder = match folder.canonicalize() {
        Ok(folder) => folder,
        Err(error) => return Some(format!("the folder cannot be looked at: {error}")),
    };
    for (n, part) in folder.ancestors().enumerate() {
        let Ok(found) = std::fs::metadata(part) else {
            return Some(format!("the folder {} cannot be looked at", part.display()));
        };
        let (owner, mode) = (found.uid(), found.mode());
        let name = part.display();
        if owner != user && owner != 0 {
            return Some(format!("the folder {name} belongs to user {owner}"));
        }
        let protects = n > 0 && mode & 0o1000 != 0;
        if mode & 0o022 != 0 && !protects {
            return Some(format!("others may write to the folder {name}: chmod go-w it"));
        }
    }
    None
}

pub(super) fn is_allowed(stream: &UnixStream, user: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == user || peer.uid() == 0)
}
