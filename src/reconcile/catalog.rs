//! What is wanted and what is registered, as far as this daemon knows.
//!
//! A value without I/O with one owner. Everything it knows of the registry
//! comes from a whole read and from its own writes since.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    plan::differences,
    provenance::{Owner, Provenance},
};
use crate::{container::ContainerId, registry::Registered, service::Service};

#[derive(Debug)]
pub(super) struct Catalog {
    provenance: Provenance,
    /// Who wants which service, by service ID.
    claims: HashMap<String, BTreeMap<ContainerId, Arc<Service>>>,
    by_container: HashMap<ContainerId, BTreeSet<String>>,
    registered: HashMap<String, Entry>,
    /// Service IDs by the container that their mark names.
    marked: HashMap<ContainerId, BTreeSet<String>>,
    /// IDs of which the last write may or may not have been carried out.
    uncertain: HashSet<String>,
    /// The names of the containers that want something.
    names: HashMap<ContainerId, String>,
    /// When the claims on an ID last changed, by a clock that only counts.
    generations: HashMap<String, u64>,
    clock: u64,
    /// IDs that were written since the current read began.
    written_since: Option<HashSet<String>>,
}

/// A service as the registry has it.
#[derive(Debug)]
struct Entry {
    registered: Registered,
    /// What this daemon wrote, if it was this daemon.
    written: Option<Arc<Service>>,
}

impl Catalog {
    pub(super) fn new(provenance: Provenance) -> Self {
        Self {
            provenance,
            claims: HashMap::new(),
            by_container: HashMap::new(),
            registered: HashMap::new(),
            marked: HashMap::new(),
            uncertain: HashSet::new(),
            names: HashMap::new(),
            generations: HashMap::new(),
            clock: 0,
            written_since: None,
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.provenance.host
    }

    /// Note what a container offers now, and say which IDs that concerns: those
    /// it offered before, those it offers now, and those that are registered
    /// for it.
    pub(super) fn claim(
        &mut self,
        container: &ContainerId,
        name: &str,
        services: Vec<Service>,
    ) -> BTreeSet<String> {
        let mut concerned = self.by_container.remove(container).unwrap_or_default();
        let mut wanted = BTreeMap::new();
        for service in services {
            let service = self.provenance.stamp(container, service);
            wanted.insert(service.id.clone(), Arc::new(service));
        }
        for id in concerned.iter().filter(|id| !wanted.contains_key(*id)) {
            if let Some(claims) = self.claims.get_mut(id) {
                claims.remove(container);
                if claims.is_empty() {
                    self.claims.remove(id);
                }
            }
        }
        for id in concerned.iter().chain(wanted.keys()) {
            self.clock += 1;
            self.generations.insert(id.clone(), self.clock);
        }
        if wanted.is_empty() {
            self.names.remove(container);
        } else {
            self.by_container.insert(container.clone(), wanted.keys().cloned().collect());
            self.names.insert(container.clone(), name.to_string());
        }
        for (id, service) in wanted {
            concerned.insert(id.clone());
            self.claims.entry(id).or_default().insert(container.clone(), service);
        }
        concerned.extend(self.marked.get(container).into_iter().flatten().cloned());
        concerned
    }

    /// The service that is wanted under an ID. Where several containers want
    /// it, the one that has it keeps it; else the first by identifier gets it.
    pub(super) fn wanted(&self, id: &str) -> Option<&Arc<Service>> {
        let claims = self.claims.get(id)?;
        let holder = self.registered.get(id).and_then(|entry| {
            match self.provenance.owner(&entry.registered) {
                Owner::Ours(container) => claims.get(&container),
                _ => None,
            }
        });
        holder.or_else(|| claims.values().next())
    }

    /// Containers that want an ID which another one has.
    pub(super) fn rivals(&self, id: &str) -> Vec<&ContainerId> {
        let Some(wanted) = self.wanted(id) else { return Vec::new() };
        let claims = self.claims.get(id).into_iter().flatten();
        claims.filter(|(_, service)| !Arc::ptr_eq(service, wanted)).map(|(id, _)| id).collect()
    }

    pub(super) fn registered(&self, id: &str) -> Option<&Registered> {
        self.registered.get(id).map(|entry| &entry.registered)
    }

    pub(super) fn written(&self, id: &str) -> Option<&Arc<Service>> {
        self.registered.get(id).and_then(|entry| entry.written.as_ref())
    }

    pub(super) fn owner(&self, registered: &Registered) -> Owner {
        self.provenance.owner(registered)
    }

    pub(super) fn is_uncertain(&self, id: &str) -> bool {
        self.uncertain.contains(id)
    }

    pub(super) fn generation(&self, id: &str) -> u64 {
        self.generations.get(id).copied().unwrap_or_default()
    }

    /// Whether what is wanted under an ID is still what it was when a plan was
    /// made. A plan that is older than that is not carried out: whoever changed
    /// the claims has made a newer one.
    pub(super) fn is_current(&self, id: &str, generation: u64) -> bool {
        self.generation(id) == generation
    }

    /// A write is about to be sent.
    pub(super) fn begin_write(&mut self, id: &str) {
        self.uncertain.insert(id.to_string());
    }

    /// A write was carried out: the service is registered, or with none taken
    /// out.
    pub(super) fn end_write(&mut self, id: &str, service: Option<Arc<Service>>) {
        self.uncertain.remove(id);
        if let Some(written) = &mut self.written_since {
            written.insert(id.to_string());
        }
        match service {
            Some(service) => {
                let registered = Registered::from(&*service);
                self.put(id, Entry { registered, written: Some(service) });
            }
            None => {
                self.remove(id);
                if !self.claims.contains_key(id) {
                    self.generations.remove(id);
                }
            }
        }
    }

    /// The registry refused a write, so that nothing has changed.
    pub(super) fn refuse_write(&mut self, id: &str) {
        self.uncertain.remove(id);
    }

    /// A read of the whole registry is about to be sent.
    pub(super) fn begin_read(&mut self) {
        self.written_since = Some(HashSet::new());
    }

    /// Take over what was read. Where this daemon wrote meanwhile, its own
    /// knowledge is newer than the read's.
    pub(super) fn end_read(&mut self, read: BTreeMap<String, Registered>) {
        let newer = self.written_since.take().unwrap_or_default();
        let known: Vec<_> = self.registered.keys().cloned().collect();
        for id in known.iter().filter(|id| !read.contains_key(*id) && !newer.contains(*id)) {
            self.remove(id);
        }
        for (id, registered) in read {
            if newer.contains(&id) {
                continue;
            }
            // What was written is remembered for as long as nobody changed it.
            let written = self.written(&id).cloned();
            let written = written.filter(|written| differences(written, &registered).is_empty());
            self.uncertain.remove(&id);
            self.put(&id, Entry { registered, written });
        }
    }

    /// Everything that is registered.
    pub(super) fn all_registered(&self) -> impl Iterator<Item = &Registered> {
        self.registered.values().map(|entry| &entry.registered)
    }

    /// Whether a container of this name wants a service of this name.
    pub(super) fn offers(&self, container: &str, service: &str) -> bool {
        self.names.iter().filter(|(_, name)| *name == container).any(|(id, _)| {
            let ids = self.by_container.get(id).into_iter().flatten();
            ids.filter_map(|id| self.wanted(id)).any(|wanted| wanted.name == service)
        })
    }

    /// Containers that have services or want some.
    pub(super) fn containers(&self) -> BTreeSet<ContainerId> {
        self.by_container.keys().chain(self.marked.keys()).cloned().collect()
    }

    fn put(&mut self, id: &str, entry: Entry) {
        self.remove(id);
        if let Owner::Ours(container) = self.provenance.owner(&entry.registered) {
            self.marked.entry(container).or_default().insert(id.to_string());
        }
        self.registered.insert(id.to_string(), entry);
    }

    fn remove(&mut self, id: &str) {
        let Some(entry) = self.registered.remove(id) else { return };
        if let Owner::Ours(container) = self.provenance.owner(&entry.registered)
            && let Some(ids) = self.marked.get_mut(&container)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.marked.remove(&container);
            }
        }
    }
}
