//! `wharfinger.lock`: which manifest each tag stood for when a policy was built first, so that it
//! is built of the same components until somebody says otherwise. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Digest;
use crate::tables;

/// The name of the file, which stands beside the policy's.
pub const NAME: &str = "wharfinger.lock";
const HEAD: &str = "\
# Which manifest each tag stood for when `wharfinger policy build` asked. It belongs beside the
# policy, under version control; `wharfinger policy build --update` asks again.
";
const VERSION: u32 = 1;

/// The tags that are pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    tags: BTreeMap<String, Digest>,
}

/// Why a lock file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It is not of the form that is known.
    #[error("{0}: {1}")]
    Parse(String, String),
    /// It is of a version to come.
    #[error("{0}: it is of version {1}; this program knows version {VERSION}")]
    Version(String, u32),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    tags: BTreeMap<String, Digest>,
}

impl Lock {
    /// Read the text of the file that is called `file`.
    ///
    /// # Errors
    ///
    /// It is no lock file, or one of a version to come.
    pub fn parse(text: &str, file: &str) -> Result<Self, LockError> {
        let parsed: Result<Document, _> = tables::read(text);
        match parsed {
            Ok(Document { version: VERSION, tags }) => Ok(Self { tags }),
            Ok(other) => Err(LockError::Version(file.into(), other.version)),
            Err(fault) => Err(LockError::Parse(file.into(), fault)),
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let document = Document { version: VERSION, tags: self.tags.clone() };
        let text = toml::to_string(&document).expect("texts and digests are TOML");
        format!("{HEAD}{text}")
    }

    /// The manifest that a place with a tag stands for.
    #[must_use]
    pub fn get(&self, place: &str) -> Option<Digest> {
        self.tags.get(place).copied()
    }

    /// Pin a place with a tag.
    pub fn pin(&mut self, place: &str, manifest: Digest) {
        self.tags.insert(place.into(), manifest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_as_it_was_written_and_nothing_else_is() {
        let mut lock = Lock::default();
        lock.pin("oci://r.example:5000/b:1", Digest::of(b"b"));
        lock.pin("oci://r.example/a:latest", Digest::of(b"a"));
        let text = lock.text();
        assert_eq!(Lock::parse(&text, "w.lock"), Ok(lock.clone()));
        assert!(text.starts_with("# ") && text.find("/a:").lt(&text.find("/b:")), "{text}");
        assert_eq!(lock.get("oci://r.example/a:latest"), Some(Digest::of(b"a")));
        assert_eq!(lock.get("oci://r.example/a"), None);
        assert_eq!(Lock::parse(&Lock::default().text(), "w.lock"), Ok(Lock::default()));
        for (from, to, fault) in [
            ("version = 1", "version = 2", "w.lock: it is of version 2"),
            ("version = 1", "", "w.lock: line 1, column 1: missing field `version`"),
            ("version = 1", "version = 1\nwhat = 1", "unknown field `what`"),
            ("sha256:", "sha1:", "is no digest"),
            ("[tags]", "[tags", "w.lock: line"),
        ] {
            let said = Lock::parse(&text.replace(from, to), "w.lock").expect_err(to).to_string();
            assert!(said.contains(fault), "{to}: {said}");
        }
    }
}
