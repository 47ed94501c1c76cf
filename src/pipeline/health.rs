//! The health of a stage: its figures, and whether it fails on most of the
//! containers that it is called for.
//!
//! That is judged by the last containers that it was called for and not by the
//! last calls: a container that it fails on is tried again and again while the
//! others are not, so that of a hundred containers one would be most of the
//! calls.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Change, Made, Mode, Remark, StageError, StageFigures, Stats, Step};
use crate::model::{container::ContainerId, layer::Layer};
use crate::telemetry::event;

/// The containers that a stage's health is judged by.
const WINDOW: usize = 20;
/// Failures before a stage is called unhealthy.
const MIN_FAILURES: u64 = 3;
/// A failure that was not repeated for this long is history: its container is
/// gone, since otherwise it would have been tried again.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// The health of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageHealth {
    /// The stage's name.
    pub stage: String,
    /// Whether its word counts.
    pub mode: Mode,
    /// Whose stage it is; none where there is no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// The plugin and settings that it is made of, if they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// False if it fails on most of the containers that it is called for, or could not
    /// be loaded.
    pub healthy: bool,
    /// Why it could not be loaded, if it could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unloaded: Option<String>,
    /// Its last failure, also if it has answered since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Its figures since the daemon's start.
    pub figures: StageFigures,
    /// The figures of its calls; none of a built-in stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
}

/// The last failure of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// The error.
    pub error: String,
    /// On which container.
    pub container: ContainerId,
    /// When.
    pub at: SystemTime,
}

/// The record of a stage's calls.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<State>);

#[derive(Debug, Default, Clone)]
struct State {
    figures: StageFigures,
    /// The last containers, each once, the latest at the end.
    window: VecDeque<Seen>,
    unhealthy: bool,
    last_error: Option<LastError>,
}

#[derive(Debug, Clone)]
struct Seen {
    container: ContainerId,
    /// Failures in a row; 0 if the last call went well.
    failures: u64,
    at: Instant,
}

/// The parts of a stage's answer that are counted.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) changes: &'a [(String, Change)],
    pub(super) remarks: &'a [(String, Remark)],
}

impl Record {
    /// A call has ended.
    pub(super) fn called(&self, time: Duration, could_be_remembered: bool) {
        let figures = &mut self.lock().figures;
        figures.calls += 1;
        figures.time += time;
        figures.misses += u64::from(could_be_remembered);
    }

    /// An answer was remembered.
    pub(super) fn remembered(&self, stage: &str, container: &ContainerId) {
        let mut state = self.lock();
        state.figures.hits += 1;
        state.note(stage, container, false);
    }

    /// A call had a valid answer with these changes.
    pub(super) fn answered(&self, step: &Step, container: &ContainerId, said: Said<'_>) {
        let mut state = self.lock();
        state.figures.count(step, said.changes);
        state.figures.count_codes(step, said.remarks);
        state.note(step.name(), container, false);
    }

    /// An answer that was remembered counts for what it does under another mode.
    pub(super) fn counted_anew(&self, step: &Step, said: Said<'_>) {
        let mut state = self.lock();
        state.figures.count(step, said.changes);
        state.figures.count_codes(step, said.remarks);
    }

    /// There was no valid answer.
    pub(super) fn failed(&self, stage: &str, container: &ContainerId, error: &StageError) {
        let mut state = self.lock();
        state.figures.count_failure(error);
        state.last_error = Some(LastError {
            error: error.to_string(),
            container: container.clone(),
            at: SystemTime::now(),
        });
        state.note(stage, container, true);
    }

    /// The figures go on; the health, too, if it is that of the `same` stage.
    pub(super) fn successor(&self, same: bool) -> Self {
        let state = self.lock();
        let next = if same {
            state.clone()
        } else {
            State { figures: state.figures.clone(), ..State::default() }
        };
        Self(Mutex::new(next))
    }

    pub(super) fn health(&self, step: &Step) -> StageHealth {
        let mut state = self.lock();
        state.judge(step.name());
        StageHealth {
            stage: step.name().to_string(),
            mode: step.rules().mode,
            layer: step.layer(),
            made: step.made().cloned(),
            healthy: !state.unhealthy && step.unloaded().is_none(),
            unloaded: step.unloaded().map(String::from),
            last_error: state.last_error.clone(),
            figures: state.figures.clone(),
            stats: step.stage().stats(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters are whole at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, stage: &str, container: &ContainerId, failed: bool) {
        let known = self.window.iter().position(|seen| seen.container == *container);
        let known = known.and_then(|index| self.window.remove(index));
        let before = known.map_or(0, |seen| seen.failures);
        let failures = if failed { before + 1 } else { 0 };
        self.window.push_back(Seen { container: container.clone(), failures, at: Instant::now() });
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        self.judge(stage);
    }

    /// Say so if the stage has become unhealthy or healthy again.
    fn judge(&mut self, stage: &str) {
        self.window.retain(|seen| seen.failures == 0 || seen.at.elapsed() < FORGOTTEN);
        let failing = self.window.iter().filter(|seen| seen.failures > 0).count();
        let failures: u64 = self.window.iter().map(|seen| seen.failures).sum();
        let most = failing * 2 > self.window.len();
        let unhealthy = most && (self.unhealthy || failures >= MIN_FAILURES);
        if unhealthy == self.unhealthy {
            return;
        }
        self.unhealthy = unhealthy;
        let containers = self.window.len();
        if unhealthy {
            let reason = self.last_error.as_ref().map_or("", |last| last.error.as_str());
            warn!(
                event = event::STAGE_UNHEALTHY,
                stage,
                failing,
                containers,
                reason,
                "a stage is unhealthy: it fails on most containers"
            );
        } else {
            info!(
                event = event::STAGE_HEALTHY,
                stage, failing, containers, "a stage is healthy again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(n: usize) -> ContainerId {
        ContainerId(format!("{n:064}").into())
    }

    /// Calls for containers, by their numbers, and whether each failed.
    fn unhealthy(calls: impl IntoIterator<Item = (usize, bool)>) -> bool {
        let mut state = State::default();
        for (n, failed) in calls {
            state.note("s", &container(n), failed);
        }
        state.unhealthy
    }

    #[test]
    fn a_stage_that_fails_on_most_containers_is_unhealthy() {
        assert!(!unhealthy((0..2).map(|n| (n, true))), "too few to tell");
        assert!(unhealthy((0..3).map(|n| (n, true))));
        assert!(unhealthy((0..100).map(|n| (n, n % 3 != 0))));
        assert!(!unhealthy((0..100).map(|n| (n, n % 3 == 0))));
        assert!(unhealthy([(1, true); 3]), "the only container counts as well");
    }

    #[test]
    fn one_container_that_is_tried_again_and_again_is_one() {
        let others = (0..10).map(|n| (n, false));
        assert!(!unhealthy(others.chain([(10, true); 50])));
    }

    #[test]
    fn it_recovers_by_answering() {
        let poisoned: Vec<_> = (0..20).map(|n| (n, true)).collect();
        assert!(unhealthy(poisoned.clone()));
        let mended = (0..20).map(|n| (n, false));
        assert!(!unhealthy(poisoned.into_iter().chain(mended)));
    }
}
