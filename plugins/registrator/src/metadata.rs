//! What a container says of itself becomes its service's metadata, unless the stage reads it.

use wharfinger_plugin::Attribute;

use crate::{Rules, Settings, fields, keys::Said, log::Log, secrets};

/// Consul allows 64 pairs; the rest is left to what the daemon adds of its own.
/// Source: Consul's documentation of service metadata.
const MAX_PAIRS: usize = 56;
const MAX_KEY: usize = 128;
const MAX_VALUE: usize = 512;

/// A service's metadata. registrator reads no more than these three keys to the exclusion of
/// metadata.
pub(crate) fn of(said: &Said<'_>, rules: Rules, settings: &Settings, log: &Log) -> Vec<Attribute> {
    let used = |key: &str| match rules.sound {
        true => fields::is_read(key),
        false => matches!(key, "id" | "name" | "tags"),
    };
    let mut meta = Vec::new();
    for (key, written, value) in said.iter().filter(|(key, ..)| !used(key)) {
        let fault = match rules.sound {
            false => None,
            true if meta.len() >= MAX_PAIRS => {
                Some(format!("there are more than {MAX_PAIRS} attributes"))
            }
            true => fault(key, value, settings).map(String::from),
        };
        match fault {
            None => meta.push(Attribute::new(key, value)),
            Some(fault) => log.warn(format!("{written} is left out of the metadata: {fault}")),
        }
    }
    meta
}

/// Why Consul does not take the pair, or not everybody may read it. One that Consul refuses would
/// cost the service its whole registration.
fn fault(key: &str, value: &str, settings: &Settings) -> Option<&'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if key.is_empty() || !key.chars().all(legal) {
        Some("Consul allows only letters, digits, - and _ in a key")
    } else if key.len() > MAX_KEY {
        Some("Consul allows 128 characters in a key")
    } else if key.starts_with("consul-") || key.starts_with("wharfinger-") {
        Some("the key's prefix is reserved")
    } else if value.len() > MAX_VALUE {
        Some("Consul allows 512 characters in a value")
    } else if is_secret(key, value, settings) {
        Some("it looks like a secret, and everybody can read metadata")
    } else {
        None
    }
}

/// A word that a person uses for yes or no; what is not a no is a yes.
pub(crate) fn is_true(value: &str) -> bool {
    !matches!(value.trim().to_lowercase().as_str(), "" | "false" | "0" | "no" | "off")
}

/// The operator's words are in the place of the rule for names; that for values holds anyway.
fn is_secret(key: &str, value: &str, settings: &Settings) -> bool {
    let Some(words) = &settings.secret_words else { return secrets::is_secret(key, value) };
    let key = key.to_lowercase().replace('-', "_");
    words.iter().any(|word| key.contains(&word.to_lowercase())) || secrets::is_secret("", value)
}
