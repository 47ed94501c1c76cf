//! The findings on whether the registry still has everything.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::counted::{Counted, Known};
use crate::model::{container::ContainerId, service::Service};

/// The greatest age of the last list where the registry cannot tell whether something has changed,
/// and where it says that nothing has.
const UNTOLD: Duration = Duration::from_millis(7_500);
const TOLD: Duration = Duration::from_secs(60);

/// The findings on whether everything is still there.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Verified {
    pub(in crate::reconcile) services: Pace,
    pub(in crate::reconcile) checks: Pace,
    /// A service whose lookup failed, which may be its fault or the registry's.
    pub(in crate::reconcile) suspect: Option<String>,
    /// Services that cannot be looked up while others can.
    pub(in crate::reconcile) strange: Counted<HashSet<String>>,
    /// The IDs that the registry has and cannot be asked for.
    pub(in crate::reconcile) unaddressable: BTreeSet<String>,
    /// When services were registered again for their checks, and how often.
    pub(in crate::reconcile) restored: HashMap<String, (Instant, u32)>,
    /// Containers of whose reports some fail.
    pub(in crate::reconcile) muted: HashSet<ContainerId>,
    /// A lookup said that a service was gone which a read then had.
    pub(in crate::reconcile) lookups_lie: bool,
    /// The services of other daemons when they were last looked for.
    pub(in crate::reconcile) neighbours: BTreeSet<String>,
    /// The catalog's answers, as long as it has not changed: the services that are watched, ...
    pub(in crate::reconcile) sentinels: Known<Vec<String>>,
    /// ... those to be looked up again, ...
    pub(in crate::reconcile) unseen: Known<BTreeSet<String>>,
    /// ... whether a service has checks, ...
    pub(in crate::reconcile) wants_checks: Known<bool>,
    /// ... those that have, ...
    pub(in crate::reconcile) checked: Known<Arc<[Arc<Service>]>>,
    /// ... and those of other daemons.
    pub(in crate::reconcile) known_neighbours: Known<BTreeSet<String>>,
}

/// When something was asked for, and what was said.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Pace {
    asked: Option<Instant>,
    listed: Option<Instant>,
    version: Option<u64>,
}

impl Pace {
    /// Whether it is time to ask.
    pub(in crate::reconcile) fn is_due(&mut self, now: Instant, pause: Duration) -> bool {
        let due = self.asked.is_none_or(|asked| now.duration_since(asked) >= pause);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// Whether there is something to be seen in a list, by the version that was told.
    pub(in crate::reconcile) fn wants_list(&self, now: Instant, version: Option<u64>) -> bool {
        let most = if version.is_some() { TOLD } else { UNTOLD };
        (version.is_some() && version != self.version)
            || self.listed.is_none_or(|listed| now.duration_since(listed) >= most)
    }

    /// A list was read, after this version was told.
    pub(in crate::reconcile) fn note_list(&mut self, now: Instant, version: Option<u64>) {
        self.listed = Some(now);
        self.version = version.or(self.version);
    }
}
