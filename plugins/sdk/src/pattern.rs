//! Patterns in settings: `*` stands for any text, `/` and none included, and
//! `?` for one character.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wildmatch::WildMatch;

/// A pattern of a whole text. Letters match in their own case.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    text: String,
    matcher: WildMatch,
}

impl Pattern {
    /// The pattern of this text; every text is one.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), matcher: WildMatch::new(text) }
    }

    /// Whether the pattern is one of the whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.matcher.matches(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether one of the patterns matches.
pub fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        let pattern = Pattern::new("registry.example.com/shop/*");
        assert!(pattern.matches("registry.example.com/shop/front/web"));
        assert!(!pattern.matches("registry.example.com/shops/web"));
        assert!(!pattern.matches("x/registry.example.com/shop/web"));
        assert!(Pattern::new("*").matches("") && Pattern::new("a?c").matches("abc"));
        assert!(any(&[Pattern::new("a"), Pattern::new("b*")], "bc"));
        assert_eq!(pattern.to_string(), "registry.example.com/shop/*");
    }
}
