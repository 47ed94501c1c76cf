//! `[daemon]`: how the process runs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How the process runs. The command line's words win.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DaemonConfig {
    /// The socket for other commands, relative to the configuration file; `none` for none.
    pub control: Option<PathBuf>,
    /// The form of the log.
    pub log_format: Option<LogFormat>,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogFormat {
    Text,
    Json,
}

impl DaemonConfig {
    /// The same with the socket's path as it is from anywhere.
    pub(super) fn below(self, folder: &Path) -> Self {
        let control = self.control.map(|path| match path == Path::new("none") {
            true => path,
            false => folder.join(path),
        });
        Self { control, ..self }
    }
}
