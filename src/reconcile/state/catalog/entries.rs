//! The IDs in the registry: their entries as they are known, and the containers that these are for.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Catalog,
    slot::{Entry, Slot, Written},
};
use crate::{
    model::{container::ContainerId, marks::Owner, registered::Registered, service::Service},
    reconcile::retire::{self, Old},
};

impl Catalog {
    pub(super) fn entry(&self, id: &str) -> Option<&Entry> {
        self.slots.get(id)?.entry.as_deref()
    }

    /// The service registered under an ID, as it was last known.
    pub(in crate::reconcile) fn registered(&self, id: &str) -> Option<&Registered> {
        self.entry(id).map(|entry| &entry.registered)
    }

    /// The service that this daemon registered under an ID, if nobody has changed it since.
    pub(in crate::reconcile) fn written(&self, id: &str) -> Option<&Arc<Service>> {
        self.entry(id)?.written.as_ref().map(|written| &written.service)
    }

    /// Whether this daemon has, or may have, registered what is under an ID.
    pub(in crate::reconcile) fn may_have_written(&self, id: &str) -> bool {
        self.slots.get(id).is_some_and(|slot| slot.perhaps_written().next().is_some())
    }

    /// The services that a container has, or may have, under an ID.
    pub(in crate::reconcile) fn had_by(&self, container: &ContainerId, id: &str) -> Vec<Old<'_>> {
        let Some(slot) = self.slots.get(id) else { return Vec::new() };
        let mut olds = Vec::new();
        if let Some(entry) =
            slot.entry.as_deref().filter(|_| self.has(slot).as_ref() == Some(container))
        {
            let written = entry.written.as_ref().map(|written| &written.service);
            olds.push(Old::of(&entry.registered, written));
        }
        let perhaps = slot.perhaps_written().filter(|written| written.container == *container);
        olds.extend(perhaps.map(|written| {
            let Service { address, port, .. } = &*written.service;
            Old { address, port: *port, origin: retire::port(&written.service) }
        }));
        olds
    }

    /// Everything that is registered.
    pub(in crate::reconcile) fn all_registered(&self) -> impl Iterator<Item = &Registered> {
        self.slots.values().filter_map(|slot| Some(&slot.entry.as_deref()?.registered))
    }

    /// Whether the last write of an ID may or may not have been carried out.
    pub(in crate::reconcile) fn is_uncertain(&self, id: &str) -> bool {
        self.slots.get(id).is_some_and(Slot::is_uncertain)
    }

    /// The number of IDs whose last write may or may not have been carried out.
    pub(in crate::reconcile) fn uncertain(&self) -> usize {
        self.slots.values().filter(|slot| slot.is_uncertain()).count()
    }

    /// The container that has what is registered.
    pub(super) fn has(&self, slot: &Slot) -> Option<ContainerId> {
        let entry = slot.entry.as_deref()?;
        match self.owner(&entry.registered) {
            Owner::Ours(container) | Owner::OtherEngine(container) => Some(container),
            Owner::OtherHost(_) | Owner::Member(_) => None,
            Owner::Host | Owner::Unmarked => {
                entry.written.as_ref().map(|written| written.container.clone())
            }
        }
    }

    /// The containers for which there is, or may be, something under an ID, if
    /// there are marks that say so, or this daemon remembers.
    pub(in crate::reconcile) fn owners(&self, id: &str) -> BTreeSet<ContainerId> {
        let Some(slot) = self.slots.get(id) else { return BTreeSet::new() };
        let unconfirmed = slot.unconfirmed.iter().flatten();
        let writing = slot.writing.as_ref().and_then(|writing| writing.what.as_ref());
        let perhaps = unconfirmed.chain(writing).map(|written| written.container.clone());
        self.has(slot).into_iter().chain(perhaps).collect()
    }

    /// Take an unchanged service under an ID for this container's from now on, if that is given the
    /// ID. With marks no service stays unchanged.
    pub(super) fn inherit(&mut self, id: &str, container: &ContainerId) {
        let Some((successor, service)) = self.winner(id) else { return };
        let of =
            |written: &Written| written.container != *container && *written.service == **service;
        let written = self.entry(id).and_then(|entry| entry.written.as_ref());
        if successor == container && written.is_some_and(of) {
            self.change(id, |slot| {
                let written = slot.entry.as_deref_mut().and_then(|entry| entry.written.as_mut());
                if let Some(written) = written {
                    written.container = container.clone();
                }
            });
        }
    }

    /// Change what is known of an ID.
    pub(super) fn change<T>(&mut self, id: &str, change: impl FnOnce(&mut Slot) -> T) -> T {
        // All that is kept of an ID has one text of it.
        let new = || (self.claims.key(id).unwrap_or_else(|| id.into()), Slot::default());
        let (id, mut slot) = self.slots.remove_entry(id).unwrap_or_else(new);
        let before = self.index(&slot);
        let changed = change(&mut slot);
        let after = self.put_back(&id, slot);
        for container in before.difference(&after) {
            let Some(ids) = self.registered_for.get_mut(container) else { continue };
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.registered_for.remove(container);
                self.ended.remove(container);
            }
        }
        changed
    }

    /// Say which containers' look is concerned with what is there.
    pub(super) fn put_back(&mut self, id: &Arc<str>, slot: Slot) -> BTreeSet<ContainerId> {
        let concerned = self.index(&slot);
        for container in &concerned {
            // Mostly of one.
            let ids = self.registered_for.entry(container.clone()).or_default();
            if let Err(at) = ids.binary_search(id) {
                ids.reserve_exact(1);
                ids.insert(at, id.clone());
            }
        }
        if !slot.is_empty() {
            self.slots.insert(id.clone(), slot);
        }
        concerned
    }

    /// The containers whose look is concerned with what is there.
    fn index(&self, slot: &Slot) -> BTreeSet<ContainerId> {
        let marked =
            slot.entry.as_deref().and_then(|entry| self.marked_container(&entry.registered));
        let written = slot.perhaps_written().map(|written| written.container.clone());
        marked.into_iter().chain(written).collect()
    }
}
