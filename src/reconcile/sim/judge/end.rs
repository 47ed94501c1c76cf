//! The catalog as it must be in the end.

use std::collections::BTreeMap;

use super::super::{
    Sim,
    agent::{Entry, Writer},
};
use crate::{
    model::{container::Container, service::Service},
    reconcile::lifecycle::MAINTENANCE,
};

impl Sim {
    /// Whether what registrator left may go: no container of the name in its ID
    /// is known to offer such a service.
    fn may_clean_up(&self, entry: &Entry) -> bool {
        let mut parts = entry.service.id.split(':');
        if parts.next() != Some(self.host) {
            return false;
        }
        let name = parts.next().unwrap_or_default();
        let offers = |(container, services): &(Option<Container>, Vec<Service>)| {
            container.as_ref().is_some_and(|container| container.name == name)
                && services.iter().any(|service| service.name == entry.service.name)
        };
        self.profile.cleanup && !self.judge.claims.values().any(offers)
    }

    /// The services that all running containers offer, by ID; several where they are rivals.
    fn expected(&self) -> BTreeMap<String, Vec<Service>> {
        let mut expected: BTreeMap<String, Vec<Service>> = BTreeMap::new();
        let engine = self.engine();
        for container in self.world.running() {
            for service in self.stamp(container, self.offered(container), engine.as_deref()) {
                expected.entry(service.id.clone()).or_default().push(service);
            }
        }
        expected
    }

    /// Whether several containers want one ID.
    pub(in crate::reconcile::sim) fn has_rivals(&self) -> bool {
        self.expected().into_values().any(|all| all.len() > 1)
    }

    /// Whether the catalog is what the running containers offer.
    pub(in crate::reconcile::sim) fn judge_catalog(&mut self) {
        self.world.ripen();
        let expected = self.expected();
        let mut faults = Vec::new();
        for (id, reason) in &self.agent.maintained {
            let entry = self.agent.entries.get(id);
            let container = entry.and_then(|entry| entry.container.as_ref());
            let runs = container.is_some_and(|id| self.world.containers.contains_key(id));
            let neighbours = entry.is_some_and(|entry| self.is_neighbours(entry));
            if runs && !neighbours && reason.starts_with(MAINTENANCE) {
                faults.push(format!("{id} is in maintenance"));
            }
        }
        for (id, candidates) in &expected {
            match self.agent.entries.get(id) {
                _ if candidates.iter().all(|one| self.is_waiting(one)) => {}
                None => faults.push(format!("{id} is missing")),
                Some(entry) if entry.writer.is_another() => {}
                // Whoever failed and keeps its services keeps their IDs.
                Some(entry) if self.is_kept(entry) || self.is_neighbours(entry) => {}
                Some(entry) if candidates.iter().any(|one| same(one, &entry.service)) => {}
                Some(entry) => {
                    faults.push(format!("{id} is {:?}, not one of {candidates:?}", entry.service))
                }
            }
        }
        for (id, entry) in self.agent.entries.iter().filter(|(id, _)| !expected.contains_key(*id)) {
            let surplus = match entry.writer {
                Writer::Daemon => {
                    !self.is_kept(entry) && !self.has_rival(entry) && !self.is_neighbours(entry)
                }
                Writer::Predecessor => self.may_clean_up(entry),
                Writer::Foreign | Writer::Peer => false,
            };
            if surplus {
                faults.push(format!("{id} is too much"));
            }
        }
        for fault in faults {
            self.violate(format_args!("in the end {fault}"));
        }
    }
}

/// Whether what is registered is this service, in all that is registered of it.
fn same(wanted: &Service, registered: &Service) -> bool {
    let plain = |service: &Service| Service {
        attributes: Default::default(),
        origin: None,
        ..service.clone()
    };
    plain(wanted) == plain(registered)
}
