//! Reading files that somebody names: only regular ones, and only so much of them.
//! A pipe, a device or a file of the kernel could keep a reader waiting for ever, or
//! never end. And making folders that are this user's alone.

use std::{
    fs::{DirBuilder, File},
    io,
    io::Read as _,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, fstat, fstatfs, openat, stat};

/// The most that a text file may have that people write: a configuration, settings,
/// a token.
pub const TEXT: u64 = 16 << 20;
/// The most that a file of recorded containers may have.
pub const RECORDED: u64 = 1 << 30;

/// Make a folder that only this user can read and write (0700), and those above it. One that is there
/// stays as it is.
///
/// # Errors
///
/// It cannot be made, or something else is there.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Open a regular file.
///
/// # Errors
///
/// It cannot be opened, or it is something else.
pub fn open(path: &Path) -> io::Result<File> {
    // Before it is opened: opening alone does something to a device or a pipe.
    regular(stat(path)?.st_mode)?;
    // And should it be another one by now, it is opened without waiting.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty())?;
    regular(fstat(&file)?.st_mode)?;
    // The kernel's own files say that they are empty, and a reader may wait for more.
    if is_kernels(fstatfs(&file)?.f_type as u64) {
        return Err(io::Error::other("it is a file of the kernel's own"));
    }
    fcntl_setfl(&file, OFlags::empty())?;
    Ok(file.into())
}

fn regular(mode: u32) -> io::Result<()> {
    let what = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a folder",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    Err(io::Error::other(format!("it is {what}, not a file")))
}

/// Whether this is the number of procfs, sysfs, debugfs or tracefs.
fn is_kernels(system: u64) -> bool {
    matches!(system, 0x9fa0 | 0x6265_6572 | 0x6462_6720 | 0x7472_6163)
}

/// The content of a regular file of at most this many bytes.
///
/// # Errors
///
/// As for [`open`]; or it has more.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    // A length that is known takes no memory; the file may grow nonetheless.
    let long = file.metadata()?.len() > most;
    if !long {
        file.take(most + 1).read_to_end(&mut bytes)?;
    }
    if long || bytes.len() as u64 > most {
        let words = format!("it has more than {}", bytesize::ByteSize(most));
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
///
/// As for [`read`]; or it is no text.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let fault = |_| io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8");
    String::from_utf8(read(path, most)?).map_err(fault)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_so_much_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "text").expect("written");
        assert_eq!(read_text(&file, 4).expect("a text"), "text");
        let long = read(&file, 3).expect_err("it is longer").to_string();
        assert_eq!(long, "it has more than 3 B");
        fs::write(&file, [0xff]).expect("written");
        assert_eq!(read_text(&file, 4).expect_err("no text").to_string(), "it is no text in UTF-8");

        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        for (path, fault) in [
            (folder.path(), "it is a folder, not a file"),
            (&pipe, "it is a pipe, not a file"),
            ("/dev/zero".as_ref(), "it is a device, not a file"),
            ("/dev/tty".as_ref(), "it is a device, not a file"),
            (&socket, "it is a socket, not a file"),
            ("/proc/kmsg".as_ref(), "kernel"),
            ("/proc/self/environ".as_ref(), "it is a file of the kernel's own"),
        ] {
            let error = read(path, 1 << 20).expect_err("it is no file of a disk").to_string();
            assert!(error.contains(fault), "{}: {error}", path.display());
        }
    }
}
