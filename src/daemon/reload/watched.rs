//! Files, and the state in which they were when they were read.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::config::Config;

/// The signature by which a written or replaced file is noticed: device, inode, size, and
/// the times of its content and of its inode in nanoseconds.
type State = (u64, u64, u64, (i64, i64), (i64, i64));

/// Files, and the state in which they were; none for one that was not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched(BTreeMap<PathBuf, Option<State>>);

impl Watched {
    /// Watch a file, beginning with its state now.
    pub fn add(&mut self, file: &Path) {
        self.0.insert(file.to_path_buf(), state(file));
    }

    /// Watch the files of a configuration's plugins.
    pub fn add_plugins(&mut self, config: &Config) {
        for file in config.pipeline.iter().filter_map(|stage| stage.file.as_deref()) {
            self.add(file);
        }
    }

    /// Watch these, too, with the state that is known of them.
    pub fn take_over(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// The state of the files now.
    pub fn now(&self) -> Self {
        Self(self.0.keys().map(|file| (file.clone(), state(file))).collect())
    }

    /// Whether a file is not what it was.
    pub fn has_changed(&self) -> bool {
        self.0.iter().any(|(file, before)| state(file) != *before)
    }
}

/// The state of what the path leads to, through symbolic links.
fn state(file: &Path) -> Option<State> {
    let it = fs::metadata(file).ok()?;
    let (content, inode) = ((it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec()));
    Some((it.dev(), it.ino(), it.len(), content, inode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Whether a change of the file at `name` in a folder is noticed.
    fn noticed(prepare: impl Fn(&Path), change: impl Fn(&Path)) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let mut watched = Watched::default();
        watched.add(&folder.path().join("file"));
        assert!(!watched.has_changed());
        change(folder.path());
        watched.has_changed()
    }

    fn write(folder: &Path, name: &str, text: &str) {
        fs::write(folder.join(name), text).expect("the file is written");
    }

    #[test]
    fn what_editors_copies_and_config_maps_do_is_noticed() {
        let plain = |folder: &Path| write(folder, "file", "a");
        assert!(!noticed(plain, |_| {}));
        assert!(noticed(plain, |folder| write(folder, "file", "ab")), "another size");
        let rename = |folder: &Path| {
            write(folder, ".new", "b");
            fs::rename(folder.join(".new"), folder.join("file")).expect("renamed over it");
        };
        assert!(noticed(plain, rename), "an editor's way");
        assert!(noticed(plain, |folder| fs::remove_file(folder.join("file")).expect("removed")));
        assert!(noticed(|_| {}, plain), "it was not there");

        // A ConfigMap: `file` leads through `..data`, which is swapped.
        let mounted = |folder: &Path| {
            for (name, text) in [("v1", "a"), ("v2", "b")] {
                fs::create_dir(folder.join(name)).expect("a folder");
                write(&folder.join(name), "file", text);
            }
            symlink("v1", folder.join("..data")).expect("a link");
            symlink("..data/file", folder.join("file")).expect("a link");
        };
        let swapped = |folder: &Path| {
            symlink("v2", folder.join("..data_tmp")).expect("a link");
            fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("swapped");
        };
        assert!(noticed(mounted, swapped));
    }
}
