//! One ID in the registry, as far as this daemon knows it: the entry as it was last known, and the
//! writes since then that may have changed it.

use std::sync::Arc;

use crate::{
    model::{container::ContainerId, registered::Registered, service::Service},
    reconcile::difference::differences,
};

/// More lost writes than this are not remembered for an ID. With marks the registry
/// itself says what came of them.
const MOST_UNCONFIRMED: usize = 16;

/// One ID in the registry, as far as this daemon knows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    /// The entry as it was last known. Boxed: a map has room for half as many again, or twice as
    /// many, as it has.
    pub(super) entry: Option<Box<Entry>>,
    /// Writes since then of which it is not known whether they were carried out,
    /// the last one last.
    pub(super) unconfirmed: Vec<Write>,
    /// The write under way. Few are at any time, and there are many slots.
    pub(super) writing: Option<Box<Writing>>,
    /// This daemon's writes to it since the current read began.
    pub(super) since_read: SinceRead,
    /// The current read does not show it, and it is not known yet whether it may.
    pub(super) unseen: bool,
}

/// A service as the registry has it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) registered: Registered,
    /// This daemon's own registration; none if somebody else wrote or changed it.
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
#[derive(Debug, Clone)]
pub(super) struct Writing {
    pub(super) what: Write,
    /// The count of writes when it was sent.
    pub(super) began: u64,
    /// The entry, or none, by a read that overlaps no other write that may have changed it.
    pub(super) shown: Option<Option<Registered>>,
}

/// This daemon's writes to an ID since the current read began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum SinceRead {
    #[default]
    Nothing,
    /// A write was begun, which may have changed nothing.
    Began,
    /// A write has, or may have, changed it.
    Changed,
}

impl Slot {
    /// Whether it is not known what is there.
    pub(super) fn is_uncertain(&self) -> bool {
        !self.unconfirmed.is_empty() || self.writing.is_some()
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
    pub(super) fn perhaps_written(&self) -> impl Iterator<Item = &Written> {
        let written = self.entry.as_deref().and_then(|entry| entry.written.as_ref());
        let writing = self.writing.as_ref().and_then(|writing| writing.what.as_ref());
        written.into_iter().chain(self.unconfirmed.iter().flatten()).chain(writing)
    }

    /// It is not known whether this was carried out.
    pub(super) fn leave_unconfirmed(&mut self, write: Write) {
        self.unconfirmed.retain(|other| *other != write);
        self.unconfirmed.push(write);
        if self.unconfirmed.len() > MOST_UNCONFIRMED {
            self.unconfirmed.remove(0);
        }
    }

    /// This is what is there. A registration of this daemon's is remembered for as long as nobody
    /// changed it; so is one that may have been carried out, and shows. Checks do not show: of
    /// several services that would look the same it stays unknown which it is.
    pub(super) fn resolve(&mut self, registered: Registered, now: u64) {
        let since = self.entry.as_deref().map_or(now, |entry| entry.since);
        let fits = |one: &&Written| differences(&one.service, &registered).is_empty();
        let mut fitting: Vec<Written> = Vec::new();
        for one in self.perhaps_written().filter(fits) {
            if !fitting.contains(one) {
                fitting.push(one.clone());
            }
        }
        let written = fitting.last().cloned();
        let mut registered = registered;
        if let Some(Written { service, .. }) = &written {
            registered.share(service);
        }
        self.unconfirmed.clear();
        if fitting.len() > 1 {
            self.unconfirmed = fitting.into_iter().map(Some).collect();
        }
        self.entry = Some(Box::new(Entry { registered, written, since }));
        self.unseen = false;
    }

    /// Nothing is there.
    pub(super) fn clear(&mut self) {
        self.entry = None;
        self.unconfirmed.clear();
        self.unseen = false;
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;
    use crate::{model::container::Container, reconcile::Row};

    /// The sizes of the values kept or made of each container, without their texts and lists, are
    /// bounded.
    #[test]
    fn what_the_values_take_that_are_kept_of_a_container_is_known() {
        let kept = [
            ("a slot", size_of::<Slot>(), 48),
            ("what is registered", size_of::<Entry>(), 300),
            ("a service that is wanted", size_of::<Service>(), 320),
            ("a row for those who look", size_of::<Row>(), 160),
            ("a container, while it is looked at", size_of::<Container>(), 900),
        ];
        for (what, bytes, most) in kept {
            println!("{what}: {bytes} bytes");
            assert!(bytes <= most, "{what} takes {bytes} bytes, and not {most} at the most");
        }
    }
}
