//! The keys of a stage's `grant`.

use std::str::FromStr;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};

use crate::stages::plugin::Grants;

/// What a component is granted.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Patterns of the environment variables of a container that it sees.
    pub env: Vec<String>,
    /// The real time.
    pub clock: bool,
    /// Real random numbers.
    pub random: bool,
    /// The URLs below which it may ask over HTTP.
    pub http: Vec<String>,
    /// The prefix of the keys of Consul's KV store that it may read.
    pub kv: Option<String>,
}

impl Default for Grant {
    /// Secrets are not handed out by accident, and nothing else is at all.
    fn default() -> Self {
        Self {
            env: vec!["SERVICE_*".into()],
            clock: false,
            random: false,
            http: Vec::new(),
            kv: None,
        }
    }
}

impl Grant {
    /// The grants, ready to use.
    ///
    /// # Errors
    ///
    /// Every fault, with its key.
    pub fn grants(&self) -> Result<Grants, Vec<String>> {
        let mut faults = Vec::new();
        let env = self.visible_env().map_err(|fault| faults.push(format!("grant.env: {fault}")));
        let http = read(&self.http, |fault| faults.push(format!("grant.http: {fault}")));
        let kv = read(&self.kv, |fault| faults.push(format!("grant.kv: {fault}"))).pop();
        match env {
            Ok(env) if faults.is_empty() => {
                Ok(Grants { env, clock: self.clock, random: self.random, http, kv })
            }
            _ => Err(faults),
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.grants().err().unwrap_or_default()
    }

    fn visible_env(&self) -> Result<GlobSet, String> {
        let mut set = GlobSetBuilder::new();
        for pattern in &self.env {
            set.add(Glob::new(pattern).map_err(|error| error.to_string())?);
        }
        set.build().map_err(|error| error.to_string())
    }
}

/// What can be read of some texts, and what is wrong with the others.
fn read<'a, T: FromStr<Err = String>>(
    texts: impl IntoIterator<Item = &'a String>,
    mut fault: impl FnMut(String),
) -> Vec<T> {
    let mut values = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(value) => values.push(value),
            Err(words) => fault(words),
        }
    }
    values
}
