//! Files that commands write: whole, or not at all.

use std::{fs::Permissions, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, bail};

/// Write a file whole or not at all.
///
/// # Errors
///
/// It cannot be written; what was there stays.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if path.file_name().is_none() {
        bail!("{} is no name of a file", path.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let cannot = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(".wharfinger-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .with_context(cannot)?;
    file.write_all(bytes).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}
