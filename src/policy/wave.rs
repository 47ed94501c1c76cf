//! Which wave of a rollout a host belongs to: by a stable hash of its name, so that all hosts
//! agree without asking each other. A value without I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// The most waves that a rollout can have.
const MOST: usize = 50;

/// The share of the fleet that has had its turn once a wave is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many hosts.
    Hosts(u32),
    /// So many of a hundred, from 1 to 100.
    Percent(u8),
}

/// The waves of a rollout in their order, each with what is done once it is over; the last one
/// is all of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waves(Vec<Share>);

/// Waves that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWaves {
    /// A share is neither a number of hosts nor of percent.
    #[error("{0:?} is no wave: wanted a number of hosts, or from 1% to 100%")]
    Share(String),
    /// A wave is no larger than the one before it.
    #[error("wave {0} is not larger than the one before it")]
    Order(String),
    /// Some hosts would never have their turn.
    #[error("the last wave is not 100%, so that some hosts would never have their turn")]
    Last,
    /// There are more than make sense.
    #[error("there are more than {MOST} waves")]
    Many,
}

impl Waves {
    /// The number of waves; at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The wave of a host, counted from 0, where `others` are the names of all hosts of the
    /// fleet; whether this one is among them makes no difference.
    #[must_use]
    pub fn of<'a>(&self, host: &str, others: impl IntoIterator<Item = &'a str>) -> usize {
        let own = place(host);
        let before = others.into_iter().filter(|other| place(other) < own).count();
        self.at(own.0, before)
    }

    /// The waves of all hosts of a fleet, of which these are the names.
    #[must_use]
    pub fn of_all<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
        let places: BTreeSet<_> = names.into_iter().map(place).collect();
        let with_wave = |(before, (number, name))| (name, self.at(number, before));
        places.into_iter().enumerate().map(with_wave).collect()
    }

    /// The wave at this number, before which there are so many hosts.
    fn at(&self, number: u64, before: usize) -> usize {
        let holds = |share: &Share| match *share {
            Share::Hosts(count) => before < usize::try_from(count).unwrap_or(usize::MAX),
            Share::Percent(100) => true,
            Share::Percent(percent) => u128::from(number) * 100 < u128::from(percent) << 64,
        };
        self.0.iter().position(holds).unwrap_or(self.0.len().saturating_sub(1))
    }
}

/// Where a name stands among all names. Two with the same number are told apart by themselves.
fn place(host: &str) -> (u64, &str) {
    let hash = Sha256::digest(host.as_bytes());
    let number = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number, host)
}

impl FromStr for Share {
    type Err = BadWaves;

    fn from_str(text: &str) -> Result<Self, BadWaves> {
        let bad = || BadWaves::Share(text.chars().take(40).collect());
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad());
        }
        let share = match text.strip_suffix('%') {
            Some(percent) => Self::Percent(percent.parse().map_err(|_| bad())?),
            None => Self::Hosts(text.parse().map_err(|_| bad())?),
        };
        match share {
            Self::Hosts(0) | Self::Percent(0 | 101..) => Err(bad()),
            share => Ok(share),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(count) => write!(out, "{count}"),
            Self::Percent(percent) => write!(out, "{percent}%"),
        }
    }
}

impl FromStr for Waves {
    type Err = BadWaves;

    fn from_str(text: &str) -> Result<Self, BadWaves> {
        let shares: Vec<Share> =
            text.split(',').map(|share| share.trim().parse()).collect::<Result<_, _>>()?;
        if shares.len() > MOST {
            return Err(BadWaves::Many);
        }
        for pair in shares.windows(2) {
            let grows = match (pair[0], pair[1]) {
                (Share::Hosts(one), Share::Hosts(next)) => one < next,
                (Share::Percent(one), Share::Percent(next)) => one < next,
                // Which one is larger is a matter of how many hosts there are.
                _ => true,
            };
            if !grows {
                return Err(BadWaves::Order(pair[1].to_string()));
            }
        }
        match shares.last() {
            Some(Share::Percent(100)) => Ok(Self(shares)),
            _ => Err(BadWaves::Last),
        }
    }
}

impl fmt::Display for Waves {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        out.write_str(&shares.join(","))
    }
}

impl Serialize for Waves {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Waves {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(text: &str) -> Waves {
        text.parse().expect("waves")
    }

    #[test]
    fn what_is_written_is_read_and_what_makes_no_sense_is_named() {
        for text in ["100%", "1,10%,50%,100%", "1,5,100%"] {
            assert_eq!(waves(text).to_string(), text);
        }
        assert_eq!(waves("1, 100%").count(), 2);
        for (text, part) in [
            ("", "\"\" is no wave"),
            ("0,100%", "\"0\" is no wave"),
            ("0%,100%", "\"0%\" is no wave"),
            ("101%", "\"101%\" is no wave"),
            ("-1,100%", "\"-1\" is no wave"),
            ("+1,100%", "\"+1\" is no wave"),
            ("many", "\"many\" is no wave"),
            ("5,1,100%", "wave 1 is not larger"),
            ("50%,50%,100%", "wave 50% is not larger"),
            ("1,50%", "not 100%"),
            ("7", "not 100%"),
        ] {
            let fault = text.parse::<Waves>().expect_err(text).to_string();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        let many = (1..=MOST).map(|n| format!("{n},")).collect::<String>() + "100%";
        assert_eq!(many.parse::<Waves>(), Err(BadWaves::Many));
    }

    #[test]
    fn each_host_has_one_wave_and_they_have_their_sizes() {
        let names: Vec<_> = (0..1000).map(|n| format!("host-{n}")).collect();
        let all = || names.iter().map(String::as_str);
        let waves = waves("1,5,10%,50%,100%");
        let mut sizes = vec![0; waves.count()];
        waves.of_all(all()).into_values().for_each(|wave| sizes[wave] += 1);
        assert_eq!(sizes[..2], [1, 4]);
        for (size, wanted) in sizes[2..].iter().zip([95, 400, 500]) {
            assert!((wanted - 60..wanted + 60).contains(size), "{sizes:?}");
        }
        // Neither does it matter whether a host has seen itself, nor in which order.
        for name in &names[..50] {
            let others = all().rev().filter(|other| other != name);
            assert_eq!(waves.of(name, others), waves.of_all(all())[name.as_str()], "{name}");
        }
    }

    #[test]
    fn a_host_that_goes_brings_no_other_into_a_later_wave() {
        let names: Vec<_> = (0..60).map(|n| format!("host-{n}")).collect();
        let waves = waves("3,20%,100%");
        for gone in &names {
            let left = || names.iter().filter(|name| *name != gone).map(String::as_str);
            for name in left() {
                let before = waves.of(name, names.iter().map(String::as_str));
                assert!(waves.of(name, left()) <= before, "{name} without {gone}");
            }
        }
    }
}
