//! `SERVICE_*` and `SERVICE_<port>_*` of a container's environment and labels.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_plugin::{Attribute, Container, logging};

use crate::{Rules, Settings};

/// Consul allows 64 pairs; the rest is left to what the daemon adds of its own.
/// Source: Consul's documentation of service metadata.
const MAX_PAIRS: usize = 56;
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 512;

/// The attributes that apply to one port of a container, with lower-case keys
/// without the prefix.
///
/// Labels come after the environment and win over it. A key with the port's
/// number wins over one without, wherever it stands. Source: registrator's
/// recorded behaviour.
pub(crate) struct Metadata {
    values: BTreeMap<String, String>,
    /// Keys that were given with the port's number.
    of_port: BTreeSet<String>,
}

impl Metadata {
    pub(crate) fn of(container: &Container, port: &str) -> Self {
        let mut metadata = Self { values: BTreeMap::new(), of_port: BTreeSet::new() };
        for Attribute { key, value } in container.env.iter().chain(&container.labels) {
            if let Some(key) = key.strip_prefix("SERVICE_") {
                metadata.insert(&key.to_lowercase(), value, port);
            }
        }
        metadata
    }

    fn insert(&mut self, key: &str, value: &str, port: &str) {
        if self.of_port.contains(key) {
            return;
        }
        match key.split_once('_') {
            // What is written as a number names a port, if not this one.
            Some((number, rest)) if number.parse::<i64>().is_ok() => {
                if number == port {
                    self.values.insert(rest.into(), value.into());
                    self.of_port.insert(rest.into());
                }
            }
            _ => {
                self.values.insert(key.into(), value.into());
            }
        }
    }

    /// The value of a key; empty if it is not set.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// Whether the key was given with the port's number, be it empty.
    pub(crate) fn is_of_port(&self, key: &str) -> bool {
        self.of_port.contains(key)
    }

    /// Take a key out, so that it does not become metadata.
    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        self.values.remove(key).filter(|value| !value.is_empty())
    }

    /// How the user wrote a key, for messages.
    pub(crate) fn spelling(&self, key: &str, port: &str) -> String {
        let key = key.to_uppercase();
        if self.of_port.contains(&key.to_lowercase()) {
            format!("SERVICE_{port}_{key}")
        } else {
            format!("SERVICE_{key}")
        }
    }

    /// Whether `SERVICE_IGNORE` is set. registrator takes every value for a
    /// yes, `false` among them.
    pub(crate) fn ignored(&self, rules: Rules) -> bool {
        let value = self.get("ignore");
        if rules.sound { is_true(value) } else { !value.is_empty() }
    }

    /// What is left becomes the service's metadata.
    pub(crate) fn into_meta(mut self, rules: Rules, settings: &Settings) -> Vec<Attribute> {
        for used in ["id", "name", "tags"] {
            self.values.remove(used);
        }
        let mut meta: Vec<_> =
            self.values.into_iter().map(|(key, value)| Attribute { key, value }).collect();
        if rules.sound {
            meta.retain(|entry| fits(entry, settings));
            for Attribute { key, .. } in meta.drain(MAX_PAIRS.min(meta.len())..) {
                left_out(&key, &format!("there are more than {MAX_PAIRS} attributes"));
            }
        }
        meta
    }
}

/// A word that a person uses for yes or no; what is not a no is a yes.
pub(crate) fn is_true(value: &str) -> bool {
    !matches!(value.trim().to_lowercase().as_str(), "" | "false" | "0" | "no" | "off")
}

/// Whether Consul takes the pair and everybody may read it. One that Consul
/// refuses would cost the service its whole registration.
fn fits(entry: &Attribute, settings: &Settings) -> bool {
    let Attribute { key, value } = entry;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let reason = if key.is_empty() || !key.chars().all(legal) {
        "Consul allows only letters, digits, - and _ in a key"
    } else if key.len() > MAX_KEY {
        "Consul allows 128 characters in a key"
    } else if key.starts_with("consul-") || key.starts_with("wharfinger-") {
        "the key's prefix is reserved"
    } else if value.len() > MAX_VALUE {
        "Consul allows 512 characters in a value"
    } else if is_secret(key, value, settings) {
        "it looks like a secret, and everybody can read metadata"
    } else {
        return true;
    };
    left_out(key, reason);
    false
}

fn left_out(key: &str, reason: &str) {
    logging::warn(format!("SERVICE_{} is left out of the metadata: {reason}", key.to_uppercase()));
}

fn is_secret(key: &str, value: &str, settings: &Settings) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    settings.secret_words.iter().any(|word| key.contains(&word.to_lowercase()))
        || has_password(value)
}

/// A URL with a password in front of its host, such as
/// `postgres://app:pass@db/shop`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)], port: &str) -> Vec<(String, String)> {
        let mut metadata = Metadata { values: BTreeMap::new(), of_port: BTreeSet::new() };
        for (key, value) in pairs {
            metadata.insert(key, value, port);
        }
        metadata.values.into_iter().collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn the_port_wins_wherever_it_stands() {
        assert_eq!(keys(&[("name", "a"), ("80_name", "b")], "80"), pairs(&[("name", "b")]));
        assert_eq!(keys(&[("80_name", "b"), ("name", "a")], "80"), pairs(&[("name", "b")]));
        assert_eq!(keys(&[("80_name", "b"), ("name", "a")], "81"), pairs(&[("name", "a")]));
        assert_eq!(keys(&[("80_name", "b"), ("80_name", "c")], "80"), pairs(&[("name", "c")]));
    }

    #[test]
    fn only_a_number_before_an_underscore_names_a_port() {
        assert_eq!(keys(&[("80", "x")], "80"), pairs(&[("80", "x")]));
        assert_eq!(keys(&[("+80_x", "v")], "80"), pairs(&[]));
        assert_eq!(keys(&[("8a_x", "v")], "80"), pairs(&[("8a_x", "v")]));
        assert_eq!(keys(&[("_x", "v")], "80"), pairs(&[("_x", "v")]));
    }

    #[test]
    fn a_url_with_a_password_is_a_secret() {
        assert!(has_password("postgres://app:pass@db/shop"));
        assert!(!has_password("http://example.com/a:b@c"));
        assert!(!has_password("https://user@example.com"));
        assert!(!has_password("a:b@c"));
    }
}
