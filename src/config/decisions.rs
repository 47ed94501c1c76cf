//! `[decisions]`: where what is decided of containers is written down.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where what is decided of containers is written down; nowhere unless one of these is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DecisionsConfig {
    /// A file that is appended to, relative to the configuration file.
    pub file: Option<PathBuf>,
    /// Whether they go to the standard output.
    pub stdout: bool,
    /// Whether they are sent to the collector of `telemetry.otlp`, too, as logs.
    pub otlp: bool,
}

impl DecisionsConfig {
    /// The same with the file's path as it is from anywhere.
    pub(super) fn below(self, folder: &Path) -> Self {
        Self { file: self.file.map(|file| folder.join(file)), ..self }
    }

    /// What makes no sense, with its key.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.file.is_some() && self.stdout {
            faults.push("decisions.stdout: decisions.file is said, too; one of the two is".into());
        }
        if self.file.as_ref().is_some_and(|file| file.as_os_str().is_empty() || file.is_dir()) {
            faults.push("decisions.file: it is no file".into());
        }
        faults
    }
}
