//! The counters of a stage, and the time and memory of its calls.

use std::{collections::BTreeMap, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{Change, Mode, Remark, StageError, Step};

/// The codes of one stage that are counted apart: a stage may make them of what containers say.
const MOST_CODES: usize = 20;
/// The code that further ones are counted as.
const OTHER: &str = "other";

/// The counters of a stage since the daemon's start. An answer's changes are counted when it
/// is given, and when a remembered one counts under another mode for the first time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageFigures {
    /// Calls of the stage.
    pub calls: u64,
    /// The time of all calls together, the wait for a turn included.
    pub time: Duration,
    /// Answers that were remembered, so that there was no call.
    pub hits: u64,
    /// Calls of which the answer could have been remembered and was not.
    pub misses: u64,
    /// Failures by kind.
    pub failures: BTreeMap<String, u64>,
    /// Services that it vetoed.
    pub vetoes: u64,
    /// Services that it vetoed with a code, by the code, of which there are few; those with others
    /// count as `other`.
    #[serde(default)]
    pub veto_codes: BTreeMap<String, u64>,
    /// Services that it changed.
    pub changes: u64,
    /// Services that it added.
    pub additions: u64,
    /// Services that it would have vetoed if it were enforced.
    pub would_be_vetoes: u64,
    /// Services that it would have changed.
    pub would_be_changes: u64,
    /// Services that it would have added.
    pub would_be_additions: u64,
}

/// The figures of a stage's calls since it was loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The calls.
    pub calls: u64,
    /// The calls by outcome: `ok`, or the kind of the failure, such as `timeout`,
    /// `memory` or `trap`.
    pub outcomes: BTreeMap<String, u64>,
    /// The time of the calls, without the wait for a turn.
    pub time: Times,
    /// The most memory that a call used, all memories and tables together.
    pub peak_memory: ByteSize,
    /// Messages that were dropped because there were too many.
    pub dropped_messages: u64,
}

/// Quantiles of the time of a call, exact to two digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Half of the calls took no longer.
    pub p50: Duration,
    /// Nine of ten calls took no longer.
    pub p90: Duration,
    /// 99 of 100 calls took no longer.
    pub p99: Duration,
    /// The longest call.
    pub max: Duration,
}

impl StageFigures {
    pub(super) fn count(&mut self, step: &Step, changes: &[(String, Change)]) {
        let would_be = step.rules().mode == Mode::Monitor;
        for (_, change) in changes {
            let figure = match (change, would_be) {
                (Change::Changed(_), false) => &mut self.changes,
                (Change::Vetoed(_), false) => &mut self.vetoes,
                (Change::Added, false) => &mut self.additions,
                (Change::Changed(_), true) => &mut self.would_be_changes,
                (Change::Vetoed(_), true) => &mut self.would_be_vetoes,
                (Change::Added, true) => &mut self.would_be_additions,
            };
            *figure += 1;
        }
    }

    /// Count the codes of vetoes that count.
    pub(super) fn count_codes(&mut self, step: &Step, remarks: &[(String, Remark)]) {
        if step.rules().mode == Mode::Monitor {
            return;
        }
        for code in remarks.iter().filter_map(|(_, remark)| remark.code.as_deref()) {
            let known = self.veto_codes.contains_key(code) || self.veto_codes.len() < MOST_CODES;
            let code = if known { code } else { OTHER };
            *self.veto_codes.entry(code.into()).or_default() += 1;
        }
    }

    pub(super) fn count_failure(&mut self, error: &StageError) {
        *self.failures.entry(error.kind().into()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pipeline::{Rules, Unloaded};

    #[test]
    fn codes_are_counted_and_bounded() {
        let step = Step::new(Arc::new(Unloaded::new("s", "it is not there")));
        let remarks: Vec<_> = (0..50)
            .map(|n| (String::new(), Remark::new(Some(format!("code-{n}")), Vec::new())))
            .collect();
        let mut figures = StageFigures::default();
        figures.count_codes(&step, &remarks);
        figures.count_codes(&step, &remarks[..1]);
        assert_eq!(figures.veto_codes.len(), MOST_CODES + 1);
        assert_eq!(figures.veto_codes["code-0"], 2);
        assert_eq!(figures.veto_codes.values().sum::<u64>(), 51);
        let monitored = step.with(Rules { mode: Mode::Monitor, ..Rules::default() });
        let mut figures = StageFigures::default();
        figures.count_codes(&monitored, &remarks);
        assert!(figures.veto_codes.is_empty());
    }
}
