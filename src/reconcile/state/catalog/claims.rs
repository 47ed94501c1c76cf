//! The services that containers want: those they offer, and those kept for them for a while.
//! Nothing of what is registered is known here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::model::{container::ContainerId, service::Service};

/// The services that containers want, and the containers that want them.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    by_id: HashMap<String, BTreeMap<ContainerId, Arc<Service>>>,
    /// Of those who want a service, the one that has wanted it the longest.
    firsts: HashMap<String, ContainerId>,
    by_container: HashMap<ContainerId, BTreeSet<String>>,
    /// The names of the containers that want something.
    names: HashMap<ContainerId, String>,
}

impl Claims {
    /// A container wants these services and no others. Say which IDs it wants no longer.
    pub(super) fn set(
        &mut self,
        container: &ContainerId,
        name: &str,
        wanted: BTreeMap<String, Arc<Service>>,
    ) -> BTreeSet<String> {
        let before = self.by_container.remove(container).unwrap_or_default();
        let dropped: BTreeSet<_> =
            before.into_iter().filter(|id| !wanted.contains_key(id)).collect();
        for id in &dropped {
            self.drop(id, container);
        }
        if wanted.is_empty() {
            self.names.remove(container);
        } else {
            self.by_container.insert(container.clone(), wanted.keys().cloned().collect());
            self.names.insert(container.clone(), name.to_string());
        }
        for (id, service) in wanted {
            self.firsts.entry(id.clone()).or_insert_with(|| container.clone());
            self.by_id.entry(id).or_default().insert(container.clone(), service);
        }
        dropped
    }

    /// A container wants no more than these of the services that it wants.
    pub(super) fn keep(&mut self, container: &ContainerId, kept: BTreeSet<String>) {
        let before = self.by_container.remove(container).unwrap_or_default();
        for id in before.difference(&kept) {
            self.drop(id, container);
        }
        if kept.is_empty() {
            self.names.remove(container);
        } else {
            self.by_container.insert(container.clone(), kept);
        }
    }

    fn drop(&mut self, id: &str, container: &ContainerId) {
        let Some(all) = self.by_id.get_mut(id) else { return };
        all.remove(container);
        if self.firsts.get(id) == Some(container) {
            self.firsts.remove(id);
            let next = all.keys().next().cloned();
            self.firsts.extend(next.map(|next| (id.to_string(), next)));
        }
        if all.is_empty() {
            self.by_id.remove(id);
        }
    }

    /// The containers that want an ID, each with its service.
    pub(super) fn of(&self, id: &str) -> Option<&BTreeMap<ContainerId, Arc<Service>>> {
        self.by_id.get(id)
    }

    /// Of those who want it, the one that has wanted it the longest.
    pub(super) fn first(&self, id: &str) -> Option<&ContainerId> {
        self.firsts.get(id)
    }

    /// All services that are wanted, and by whom.
    pub(super) fn all(&self) -> impl Iterator<Item = (&ContainerId, &Arc<Service>)> {
        self.by_id.values().flatten()
    }

    /// The IDs that a container wants.
    pub(super) fn ids(&self, container: &ContainerId) -> impl Iterator<Item = &String> {
        self.by_container.get(container).into_iter().flatten()
    }

    /// The services that a container wants.
    pub(super) fn services(&self, container: &ContainerId) -> Vec<&Arc<Service>> {
        self.ids(container).filter_map(|id| self.by_id.get(id)?.get(container)).collect()
    }

    /// The containers that want something.
    pub(super) fn containers(&self) -> impl Iterator<Item = &ContainerId> {
        self.by_container.keys()
    }

    /// The name of a container that wants something.
    pub(super) fn name(&self, container: &ContainerId) -> Option<&str> {
        self.names.get(container).map(String::as_str)
    }

    /// The containers of a name that want something.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ContainerId> {
        self.names.iter().filter(move |(_, other)| *other == name).map(|(id, _)| id)
    }
}
