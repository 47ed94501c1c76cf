//! What the stage says of a container, each sentence once: several ports often have the same
//! fault of the same key.

use std::{cell::RefCell, collections::HashSet};

use wharfinger_plugin::logging::{self, Level};

/// More messages of one call than anybody reads; what a container says may be of any length.
const MAX_MESSAGES: usize = 100;
const MAX_LENGTH: usize = 1_000;

/// The messages of one call.
#[derive(Debug, Default)]
pub(crate) struct Log(RefCell<HashSet<String>>);

impl Log {
    /// Say that something was mended or left out.
    pub(crate) fn warn(&self, message: impl Into<String>) {
        self.say(Level::Warn, message.into());
    }

    /// Say what only those want to know who ask why.
    pub(crate) fn debug(&self, message: impl Into<String>) {
        self.say(Level::Debug, message.into());
    }

    /// Whether nothing more will be said.
    pub(crate) fn is_full(&self) -> bool {
        self.0.borrow().len() >= MAX_MESSAGES
    }

    fn say(&self, level: Level, mut message: String) {
        if message.len() > MAX_LENGTH {
            let all = message.len();
            message.truncate(message.floor_char_boundary(MAX_LENGTH));
            message += &format!("… ({all} bytes)");
        }
        let mut said = self.0.borrow_mut();
        if said.len() < MAX_MESSAGES && said.insert(message.clone()) {
            logging::log(level, message);
            if said.len() == MAX_MESSAGES {
                logging::warn("there is more to be said of this container, which is left out");
            }
        }
    }
}

/// A value of a label, short enough for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
