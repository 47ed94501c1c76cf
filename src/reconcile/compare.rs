//! Whether those containers run that are known to: what finds a change of which
//! no event came, at the cost of one list.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Job,
    look::{LookError, Next, Shared},
};
use crate::container::{Container, ContainerId, State};

/// The containers that ran when they were last looked at.
#[derive(Debug, Default)]
pub(super) struct Alive(Mutex<HashSet<ContainerId>>);

impl Alive {
    /// Note whether a container is one of those that the source lists.
    pub(super) fn note(&self, id: &ContainerId, container: Option<&Container>) {
        let listed = [State::Running, State::Paused, State::Restarting];
        let mut alive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if container.is_some_and(|container| listed.contains(&container.state)) {
            alive.insert(id.clone());
        } else {
            alive.remove(id);
        }
    }

    /// What runs and is not known to, and what is known to run and does not.
    fn differences(&self, running: &HashSet<ContainerId>) -> Vec<ContainerId> {
        let alive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        alive.symmetric_difference(running).cloned().collect()
    }
}

impl Shared {
    /// Which containers have started or ended since they were looked at.
    pub(super) async fn compare(&self) -> Result<Next, LookError> {
        let running = self.source.list().await?.into_iter().collect();
        let changed = self.alive.differences(&running);
        // It may be another engine that has other containers.
        if !changed.is_empty() && self.identify().await? {
            return Ok(vec![(Job::Sync, Duration::ZERO)]);
        }
        let changed = changed.into_iter();
        Ok(changed.map(|id| (Job::Look(id), Duration::ZERO)).collect())
    }
}
