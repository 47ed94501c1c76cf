//! The last changes, for those who ask afterwards: also of what is gone by then.

use std::{collections::VecDeque, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::model::container::ContainerId;

/// Something that happened to a container's services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    #[serde(with = "humantime_serde")]
    pub at: SystemTime,
    /// The container's full identifier.
    pub container: ContainerId,
    /// The container's name, if it is known.
    pub name: String,
    /// The service's ID; none if it is about all of the container.
    pub service: Option<String>,
    /// The kind of change.
    pub kind: ChangeKind,
    /// Why, for people.
    pub reason: String,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A service was registered, in the place of what had its ID.
    Registered,
    /// A service was deregistered.
    Deregistered,
    /// A stage vetoed a service.
    Vetoed,
    /// A write failed, or the container could not be judged; it keeps what it has.
    Failed,
    /// The bulk guard holds what would be done.
    Held,
}

impl ChangeKind {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Deregistered => "deregistered",
            Self::Vetoed => "vetoed",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// The bytes that all changes together may take.
const MOST_BYTES: usize = 1 << 20;
/// The bytes that a change takes beside its texts.
const OVERHEAD: usize = 160;

/// The last changes, the newest last.
#[derive(Debug, Clone)]
pub(in crate::reconcile) struct History {
    changes: VecDeque<Change>,
    bytes: usize,
    most: usize,
}

impl History {
    /// A history of so many changes at the most.
    pub(super) fn of(most: usize) -> Self {
        Self { changes: VecDeque::new(), bytes: 0, most }
    }

    /// Note a change, unless it is no write and repeats the last one of its container and service.
    pub(in crate::reconcile) fn note(&mut self, change: Change) {
        let same =
            |old: &&Change| (&old.container, &old.service) == (&change.container, &change.service);
        let last = || self.changes.iter().rev().find(same);
        let repeats = |old: &Change| (old.kind, &old.reason) == (change.kind, &change.reason);
        let write = matches!(change.kind, ChangeKind::Registered | ChangeKind::Deregistered);
        if !write && last().is_some_and(repeats) {
            return;
        }
        self.bytes += size(&change);
        self.changes.push_back(change);
        while self.changes.len() > self.most || self.bytes > MOST_BYTES {
            let Some(oldest) = self.changes.pop_front() else { return };
            self.bytes -= size(&oldest);
        }
    }

    /// All of them, the oldest first.
    pub(in crate::reconcile) fn changes(&self) -> Vec<Change> {
        self.changes.iter().cloned().collect()
    }
}

fn size(change: &Change) -> usize {
    let service = change.service.as_ref().map_or(0, String::len);
    OVERHEAD + change.container.0.len() + change.name.len() + change.reason.len() + service
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn change(n: u64, kind: ChangeKind, reason: &str) -> Change {
        Change {
            at: UNIX_EPOCH + Duration::from_secs(n),
            container: ContainerId("c".into()),
            name: "web".into(),
            service: Some("h:web:80".into()),
            kind,
            reason: reason.into(),
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_long_ones() {
        let mut history = History::of(3);
        for n in 0..5 {
            history.note(change(n, ChangeKind::Registered, "new"));
        }
        let at: Vec<_> = history.changes().iter().map(|change| change.at).collect();
        assert_eq!(at, [2, 3, 4].map(|n| UNIX_EPOCH + Duration::from_secs(n)));
        let long = "x".repeat(MOST_BYTES / 2);
        for n in 5..8 {
            history.note(change(n, ChangeKind::Registered, &long));
        }
        assert_eq!(history.changes().len(), 1);
        history.note(change(8, ChangeKind::Registered, &"x".repeat(2 * MOST_BYTES)));
        assert_eq!((history.changes().len(), history.bytes), (0, 0));
    }

    #[test]
    fn what_fails_again_for_the_same_reason_is_told_once() {
        let mut history = History::of(10);
        for n in 0..3 {
            history.note(change(n, ChangeKind::Failed, "no answer"));
        }
        history.note(change(3, ChangeKind::Failed, "refused"));
        // A write is one each time.
        history.note(change(4, ChangeKind::Registered, "changed (tags)"));
        history.note(change(5, ChangeKind::Registered, "changed (tags)"));
        let kinds: Vec<_> = history.changes().iter().map(|change| change.kind).collect();
        let (failed, registered) = (ChangeKind::Failed, ChangeKind::Registered);
        assert_eq!(kinds, [failed, failed, registered, registered]);
    }
}
