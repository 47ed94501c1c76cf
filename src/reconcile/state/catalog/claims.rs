//! The services that containers want: those they offer, and those kept for them for a while.
//! Nothing of what is registered is known here.
//!
//! Most IDs are wanted by one container, and most containers want one ID. So what there is of each is a sorted list
//! and no tree, of which the smallest node has room for eleven.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use litemap::LiteMap;

use crate::model::{container::ContainerId, service::Service};

/// The services that containers want, and the containers that want them.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    by_id: HashMap<Arc<str>, Claimed>,
    by_container: HashMap<ContainerId, Claimant>,
}

/// The containers that want an ID, each with its service.
pub(super) type Wanting = LiteMap<ContainerId, Arc<Service>>;

/// An ID that is wanted.
#[derive(Debug, Clone)]
struct Claimed {
    /// Of those who want it, the one that has wanted it the longest.
    first: ContainerId,
    by: Wanting,
}

/// A container that wants something.
#[derive(Debug, Clone)]
struct Claimant {
    name: Box<str>,
    /// The IDs that it wants, in order.
    ids: Box<[Arc<str>]>,
}

impl Claims {
    /// A container wants these services and no others. Say which IDs it wants no longer.
    pub(super) fn set(
        &mut self,
        container: &ContainerId,
        name: &str,
        wanted: BTreeMap<String, Arc<Service>>,
    ) -> BTreeSet<String> {
        let before = self.by_container.remove(container);
        let before = before.iter().flat_map(|before| &before.ids);
        let dropped = before.filter(|id| !wanted.contains_key(&***id)).map(ToString::to_string);
        let dropped: BTreeSet<_> = dropped.collect();
        for id in &dropped {
            self.drop(id, container);
        }
        let claim = |(id, service): (String, Arc<Service>)| {
            let id = self.key(&id).unwrap_or_else(|| id.into());
            let new = || Claimed { first: container.clone(), by: LiteMap::with_capacity(1) };
            let claimed = self.by_id.entry(id.clone()).or_insert_with(new);
            claimed.by.insert(container.clone(), service);
            id
        };
        let ids: Box<[_]> = wanted.into_iter().map(claim).collect();
        if !ids.is_empty() {
            self.by_container.insert(container.clone(), Claimant { name: name.into(), ids });
        }
        dropped
    }

    /// A container wants no more than these of the services that it wants.
    pub(super) fn keep(&mut self, container: &ContainerId, kept: &BTreeSet<String>) {
        let Some(Claimant { name, ids }) = self.by_container.remove(container) else { return };
        let (ids, dropped): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| kept.contains(&**id));
        for id in dropped {
            self.drop(&id, container);
        }
        if !ids.is_empty() {
            self.by_container.insert(container.clone(), Claimant { name, ids: ids.into() });
        }
    }

    fn drop(&mut self, id: &str, container: &ContainerId) {
        let Some(claimed) = self.by_id.get_mut(id) else { return };
        claimed.by.remove(container);
        match claimed.by.first() {
            None => drop(self.by_id.remove(id)),
            Some((next, _)) if claimed.first == *container => claimed.first = next.clone(),
            Some(_) => {}
        }
    }

    /// The containers that want an ID, each with its service.
    pub(super) fn of(&self, id: &str) -> Option<&Wanting> {
        self.by_id.get(id).map(|claimed| &claimed.by)
    }

    /// The text of an ID that is wanted.
    pub(super) fn key(&self, id: &str) -> Option<Arc<str>> {
        self.by_id.get_key_value(id).map(|(id, _)| id.clone())
    }

    /// Of those who want it, the one that has wanted it the longest.
    pub(super) fn first(&self, id: &str) -> Option<&ContainerId> {
        self.by_id.get(id).map(|claimed| &claimed.first)
    }

    /// A container that wants an ID, with its service.
    pub(super) fn claim(
        &self,
        id: &str,
        container: &ContainerId,
    ) -> Option<(&ContainerId, &Arc<Service>)> {
        let by = self.of(id)?;
        by.get_indexed(by.find_index(container).ok()?)
    }

    /// All services that are wanted, and by whom.
    pub(super) fn all(&self) -> impl Iterator<Item = (&ContainerId, &Arc<Service>)> {
        self.by_id.values().flat_map(|claimed| &claimed.by)
    }

    /// The IDs that a container wants.
    pub(super) fn ids(&self, container: &ContainerId) -> impl Iterator<Item = &str> {
        let ids = self.by_container.get(container).into_iter().flat_map(|one| &one.ids);
        ids.map(|id| &**id)
    }

    /// The services that a container wants.
    pub(super) fn services(&self, container: &ContainerId) -> Vec<&Arc<Service>> {
        self.ids(container).filter_map(|id| self.of(id)?.get(container)).collect()
    }

    /// The containers that want something.
    pub(super) fn containers(&self) -> impl Iterator<Item = &ContainerId> {
        self.by_container.keys()
    }

    /// The name of a container that wants something.
    pub(super) fn name(&self, container: &ContainerId) -> Option<&str> {
        self.by_container.get(container).map(|one| &*one.name)
    }

    /// The containers of a name that want something.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ContainerId> {
        self.by_container.iter().filter(move |(_, other)| *other.name == *name).map(|(id, _)| id)
    }
}
