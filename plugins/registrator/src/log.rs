//! What the stage says of a container, each sentence once: several ports often have the same
//! fault of the same key.

use std::{cell::RefCell, collections::HashSet};

use wharfinger_plugin::logging::{self, Level};

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

    fn say(&self, level: Level, message: String) {
        if self.0.borrow_mut().insert(message.clone()) {
            logging::log(level, message);
        }
    }
}

/// A value of a label, short enough for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
