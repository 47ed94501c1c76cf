//! When something was done, and for how long.

use std::time::{Duration, Instant, SystemTime};

/// When something was done.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    /// When it began, by the machine's clock.
    pub at: SystemTime,
    /// The time that it took, whatever became of that clock.
    pub took: Duration,
}

/// Something that is being done.
#[derive(Debug, Clone, Copy)]
pub struct Timer {
    at: SystemTime,
    since: Instant,
}

impl Timer {
    /// It begins now.
    pub fn start() -> Self {
        Self { at: SystemTime::now(), since: Instant::now() }
    }

    /// It ends now.
    pub fn stop(self) -> Timed {
        Timed { at: self.at, took: self.since.elapsed() }
    }
}
