//! Whose word a stage is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose word something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The organisation's, by its bundle.
    Bundle,
    /// This host's, by its file.
    Host,
}

impl fmt::Display for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bundle => "bundle",
            Self::Host => "host",
        })
    }
}
