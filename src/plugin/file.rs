//! Reading a component's file.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use bytesize::ByteSize;

use super::LoadError;

/// More than any known component has; an interpreter with its library has 40.
const MAX_SIZE: ByteSize = ByteSize::mib(256);

/// The content of a component's file.
///
/// # Errors
///
/// It is not a file, cannot be read, or is too large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |error| LoadError::Read(path.into(), error);
    // Before it is opened: opening a pipe would wait for somebody to write.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "neither a file nor a folder" };
        return Err(LoadError::NotAFile { file: path.into(), found });
    }
    let mut bytes = Vec::new();
    let most = MAX_SIZE.as_u64();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(LoadError::TooLarge { file: path.into(), limit: MAX_SIZE });
    }
    Ok(bytes)
}
