//! What is remembered of containers' lives from one look to the next.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::sharing::Sharing;
use crate::{
    model::{
        container::{Container, ContainerId, State},
        service::Service,
    },
    reconcile::lifecycle::{Ending, Heartbeat, Lifecycle},
};

/// For how long after its start a container is looked at again for ports that are not
/// shown yet; with pauses that are as long as this has gone on, but at least and at
/// most so long.
const LATE: Duration = Duration::from_secs(10);
const LATE_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// The containers' lives.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Life {
    /// Those that ran when they were last looked at.
    alive: HashSet<ContainerId>,
    /// Who shares whose network.
    pub(in crate::reconcile) sharing: Sharing,
    /// Those that were told to end.
    ending: HashMap<ContainerId, Ending>,
    /// Since when ports of containers have not been shown, and of which start.
    late: HashMap<ContainerId, (Option<String>, Instant)>,
    /// What is reported to the TTL checks of their services.
    heartbeats: HashMap<ContainerId, Heartbeat>,
    /// The names of those that are there.
    names: HashMap<ContainerId, String>,
}

impl Life {
    /// Note whether a container is one of those that the source lists.
    pub(super) fn note_alive(&mut self, id: &ContainerId, container: Option<&Container>) {
        let listed = [State::Running, State::Paused, State::Restarting];
        if container.is_some_and(|container| listed.contains(&container.state)) {
            self.alive.insert(id.clone());
        } else {
            self.alive.remove(id);
        }
    }

    /// Note what a container is called. That of one that is gone is remembered until it was said
    /// what became of its services.
    pub(super) fn note_name(&mut self, id: &ContainerId, container: Option<&Container>) {
        match container {
            Some(container) => drop(self.names.insert(id.clone(), container.name.clone())),
            None => drop(self.names.remove(id)),
        }
    }

    /// What a container is, or was, called.
    pub(super) fn name(&self, id: &ContainerId) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// The containers that run and are not known to, or are known to run and do not.
    pub(in crate::reconcile) fn differences(
        &self,
        running: &HashSet<ContainerId>,
    ) -> Vec<ContainerId> {
        self.alive.symmetric_difference(running).cloned().collect()
    }

    /// A signal was sent to a container. Whether that is a reason to look at it.
    pub(in crate::reconcile) fn note_signal(
        &mut self,
        lifecycle: &Lifecycle,
        container: &ContainerId,
        signal: i64,
        now: Instant,
    ) -> bool {
        let drained = lifecycle.drain.is_some();
        if drained {
            self.ending.insert(container.clone(), Ending { signal, since: now });
        }
        drained
    }

    /// For how much longer a container counts as ending, if it was told to end.
    pub(in crate::reconcile) fn ending(
        &mut self,
        lifecycle: &Lifecycle,
        container: &Container,
        now: Instant,
    ) -> Option<Duration> {
        let left = self.ending.get(&container.id)?.left(container, lifecycle.drain?, now);
        if left.is_none() {
            self.ending.remove(&container.id);
        }
        left
    }

    /// When a container is to be looked at again for ports that the engine did not
    /// show yet when it was asked. Some it never shows.
    pub(in crate::reconcile) fn late_ports(
        &mut self,
        container: &Container,
        asked: Instant,
        now: Instant,
    ) -> Option<Duration> {
        if container.pending_ports.is_empty() {
            self.late.remove(&container.id);
            return None;
        }
        let begun = (container.started_at.clone(), now);
        let since = self.late.entry(container.id.clone()).or_insert_with(|| begun.clone());
        if since.0 != begun.0 {
            *since = begun;
        }
        let elapsed = asked.saturating_duration_since(since.1);
        let (least, most) = LATE_PAUSES;
        (elapsed < LATE).then(|| elapsed.clamp(least, most))
    }

    /// What is reported for a container.
    pub(in crate::reconcile) fn heartbeat(&self, container: &ContainerId) -> Option<&Heartbeat> {
        self.heartbeats.get(container)
    }

    /// Report from now on what is to be reported for a container that is given these services.
    /// Whether that is news.
    pub(in crate::reconcile) fn note_heartbeat(
        &mut self,
        lifecycle: &Lifecycle,
        container: &Container,
        services: &[Arc<Service>],
    ) -> bool {
        let heartbeat = lifecycle.heartbeat_of(container, services);
        self.change_heartbeat(&container.id, heartbeat)
    }

    /// Report from now on how a container is, to the checks to which something is reported for it.
    /// Whether that is news.
    pub(in crate::reconcile) fn keep_heartbeat(&mut self, container: &Container) -> bool {
        let heartbeat = self.heartbeats.get(&container.id).map(|one| one.now(container));
        heartbeat.is_some() && self.change_heartbeat(&container.id, heartbeat)
    }

    fn change_heartbeat(&mut self, id: &ContainerId, heartbeat: Option<Heartbeat>) -> bool {
        match heartbeat {
            None => {
                self.heartbeats.remove(id);
                false
            }
            Some(heartbeat) if self.heartbeats.get(id) == Some(&heartbeat) => false,
            Some(heartbeat) => {
                self.heartbeats.insert(id.clone(), heartbeat);
                true
            }
        }
    }

    /// A container has ended.
    pub(in crate::reconcile) fn forget(&mut self, id: &ContainerId) {
        self.ending.remove(id);
        self.late.remove(id);
        self.heartbeats.remove(id);
    }
}
