//! Texts with facts in braces, for settings that make names and tags.
//!
//! `{label:team}-{image.name}` is the value of the label `team`, a hyphen and
//! the image's name. A fact can be passed through functions, as in
//! `{compose.project|dns}` or `{label:tier|lower|default(bronze)}`. `{{` and
//! `}}` are braces. [`Fact`] names the facts and [`Function`] the functions.
//!
//! A fact that the container does not have, or that is empty, is missing, and
//! the template has no text then, unless `default` gives one.

mod fact;
mod function;
mod parse;

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Facts, Service};

pub use fact::Fact;
pub use function::Function;

/// A text with facts in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Fact(Fact, Vec<Function>),
}

/// The fact that a template needs and the container does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(
    /// The fact as it is written in a template.
    pub String,
);

impl Template {
    /// Read a template.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a brace without its pair, or a fact or function
    /// that there is not.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { parts: parse::parts(text)? })
    }

    /// The template's text for a service.
    ///
    /// # Errors
    ///
    /// The first fact that is missing.
    pub fn render(&self, facts: Facts<'_>, service: &Service) -> Result<String, Missing> {
        self.parts.iter().map(|part| part.render(facts, service)).collect()
    }

    /// The facts that the template is made of, in their order.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.parts.iter().filter_map(|part| match part {
            Part::Fact(fact, _) => Some(fact),
            Part::Text(_) => None,
        })
    }

    /// The functions that a fact is passed through, for each time that it stands
    /// in the template.
    pub fn uses<'a>(&'a self, fact: &'a Fact) -> impl Iterator<Item = &'a [Function]> {
        self.parts.iter().filter_map(move |part| match part {
            Part::Fact(found, functions) if found == fact => Some(functions.as_slice()),
            _ => None,
        })
    }

    /// The template in three at the first place of a fact: what stands before
    /// it, the fact with its functions, and what stands after it.
    pub fn around(&self, fact: &Fact) -> Option<[Self; 3]> {
        let is = |part: &Part| matches!(part, Part::Fact(found, _) if found == fact);
        let at = self.parts.iter().position(is)?;
        let piece = |parts: &[Part]| Self { parts: parts.to_vec() };
        Some([piece(&self.parts[..at]), piece(&self.parts[at..=at]), piece(&self.parts[at + 1..])])
    }
}

impl Part {
    fn render(&self, facts: Facts<'_>, service: &Service) -> Result<String, Missing> {
        match self {
            Part::Text(text) => Ok(text.clone()),
            Part::Fact(fact, functions) => {
                let known = |value: &String| !value.trim().is_empty();
                let value = fact.value(facts, service).map(|value| value.trim().to_string());
                functions
                    .iter()
                    .fold(value.filter(known), |value, function| {
                        function.apply(value).filter(known)
                    })
                    .ok_or_else(|| Missing(fact.to_string()))
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Fact(fact, functions) => {
                write!(f, "{{{fact}")?;
                functions.iter().try_for_each(|function| write!(f, "|{function}"))?;
                f.write_str("}")
            }
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests;
