//! The facts beyond a container that have to be asked for, or read, before a stage can decide on
//! it. A stage says which of them it wants, and is shown no others, so that its answers depend on
//! what it has said itself.

use std::ops::BitOr;

use serde::{Deserialize, Serialize};

/// The facts that a stage wants, or several stages do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// The engine's facts of the container's image.
    pub image: bool,
    /// The container's setup.
    pub setup: bool,
    /// The facts of the registry's agent.
    pub agent: bool,
    /// The facts of the container engine.
    pub engine: bool,
}

impl Wants {
    /// All that there is.
    pub const ALL: Self = Self { image: true, setup: true, agent: true, engine: true };

    /// Whether something has to be asked for. A container's setup is part of its inspection.
    pub fn asks(self) -> bool {
        self.image || self.agent || self.engine
    }

    /// The words by which the contract names them.
    pub fn words(self) -> Vec<&'static str> {
        let Self { image, setup, agent, engine } = self;
        [(image, "image"), (setup, "setup"), (agent, "agent"), (engine, "engine")]
            .into_iter()
            .filter_map(|(wanted, word)| wanted.then_some(word))
            .collect()
    }
}

impl BitOr for Wants {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            image: self.image | other.image,
            setup: self.setup | other.setup,
            agent: self.agent | other.agent,
            engine: self.engine | other.engine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_together_want_what_one_of_them_wants() {
        let image = Wants { image: true, ..Wants::default() };
        let agent = Wants { agent: true, ..Wants::default() };
        assert_eq!((image | agent).words(), ["image", "agent"]);
        assert_eq!(Wants::ALL.words(), ["image", "setup", "agent", "engine"]);
        assert!(!Wants::default().asks() && !Wants { setup: true, ..Wants::default() }.asks());
        assert!(image.asks() && agent.asks() && Wants::ALL.asks());
    }
}
