//! The facts a daemon tells the fleet of itself: the metadata of its service in Consul, within
//! Consul's bounds. Values without I/O.

use std::collections::BTreeMap;

use super::{Digest, rollout::Member, standing::Standing};

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
    /// The number of changes that the guard holds.
    pub held: u32,
    /// The stages that are unhealthy.
    pub unhealthy: Vec<String>,
    /// The reason why the wanted bundle is not taken yet.
    pub waits: Option<String>,
    /// Whether the bundle's stages are monitored only.
    pub monitored: bool,
    /// Where the host looks for its policy; none if it takes none.
    pub source: Option<String>,
    /// The error that keeps the policy's source from being read.
    pub source_failing: Option<String>,
    /// The numbers of containers and services; none as long as nothing was read.
    pub counts: Option<(usize, usize)>,
}

/// The keys whose values change all the time on a busy host.
const COUNTS: [&str; 2] = ["containers", "services"];

/// Whether two states differ in no more than the numbers of containers and services, which
/// both of them tell or neither.
#[must_use]
pub fn differ_in_counts(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> bool {
    let rest = |meta: &BTreeMap<String, String>| -> Vec<_> {
        let all = meta.iter().filter(|(key, _)| !COUNTS.contains(&key.as_str()));
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let tells = |meta: &BTreeMap<String, String>| COUNTS.iter().any(|key| meta.contains_key(*key));
    rest(one) == rest(other) && tells(one) == tells(other)
}

impl Told {
    /// The same with how the host stands to its policy.
    #[must_use]
    pub fn standing(self, standing: &Standing) -> Self {
        let Standing { in_force, refused, waits, monitored, source, source_failing } =
            standing.clone();
        Self {
            bundle: in_force.map(|one| (one.digest, one.name, one.sequence)),
            refused: refused.map(|one| (one.digest, one.reason)),
            waits: waits.map(|waits| waits.to_string()).or(self.waits),
            monitored,
            source,
            source_failing,
            ..self
        }
    }

    /// As a service's metadata. Absent values are left out, so that equal states are equal texts
    /// and nothing is written for them.
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
        put("waits", self.waits.as_deref().unwrap_or_default());
        put("monitored", if self.monitored { "true" } else { "" });
        put("source", self.source.as_deref().unwrap_or_default());
        put("source-failing", self.source_failing.as_deref().unwrap_or_default());
        if let Some((containers, services)) = self.counts {
            put("containers", &containers.to_string());
            put("services", &services.to_string());
        }
        meta
    }
}

impl Member {
    /// The member by a service's metadata. Others can write there, too: a bundle that is no digest
    /// is none, and a number that is none is as large as can be, so that nonsense rather stops a
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
    use crate::policy::{
        rollout::Waits,
        standing::{InForce, Refused},
    };

    #[test]
    fn what_is_told_is_understood_and_fits() {
        let digest = Digest::of(b"bundle");
        let told = Told {
            version: "0.1.0".into(),
            bundle: Some((digest, "prod".into(), 7)),
            refused: Some((Digest::of(b"other"), "é".repeat(1000))),
            held: 3,
            unhealthy: vec!["gate".into(), "x".repeat(600)],
            ..Told::default()
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
    fn all_of_a_standing_is_told() {
        let standing = Standing {
            in_force: Some(InForce {
                digest: Digest::of(b"bundle"),
                name: "prod".into(),
                sequence: 7,
                key: "ops".into(),
            }),
            refused: Some(Refused { digest: Digest::of(b"other"), reason: "it fails".into() }),
            waits: Some(Waits::Wave(1)),
            monitored: true,
            source: Some("consul-kv://wharfinger/prod".into()),
            source_failing: Some("no answer".into()),
        };
        let meta = Told::default().standing(&standing).meta();
        for (key, value) in [
            ("policy", "prod"),
            ("sequence", "7"),
            ("bundle", &*Digest::of(b"bundle").to_string()),
            ("refused", &*Digest::of(b"other").to_string()),
            ("reason", "it fails"),
            ("waits", "wave 1 is not done"),
            ("monitored", "true"),
            ("source", "consul-kv://wharfinger/prod"),
            ("source-failing", "no answer"),
        ] {
            assert_eq!(meta.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!(meta.len(), 9, "{meta:?}");
    }

    #[test]
    fn counts_alone_are_a_small_difference() {
        let told = |held, counts| Told { held, counts, ..Told::default() }.meta();
        let one = told(1, Some((3, 4)));
        assert!(differ_in_counts(&one, &told(1, Some((5, 6)))));
        assert!(!differ_in_counts(&one, &told(1, None)));
        assert!(!differ_in_counts(&one, &told(2, Some((3, 4)))));
        assert!(!differ_in_counts(&one, &told(0, Some((3, 4)))));
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
