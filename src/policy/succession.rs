//! Which bundle may follow which. Pure.
//!
//! A signature says that a bundle is the organisation's, and not that it is the one of today. So
//! whoever can write to a source could bring any of the past back, but for the sequence that is
//! part of what is signed.

use super::{Bundle, Digest, standing::InForce};

/// Why a bundle may not follow the one that a host has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// It is another policy.
    #[error("it is the policy {found:?}, and this host has {known:?}")]
    Name {
        /// The name of what is offered.
        found: String,
        /// The name of what the host has.
        known: String,
    },
    /// Two bundles of one number.
    #[error("its sequence {0} is that of the bundle that this host has, which is another one")]
    Equal(u64),
    /// It is older.
    #[error("its sequence {found} is older than {known}, which this host has")]
    Older {
        /// The sequence of what is offered.
        found: u64,
        /// That of what the host has.
        known: u64,
    },
    /// Only the bundle before may come back.
    #[error("its sequence {found} is older than {known}, and it is not what this host had before")]
    NotBefore {
        /// The sequence of what is offered.
        found: u64,
        /// That of what the host has.
        known: u64,
    },
}

/// The way back, which an operator has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// On to something newer.
    On,
    /// Back to the bundle that this host had in force before, if it had one.
    Back(Option<&'a Digest>),
}

/// Whether `bundle` may follow what a host has. The same one may always.
///
/// # Errors
///
/// See [`SuccessionError`].
pub fn may_follow(
    known: Option<&InForce>,
    bundle: &Bundle,
    way: Way<'_>,
) -> Result<(), SuccessionError> {
    let Some(known) = known.filter(|known| known.digest != bundle.digest) else { return Ok(()) };
    let (found, had) = (bundle.sequence, known.sequence);
    if bundle.name != known.name {
        let (found, known) = (bundle.name.clone(), known.name.clone());
        return Err(SuccessionError::Name { found, known });
    }
    match way {
        _ if found > had => Ok(()),
        Way::Back(Some(before)) if *before == bundle.digest => Ok(()),
        _ if found == had => Err(SuccessionError::Equal(found)),
        Way::Back(_) => Err(SuccessionError::NotBefore { found, known: had }),
        Way::On => Err(SuccessionError::Older { found, known: had }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn bundle(name: &str, sequence: u64, content: &str) -> Bundle {
        Bundle {
            digest: Digest::of(content.as_bytes()),
            name: name.into(),
            sequence,
            document: String::new(),
            components: BTreeMap::new(),
            signatures: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_newer_follows_and_only_the_one_before_comes_back() {
        let (seven, six) = (Digest::of(b"seven"), Digest::of(b"six"));
        let (name, key) = ("prod".to_string(), "ops".to_string());
        let known = InForce { digest: seven, name, sequence: 7, key };
        let newer = Err(SuccessionError::Older { found: 6, known: 7 });
        let stranger = Err(SuccessionError::NotBefore { found: 6, known: 7 });
        let other = Err(SuccessionError::Name { found: "lab".into(), known: "prod".into() });
        for (one, way, expected) in [
            (bundle("prod", 7, "seven"), Way::On, Ok(())),
            (bundle("prod", 8, "eight"), Way::On, Ok(())),
            (bundle("prod", 8, "eight"), Way::Back(None), Ok(())),
            (bundle("prod", 7, "other"), Way::On, Err(SuccessionError::Equal(7))),
            (bundle("prod", 7, "other"), Way::Back(Some(&six)), Err(SuccessionError::Equal(7))),
            (bundle("prod", 6, "six"), Way::On, newer),
            (bundle("prod", 6, "six"), Way::Back(Some(&six)), Ok(())),
            (bundle("prod", 6, "six"), Way::Back(None), stranger.clone()),
            (bundle("prod", 6, "another"), Way::Back(Some(&six)), stranger),
            (bundle("lab", 9, "nine"), Way::On, other.clone()),
            (bundle("lab", 6, "six"), Way::Back(Some(&six)), other),
        ] {
            assert_eq!(may_follow(Some(&known), &one, way), expected, "{one:?} {way:?}");
            assert_eq!(may_follow(None, &one, way), Ok(()));
        }
    }
}
