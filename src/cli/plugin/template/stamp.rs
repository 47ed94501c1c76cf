//! What a project says of how it was made, in a file of its own, so that a later program can tell what
//! its author has written from what was there.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Purpose, Wanted, Written};
use crate::{cli::plugin::embedded, files};

/// The file, in the project's folder.
pub(in crate::cli::plugin) const FILE: &str = ".wharfinger-plugin.json";

/// The digest of a file's content.
pub(in crate::cli::plugin) fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How a project was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli::plugin) struct Stamp {
    /// For who finds it.
    about: String,
    pub(in crate::cli::plugin) contract: String,
    pub(in crate::cli::plugin) language: String,
    pub(in crate::cli::plugin) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli::plugin) purpose: Option<String>,
    pub(in crate::cli::plugin) blank: bool,
    /// SHA-256 of what was written, by the path.
    pub(in crate::cli::plugin) files: BTreeMap<String, String>,
}

impl Stamp {
    /// The stamp of a project with these files.
    pub(super) fn of(wanted: &Wanted<'_>, files: &[Written]) -> Self {
        let digests = files.iter().map(|file| (file.path.clone(), digest(&file.content)));
        Self {
            about: "Written by `wharfinger plugin new`; `wharfinger plugin upgrade` reads it."
                .into(),
            contract: embedded::CONTRACT.into(),
            language: wanted.language.into(),
            name: wanted.name.kebab().into(),
            purpose: wanted.purpose.map(Purpose::sentence),
            blank: wanted.blank,
            files: digests.collect(),
        }
    }

    /// The stamp of the project in a folder; none if it has none, or one that cannot be read.
    pub(in crate::cli::plugin) fn read(folder: &Path) -> Option<Self> {
        let text = files::read_text(&folder.join(FILE), files::TEXT).ok()?;
        serde_json::from_slice(text.as_bytes()).ok()
    }

    /// The file.
    pub(super) fn written(&self) -> Written {
        let text = serde_json::to_string_pretty(self).expect("it is made of texts");
        Written { path: FILE.into(), content: (text + "\n").into_bytes() }
    }
}
