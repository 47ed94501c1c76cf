//! `[containers]`: which containers are looked at.

use serde::{Deserialize, Serialize};

use crate::select::Selector;

/// Which containers are looked at.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Containers {
    /// An expression that is true of those that offer something; all if there
    /// is none.
    pub select: Option<String>,
}

impl Containers {
    /// The expression, ready to be used.
    ///
    /// # Errors
    ///
    /// It is wrong; the words name the key.
    pub fn selector(&self) -> Result<Option<Selector>, String> {
        let parsed = self.select.as_deref().map(Selector::parse).transpose();
        parsed.map_err(|error| format!("containers.select: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn a_wrong_expression_is_named_with_its_key() {
        for (expression, part) in [
            ("labels.tier == ", "containers.select: line 1, column "),
            ("tier == 'front'", "containers.select: there is no variable \"tier\""),
            ("name", "containers.select: it gives a string"),
        ] {
            let text = format!("[containers]\nselect = {expression:?}\n");
            let parsed = Config::parse(&text, Path::new("wharfinger.toml"), Path::new(""));
            let fault = parsed.expect_err(expression).to_string();
            assert!(fault.contains(part), "{expression}: {fault}");
        }
    }
}
