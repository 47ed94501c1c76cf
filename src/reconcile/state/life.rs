//! The containers' lives, as they are remembered from one look to the next.

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
        summary::{Listed, Summary},
    },
    reconcile::lifecycle::{Ending, Heartbeat, Lifecycle},
};

/// For how long after its start a container is looked at again for ports that are not
/// shown yet; with pauses that are as long as this has gone on, but at least and at
/// most so long.
const LATE: Duration = Duration::from_secs(10);
const LATE_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// For how long after a death an engine may keep whoever asks waiting. Docker does for about
/// 100 ms.
const NEWS: Duration = Duration::from_secs(1);

/// The least time between two comparisons of the containers that run with those known. A list of
/// all is long, and after each other of the listener's quiet times is often enough.
const COMPARE: Duration = Duration::from_secs(15);

/// For how long a container need not be looked at of which a list shows no change.
const FULL: Duration = Duration::from_secs(3600);

/// A container's run; times are since 1970, by the engine's clock.
#[derive(Debug, Clone, Default)]
struct Run {
    /// Its start, if it ran and that was shown when it was last looked at.
    started: Option<Duration>,
    /// The digest of what a list would have shown when it was last looked at, and when that was,
    /// if nothing was left to be done for it.
    settled: Option<(u64, Instant)>,
}

/// The end of a container's run.
#[derive(Debug, Clone)]
struct Death {
    /// The start of the run that was known by then.
    started: Duration,
    at: Duration,
    exit_code: i64,
}

/// The containers' lives.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Life {
    /// Those that ran when they were last looked at.
    alive: HashMap<ContainerId, Run>,
    /// When containers were started of late, by the events, whether or not they are known to run.
    /// Events may come in any order.
    starts: HashMap<ContainerId, Duration>,
    /// Those of which an event has told since that they have ended.
    dead: HashMap<ContainerId, Death>,
    /// The containers that share networks, and the owners of these.
    pub(in crate::reconcile) sharing: Sharing,
    /// Those that were told to end.
    ending: HashMap<ContainerId, Ending>,
    /// Since when ports of containers have not been shown, and of which start.
    late: HashMap<ContainerId, (Option<String>, Instant)>,
    /// The heartbeats to the TTL checks of their services.
    heartbeats: HashMap<ContainerId, Heartbeat>,
    /// The names of those that are there.
    names: HashMap<ContainerId, String>,
    /// When those that run were last to be compared with those known.
    compared: Option<Instant>,
}

impl Life {
    /// Whether, after a time without events, those that run are to be compared with those known.
    pub(in crate::reconcile) fn wants_comparison(&mut self, now: Instant) -> bool {
        let wants = self.compared.is_none_or(|last| now.duration_since(last) >= COMPARE);
        if wants {
            self.compared = Some(now);
        }
        wants
    }

    /// Note whether a container is one of those that the source lists.
    pub(super) fn note_alive(&mut self, id: &ContainerId, container: Option<&Container>) {
        let listed = [State::Running, State::Paused, State::Restarting];
        let Some(container) = container.filter(|container| listed.contains(&container.state))
        else {
            self.alive.remove(id);
            self.dead.remove(id);
            return;
        };
        let started = container.started().filter(|_| container.state.is_running());
        // Another run than the one that was known has not ended.
        if self.dead.get(id).is_some_and(|death| Some(death.started) != started) {
            self.dead.remove(id);
        }
        self.alive.insert(id.clone(), Run { started, settled: None });
    }

    /// An event tells that a container was started at this time since 1970: what has ended before
    /// was another run.
    pub(in crate::reconcile) fn note_start(
        &mut self,
        id: &ContainerId,
        at: Duration,
        now: Duration,
    ) {
        // With an older one no death is compared that counts.
        self.starts.retain(|_, at| is_young(*at, now) || *at > now);
        let last = self.starts.entry(id.clone()).or_default();
        *last = at.max(*last);
        if self.dead.get(id).is_some_and(|death| death.at < at) {
            self.dead.remove(id);
        }
    }

    /// An event tells that a container's main process has ended, at this time since 1970. It counts
    /// if it can be about nothing but the run that was looked at, or one after it: it is younger
    /// than every start that is known, and not from the future, which would show that a clock was
    /// set back. Where it is old news, a look is answered at once.
    pub(in crate::reconcile) fn note_death(
        &mut self,
        id: &ContainerId,
        exit_code: i64,
        at: Duration,
        now: Duration,
    ) {
        let Some(Run { started: Some(started), .. }) = self.alive.get(id) else { return };
        let counts = is_young(at, now) && at > *started && Some(&at) > self.starts.get(id);
        #[cfg(test)]
        let counts = counts || crate::reconcile::sim::believes_any_death();
        if counts {
            self.dead.insert(id.clone(), Death { started: *started, at, exit_code });
        }
    }

    /// Take the end of a container that an event told of, if it counts; it does so once, and
    /// whoever takes it has to look at the container afterwards.
    pub(super) fn take_ended(&mut self, id: &ContainerId) -> Option<Container> {
        let Death { exit_code, .. } = self.dead.remove(id)?;
        self.alive.remove(id);
        let name = self.names.get(id).cloned().unwrap_or_default();
        Some(Container::ended(id.clone(), name, exit_code))
    }

    /// Forget the ends of containers that events told of: those were another engine's.
    pub(super) fn forget_deaths(&mut self) {
        self.dead.clear();
    }

    /// Note a container's name. That of one that is gone is remembered until it was said what
    /// became of its services.
    pub(super) fn note_name(&mut self, id: &ContainerId, container: Option<&Container>) {
        match container {
            Some(container) => drop(self.names.insert(id.clone(), container.name.clone())),
            None => drop(self.names.remove(id)),
        }
    }

    /// The name that a container has or had.
    pub(super) fn name(&self, id: &ContainerId) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Nothing was left to be done for a container that was looked at then.
    pub(super) fn note_settled(&mut self, container: &Container, asked: Instant) {
        if let Some(run) = self.alive.get_mut(&container.id) {
            run.settled = Some((Summary::from(container).digest(), asked));
        }
    }

    /// Whether a list shows a container as it was when it was last looked at, a while ago at most.
    pub(super) fn is_settled(&self, listed: &Listed, now: Instant) -> bool {
        let settled = self.alive.get(&listed.id).and_then(|run| run.settled);
        settled.is_some_and(|(summary, asked)| {
            listed.summary == Some(summary) && now.duration_since(asked) < FULL
        })
    }

    /// Every container is to be looked at once more.
    pub(in crate::reconcile) fn unsettle(&mut self) {
        self.alive.values_mut().for_each(|run| run.settled = None);
    }

    /// The containers that run and are not known to, or are known to run and do not.
    pub(in crate::reconcile) fn differences(
        &self,
        running: &HashSet<ContainerId>,
    ) -> Vec<ContainerId> {
        let ended = self.alive.keys().filter(|id| !running.contains(*id));
        let started = running.iter().filter(|id| !self.alive.contains_key(*id));
        ended.chain(started).cloned().collect()
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

    /// The heartbeat that is reported for a container.
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

    /// Its parts, by whose they are.
    #[cfg(test)]
    pub(super) fn parts(self) -> Vec<crate::reconcile::kept::Part> {
        let Self { alive, starts, dead, sharing, ending, late, heartbeats, names, compared: _ } =
            self;
        vec![
            ("runs", Box::new((alive, starts, dead))),
            ("sharing of networks", Box::new(sharing)),
            ("names", Box::new(names)),
            ("other moments of a life", Box::new((ending, late, heartbeats))),
        ]
    }

    /// A container has ended.
    pub(in crate::reconcile) fn forget(&mut self, id: &ContainerId) {
        self.ending.remove(id);
        self.late.remove(id);
        self.heartbeats.remove(id);
    }
}

/// Whether something happened a short while ago, and not in the future.
fn is_young(at: Duration, now: Duration) -> bool {
    now.checked_sub(at).is_some_and(|age| age < NEWS)
}
