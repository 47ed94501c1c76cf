//! What is wanted and what is registered, as far as this daemon knows.
//!
//! A value without I/O with one owner. Everything it knows of the registry
//! comes from a whole read and from its own writes since.

mod owner;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    original::Original,
    plan::{mark, port, retirees, retires, retires_at},
    provenance::{META_RETIRE, Owner, Provenance},
};
use crate::{container::ContainerId, registry::Registered, service::Service};

#[derive(Debug)]
pub(super) struct Catalog {
    provenance: Provenance,
    /// Who wants which service, by service ID.
    claims: HashMap<String, BTreeMap<ContainerId, Arc<Service>>>,
    /// Of those who want a service, the one that has wanted it the longest.
    firsts: HashMap<String, ContainerId>,
    by_container: HashMap<ContainerId, BTreeSet<String>>,
    /// What a container no longer offers but still has.
    dropped: HashMap<ContainerId, BTreeSet<String>>,
    registered: HashMap<String, Entry>,
    /// Service IDs by the container that their mark names.
    marked: HashMap<ContainerId, BTreeSet<String>>,
    /// IDs of which the last write may or may not have been carried out.
    uncertain: HashSet<String>,
    /// Containers with services, wanted or not, that were looked at.
    looked_at: HashSet<ContainerId>,
    /// IDs that are being written, and whether they were uncertain before.
    writing: HashMap<String, bool>,
    /// What a read showed of IDs that were being written.
    overlapped: HashMap<String, Option<Registered>>,
    /// For which containers this daemon has registered something. Without marks
    /// nothing else tells.
    unmarked: HashMap<String, ContainerId>,
    /// What was last to be written under an uncertain ID.
    attempted: HashMap<String, Arc<Service>>,
    /// Containers of this engine that were looked at and do not run.
    ended: HashSet<ContainerId>,
    /// Services that this host's daemon has put into maintenance; false if that
    /// may have been undone since.
    maintained: HashMap<String, bool>,
    /// The names of the containers that want something.
    names: HashMap<ContainerId, String>,
    /// When the claims on an ID last changed, by a clock that only counts.
    generations: HashMap<String, u64>,
    clock: u64,
    /// What only registrator did, if that is to be done.
    original: Option<Original>,
    /// IDs of which a write overlaps the current read, and whether it may have
    /// changed something.
    written_since: Option<HashMap<String, bool>>,
}

/// How a read differs from what this daemon left in the registry.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Drift {
    /// The IDs of services that are gone.
    pub(super) gone: Vec<String>,
    /// The IDs of services that are different, and in which fields.
    pub(super) changed: Vec<(String, Vec<&'static str>)>,
}

/// A service as the registry has it.
#[derive(Debug)]
struct Entry {
    registered: Registered,
    /// What this daemon wrote, if it was this daemon.
    written: Option<Arc<Service>>,
    /// Since when it has been there without being written again, by the clock that
    /// only counts.
    since: u64,
}

impl Catalog {
    pub(super) fn new(provenance: Provenance) -> Self {
        Self {
            provenance,
            claims: HashMap::new(),
            firsts: HashMap::new(),
            by_container: HashMap::new(),
            dropped: HashMap::new(),
            registered: HashMap::new(),
            marked: HashMap::new(),
            uncertain: HashSet::new(),
            looked_at: HashSet::new(),
            writing: HashMap::new(),
            overlapped: HashMap::new(),
            unmarked: HashMap::new(),
            attempted: HashMap::new(),
            ended: HashSet::new(),
            maintained: HashMap::new(),
            names: HashMap::new(),
            generations: HashMap::new(),
            clock: 0,
            original: None,
            written_since: None,
        }
    }

    /// Do what registrator did.
    pub(super) fn mimicking(self) -> Self {
        Self { original: Some(Original::default()), ..self }
    }

    pub(super) fn host(&self) -> &str {
        &self.provenance.host
    }

    /// Note which container engine this is; before the first read.
    pub(super) fn set_engine(&mut self, identity: Option<&str>) {
        self.provenance.set_engine(identity);
        let registered: Vec<_> = self.registered.drain().collect();
        self.marked.clear();
        for (id, entry) in registered {
            self.put(&id, entry);
        }
    }

    /// Whether a container runs, as far as it was looked at.
    pub(super) fn note_life(&mut self, container: &ContainerId, runs: bool) {
        if !runs && self.marked.contains_key(container) {
            self.ended.insert(container.clone());
        } else {
            self.ended.remove(container);
        }
    }

    /// Note what a container offers now.
    #[cfg(test)]
    pub(super) fn claim(
        &mut self,
        container: &ContainerId,
        name: &str,
        services: Vec<Service>,
    ) -> BTreeSet<String> {
        self.claim_with(container, name, services, Vec::new())
    }

    /// Note what a container offers now and what is kept for it until these times, and
    /// say which IDs that concerns: those it offered before, those it offers now, and
    /// those that are registered for it.
    pub(super) fn claim_with(
        &mut self,
        container: &ContainerId,
        name: &str,
        services: Vec<Service>,
        kept: Vec<(Service, Duration)>,
    ) -> BTreeSet<String> {
        let mut concerned = self.by_container.remove(container).unwrap_or_default();
        let services = services.into_iter().map(|service| (service, None));
        let kept = kept.into_iter().map(|(service, until)| (service, Some(mark(until))));
        let stamp = |(service, until): (Service, Option<String>)| {
            let mut service = self.provenance.stamp(container, service);
            service.meta.extend(until.map(|until| (META_RETIRE.to_string(), until)));
            Arc::new(service)
        };
        let services: Vec<_> = services.chain(kept).map(stamp).collect();
        if let Some(original) = &mut self.original {
            original.note_offer(container, &services);
        }
        let wanted: BTreeMap<_, _> =
            services.into_iter().map(|service| (service.id.clone(), service)).collect();
        for id in concerned.iter().filter(|id| !wanted.contains_key(*id)) {
            if let Some(original) = &mut self.original {
                original.allow(Some(id));
            }
            if let Some(claims) = self.claims.get_mut(id) {
                claims.remove(container);
                if self.firsts.get(id) == Some(container) {
                    self.firsts.remove(id);
                    let next = claims.keys().next().cloned();
                    self.firsts.extend(next.map(|next| (id.clone(), next)));
                }
                if claims.is_empty() {
                    self.claims.remove(id);
                }
            }
        }
        if wanted.is_empty() {
            self.names.remove(container);
        } else {
            self.by_container.insert(container.clone(), wanted.keys().cloned().collect());
            self.names.insert(container.clone(), name.to_string());
        }
        for (id, service) in wanted {
            concerned.insert(id.clone());
            self.firsts.entry(id.clone()).or_insert_with(|| container.clone());
            let claims = self.claims.entry(id).or_default();
            if !retires(&service) {
                // What another container only kept is over.
                claims.retain(|_, other| !retires(other));
            }
            claims.insert(container.clone(), service);
        }
        concerned.extend(self.marked.get(container).into_iter().flatten().cloned());
        // Meanwhile another container may have come by the ID.
        let dropped = self.dropped.remove(container).into_iter().flatten();
        concerned.extend(dropped.filter(|id| self.is_dropped(container, id)));
        // Also what is only registered for it: what takes its place may be another
        // service now.
        for id in &concerned {
            self.clock += 1;
            self.generations.insert(id.clone(), self.clock);
        }
        let dropped: BTreeSet<_> =
            concerned.iter().filter(|id| self.is_dropped(container, id)).cloned().collect();
        if !dropped.is_empty() {
            self.dropped.insert(container.clone(), dropped);
        }
        if concerned.is_empty() {
            self.looked_at.remove(container);
        } else {
            self.looked_at.insert(container.clone());
        }
        concerned
    }

    /// Whether a container does not want a service that is, or may be, in the
    /// registry by this daemon's hand, and for no other container.
    fn is_dropped(&self, container: &ContainerId, id: &str) -> bool {
        let wants = self.claims.get(id).is_some_and(|claims| claims.contains_key(container));
        let has = self.uncertain.contains(id)
            || self.registered.get(id).is_some_and(|entry| entry.written.is_some());
        let holders = self.holders(id);
        has && !wants && (holders.is_empty() || holders.contains(container))
    }

    /// The service that is wanted under an ID. Where several containers want
    /// it, the one that has it keeps it; else it is that of the first who wanted
    /// it, so that it does not go back and forth between them. What is only kept
    /// for a while gives way to what is offered.
    pub(super) fn wanted(&self, id: &str) -> Option<&Arc<Service>> {
        let claims = self.claims.get(id)?;
        let offered = claims.values().any(|service| !retires(service));
        let counts = |service: &&Arc<Service>| !offered || !retires(service);
        let holder =
            self.registered.get(id).and_then(|entry| match self.owner(&entry.registered) {
                Owner::Ours(container) => claims.get(&container).filter(counts),
                _ => None,
            });
        let first = self.firsts.get(id).and_then(|first| claims.get(first)).filter(counts);
        holder.or(first).or_else(|| claims.values().find(counts))
    }

    /// Containers that want an ID which another one has.
    pub(super) fn rivals(&self, id: &str) -> Vec<&ContainerId> {
        let Some(wanted) = self.wanted(id) else { return Vec::new() };
        let claims = self.claims.get(id).into_iter().flatten();
        let rivals =
            claims.filter(|(_, service)| !Arc::ptr_eq(service, wanted) && !retires(service));
        rivals.map(|(id, _)| id).collect()
    }

    /// What of a container's services is to be kept for a while now that it offers
    /// these, and until when.
    pub(super) fn retirees(
        &self,
        container: &ContainerId,
        offered: &[Service],
        now: Duration,
        overlap: Duration,
    ) -> Vec<(Service, Duration)> {
        let ids = self.marked.get(container).into_iter().flatten();
        let olds: Vec<_> = ids
            .filter_map(|id| {
                let entry = self.registered.get(id)?;
                let port = entry.written.as_ref().and_then(|written| port(written));
                let ours = self.owner(&entry.registered) == Owner::Ours(container.clone());
                ours.then_some((&entry.registered, port))
            })
            .collect();
        retirees(&olds, offered, now, overlap)
    }

    /// When the next of a container's services has been kept for long enough.
    pub(super) fn next_retirement(&self, container: &ContainerId) -> Option<Duration> {
        let kept = self.wanted_by(container).into_iter();
        kept.filter_map(|service| retires_at(&Registered::from(&**service))).min()
    }

    /// The container that is given an ID of those that want it, with its name.
    pub(super) fn holder(&self, id: &str) -> Option<(&ContainerId, &str)> {
        let wanted = self.wanted(id)?;
        let claims = self.claims.get(id)?;
        let (container, _) = claims.iter().find(|(_, service)| Arc::ptr_eq(service, wanted))?;
        Some((container, self.names.get(container).map_or("", String::as_str)))
    }

    /// The containers that want a service of this ID or name.
    pub(super) fn wanting(&self, what: &str) -> BTreeSet<ContainerId> {
        let claims = self.claims.iter().flat_map(|(id, claims)| {
            claims.iter().filter(move |(_, service)| id == what || service.name == what)
        });
        claims.map(|(container, _)| container.clone()).collect()
    }

    /// How many services are registered for a container by its mark.
    pub(super) fn registered_for(&self, container: &ContainerId) -> usize {
        self.marked.get(container).map_or(0, BTreeSet::len)
    }

    /// A service with this daemon's marks.
    pub(super) fn stamped(&self, container: &ContainerId, service: Service) -> Service {
        self.provenance.stamp(container, service)
    }

    pub(super) fn registered(&self, id: &str) -> Option<&Registered> {
        self.registered.get(id).map(|entry| &entry.registered)
    }

    pub(super) fn written(&self, id: &str) -> Option<&Arc<Service>> {
        self.registered.get(id).and_then(|entry| entry.written.as_ref())
    }

    /// Note which services this host's daemon has put into maintenance.
    pub(super) fn set_maintained(&mut self, ids: impl IntoIterator<Item = String>) {
        self.maintained = ids.into_iter().map(|id| (id, true)).collect();
    }

    /// Note whether a service is in maintenance.
    pub(super) fn note_maintenance(&mut self, id: &str, maintained: bool) {
        if maintained {
            self.maintained.insert(id.to_string(), true);
        } else {
            self.maintained.remove(id);
        }
    }

    /// Whether a service has to be put into maintenance, or taken out of it, to
    /// be as it is wanted.
    pub(super) fn maintenance_differs(&self, id: &str, wanted: bool) -> bool {
        match self.maintained.get(id) {
            None => wanted,
            Some(sure) => !wanted || !sure,
        }
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

    /// Whether it is known what a container offers. Until then what is registered
    /// for it is left to its own look, whoever else wanted its ID meanwhile.
    pub(super) fn was_looked_at(&self, container: &ContainerId) -> bool {
        self.looked_at.contains(container)
    }

    /// The containers for which there is, or may be, something under an ID, if
    /// there are marks that say so, or this daemon remembers.
    pub(super) fn holders(&self, id: &str) -> BTreeSet<ContainerId> {
        let attempted = self.attempted.get(id).map(|service| Registered::from(&**service));
        let marked = attempted.iter().chain(self.registered(id));
        let marked = marked.filter_map(|marked| match self.owner(marked) {
            Owner::Ours(container) => Some(container),
            _ => None,
        });
        let mut holders: BTreeSet<_> = marked.collect();
        if holders.is_empty() && self.perhaps_written(id).is_some() {
            holders.extend(self.unmarked.get(id).cloned());
        }
        holders
    }

    /// The services that a container wants.
    pub(super) fn wanted_by(&self, container: &ContainerId) -> Vec<&Arc<Service>> {
        let ids = self.by_container.get(container).into_iter().flatten();
        ids.filter_map(|id| self.claims.get(id)?.get(container)).collect()
    }

    /// Everything that is registered.
    pub(super) fn all_registered(&self) -> impl Iterator<Item = &Registered> {
        self.registered.values().map(|entry| &entry.registered)
    }

    /// Whether a container of this name wants a service of this name.
    pub(super) fn offers(&self, container: &str, service: &str) -> bool {
        self.names.iter().filter(|(_, name)| *name == container).any(|(id, _)| {
            let ids = self.by_container.get(id).into_iter().flatten();
            let mut wanted = ids.filter_map(|id| self.wanted(id));
            wanted.any(|wanted| wanted.name == service && !retires(wanted))
        })
    }

    /// The services that a container is given, of those that it wants.
    pub(super) fn offered(&self, container: &ContainerId) -> Vec<Arc<Service>> {
        let ids = self.by_container.get(container).into_iter().flatten();
        let wanted = ids.filter_map(|id| Some((self.claims.get(id)?.get(container)?, id)));
        let given = wanted.filter(|(service, id)| {
            self.wanted(id).is_some_and(|wanted| Arc::ptr_eq(wanted, service))
                && self.registered.contains_key(*id)
        });
        given.map(|(service, _)| service.clone()).collect()
    }

    /// How many services may or may not be as they were last written.
    pub(super) fn uncertain(&self) -> usize {
        self.uncertain.len()
    }

    /// Containers that have services or want some.
    pub(super) fn containers(&self) -> BTreeSet<ContainerId> {
        let known = self.by_container.keys().chain(self.marked.keys()).chain(self.dropped.keys());
        known.cloned().collect()
    }

    fn put(&mut self, id: &str, entry: Entry) {
        self.unlink(id);
        if let Some(container) = self.marked_container(&entry.registered) {
            self.marked.entry(container).or_default().insert(id.to_string());
        }
        self.registered.insert(id.to_string(), entry);
    }

    fn remove(&mut self, id: &str) {
        self.unlink(id);
        if !self.attempted.contains_key(id) {
            self.unmarked.remove(id);
        }
    }

    fn unlink(&mut self, id: &str) {
        let Some(entry) = self.registered.remove(id) else { return };
        if let Some(container) = self.marked_container(&entry.registered)
            && let Some(ids) = self.marked.get_mut(&container)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.marked.remove(&container);
                self.ended.remove(&container);
            }
        }
    }
}
