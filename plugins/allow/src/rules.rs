//! What is allowed and what is denied.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Two lists of patterns.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default, bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Rules<T> {
    /// If it is given, nothing else is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<T>>,
    /// It is not allowed, even if `allow` has it.
    deny: Vec<T>,
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self { allow: None, deny: Vec::new() }
    }
}

impl<T: Display> Rules<T> {
    /// Whether the rules allow everything.
    pub(crate) fn is_idle(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// Hold something against the rules, which `matches` does with one
    /// pattern. The error is the rest of a sentence that begins with its name.
    pub(crate) fn judge(&self, matches: impl Fn(&T) -> bool) -> Result<(), String> {
        if let Some(denied) = self.deny.iter().find(|pattern| matches(pattern)) {
            return Err(format!("is denied by {denied}"));
        }
        match &self.allow {
            Some(allowed) if allowed.is_empty() => Err("is not allowed: nothing is".into()),
            Some(allowed) if !allowed.iter().any(matches) => {
                let list: Vec<String> = allowed.iter().map(ToString::to_string).collect();
                Err(format!("is not allowed: it is none of {}", list.join(", ")))
            }
            _ => Ok(()),
        }
    }
}
