//! Reading a component's file.

use std::{fs, io, path::Path};

use bytesize::ByteSize;

use crate::files;
use crate::stages::plugin::LoadError;

/// More than any known component has; an interpreter with its library has 40.
const MAX_SIZE: ByteSize = ByteSize::mib(256);

/// The content of a component's file.
///
/// # Errors
///
/// It is not a file, cannot be read, or is too large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |error| LoadError::Read(path.into(), error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "neither a file nor a folder" };
        return Err(LoadError::NotAFile { file: path.into(), found });
    }
    files::read(path, MAX_SIZE.as_u64()).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => LoadError::TooLarge { file: path.into(), limit: MAX_SIZE },
        _ => failed(error),
    })
}
