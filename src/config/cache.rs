//! The keys of `[cache]`: where compiled components are kept.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Where compiled components are kept.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CacheConfig {
    /// The folder, relative to the configuration file; an empty one for none.
    pub dir: Option<PathBuf>,
    /// The size that all files in it together do not exceed.
    #[cfg_attr(test, schemars(with = "crate::config::schema::Size"))]
    pub size: ByteSize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { dir: None, size: ByteSize::mib(256) }
    }
}

impl CacheConfig {
    const LEAST: ByteSize = ByteSize::mib(1);
    const MOST: ByteSize = ByteSize::gib(64);

    /// The same with the folder that a flag names, if one does.
    pub fn or_flag(mut self, folder: Option<&Path>) -> Self {
        if let Some(folder) = folder {
            self.dir = Some(folder.into());
        }
        self
    }

    /// The folder: the one that is said, else `wharfinger` in the user's folder
    /// for caches. None if none is wanted, or the user has none.
    pub fn folder(&self, env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
        if let Some(dir) = &self.dir {
            return Some(dir.clone()).filter(|dir| !dir.as_os_str().is_empty());
        }
        let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches =
            absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(caches.join("wharfinger"))
    }

    pub(super) fn fault(&self) -> Option<String> {
        let (least, most) = (Self::LEAST, Self::MOST);
        (!(least..=most).contains(&self.size))
            .then(|| format!("{} is not between {least} and {most}", self.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_users_unless_one_is_said() {
        let check = |dir: Option<&str>, env: &[(&str, &str)], expected: Option<&str>| {
            let config = CacheConfig { dir: dir.map(Into::into), ..CacheConfig::default() };
            let value = |name: &str| {
                env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
            };
            assert_eq!(config.folder(value), expected.map(Into::into), "{dir:?} {env:?}");
        };
        check(Some("/x"), &[("HOME", "/home/a")], Some("/x"));
        check(Some(""), &[("HOME", "/home/a")], None);
        check(None, &[("HOME", "/home/a")], Some("/home/a/.cache/wharfinger"));
        check(None, &[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")], Some("/c/wharfinger"));
        check(None, &[("HOME", "/h"), ("XDG_CACHE_HOME", "c")], Some("/h/.cache/wharfinger"));
        check(None, &[], None);
    }
}
