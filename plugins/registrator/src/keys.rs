//! `SERVICE_*` of a container's environment and labels, and which of them count for one of its
//! ports.
//!
//! A key may name the ports that it is for, the more closely the more it counts:
//! `SERVICE_<port>_<protocol>_X`, `SERVICE_<port>_X`, `SERVICE_<from>-<to>_<protocol>_X`,
//! `SERVICE_<from>-<to>_X`, `SERVICE_X`. Of two ranges the smaller one counts. Of keys that name
//! the same ports, labels come after the environment, and the last one counts. Source of what
//! registrator knows, which is `SERVICE_<port>_X` and `SERVICE_X`: its recorded behaviour.

use std::{cmp::Reverse, collections::BTreeMap};

use wharfinger_plugin::{Attribute, Container, Origin, Protocol};

use crate::{
    Rules,
    fields::{Known, known, nearest},
    log::Log,
};

const PREFIX: &str = "SERVICE_";

/// How closely a key names a port; the greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    /// How many ports it names.
    width: Reverse<u32>,
    /// Whether it names the protocol.
    protocol: bool,
}

impl Scope {
    /// That of a key that is for all ports.
    pub(crate) const COMMON: Self = Self { width: Reverse(u32::MAX), protocol: false };

    /// Whether the key names the protocol.
    pub(crate) fn names_protocol(self) -> bool {
        self.protocol
    }
}

/// A key as it was written, and what it is for.
#[derive(Debug)]
struct Key<'a> {
    written: &'a str,
    value: &'a str,
    /// In small letters, without prefix and ports, and in the one spelling of a key that the
    /// stage reads.
    name: String,
    scope: Scope,
    ports: (u32, u32),
    protocol: Option<Protocol>,
}

/// All keys of a container, those of the environment first.
#[derive(Debug)]
pub(crate) struct Keys<'a>(Vec<Key<'a>>);

impl<'a> Keys<'a> {
    /// Read the keys of a container, and say what is wrong with them.
    pub(crate) fn of(container: &'a Container, rules: Rules, log: &Log) -> Self {
        let pairs = container.env.iter().chain(&container.labels);
        Self(pairs.filter_map(|pair| read(pair, rules, log)).collect())
    }

    /// Those that count for a port of the container.
    pub(crate) fn of_port(&self, origin: &Origin) -> Said<'_> {
        let port = u32::from(origin.container_port);
        let mut values: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
        for key in &self.0 {
            let named = (key.ports.0..=key.ports.1).contains(&port);
            if !named || key.protocol.is_some_and(|protocol| protocol != origin.protocol) {
                continue;
            }
            let mut beaten = Vec::new();
            if let Some(before) = values.get_mut(&*key.name) {
                if key.scope < before.key.scope {
                    before.beaten.push(key.written);
                    continue;
                }
                beaten = std::mem::take(&mut before.beaten);
                if before.key.written != key.written {
                    beaten.push(before.key.written);
                }
            }
            values.insert(&key.name, Entry { key, beaten });
        }
        Said { values }
    }
}

fn read<'a>(pair: &'a Attribute, rules: Rules, log: &Log) -> Option<Key<'a>> {
    let written = pair.key.as_str();
    let lower = written.strip_prefix(PREFIX)?.to_lowercase();
    let whole = |ports: (u32, u32)| (ports.1 + 1).saturating_sub(ports.0);
    let (ports, rest) = match lower.split_once('_') {
        // What is written as a number names a port, if not this one.
        Some((number, rest)) if number.parse::<i64>().is_ok() => (one(number), rest),
        Some((range, rest)) if rules.sound && looks_like_range(range) => match between(range) {
            Some(ports) => (ports, rest),
            None => {
                log.warn(format!("{written}: {range} is no range of ports; the key is not used"));
                return None;
            }
        },
        _ => ((0, u32::MAX - 1), lower.as_str()),
    };
    let common = ports.1 == u32::MAX - 1;
    let of_protocol = rest.split_once('_').filter(|_| rules.sound && !common);
    let (protocol, rest) = match of_protocol.and_then(|(word, rest)| Some((protocol(word)?, rest)))
    {
        Some((protocol, rest)) => (Some(protocol), rest),
        None => (None, rest),
    };
    let scope = match common {
        true => Scope::COMMON,
        false => Scope { width: Reverse(whole(ports)), protocol: protocol.is_some() },
    };
    let name = match known(rest) {
        _ if !rules.sound => rest.to_string(),
        Known::Read(name) => name.into_owned(),
        Known::Other(name) => name.to_string(),
        Known::Unknown(_) if log.is_full() => return None,
        Known::Unknown(spelt) => {
            // Letters that no key has may be of another length in small.
            let ports = match written.is_ascii() {
                true => &written[..written.len() - rest.len()],
                false => PREFIX,
            };
            log.warn(format!(
                "{written} is not used: there is no such key of a check; the nearest is \
                 {ports}CHECK_{}",
                nearest(spelt).to_uppercase()
            ));
            return None;
        }
    };
    Some(Key { written, value: &pair.value, name, scope, ports, protocol })
}

/// The port that a number names; none if it is not written as one.
fn one(number: &str) -> (u32, u32) {
    let port = number.parse::<u16>().ok().filter(|port| port.to_string() == number);
    port.map_or((1, 0), |port| (port.into(), port.into()))
}

fn looks_like_range(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(from, to)| digits(from) && digits(to))
}

fn between(range: &str) -> Option<(u32, u32)> {
    let (from, to) = range.split_once('-')?;
    let (from, to) = (from.parse::<u16>().ok()?, to.parse::<u16>().ok()?);
    (from <= to).then_some((from.into(), to.into()))
}

fn protocol(word: &str) -> Option<Protocol> {
    match word {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// The key that counts, and those that do not because of it.
#[derive(Debug)]
struct Entry<'k> {
    key: &'k Key<'k>,
    beaten: Vec<&'k str>,
}

/// What a container says of one of its ports.
#[derive(Debug)]
pub(crate) struct Said<'k> {
    values: BTreeMap<&'k str, Entry<'k>>,
}

impl Said<'_> {
    /// The value of a key; empty if it is not set.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |entry| entry.key.value)
    }

    /// The value of a key that is set and not empty.
    pub(crate) fn set(&self, key: &str) -> Option<&str> {
        Some(self.get(key)).filter(|value| !value.is_empty())
    }

    /// How closely the key that counts names the port.
    pub(crate) fn scope(&self, key: &str) -> Scope {
        self.values.get(key).map_or(Scope::COMMON, |entry| entry.key.scope)
    }

    /// Whether a key that names the port says this, be it nothing.
    pub(crate) fn is_of_port(&self, key: &str) -> bool {
        self.scope(key) != Scope::COMMON
    }

    /// How the user wrote a key, for messages.
    pub(crate) fn spelling(&self, key: &str) -> String {
        let written = self.values.get(key).map(|entry| entry.key.written.to_string());
        written.unwrap_or_else(|| format!("{PREFIX}{}", key.to_uppercase()))
    }

    /// Every key, as it is asked for, as it was written, and with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.values.values().map(|Entry { key, .. }| (&*key.name, key.written, key.value))
    }

    /// Which keys count because they name the port, and what they count more than; a phrase each.
    /// Of `kinds`, which are in each other's way, only those of `counting` count.
    pub(crate) fn chosen(&self, kinds: &[&str], counting: &[&str]) -> Vec<String> {
        let (mut phrases, mut left) = (Vec::new(), Vec::new());
        for (name, entry) in &self.values {
            if kinds.contains(name) && !counting.contains(name) && !entry.key.value.is_empty() {
                left.push(entry.key.written);
            }
        }
        for (name, Entry { key, beaten }) in &self.values {
            let mut beaten = beaten.clone();
            if counting.contains(name) {
                beaten.append(&mut left);
            } else if left.contains(&key.written) {
                continue;
            }
            match beaten.is_empty() {
                true if key.scope == Scope::COMMON => {}
                true => phrases.push(format!("{} counts", key.written)),
                false => phrases.push(format!("{} counts, not {}", key.written, beaten.join(", "))),
            }
        }
        phrases
    }
}

#[cfg(test)]
mod tests;
