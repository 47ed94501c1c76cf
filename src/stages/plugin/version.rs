//! The versions of the contract that this program knows: a value, and no more. Their types are
//! in their adapters.

/// A version of the contract that this program knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// The first one.
    #[default]
    V0_1_0,
    /// With what policies ask about a container, the host and a service.
    V0_2_0,
}

impl Version {
    /// All of them, the oldest first.
    pub(super) const ALL: [Self; 2] = [Self::V0_1_0, Self::V0_2_0];

    /// As the contract's package names it.
    pub(super) const fn number(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
        }
    }

    /// The additions to the version before, in words that end a sentence.
    const fn brings(self) -> Option<&'static str> {
        match self {
            Self::V0_1_0 => None,
            Self::V0_2_0 => Some(
                "sees, if it wants to, how a container was set up, its image, the agent and the engine; \
                 sees and sets named ports, the locality and the mesh of a service; and gives a veto a \
                 code, and a verdict notes",
            ),
        }
    }

    /// The versions after it, and what each of them brings.
    pub(super) fn later(self) -> Vec<(&'static str, &'static str)> {
        let later = Self::ALL.into_iter().filter(|version| *version > self);
        later.filter_map(|version| Some((version.number(), version.brings()?))).collect()
    }

    /// The version of this number.
    pub(super) fn of(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_says_what_it_brings_to_the_ones_before() {
        for (n, version) in Version::ALL.into_iter().enumerate() {
            let later: Vec<_> = version.later().into_iter().map(|(number, _)| number).collect();
            let expected: Vec<_> = Version::ALL[n + 1..].iter().map(|it| it.number()).collect();
            assert_eq!(later, expected, "{}", version.number());
        }
    }
}
