//! The versions of the contract that this program knows: a value, and no more. What each of them
//! takes is in its adapter.

/// A version of the contract that this program knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// The first one.
    #[default]
    V0_1_0,
    /// A draft, which may still gain fields.
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

    /// Whether components of it may be refused by a later program, since it is not released.
    pub(super) const fn is_draft(self) -> bool {
        matches!(self, Self::V0_2_0)
    }

    /// The version of this number.
    pub(super) fn of(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }
}
