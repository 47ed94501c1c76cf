//! Rules by which tags are changed.

use regex_lite::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharfinger_plugin::logging;

/// A tag that is still changed after so many rounds will always be.
const ROUNDS: usize = 16;

/// A rule by which tags are changed.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rewrite {
    /// A regular expression of the whole tag.
    #[serde(rename = "match")]
    matches: String,
    /// A regular expression of tags that the rule leaves alone, such as those
    /// that it makes.
    unless: Option<String>,
    /// What takes its place; `$1` or `${name}` stands for a group, `$$` for a
    /// dollar. A tag that becomes blank goes.
    to: String,
}

/// A rule that is ready to be used.
pub(crate) struct Rule<'a> {
    matches: Regex,
    unless: Option<Regex>,
    to: &'a str,
}

impl Rewrite {
    /// What is wrong with the rule.
    pub(crate) fn faults(&self) -> Vec<String> {
        let patterns = [("match", Some(&self.matches)), ("unless", self.unless.as_ref())];
        let fault = |(key, text): (&str, Option<&String>)| {
            let error = whole(text?).err()?;
            Some(format!("rewrite, {key} {:?}: {error}", text?))
        };
        patterns.into_iter().filter_map(fault).collect()
    }

    /// The rule, unless it was found faulty.
    pub(crate) fn compile(&self) -> Option<Rule<'_>> {
        let unless = self.unless.as_ref().map(|text| whole(text)).transpose().ok()?;
        Some(Rule { matches: whole(&self.matches).ok()?, unless, to: &self.to })
    }
}

fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

impl Rule<'_> {
    fn apply(&self, tag: String) -> String {
        match &self.unless {
            Some(unless) if unless.is_match(&tag) => tag,
            _ => self.matches.replace(&tag, self.to).into_owned(),
        }
    }
}

/// The tag after the rules in their order, again and again until they change
/// nothing any more. Rules that never come to an end leave it as it was.
pub(crate) fn settled(rules: &[Rule], tag: String) -> String {
    let mut changed = tag.clone();
    for _ in 0..ROUNDS {
        let before = changed.clone();
        changed = rules.iter().fold(changed, |tag, rule| rule.apply(tag));
        if changed == before {
            return changed;
        }
    }
    logging::warn(format!(
        "rewrite: the tag {tag:?} would be changed anew each time; it stays as it is (unless)"
    ));
    tag
}
