//! What is known of the host that the containers run on: a value without I/O.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whose rules hold where registrator's behaviour is a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compat {
    /// The sound behaviour.
    #[default]
    None,
    /// registrator's, to the letter.
    Registrator,
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compat::None => "none",
            Compat::Registrator => "registrator",
        })
    }
}

impl FromStr for Compat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Compat::None),
            "registrator" => Ok(Compat::Registrator),
            other => Err(format!("{other:?} is neither none nor registrator")),
        }
    }
}

/// The host's facts and the flags of the run that decide what is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The name that service IDs begin with.
    pub hostname: String,
    /// The address given by `-ip`.
    pub forced_address: Option<String>,
    /// The address that the host name resolves to.
    pub resolved_address: Option<String>,
    /// Offer the containers' own addresses and ports (`-internal`).
    pub internal: bool,
    /// Offer only what is named (`-explicit`).
    pub explicit: bool,
    /// The label that holds the address (`-useIpFromLabel`).
    pub address_label: Option<String>,
    /// Whose rules hold.
    pub compat: Compat,
    /// The flags that have a value, by their long names, for the stages.
    pub flags: BTreeMap<String, String>,
}

impl Host {
    /// The address that the host advertises.
    pub fn address(&self) -> Option<&str> {
        self.forced_address.as_deref().or(self.resolved_address.as_deref())
    }
}
