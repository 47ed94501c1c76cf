//! What is known of the registry after writes and reads that may overlap, be lost
//! or be refused.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{Catalog, Drift, Entry};
use crate::{
    container::ContainerId, reconcile::plan::differences, registry::Registered, service::Service,
};

impl Catalog {
    /// A write is about to be sent.
    pub(in crate::reconcile) fn begin_write(&mut self, id: &str, service: Option<&Arc<Service>>) {
        let again = !self.uncertain.insert(id.to_string());
        self.writing.insert(id.to_string(), again);
        if let Some(service) = service {
            self.attempted.insert(id.to_string(), service.clone());
            let mut claims = self.claims.get(id).into_iter().flatten();
            let claimant = claims.find(|(_, claimed)| Arc::ptr_eq(claimed, service));
            self.unmarked
                .extend(claimant.map(|(container, _)| (id.to_string(), container.clone())));
        }
        if let Some(written) = &mut self.written_since {
            written.entry(id.to_string()).or_insert(false);
        }
    }

    /// A write was carried out: the service is registered, or with none taken
    /// out.
    pub(in crate::reconcile) fn end_write(&mut self, id: &str, service: Option<Arc<Service>>) {
        self.lose_write(id);
        self.is_certain(id);
        match service {
            Some(service) => {
                // To replace a service's checks may take it out of maintenance.
                if let Some(sure) = self.maintained.get_mut(id) {
                    *sure = false;
                }
                let registered = Registered::from(&*service);
                self.clock += 1;
                let since = self.clock;
                self.put(id, Entry { registered, written: Some(service), since });
            }
            None => {
                self.remove(id);
                self.maintained.remove(id);
                if let Some(original) = &mut self.original {
                    original.forget(id);
                }
                if !self.claims.contains_key(id) {
                    self.generations.remove(id);
                }
            }
        }
    }

    /// The registry refused a write, so that nothing has changed, and a read
    /// meanwhile was true. What an earlier write did is as uncertain as before.
    pub(in crate::reconcile) fn refuse_write(&mut self, id: &str) {
        let read = self.overlapped.remove(id);
        if self.writing.remove(id) != Some(false) {
            return;
        }
        self.is_certain(id);
        match read {
            Some(Some(registered)) => self.take_over(id, registered),
            Some(None) => self.remove(id),
            None => {}
        }
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

    /// It is not known whether a write was carried out, whatever was read
    /// meanwhile.
    pub(in crate::reconcile) fn lose_write(&mut self, id: &str) {
        self.writing.remove(id);
        self.overlapped.remove(id);
        if let Some(written) = &mut self.written_since {
            written.insert(id.to_string(), true);
        }
    }

    pub(super) fn is_certain(&mut self, id: &str) {
        self.uncertain.remove(id);
        self.attempted.remove(id);
    }

    /// Whether a service is certainly registered under `heir`, so that what has
    /// another `id` can go: for whoever wants it of those who have, or may have,
    /// that one.
    pub(in crate::reconcile) fn has_heir(&self, id: &str, heir: &str) -> bool {
        let Some(entry) = self.registered.get(heir).filter(|_| !self.is_uncertain(heir)) else {
            return false;
        };
        let claims = self.claims.get(heir).into_iter().flatten();
        let holders = self.holders(id);
        let mut own = claims.filter(|(container, _)| holders.contains(container)).peekable();
        own.peek().is_none()
            || own.all(|(_, own)| {
                let given = self.wanted(heir).is_some_and(|wanted| Arc::ptr_eq(own, wanted));
                given && self.is_ours(entry)
            })
    }

    /// What this daemon may have registered under an ID, of which it is not known.
    pub(in crate::reconcile) fn attempted(&self, id: &str) -> Option<&Arc<Service>> {
        self.attempted.get(id)
    }

    /// What this daemon has, or may have, registered under an ID.
    pub(in crate::reconcile) fn perhaps_written(&self, id: &str) -> Option<&Arc<Service>> {
        self.written(id).or_else(|| self.attempted.get(id))
    }

    /// A read of the whole registry is about to be sent.
    pub(in crate::reconcile) fn begin_read(&mut self) {
        if let Some(original) = &mut self.original {
            original.allow(None);
        }
        self.written_since = Some(self.writing.keys().map(|id| (id.clone(), false)).collect());
    }

    /// Whether what is read now will be taken over.
    #[cfg(test)]
    pub(in crate::reconcile) fn is_reading(&self) -> bool {
        self.written_since.is_some()
    }

    /// Take over what a read showed, and say what others have changed. What it did
    /// not show is for [`Catalog::end_read`].
    pub(in crate::reconcile) fn see(
        &mut self,
        read: &BTreeMap<String, Registered>,
    ) -> Vec<(String, Vec<&'static str>)> {
        let mut changed = Vec::new();
        for (id, registered) in read {
            if self.is_newer(id) {
                continue;
            }
            let fields = self.written(id).map(|written| differences(written, registered));
            if let Some(fields) = fields.filter(|fields| !fields.is_empty())
                && !self.uncertain.contains(id)
            {
                changed.push((id.clone(), fields));
            }
            if self.registered(id) != Some(registered) {
                self.outdate(id);
            }
            self.take_over(id, registered.clone());
            self.is_certain(id);
        }
        changed
    }

    /// Take over what was read, and say what others have changed. Where this
    /// daemon wrote meanwhile, its own knowledge is newer than the read's, even
    /// if it is that it does not know; and
    /// what may not be read stays as it is known.
    pub(in crate::reconcile) fn end_read(
        &mut self,
        read: BTreeMap<String, Registered>,
        unreadable: &HashSet<String>,
    ) -> Drift {
        let missing = self.missing(&read).into_iter().map(|(id, _)| id);
        let gone: Vec<_> = missing.filter(|id| !unreadable.contains(id)).collect();
        let drift = Drift { gone, changed: self.see(&read) };
        let mut newer = HashSet::new();
        for (id, changed) in self.written_since.take().unwrap_or_default() {
            let writing = self.writing.contains_key(&id);
            if writing && !changed {
                self.overlapped.insert(id.clone(), read.get(&id).cloned());
            }
            if writing || changed {
                newer.insert(id);
            }
        }
        let stays = |id: &String| newer.contains(id) || unreadable.contains(id);
        let known: Vec<_> = self.registered.keys().cloned().collect();
        for id in known.iter().filter(|id| !read.contains_key(*id) && !stays(id)) {
            self.outdate(id);
            self.remove(id);
            self.maintained.remove(id);
        }
        self.uncertain.retain(|id| stays(id));
        self.attempted.retain(|id, _| stays(id));
        drift
    }

    /// Whether this daemon's own knowledge of an ID is newer than the current
    /// read's.
    fn is_newer(&self, id: &str) -> bool {
        let since = self.written_since.as_ref().and_then(|since| since.get(id));
        since.is_some_and(|changed| *changed || self.writing.contains_key(id))
    }

    /// Plans for an ID were made for something else than what is registered. A read
    /// is followed by new ones.
    fn outdate(&mut self, id: &str) {
        let ours = self.registered.get(id).is_some_and(|entry| self.is_ours(entry));
        if ours || self.claims.contains_key(id) || self.generations.contains_key(id) {
            self.clock += 1;
            self.generations.insert(id.to_string(), self.clock);
        }
    }

    /// Note what a read showed. What was written is remembered for as long as
    /// nobody changed it; so is what may have been, and shows.
    pub(super) fn take_over(&mut self, id: &str, registered: Registered) {
        let mut writes = self.attempted.get(id).into_iter().chain(self.written(id));
        let written = writes.find(|one| differences(one, &registered).is_empty()).cloned();
        let since = self.registered.get(id).map_or(self.clock, |entry| entry.since);
        self.put(id, Entry { registered, written, since });
    }
}
