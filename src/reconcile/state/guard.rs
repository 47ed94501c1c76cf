//! The bulk guard: what a change of the configuration, of a plugin or of the
//! connection would take out of the catalog is counted before anything is done,
//! and held if it is too much to be meant.
//!
//! A change begins a trial. During the trial every container is looked at; a
//! plan that would take out a service of a container that still runs waits, if the
//! service was there before the trial. Then
//! the guard decides on all of them together: either they are carried out, or
//! they are held until somebody confirms, and until then the containers keep
//! what they have. Once a trial has been passed, nothing waits any more: what is
//! taken out from then on, events of containers have caused.
//!
//! That containers end is no such change. But if the container engine is another
//! one than that for which services were registered, and none of its containers
//! is here, then either the connection has changed or there is a second daemon with
//! this host's name. Neither is a reason to take anything out: it is always held.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::model::container::ContainerId;

/// How much may be taken out at once.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GuardLimits {
    /// The percentage of the host's services that may go without confirmation.
    #[cfg_attr(test, schemars(range(max = 100), extend("x-unit" = "percent")))]
    pub share: u8,
    /// Fewer services than this may always go, but not by a policy that is taken from elsewhere.
    pub least: usize,
    /// The percentage of the containers with services on which a changed pipeline may fail where
    /// the one in force does not, and take its place all the same.
    #[cfg_attr(test, schemars(range(max = 100), extend("x-unit" = "percent")))]
    pub failing: u8,
    /// What would be held is confirmed beforehand.
    #[serde(skip)]
    pub confirmed: bool,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self { share: 50, least: 5, failing: 0, confirmed: false }
    }
}

impl GuardLimits {
    /// The first fault in them, with the key's name.
    pub fn fault(&self) -> Option<String> {
        let keys = [("guard.share", self.share), ("guard.failing", self.failing)];
        let wrong = keys.into_iter().find(|(_, percentage)| *percentage > 100);
        wrong.map(|(key, percentage)| format!("{key}: {percentage} is no percentage"))
    }
}

/// The change that is held until somebody confirms it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The IDs of the services that would go.
    pub services: BTreeSet<String>,
    /// The number of the host's services when that was decided.
    pub of: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} services would be deregistered or renamed",
            self.services.len(),
            self.of
        )
    }
}

/// Why a service would be taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::reconcile) enum Cause {
    /// Its container runs, but no longer offers it.
    Pipeline,
    /// Its container is not here, and it was registered for this other engine.
    Engine(String),
}

#[derive(Debug, Clone)]
pub(in crate::reconcile) struct Guard {
    limits: GuardLimits,
    phase: Phase,
    /// The containers whose plans wait, with the cause and the services that would go.
    waiting: BTreeMap<ContainerId, (Cause, Vec<String>)>,
    /// Containers that could not be judged in the trial.
    unjudged: BTreeSet<ContainerId>,
    /// Containers that want what waits for the sake of another one.
    put_off: BTreeSet<ContainerId>,
    /// The number of services that go by the trial's count, and since then for containers that
    /// could only be judged later.
    gone: usize,
    services: usize,
    /// The IDs of the services that there were when the trial began to look. One that has come
    /// since by the change itself is no loss when it goes again.
    before: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Trial,
    Held,
}

/// The guard's decision on a trial.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::reconcile) enum Verdict {
    /// These containers are to be looked at again, now for good.
    Go(Vec<ContainerId>),
    /// It is too much.
    Hold(Held),
    /// These are to be looked at again for good, and this is not to be done.
    Part(Vec<ContainerId>, Held),
}

impl Guard {
    /// A guard that begins with a trial: what changed while no daemon ran is not
    /// known.
    pub(in crate::reconcile) fn new(limits: GuardLimits) -> Self {
        Self {
            limits,
            phase: Phase::Trial,
            waiting: BTreeMap::new(),
            unjudged: BTreeSet::new(),
            put_off: BTreeSet::new(),
            gone: 0,
            services: 0,
            before: None,
        }
    }

    /// From now on no number of services is too small to be held.
    pub(in crate::reconcile) fn count_each(&mut self) {
        self.limits.least = 1;
    }

    /// Something has changed that may change everything. A confirmation was for
    /// what was known then.
    pub(in crate::reconcile) fn begin(&mut self) {
        let limits = GuardLimits { confirmed: false, ..self.limits };
        *self = Self::new(limits);
    }

    /// Whether a plan that takes these services out has to wait.
    pub(in crate::reconcile) fn waits(
        &mut self,
        container: &ContainerId,
        cause: Cause,
        mut ids: Vec<String>,
    ) -> bool {
        if cause == Cause::Pipeline {
            self.retain_what_was_there(&mut ids);
        }
        if ids.is_empty() {
            self.forget(container);
            return false;
        }
        match self.phase {
            Phase::Trial => {}
            Phase::Held if self.waiting.contains_key(container) => {}
            Phase::Open | Phase::Held if matches!(cause, Cause::Engine(_)) => {
                self.phase = Phase::Held;
            }
            Phase::Open | Phase::Held => {
                if !self.unjudged.remove(container) {
                    return false;
                }
                self.gone += ids.len();
                if self.limits.confirmed || !self.is_bulk(self.gone, self.services) {
                    return false;
                }
                self.phase = Phase::Held;
            }
        }
        self.waiting.insert(container.clone(), (cause, ids));
        true
    }

    /// The containers whose plans wait for what the pipeline says of them.
    pub(super) fn waiting_by_pipeline(&self) -> Vec<ContainerId> {
        let by = self.waiting.iter().filter(|(_, (cause, _))| *cause == Cause::Pipeline);
        by.map(|(container, _)| container.clone()).collect()
    }

    /// Whether a container's plan waits.
    pub(super) fn is_waiting(&self, container: &ContainerId) -> bool {
        self.waiting.contains_key(container)
    }

    /// Note the services that a waiting container's plan takes out, now that more is known. Whether
    /// something waits for it no longer.
    pub(super) fn recount(&mut self, container: &ContainerId, mut ids: Vec<String>) -> bool {
        self.retain_what_was_there(&mut ids);
        let Some((_, waiting)) = self.waiting.get_mut(container) else { return false };
        let freed = waiting.iter().any(|id| !ids.contains(id));
        if ids.is_empty() {
            self.forget(container);
        } else {
            *waiting = ids;
        }
        freed
    }

    /// The containers that were put off, which may be looked at again: if what they want still
    /// waits, they are put off once more.
    pub(super) fn take_put_off(&mut self) -> BTreeSet<ContainerId> {
        std::mem::take(&mut self.put_off)
    }

    /// A container takes nothing out.
    pub(in crate::reconcile) fn forget(&mut self, container: &ContainerId) {
        self.waiting.remove(container);
        self.unjudged.remove(container);
        if self.phase == Phase::Held && self.waiting.is_empty() {
            self.phase = Phase::Open;
        }
    }

    /// A container is to be looked at again when nothing waits any more.
    pub(in crate::reconcile) fn put_off(&mut self, container: &ContainerId) {
        self.put_off.insert(container.clone());
    }

    /// Whether a service waits for the sake of another container than this one.
    pub(in crate::reconcile) fn reserves(&self, id: &str, container: &ContainerId) -> bool {
        let others = self.waiting.iter().filter(|(other, _)| *other != container);
        others.flat_map(|(_, (_, ids))| ids).any(|reserved| reserved == id)
    }

    /// Note the services that the host has before the trial looks at its containers. Those that the
    /// trial adds must not make the share that would go smaller.
    pub(in crate::reconcile) fn count(&mut self, services: BTreeSet<String>) {
        self.before = Some(services);
    }

    fn retain_what_was_there(&self, ids: &mut Vec<String>) {
        ids.retain(|id| self.was_there(id));
    }

    fn was_there(&self, id: &str) -> bool {
        self.before.as_ref().is_none_or(|before| before.contains(id))
    }

    /// Whether the trial would end with something held if these services went.
    pub(super) fn would_hold<'a>(&self, ids: impl Iterator<Item = &'a String>) -> bool {
        let gone = ids.filter(|id| self.was_there(id)).count();
        let services = self.before.as_ref().map_or(self.services, BTreeSet::len);
        !self.limits.confirmed && self.is_bulk(gone, services)
    }

    /// Whether a trial has begun that was not decided yet.
    pub(in crate::reconcile) fn is_trial(&self) -> bool {
        self.phase == Phase::Trial
    }

    /// A container could not be judged: it is judged when it can be.
    pub(in crate::reconcile) fn not_judged(&mut self, container: &ContainerId) {
        if self.phase == Phase::Trial && !self.waiting.contains_key(container) {
            self.unjudged.insert(container.clone());
        }
    }

    /// The trial has seen all containers of a host with so many `services`.
    /// `is_absent` says of another engine whether none of its containers is here.
    pub(in crate::reconcile) fn decide(
        &mut self,
        services: usize,
        is_absent: impl Fn(&str) -> bool,
    ) -> Option<Verdict> {
        if self.phase != Phase::Trial {
            return None;
        }
        let is_elsewhere = |cause: &Cause| match cause {
            Cause::Pipeline => false,
            Cause::Engine(engine) => is_absent(engine),
        };
        self.services = self.before.take().map_or(services, |before| before.len());
        let counted = self.waiting.values().filter(|(cause, _)| *cause == Cause::Pipeline);
        self.gone = counted.map(|(_, ids)| ids.len()).sum();
        if self.limits.confirmed {
            self.phase = Phase::Open;
            return Some(Verdict::Go(self.release()));
        }
        let bulk = self.is_bulk(self.gone, self.services);
        let stays = |cause: &Cause| bulk || is_elsewhere(cause);
        if self.waiting.values().all(|(cause, _)| !stays(cause)) {
            self.phase = Phase::Open;
            return Some(Verdict::Go(self.release()));
        }
        self.phase = Phase::Held;
        let goes = self.waiting.iter().filter(|(_, (cause, _))| !stays(cause));
        let goes: Vec<_> = goes.map(|(container, _)| container.clone()).collect();
        self.waiting.retain(|_, (cause, _)| stays(cause));
        let held = self.held()?;
        Some(if goes.is_empty() { Verdict::Hold(held) } else { Verdict::Part(goes, held) })
    }

    /// A service is no longer another container's, whatever waits.
    pub(in crate::reconcile) fn let_go(&mut self, id: &str) {
        for (_, ids) in self.waiting.values_mut() {
            ids.retain(|other| other != id);
        }
        let empty = self.waiting.iter().filter(|(_, (_, ids))| ids.is_empty());
        let empty: Vec<_> = empty.map(|(container, _)| container.clone()).collect();
        empty.iter().for_each(|container| self.forget(container));
    }

    /// The other engines for whose sake something waits.
    pub(in crate::reconcile) fn engines(&self) -> BTreeSet<String> {
        let engine = |(cause, _): &(Cause, Vec<String>)| match cause {
            Cause::Engine(engine) => Some(engine.clone()),
            Cause::Pipeline => None,
        };
        self.waiting.values().filter_map(engine).collect()
    }

    /// Whether what a trial takes out is confirmed beforehand.
    pub(in crate::reconcile) fn is_confirmed(&self) -> bool {
        self.limits.confirmed
    }

    /// Somebody confirms what is held: the containers to be looked at again.
    pub(in crate::reconcile) fn confirm(&mut self) -> Vec<ContainerId> {
        if self.phase != Phase::Held {
            return Vec::new();
        }
        self.phase = Phase::Open;
        self.unjudged.clear();
        self.release()
    }

    /// The containers whose plans wait.
    pub(in crate::reconcile) fn waiting(&self) -> impl Iterator<Item = ContainerId> {
        self.waiting.keys().cloned()
    }

    /// Whether it is this container's plan that is held.
    pub(in crate::reconcile) fn holds(&self, container: &ContainerId) -> bool {
        self.phase == Phase::Held && self.waiting.contains_key(container)
    }

    /// The change that is held now.
    pub(in crate::reconcile) fn held(&self) -> Option<Held> {
        let services: BTreeSet<_> =
            self.waiting.values().flat_map(|(_, ids)| ids.clone()).collect();
        let held = self.phase == Phase::Held && !services.is_empty();
        held.then_some(Held { services, of: self.services })
    }

    fn release(&mut self) -> Vec<ContainerId> {
        let waiting = std::mem::take(&mut self.waiting).into_keys();
        let mut all: BTreeSet<_> = waiting.collect();
        all.append(&mut self.put_off);
        all.into_iter().collect()
    }

    fn is_bulk(&self, gone: usize, services: usize) -> bool {
        let share = usize::from(self.limits.share);
        gone >= self.limits.least.max(1) && gone * 100 > services * share
    }
}

#[cfg(test)]
mod tests;
