//! What is known of one ID in the registry: what was there when it was last known,
//! and what writes may have made of it since.

use std::{collections::BTreeSet, sync::Arc};

use super::Catalog;
use crate::{
    container::ContainerId,
    reconcile::{
        plan::{self, Old, differences},
        provenance::Owner,
    },
    registry::Registered,
    service::Service,
};

/// More lost writes than this are not remembered for an ID. With marks the registry
/// itself says what came of them.
const MOST_DOUBTS: usize = 16;

/// What is known of one ID.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// What was there when it was last known.
    pub(super) entry: Option<Entry>,
    /// Writes since then of which it is not known whether they were carried out,
    /// the last one last.
    pub(super) doubts: Vec<Write>,
    /// The write under way. Few are at any time, and there are many slots.
    pub(super) writing: Option<Box<Writing>>,
    /// What this daemon has done to it since the current read began.
    pub(super) since_read: SinceRead,
    /// The current read does not show it, and it is not known yet whether it may.
    pub(super) unseen: bool,
}

/// A service as the registry has it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) registered: Registered,
    /// What this daemon wrote, if it was this daemon.
    pub(super) written: Option<Written>,
    /// Since when it has been there without being written again, by the count of
    /// writes.
    pub(super) since: u64,
}

/// A service that this daemon has written, and for which container. Without marks
/// nothing else tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) service: Arc<Service>,
    pub(super) container: ContainerId,
}

/// A registration, or with none a deregistration.
pub(super) type Write = Option<Written>;

/// A write that has not been answered.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) what: Write,
    /// The count of writes when it was sent.
    pub(super) began: u64,
    /// What a read showed that overlaps nothing else.
    pub(super) shown: Option<Option<Registered>>,
}

/// What this daemon has done to an ID since the current read began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum SinceRead {
    #[default]
    Nothing,
    /// It has begun to write it, which may have changed nothing.
    Began,
    /// It has, or may have, changed it.
    Changed,
}

impl Slot {
    /// Whether it is not known what is there.
    pub(super) fn is_uncertain(&self) -> bool {
        !self.doubts.is_empty() || self.writing.is_some()
    }

    /// Whether this daemon's own knowledge is newer than the current read's.
    pub(super) fn is_newer(&self) -> bool {
        self.since_read == SinceRead::Changed || self.writing.is_some()
    }

    /// Whether nothing is known that is worth keeping.
    pub(super) fn is_empty(&self) -> bool {
        self.entry.is_none() && !self.is_uncertain() && self.since_read == SinceRead::Nothing
    }

    /// All that this daemon has, or may have, registered.
    fn perhaps_written(&self) -> impl Iterator<Item = &Written> {
        let written = self.entry.as_ref().and_then(|entry| entry.written.as_ref());
        let writing = self.writing.as_ref().and_then(|writing| writing.what.as_ref());
        written.into_iter().chain(self.doubts.iter().flatten()).chain(writing)
    }

    /// It is not known whether this was carried out.
    pub(super) fn doubt(&mut self, write: Write) {
        self.doubts.retain(|other| *other != write);
        self.doubts.push(write);
        if self.doubts.len() > MOST_DOUBTS {
            self.doubts.remove(0);
        }
    }

    /// This is what is there. What was written is remembered for as long as nobody
    /// changed it; so is what may have been, and shows. Checks do not show: of
    /// several services that would look the same it stays unknown which it is.
    pub(super) fn resolve(&mut self, registered: Registered, now: u64) {
        let since = self.entry.as_ref().map_or(now, |entry| entry.since);
        let fits = |one: &&Written| differences(&one.service, &registered).is_empty();
        let mut fitting: Vec<Written> = Vec::new();
        for one in self.perhaps_written().filter(fits) {
            if !fitting.contains(one) {
                fitting.push(one.clone());
            }
        }
        let written = fitting.last().cloned();
        self.doubts.clear();
        if fitting.len() > 1 {
            self.doubts = fitting.into_iter().map(Some).collect();
        }
        self.entry = Some(Entry { registered, written, since });
        self.unseen = false;
    }

    /// Nothing is there.
    pub(super) fn clear(&mut self) {
        self.entry = None;
        self.doubts.clear();
        self.unseen = false;
    }
}

impl Catalog {
    pub(super) fn entry(&self, id: &str) -> Option<&Entry> {
        self.slots.get(id)?.entry.as_ref()
    }

    /// What is, or was when it was last known, registered under an ID.
    pub(in crate::reconcile) fn registered(&self, id: &str) -> Option<&Registered> {
        self.entry(id).map(|entry| &entry.registered)
    }

    /// What this daemon registered under an ID, if nobody has changed it since.
    pub(in crate::reconcile) fn written(&self, id: &str) -> Option<&Arc<Service>> {
        self.entry(id)?.written.as_ref().map(|written| &written.service)
    }

    /// Whether this daemon has, or may have, registered what is under an ID.
    pub(in crate::reconcile) fn may_have_written(&self, id: &str) -> bool {
        self.slots.get(id).is_some_and(|slot| slot.perhaps_written().next().is_some())
    }

    /// What a container has, or may have, under an ID.
    pub(in crate::reconcile) fn had_by(&self, container: &ContainerId, id: &str) -> Vec<Old<'_>> {
        let Some(slot) = self.slots.get(id) else { return Vec::new() };
        let mut olds = Vec::new();
        if let Some(entry) =
            slot.entry.as_ref().filter(|_| self.has(slot).as_ref() == Some(container))
        {
            let written = entry.written.as_ref().map(|written| &written.service);
            olds.push(Old::of(&entry.registered, written));
        }
        let perhaps = slot.perhaps_written().filter(|written| written.container == *container);
        olds.extend(perhaps.map(|written| {
            let Service { address, port, .. } = &*written.service;
            Old { address, port: *port, origin: plan::port(&written.service) }
        }));
        olds
    }

    /// Everything that is registered.
    pub(in crate::reconcile) fn all_registered(&self) -> impl Iterator<Item = &Registered> {
        self.slots.values().filter_map(|slot| Some(&slot.entry.as_ref()?.registered))
    }

    /// Whether the last write of an ID may or may not have been carried out.
    pub(in crate::reconcile) fn is_uncertain(&self, id: &str) -> bool {
        self.slots.get(id).is_some_and(Slot::is_uncertain)
    }

    /// How many services may or may not be as they were last written.
    pub(in crate::reconcile) fn uncertain(&self) -> usize {
        self.slots.values().filter(|slot| slot.is_uncertain()).count()
    }

    /// The container that has what is registered.
    pub(super) fn has(&self, slot: &Slot) -> Option<ContainerId> {
        let entry = slot.entry.as_ref()?;
        match self.owner(&entry.registered) {
            Owner::Ours(container) | Owner::OtherEngine(container) => Some(container),
            Owner::OtherHost(_) => None,
            Owner::Host | Owner::Unmarked => {
                entry.written.as_ref().map(|written| written.container.clone())
            }
        }
    }

    /// The containers for which there is, or may be, something under an ID, if
    /// there are marks that say so, or this daemon remembers.
    pub(in crate::reconcile) fn holders(&self, id: &str) -> BTreeSet<ContainerId> {
        let Some(slot) = self.slots.get(id) else { return BTreeSet::new() };
        let doubted = slot.doubts.iter().flatten();
        let writing = slot.writing.as_ref().and_then(|writing| writing.what.as_ref());
        let perhaps = doubted.chain(writing).map(|written| written.container.clone());
        self.has(slot).into_iter().chain(perhaps).collect()
    }

    /// What stays the same under an ID is from now on this container's if it is the
    /// one that is given it. Where there are marks, it does not stay the same.
    pub(super) fn inherit(&mut self, id: &str, container: &ContainerId) {
        let Some((heir, service)) = self.winner(id) else { return };
        let of =
            |written: &Written| written.container != *container && *written.service == **service;
        let written = self.entry(id).and_then(|entry| entry.written.as_ref());
        if heir == container && written.is_some_and(of) {
            self.change(id, |slot| {
                let written = slot.entry.as_mut().and_then(|entry| entry.written.as_mut());
                if let Some(written) = written {
                    written.container = container.clone();
                }
            });
        }
    }

    /// Change what is known of an ID.
    pub(super) fn change<T>(&mut self, id: &str, change: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slot = self.slots.remove(id).unwrap_or_default();
        let before = self.index(&slot);
        for container in &before {
            if let Some(ids) = self.held.get_mut(container) {
                ids.remove(id);
            }
        }
        let changed = change(&mut slot);
        self.put_back(id, slot);
        for container in before {
            if self.held.get(&container).is_some_and(BTreeSet::is_empty) {
                self.held.remove(&container);
                self.ended.remove(&container);
            }
        }
        changed
    }

    pub(super) fn put_back(&mut self, id: &str, slot: Slot) {
        for container in self.index(&slot) {
            self.held.entry(container).or_default().insert(id.to_string());
        }
        if !slot.is_empty() {
            self.slots.insert(id.to_string(), slot);
        }
    }

    /// The containers whose look is concerned with what is there.
    fn index(&self, slot: &Slot) -> BTreeSet<ContainerId> {
        let marked = slot.entry.as_ref().and_then(|entry| self.marked_container(&entry.registered));
        let written = slot.perhaps_written().map(|written| written.container.clone());
        marked.into_iter().chain(written).collect()
    }
}
