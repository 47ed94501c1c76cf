//! The habits of registrator that Wharfinger by itself does not have: it wrote each of several
//! services with one ID, and it did not ask again for a refused one.
//!
//! Only under `--compat registrator`. The services registered in the end are the same.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::model::{container::ContainerId, service::Service};

/// For how long there is no use in asking for what was refused. Shorter than the
/// least pause before a container is tried again.
const REFUSED_FOR: Duration = Duration::from_secs(25);

#[derive(Debug, Clone, Default)]
pub(super) struct Original {
    /// Services that their own container offers under the ID of another one,
    /// which is written last.
    overwritten: HashMap<(ContainerId, String), Vec<Arc<Service>>>,
    /// The services that the registry refused, by ID, and when.
    refused: HashMap<String, (Arc<Service>, Instant)>,
}

impl Original {
    /// Note the services that a container offers, in order. One that it no longer offers stays
    /// until it is deregistered.
    pub(super) fn note_offer(&mut self, container: &ContainerId, services: &[Arc<Service>]) {
        let mut by_id: BTreeMap<&str, Vec<&Arc<Service>>> = BTreeMap::new();
        for service in services {
            by_id.entry(&service.id).or_default().push(service);
        }
        for (id, mut twins) in by_id {
            twins.pop();
            let key = (container.clone(), id.to_string());
            if twins.is_empty() {
                self.overwritten.remove(&key);
            } else {
                self.overwritten.insert(key, twins.into_iter().cloned().collect());
            }
        }
    }

    /// The services of a container that another one of its own takes the place of
    /// under this ID.
    pub(super) fn overwritten(&self, container: &ContainerId, id: &str) -> Vec<Arc<Service>> {
        let key = (container.clone(), id.to_string());
        self.overwritten.get(&key).cloned().unwrap_or_default()
    }

    /// Nothing is registered under an ID any more.
    pub(super) fn forget(&mut self, id: &str) {
        self.overwritten.retain(|(_, other), _| other != id);
    }

    /// The registry refused a service.
    pub(super) fn refuse(&mut self, service: &Arc<Service>) {
        self.refused.insert(service.id.clone(), (service.clone(), Instant::now()));
    }

    /// Allow the service refused under this ID to be asked for again; with none, all of them.
    pub(super) fn allow(&mut self, id: Option<&str>) {
        match id {
            Some(id) => drop(self.refused.remove(id)),
            None => self.refused.clear(),
        }
    }

    /// Whether there is no use in asking for this service yet.
    pub(super) fn is_refused(&self, service: &Service) -> bool {
        self.refused
            .get(&service.id)
            .is_some_and(|(refused, at)| **refused == *service && at.elapsed() < REFUSED_FOR)
    }
}
