//! What a daemon tells the fleet of itself: the metadata of its service in Consul, within what
//! Consul takes. Values without I/O.

use std::collections::BTreeMap;

use super::{Digest, rollout::Member};

/// The most bytes of a value of a service's metadata.
const MOST: usize = 512;

/// The state of a daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The program's version.
    pub version: String,
    /// The bundle in force, with the policy's name and its number.
    pub bundle: Option<(Digest, String, u64)>,
    /// The bundle that was refused, and why.
    pub refused: Option<(Digest, String)>,
    /// How many changes the guard holds.
    pub held: u32,
    /// The stages that are unhealthy.
    pub unhealthy: Vec<String>,
}

impl Told {
    /// As a service's metadata. What is not there is left out, so that equal states are equal
    /// texts and nothing is written for them.
    #[must_use]
    pub fn meta(&self) -> BTreeMap<String, String> {
        let mut meta = BTreeMap::new();
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                meta.insert(key.to_string(), within(value).to_string());
            }
        };
        put("version", &self.version);
        if let Some((digest, name, sequence)) = &self.bundle {
            put("policy", name);
            put("bundle", &digest.to_string());
            put("sequence", &sequence.to_string());
        }
        if let Some((digest, reason)) = &self.refused {
            put("refused", &digest.to_string());
            put("reason", reason);
        }
        if self.held > 0 {
            put("held", &self.held.to_string());
        }
        put("unhealthy", &self.unhealthy.join(","));
        meta
    }
}

impl Member {
    /// What a service's metadata say. Others can write there, too: a bundle that is no digest is
    /// none, and a number that is none is as large as can be, so that nonsense rather stops a
    /// rollout than lets it go on.
    #[must_use]
    pub fn of(meta: &BTreeMap<String, String>, lost: bool) -> Self {
        let digest = |key: &str| meta.get(key)?.parse::<Digest>().ok();
        Self {
            bundle: digest("bundle"),
            refused: digest("refused"),
            held: meta.get("held").map_or(0, |held| held.parse().unwrap_or(u32::MAX)),
            unhealthy: meta.contains_key("unhealthy"),
            lost,
        }
    }
}

/// As much of a text as fits into a value, whole characters of it.
fn within(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_fits() {
        let digest = Digest::of(b"bundle");
        let told = Told {
            version: "0.1.0".into(),
            bundle: Some((digest, "prod".into(), 7)),
            refused: Some((Digest::of(b"other"), "é".repeat(1000))),
            held: 3,
            unhealthy: vec!["gate".into(), "x".repeat(600)],
        };
        let meta = told.meta();
        let key = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(meta.iter().all(|(k, v)| k.chars().all(key) && v.len() <= MOST), "{meta:?}");
        assert_eq!(meta["reason"], "é".repeat(256));
        let member = Member {
            bundle: Some(digest),
            refused: Some(Digest::of(b"other")),
            held: 3,
            unhealthy: true,
            lost: false,
        };
        assert_eq!(Member::of(&meta, false), member);
    }

    #[test]
    fn one_that_is_well_tells_little_and_nonsense_is_no_good_news() {
        let meta = Told { version: "0.1.0".into(), ..Told::default() }.meta();
        assert_eq!(meta.keys().collect::<Vec<_>>(), ["version"]);
        assert_eq!(Member::of(&meta, false), Member::default());
        let meta = [("bundle", "sha256:x"), ("held", "-1"), ("refused", "yes")];
        let meta = meta.map(|(key, value)| (key.to_string(), value.to_string())).into();
        let odd = Member { held: u32::MAX, lost: true, ..Member::default() };
        assert_eq!(Member::of(&meta, true), odd);
    }
}
