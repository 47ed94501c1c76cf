//! The loop's counts, for those who graph it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::model::container::ContainerId;

/// A kind of write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A service is registered, in the place of what has its ID.
    Register,
    /// A service is deregistered.
    Deregister,
    /// A service is put into maintenance, or taken out of it.
    Maintenance,
}

/// The answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// It was done.
    Ok,
    /// The registry refused it.
    Refused,
    /// It is not known whether it was done; it is made again.
    Lost,
}

/// The outcome of a changed configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reloaded {
    /// The new pipeline is in force.
    Ok,
    /// It was read, and the pipeline is the same.
    Unchanged,
    /// It was refused, and what was in force stays so.
    Refused,
}

/// The upper bounds of the times from an event to its commit, in seconds.
pub const COMMIT_BOUNDS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// More events than this do not wait for their commit at once; those beyond are not measured.
const MOST_PENDING: usize = 10_000;

/// The times from events to the commit of what followed from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commits {
    /// The number that took no longer than each of [`COMMIT_BOUNDS`] and longer than the one before
    /// it; the last is of those beyond all.
    pub buckets: [u64; COMMIT_BOUNDS.len() + 1],
    /// The time of all together.
    pub sum: Duration,
}

impl Commits {
    fn note(&mut self, time: Duration) {
        let bucket = COMMIT_BOUNDS.iter().position(|bound| time.as_secs_f64() <= *bound);
        self.buckets[bucket.unwrap_or(COMMIT_BOUNDS.len())] += 1;
        self.sum += time;
    }
}

/// The counts since the daemon's start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Writes by kind and answer.
    pub writes: BTreeMap<(Operation, Answered), u64>,
    /// The times from an event to its commit.
    pub commits: Commits,
    /// Jobs that failed and were put off.
    pub retries: u64,
    /// Services that somebody else had changed or removed.
    pub drift: u64,
    /// Configurations by their outcome.
    pub reloads: BTreeMap<Reloaded, u64>,
}

/// The counts, and the events of which the commit is awaited.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Meters {
    pub(in crate::reconcile) counts: Counts,
    pending: HashMap<ContainerId, Pending>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    /// When the first event came that is not settled.
    since: Instant,
    wrote: bool,
}

impl Meters {
    /// An event told of a container.
    pub(in crate::reconcile) fn event(&mut self, id: &ContainerId, now: Instant) {
        if self.pending.len() < MOST_PENDING {
            let new = Pending { since: now, wrote: false };
            self.pending.entry(id.clone()).or_insert(new);
        }
    }

    /// Something was written for a container, or was to be.
    pub(in crate::reconcile) fn wrote(
        &mut self,
        id: &ContainerId,
        operation: Operation,
        answered: Answered,
    ) {
        *self.counts.writes.entry((operation, answered)).or_default() += 1;
        if let Some(pending) = self.pending.get_mut(id).filter(|_| answered == Answered::Ok) {
            pending.wrote = true;
        }
    }

    /// All that follows for a container from what was seen since then is done.
    pub(in crate::reconcile) fn settled(&mut self, id: &ContainerId, began: Instant, now: Instant) {
        // What came while it was looked at is another look's.
        let Some(pending) = self.pending.get(id).filter(|pending| pending.since <= began) else {
            return;
        };
        if pending.wrote {
            self.counts.commits.note(now - pending.since);
        }
        self.pending.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_measured_up_to_the_look_that_has_written_what_follows() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let (a, b) = (ContainerId("a".into()), ContainerId("b".into()));
        let mut meters = Meters::default();
        meters.event(&a, at(0));
        // A second event of the same container changes nothing of the first one's time.
        meters.event(&a, at(10));
        meters.event(&b, at(0));
        meters.wrote(&a, Operation::Register, Answered::Lost);
        meters.wrote(&a, Operation::Register, Answered::Ok);
        // This look began before the event.
        let before = start.checked_sub(Duration::from_millis(1)).expect("a time before");
        meters.settled(&a, before, at(20));
        meters.settled(&a, at(15), at(30));
        // Nothing was to be written.
        meters.settled(&b, at(15), at(40));
        let Counts { writes, commits, .. } = &meters.counts;
        assert_eq!(commits.sum, Duration::from_millis(30));
        assert_eq!(commits.buckets.iter().sum::<u64>(), 1);
        assert_eq!(commits.buckets[3], 1, "between 25 and 50 ms");
        let lost = (Operation::Register, Answered::Lost);
        assert_eq!(writes.get(&lost), Some(&1));
        assert!(meters.pending.is_empty());
        let mut commits = Commits::default();
        commits.note(Duration::from_secs(61));
        assert_eq!(commits.buckets[COMMIT_BOUNDS.len()], 1);
    }
}
