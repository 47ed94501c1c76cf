//! Hides what is secret in what the daemon and its commands show, log and record.
//!
//! The rules of what is a secret stand in one place, [`wharfinger_registrator::secrets`], which the
//! stage `registrator` asks for metadata as well. Here they are applied to JSON and to containers.
//! The services sent to Consul are never changed by them.

use std::borrow::Cow;

use serde_json::Value;

use crate::model::container::Container;

pub use wharfinger_registrator::secrets::{HIDDEN, is_secret, text};
use wharfinger_registrator::secrets::{by_name, parts};

/// A shorter secret may well be a word or a number of something else.
const TELLING: usize = 6;
/// A container with more secrets than this has no person as its author.
const MOST: usize = 200;

/// A named value with what is secret in it hidden. In JSON the names count that stand there,
/// and it stays JSON.
pub fn value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if by_name(name, value) {
        return Cow::Borrowed(HIDDEN);
    }
    if value.trim_start().starts_with(['{', '['])
        && let Ok(mut inner) = serde_json::from_slice::<Value>(value.as_bytes())
    {
        let before = inner.clone();
        json(&mut inner);
        return match inner == before {
            true => Cow::Borrowed(value),
            false => Cow::Owned(inner.to_string()),
        };
    }
    text(value)
}

/// Hide what is secret in JSON: of an object by its keys, of a pair of texts by the first.
pub fn json(all: &mut Value) {
    hide(all, "");
}

fn hide(all: &mut Value, name: &str) {
    match all {
        Value::String(text) => {
            if let Cow::Owned(shown) = value(name, text) {
                *text = shown;
            } else if by_name(name, text) {
                *text = HIDDEN.into();
            }
        }
        Value::Array(items) => {
            let names: Vec<Option<String>> = items.iter().map(names_next).collect();
            let is_pair = items.len() == 2;
            for (n, item) in items.iter_mut().enumerate() {
                hide(item, name);
                // A flag of a command line, or a pair; which may as well be two texts that
                // have nothing to do with each other.
                let before = n.checked_sub(1).and_then(|before| names[before].as_deref());
                if let Some(key) = before.filter(|key| is_pair || key.starts_with('-')) {
                    hide(item, key);
                }
            }
        }
        Value::Object(map) => map.iter_mut().for_each(|(key, inner)| hide(inner, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text that may be the name of what follows it.
fn names_next(item: &Value) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    item.as_str().filter(|text| text.chars().all(is_name)).map(String::from)
}

/// A container with its secrets hidden, and how many values that are. Variables that `keep`
/// names stay as they are.
pub fn container(mut container: Container, keep: impl Fn(&str) -> bool) -> (Container, usize) {
    let known = Known::of(&container);
    let mut hidden = 0;
    let mut hide = |key: &str, held: &mut String| {
        let shown = value(key, held);
        if *shown != **held {
            *held = shown.into_owned();
            hidden += 1;
        }
    };
    for (key, held) in container.env.iter_mut().filter(|(key, _)| !keep(key)) {
        hide(key, held);
    }
    container.labels.iter_mut().for_each(|(key, held)| hide(key, held));
    if let Some(image) = &mut container.image_facts {
        image.labels.iter_mut().for_each(|(key, held)| hide(key, held));
    }
    if let Some(check) = container.setup.as_mut().and_then(|setup| setup.health_check.as_mut()) {
        hidden += command(&mut check.test);
    }
    // What the daemon has found out of it, such as tags by a template.
    for held in container.attributes.values_mut() {
        if let Cow::Owned(shown) = known.hide(held) {
            *held = shown;
        }
    }
    (container, hidden)
}

/// Hide what is secret in the words of a command, and say in how many of them.
fn command(words: &mut [String]) -> usize {
    let mut shown = Value::from(words.to_vec());
    json(&mut shown);
    let shown = shown.as_array().cloned().unwrap_or_default();
    let mut hidden = 0;
    for (word, shown) in words.iter_mut().zip(&shown) {
        if let Some(shown) = shown.as_str().filter(|shown| shown != word) {
            *word = shown.to_string();
            hidden += 1;
        }
    }
    hidden
}

/// The secrets of a container, to be found in the words of a stage that has seen them.
#[derive(Debug, Default)]
pub struct Known(Vec<String>);

impl Known {
    /// Those of its variables and labels.
    pub fn of(container: &Container) -> Self {
        let env = container.env.iter().map(|(key, value)| (key, value));
        let image = container.image_facts.iter().flat_map(|image| &image.labels);
        // A command's words have no names.
        let nameless = String::new();
        let check = container.setup.iter().filter_map(|setup| setup.health_check.as_ref());
        let check = check.flat_map(|check| &check.test).map(|word| (&nameless, word));
        let mut all: Vec<String> = Vec::new();
        for (key, value) in env.chain(&container.labels).chain(image).chain(check) {
            let whole = Some(&**value).filter(|value| by_name(key, value));
            let found = whole.into_iter().chain(parts(value));
            all.extend(found.filter(|one| one.len() >= TELLING).map(String::from));
            if all.len() > MOST {
                break;
            }
        }
        // One may be a part of another.
        all.sort_by_key(|one| std::cmp::Reverse(one.len()));
        all.dedup();
        Self(all)
    }

    /// A text with them, and whatever else is secret in it, hidden.
    pub fn hide<'a>(&self, words: &'a str) -> Cow<'a, str> {
        let mut shown = text(words);
        for secret in self.0.iter().filter(|secret| words.contains(&***secret)) {
            shown = Cow::Owned(shown.replace(&**secret, HIDDEN));
        }
        shown
    }

    /// The same in place.
    pub fn hide_in(&self, words: &mut String) {
        if let Cow::Owned(shown) = self.hide(words) {
            *words = shown;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_known_of_image_and_setup_is_cleared_as_well() {
        use crate::model::setup::{HealthCheck, ImageFacts, Setup};
        let words = ["CMD", "probe", "--password", "hunter2hunter2"].map(String::from).to_vec();
        let check = HealthCheck { test: words, ..HealthCheck::default() };
        let labels = [("db.password", "correct-horse"), ("team", "shop")];
        let labels = labels.map(|(key, value)| (key.to_string(), value.to_string())).into();
        let mut one = crate::pipeline::tests::container();
        one.setup = Some(Setup { health_check: Some(check), ..Setup::default() });
        one.image_facts = Some(ImageFacts { labels, ..ImageFacts::default() });
        let known = Known::of(&one);
        assert_eq!(known.hide("it has correct-horse"), format!("it has {HIDDEN}"));
        let (shown, hidden) = container(one, |_| false);
        let text = serde_json::to_string(&shown).expect("JSON");
        assert!(!text.contains("hunter2") && !text.contains("correct-horse"), "{text}");
        assert!(text.contains("probe") && text.contains("shop"), "{text}");
        assert_eq!(hidden, 2);
    }

    #[test]
    fn json_stays_json_without_its_secrets() {
        for (given, expected) in [
            (
                r#"{"Authorization":["Bearer abc","x"],"Accept":["text/plain"]}"#,
                r#"{"Authorization":["***","***"],"Accept":["text/plain"]}"#,
            ),
            (
                r#"[{"http":"http://u:pass@h/","header":{"X-Api-Key":["k1"]},"interval":"10s"}]"#,
                r#"[{"http":"http://u:***@h/","header":{"X-Api-Key":["***"]},"interval":"10s"}]"#,
            ),
            (r#"["--password=hunter2","x"]"#, r#"["--password=***","x"]"#),
            (
                r#"["mysql","--password","hunter2","-h","db"]"#,
                r#"["mysql","--password","***","-h","db"]"#,
            ),
            (r#"{ "a" : 1 }"#, r#"{ "a" : 1 }"#),
            ("{label:team}", "{label:team}"),
        ] {
            assert_eq!(value("SERVICE_CHECKS", given), expected);
            assert_eq!(value("SERVICE_CHECKS", expected), expected, "once more");
        }
        let mut all = json!({
            "env": [["SERVICE_DB_PASSWORD", "hunter2"], ["SERVICE_NAME", "web"]],
            "meta": {"token": "abc", "owner": "ann"}, "tags": ["a", "token=abc"], "port": 80,
        });
        json(&mut all);
        let expected = json!({
            "env": [["SERVICE_DB_PASSWORD", "***"], ["SERVICE_NAME", "web"]],
            "meta": {"token": "***", "owner": "ann"}, "tags": ["a", "token=***"], "port": 80,
        });
        assert_eq!(all, expected);
    }
}
