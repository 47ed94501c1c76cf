//! What is known to have gone without this daemon's doing, between two reads of everything.
//!
//! A finding is about the time before it was asked for: what was written since then is
//! newer, by the count of writes.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    Catalog,
    slot::{Slot, Written},
};
use crate::{container::ContainerId, reconcile::plan::differences, service::Service};

impl Catalog {
    /// The count of writes, by which a finding is told from what is newer.
    pub(in crate::reconcile) fn now(&self) -> u64 {
        self.clock
    }

    /// Services that a container wants, or that are this daemon's, and are not among these
    /// IDs, in order.
    pub(in crate::reconcile) fn vanished(&self, ids: &BTreeSet<String>, asked: u64) -> Vec<String> {
        let vanished = self.slots.iter().filter(|(id, slot)| {
            let ours = slot.entry.as_ref().is_some_and(|entry| self.is_ours(entry));
            let concerned = ours || self.claims.contains_key(*id);
            concerned && !ids.contains(*id) && is_settled(slot, asked)
        });
        let mut vanished: Vec<_> = vanished.map(|(id, _)| id.clone()).collect();
        vanished.sort_unstable();
        vanished
    }

    /// Whether what is known to be under an ID is this daemon's.
    pub(in crate::reconcile) fn ours_is(&self, id: &str) -> bool {
        self.entry(id).is_some_and(|entry| self.is_ours(entry))
    }

    /// Nothing is there under an ID. Which containers that concerns; none if what is known is
    /// newer.
    pub(in crate::reconcile) fn note_gone(
        &mut self,
        id: &str,
        asked: u64,
    ) -> BTreeSet<ContainerId> {
        if !self.slots.get(id).is_some_and(|slot| is_settled(slot, asked)) {
            return BTreeSet::new();
        }
        let mut concerned = self.holders(id);
        concerned.extend(self.claims.get(id).into_iter().flatten().map(|(by, _)| by.clone()));
        self.change(id, Slot::clear);
        self.maintained.remove(id);
        concerned
    }

    /// The IDs of which the last read showed nothing and a lookup did not tell more.
    pub(in crate::reconcile) fn unseen(&self) -> BTreeSet<String> {
        if self.reading {
            return BTreeSet::new();
        }
        self.slots.iter().filter(|(_, slot)| slot.unseen).map(|(id, _)| id.clone()).collect()
    }

    /// It is not known yet whether these are there, of which a read shows nothing.
    pub(in crate::reconcile) fn keep_unseen(&mut self, ids: &HashSet<String>) {
        for (id, slot) in &mut self.slots {
            slot.unseen |= ids.contains(id) && slot.entry.is_some() && !slot.is_newer();
        }
    }

    /// What is under an ID counts as there, whatever the last read showed.
    pub(in crate::reconcile) fn note_seen(&mut self, id: &str) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.unseen = false;
        }
    }

    /// Whether a container wants a service with checks.
    pub(in crate::reconcile) fn wants_checks(&self) -> bool {
        self.claims.values().flatten().any(|(_, service)| !service.checks.is_empty())
    }

    /// The services with checks that are there as a container wants them.
    pub(in crate::reconcile) fn checked(&self, asked: u64) -> Vec<Arc<Service>> {
        let as_wanted = |(id, slot): (&String, &Slot)| {
            let (_, service) = self.winner(id)?;
            let entry = slot.entry.as_ref()?;
            let same = is_settled(slot, asked)
                && !service.checks.is_empty()
                && self.is_ours(entry)
                && differences(service, &entry.registered).is_empty();
            same.then(|| service.clone())
        };
        self.slots.iter().filter_map(as_wanted).collect()
    }

    /// A service has lost its checks, so that it is to be registered again. Which container
    /// that concerns; none if what is known is newer.
    pub(in crate::reconcile) fn note_lost_checks(
        &mut self,
        service: &Arc<Service>,
        asked: u64,
    ) -> Option<ContainerId> {
        let id = &service.id;
        let (container, wanted) = self.winner(id)?;
        let (container, same) = (container.clone(), Arc::ptr_eq(wanted, service));
        if !same || !self.slots.get(id).is_some_and(|slot| is_settled(slot, asked)) {
            return None;
        }
        let write = Written { service: service.clone(), container: container.clone() };
        // As after a write of which the outcome is not known.
        self.change(id, |slot| slot.doubt(Some(write)));
        Some(container)
    }
}

/// Whether what is known of an ID is certain and was before this.
fn is_settled(slot: &Slot, asked: u64) -> bool {
    let old = slot.entry.as_ref().is_some_and(|entry| entry.since <= asked);
    old && !slot.is_uncertain()
}
