//! A snapshot of the running loop for those who look at it: a copy of what it knows at one moment,
//! so that they cannot hold it up.

use std::sync::Arc;

use super::state::{guard::Held, meters::Counts, overview::Overview, roster::Row};
use crate::pipeline::StageHealth;

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that are due and wait for their turn.
    pub due: usize,
    /// Jobs of which the time has not come.
    pub later: usize,
    /// Jobs that are being done.
    pub running: usize,
    /// Jobs that failed the last time, and are tried again.
    pub failing: usize,
}

/// A snapshot of what the loop knows.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How it fares.
    pub overview: Overview,
    /// The changes that the bulk guard holds.
    pub held: Option<Held>,
    /// How the stages of the pipeline in force have fared.
    pub stages: Vec<StageHealth>,
    /// The digest of that pipeline.
    pub pipeline: String,
    /// The counts since the daemon's start.
    pub counts: Counts,
    /// How much there is to do.
    pub load: Load,
    /// The containers, by their identifiers.
    pub containers: Vec<Arc<Row>>,
    /// How often one of the containers has changed.
    pub revision: u64,
}
