//! The catalog's record of writes and reads, which may overlap, be lost or be refused.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    Catalog, Drift,
    slot::{Entry, SinceRead, Writing, Written},
};
use crate::{
    model::{container::ContainerId, marks::Owner, registered::Registered, service::Service},
    reconcile::difference::differences,
};

impl Catalog {
    /// A write is about to be sent for a container: of this service, or with none a
    /// deregistration.
    pub(in crate::reconcile) fn begin_write(
        &mut self,
        id: &str,
        container: &ContainerId,
        service: Option<&Arc<Service>>,
    ) {
        let written = |service: &Arc<Service>| Written {
            service: service.clone(),
            container: container.clone(),
        };
        let what = service.map(written);
        self.clock += 1;
        let began = self.clock;
        self.change(id, |slot| {
            // Of a write that was given up it is not known what came of it.
            if let Some(given_up) = slot.writing.take() {
                slot.leave_unconfirmed(given_up.what);
            }
            slot.writing = Some(Box::new(Writing { what, began, shown: None }));
        });
        self.note_since_read(id, SinceRead::Began);
    }

    /// The write was carried out.
    pub(in crate::reconcile) fn end_write(&mut self, id: &str) {
        let theirs =
            self.registered(id).is_some_and(|old| matches!(self.owner(old), Owner::OtherEngine(_)));
        self.former.remove(id);
        let registered = self.change(id, |slot| {
            let Writing { what, began, .. } = *slot.writing.take()?;
            slot.clear();
            let written = what?;
            let registered = Registered::from(&*written.service);
            // It was there before it was answered, and so was lost if everything was
            // lost since.
            slot.entry = Some(Box::new(Entry { registered, written: Some(written), since: began }));
            Some(())
        });
        self.note_since_read(id, SinceRead::Changed);
        if registered.is_some() && theirs {
            self.overtaken.insert(id.to_string());
        }
        if registered.is_some() {
            // To replace a service's checks may take it out of maintenance.
            self.maintained.doubt(id);
        } else {
            self.maintained.forget(id);
            if let Some(original) = &mut self.original {
                original.forget(id);
            }
        }
    }

    /// The registry refused the write, so that nothing has changed, and a read meanwhile was true.
    /// An earlier write is as uncertain as before.
    pub(in crate::reconcile) fn refuse_write(&mut self, id: &str) {
        let now = self.clock;
        self.change(id, |slot| match slot.writing.take().and_then(|writing| writing.shown) {
            Some(Some(registered)) => slot.resolve(registered, now),
            Some(None) => slot.clear(),
            None => {}
        });
    }

    /// It is not known whether the write was carried out, whatever was read
    /// meanwhile.
    pub(in crate::reconcile) fn lose_write(&mut self, id: &str) {
        self.change(id, |slot| {
            if let Some(writing) = slot.writing.take() {
                slot.leave_unconfirmed(writing.what);
            }
        });
        self.note_since_read(id, SinceRead::Changed);
    }

    fn note_since_read(&mut self, id: &str, since: SinceRead) {
        if !self.reading {
            return;
        }
        self.change(id, |slot| {
            if slot.since_read != SinceRead::Changed {
                slot.since_read = since;
            }
        });
    }

    /// The registry refused this service for what it is.
    pub(in crate::reconcile) fn note_refusal(&mut self, service: &Arc<Service>) {
        if let Some(original) = &mut self.original {
            original.refuse(service);
        }
    }

    /// Whether there is no use in asking for this service yet.
    pub(in crate::reconcile) fn is_refused(&self, service: &Service) -> bool {
        self.original.as_ref().is_some_and(|original| original.is_refused(service))
    }

    /// The ID of a service of a container that there is no use in asking for yet.
    pub(in crate::reconcile) fn refused(&self, container: &ContainerId) -> Option<String> {
        let refused = |service: &&Arc<Service>| self.is_refused(service);
        self.wanted_by(container).into_iter().find(refused).map(|service| service.id.clone())
    }

    /// The services of a container that another one of its own takes the place of
    /// under this ID, if they are to be written as well.
    pub(in crate::reconcile) fn overwritten(
        &self,
        container: &ContainerId,
        id: &str,
    ) -> Vec<Arc<Service>> {
        let original = self.original.as_ref();
        original.map(|original| original.overwritten(container, id)).unwrap_or_default()
    }

    /// Whether a container certainly has under `successor` what it wants there, so that what
    /// it has under another ID can go.
    pub(in crate::reconcile) fn has_successor(
        &self,
        container: &ContainerId,
        successor: &str,
    ) -> bool {
        let Some(slot) =
            self.slots.get(successor).filter(|slot| !slot.is_uncertain() && !slot.unseen)
        else {
            return false;
        };
        let (Some(entry), Some(wanted)) = (&slot.entry, self.wanted(successor)) else {
            return false;
        };
        self.is_given(successor, container)
            && self.has(slot).as_ref() == Some(container)
            && differences(wanted, &entry.registered).is_empty()
    }

    /// A read of the whole registry is about to be sent.
    pub(in crate::reconcile) fn begin_read(&mut self) {
        if let Some(original) = &mut self.original {
            original.allow(None);
        }
        self.reading = true;
        #[cfg(test)]
        {
            self.reads += 1;
        }
        for slot in self.slots.values_mut() {
            slot.since_read = match slot.writing {
                Some(_) => SinceRead::Began,
                None => SinceRead::Nothing,
            };
        }
    }

    /// The number of reads begun.
    #[cfg(test)]
    pub(in crate::reconcile) fn reads(&self) -> u64 {
        self.reads
    }

    /// Take over what a read showed, and say what others have changed. Whether what it
    /// did not show is gone is for [`Catalog::end_read`]; until then it may be.
    pub(in crate::reconcile) fn see(
        &mut self,
        read: &BTreeMap<String, Registered>,
    ) -> Vec<(String, Vec<&'static str>)> {
        if !self.begun {
            self.note_former(read);
        }
        let mut changed = Vec::new();
        for (id, registered) in read {
            let known = self.slots.get(id.as_str());
            let certain = known.is_none_or(|slot| !slot.is_uncertain());
            let same = self.registered(id) == Some(registered);
            if known.is_some_and(|slot| slot.is_newer()) || (certain && same) {
                continue;
            }
            let fields = self.written(id).map(|written| differences(written, registered));
            if let Some(fields) = fields.filter(|fields| !fields.is_empty() && certain) {
                changed.push((id.clone(), fields));
            }
            if self.begun && !same {
                // Whoever changes it lives. What a write of this daemon's own left as it was, nobody
                // has changed.
                self.former.remove(id);
            }
            let now = self.clock;
            self.change(id, |slot| slot.resolve(registered.clone(), now));
        }
        for (id, slot) in &mut *self.slots {
            slot.unseen = !slot.is_newer() && !read.contains_key(&**id);
        }
        changed
    }

    /// Take over what was read, and say what others have changed. Where this
    /// daemon wrote meanwhile, its own knowledge is newer than the read's, even
    /// if it is that it does not know; and what may not be read stays as it is known.
    pub(in crate::reconcile) fn end_read(
        &mut self,
        read: BTreeMap<String, Registered>,
        unreadable: &HashSet<String>,
    ) -> Drift {
        let missing = self.missing(&read).into_iter().map(|(id, _)| id);
        let ours = |id: &String| self.entry(id).is_some_and(|entry| self.is_ours(entry));
        let gone = missing.filter(|id| !unreadable.contains(id) && ours(id)).collect();
        let drift = Drift { gone, changed: self.see(&read) };
        self.reading = false;
        self.begun = true;
        let mut absent = Vec::new();
        for (id, slot) in &mut *self.slots {
            slot.unseen = false;
            let since = std::mem::take(&mut slot.since_read);
            if let Some(writing) = slot.writing.as_mut().filter(|_| since == SinceRead::Began) {
                writing.shown = Some(read.get(&**id).cloned());
            }
            let newer = slot.writing.is_some() || since == SinceRead::Changed;
            let gone = !newer && !read.contains_key(&**id) && !unreadable.contains(&**id);
            if gone || slot.is_empty() {
                absent.push(id.clone());
            }
        }
        for id in absent {
            self.change(&id, |slot| slot.clear());
            self.maintained.forget(&id);
            self.former.remove(&*id);
        }
        drift
    }
}
