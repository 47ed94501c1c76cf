//! The services that are wanted and those that are registered, as far as this daemon knows.
//!
//! A value without I/O with one owner. Everything it knows of the registry
//! comes from a whole read and from its own writes since.

mod claims;
mod entries;
mod gone;
mod maintained;
mod original;
mod owner;
mod slot;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    model::{container::ContainerId, marks::Provenance, registered::Registered, service::Service},
    reconcile::{
        retire::{retirees, retires, retires_at},
        state::counted::Counted,
    },
};
use claims::Claims;
use maintained::Maintained;
use original::Original;
use slot::Slot;

#[derive(Debug, Clone)]
pub(in crate::reconcile) struct Catalog {
    provenance: Provenance,
    claims: Counted<Claims>,
    /// The IDs in the registry, as far as they are known.
    slots: Counted<HashMap<Arc<str>, Slot>>,
    /// The IDs under which there is, or may be, something for a container, wanted or
    /// not.
    registered_for: HashMap<ContainerId, Vec<Arc<str>>>,
    /// Containers whose plans wait for the bulk guard.
    waiting: Counted<HashSet<ContainerId>>,
    /// Containers of this engine that were looked at and do not run.
    ended: Counted<HashSet<ContainerId>>,
    /// The IDs of services that this engine's containers had under another host's name
    /// when this daemon began.
    former: Counted<HashSet<String>>,
    /// Whether a read has been taken over.
    begun: bool,
    /// Other engines' identities that stand for this one, or for one that is no more.
    met: Counted<HashSet<String>>,
    /// The IDs of services of another engine of which this daemon's took the place.
    overtaken: HashSet<String>,
    pub(in crate::reconcile) maintained: Maintained,
    /// Counts the writes.
    clock: u64,
    /// Whether what is read now will be taken over.
    reading: bool,
    /// The number of reads begun.
    #[cfg(test)]
    reads: u64,
    /// The habits of registrator, if they are to be followed.
    original: Option<Original>,
}

/// The differences between a read and what this daemon left in the registry.
#[derive(Debug, Default, PartialEq)]
pub(in crate::reconcile) struct Drift {
    /// The IDs of services that are gone.
    pub(in crate::reconcile) gone: Vec<String>,
    /// The IDs of services that are different, and in which fields.
    pub(in crate::reconcile) changed: Vec<(String, Vec<&'static str>)>,
}

impl Drift {
    /// The number of services that are not as they were written.
    pub(in crate::reconcile) fn services(&self) -> u64 {
        u64::try_from(self.gone.len() + self.changed.len()).unwrap_or(u64::MAX)
    }
}

impl Catalog {
    pub(in crate::reconcile) fn new(provenance: Provenance) -> Self {
        Self {
            provenance,
            claims: Counted::default(),
            slots: Counted::default(),
            registered_for: HashMap::new(),
            waiting: Counted::default(),
            ended: Counted::default(),
            former: Counted::default(),
            begun: false,
            met: Counted::default(),
            overtaken: HashSet::new(),
            maintained: Maintained::default(),
            clock: 0,
            reading: false,
            #[cfg(test)]
            reads: 0,
            original: None,
        }
    }

    /// Do what registrator did.
    pub(in crate::reconcile) fn mimicking(self) -> Self {
        Self { original: Some(Original::default()), ..self }
    }

    /// The number of changes to all that tells what is registered, whose it is and who wants it. To
    /// set the engine counts, too: it fills the slots anew.
    pub(in crate::reconcile) fn changes(&self) -> u64 {
        let Self { claims, slots, waiting, ended, former, met, .. } = self;
        let sets = waiting.changes() + ended.changes() + former.changes() + met.changes();
        claims.changes() + slots.changes() + sets
    }

    pub(in crate::reconcile) fn host(&self) -> &str {
        &self.provenance.host
    }

    /// Note which container engine this is; before the first read.
    pub(in crate::reconcile) fn set_engine(&mut self, identity: Option<&str>) {
        self.provenance.set_engine(identity);
        // What was known of others was known of the engine before.
        self.met.clear();
        self.registered_for.clear();
        for (id, slot) in std::mem::take(&mut *self.slots) {
            self.put_back(&id, slot);
        }
    }

    /// Whether a container runs, as far as it was looked at.
    pub(in crate::reconcile) fn note_life(&mut self, container: &ContainerId, runs: bool) {
        if !runs && self.registered_for.contains_key(container) {
            self.ended.insert(container.clone());
        } else {
            self.ended.remove(container);
        }
    }

    /// The marks of this daemon.
    pub(in crate::reconcile) fn marks(&self) -> &Provenance {
        &self.provenance
    }

    /// Note what a container offers now.
    #[cfg(test)]
    pub(in crate::reconcile) fn claim(
        &mut self,
        container: &ContainerId,
        name: &str,
        services: Vec<Service>,
    ) -> BTreeSet<String> {
        self.claim_with(container, name, services, Vec::new())
    }

    /// Note what a container offers now, and what is kept for it until these times.
    #[cfg(test)]
    pub(in crate::reconcile) fn claim_with(
        &mut self,
        container: &ContainerId,
        name: &str,
        services: Vec<Service>,
        kept: Vec<(Service, Duration)>,
    ) -> BTreeSet<String> {
        let services = services.into_iter().map(|service| (service, None));
        let kept = kept.into_iter().map(|(service, until)| (service, Some(until)));
        let marked =
            |(service, until)| Arc::new(self.provenance.stamp_until(container, service, until));
        let services = services.chain(kept).map(marked).collect();
        self.claim_marked(container, name, services)
    }

    /// Note what a container wants now: what it offers and what is kept for it, with the marks. Say
    /// which IDs that concerns: those it wanted before, those it wants now, and those under which
    /// there is, or may be, something for it.
    pub(super) fn claim_marked(
        &mut self,
        container: &ContainerId,
        name: &str,
        services: Vec<Arc<Service>>,
    ) -> BTreeSet<String> {
        if let Some(original) = &mut self.original {
            original.note_offer(container, &services);
        }
        let wanted: BTreeMap<_, _> =
            services.into_iter().map(|service| (service.id.clone(), service)).collect();
        let ids: BTreeSet<_> = wanted.keys().cloned().collect();
        let mut concerned = self.claims.set(container, name, wanted);
        self.allow_again(&concerned);
        for id in &ids {
            self.inherit(id, container);
        }
        concerned.extend(ids);
        concerned.extend(self.for_container(container).map(String::from));
        concerned
    }

    /// The IDs that a container wants, or under which there is, or may be, something for it.
    pub(super) fn concerned(&self, container: &ContainerId) -> BTreeSet<String> {
        let wanted = self.claims.ids(container);
        wanted.chain(self.for_container(container)).map(String::from).collect()
    }

    /// The IDs under which there is, or may be, something for a container, wanted or not, in order.
    fn for_container(&self, container: &ContainerId) -> impl Iterator<Item = &str> {
        self.registered_for.get(container).into_iter().flatten().map(|id| &**id)
    }

    /// A container has ended and keeps what it has. It wants no more than that. Say
    /// which IDs that concerns.
    pub(in crate::reconcile) fn keep(&mut self, container: &ContainerId) -> BTreeSet<String> {
        let concerned: BTreeSet<_> = self.claims.ids(container).map(String::from).collect();
        let kept = |id: &&String| self.owners(id).contains(container);
        let kept: BTreeSet<_> = concerned.iter().filter(kept).cloned().collect();
        self.allow_again(concerned.difference(&kept));
        self.claims.keep(container, &kept);
        concerned
    }

    /// Allow the services refused under these IDs to be asked for again.
    fn allow_again<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>) {
        let Some(original) = &mut self.original else { return };
        for id in ids {
            original.allow(Some(id));
        }
    }

    /// The service that is wanted under an ID. Where several containers want it, the one that has
    /// it keeps it; else it is that of the first who wanted it, so that it does not go back and
    /// forth between them. A service only kept for a while gives way to one that is offered.
    pub(in crate::reconcile) fn wanted(&self, id: &str) -> Option<&Arc<Service>> {
        self.winner(id).map(|(_, service)| service)
    }

    /// The container that is given an ID of those that want it, and its service.
    fn winner(&self, id: &str) -> Option<(&ContainerId, &Arc<Service>)> {
        let claims = self.claims.of(id)?;
        let holder = self.slots.get(id).and_then(|slot| self.has(slot));
        let active =
            |container: &ContainerId| holder.as_ref() == Some(container) || !self.waits(container);
        let mut all = claims.iter().filter(|(container, _)| active(container));
        let offered = all.any(|(_, service)| !retires(service));
        let counts = |(container, service): &(&ContainerId, &Arc<Service>)| {
            active(container) && (!offered || !retires(service))
        };
        let of = |container: &ContainerId| self.claims.claim(id, container).filter(counts);
        let first = || self.claims.first(id).and_then(of);
        holder.as_ref().and_then(of).or_else(first).or_else(|| claims.iter().find(counts))
    }

    /// Note whether a container's plan waits for the bulk guard. Then it wants nothing
    /// that it does not have, so that it neither keeps an ID from others nor another
    /// one's service in the registry.
    pub(in crate::reconcile) fn note_waiting(&mut self, container: &ContainerId, waits: bool) {
        if waits {
            self.waiting.insert(container.clone());
        } else {
            self.waiting.remove(container);
        }
    }

    /// Whether a container's plan waits for the bulk guard.
    pub(in crate::reconcile) fn waits(&self, container: &ContainerId) -> bool {
        self.waiting.contains(container)
    }

    /// Whether the service that is wanted under an ID is this container's.
    pub(in crate::reconcile) fn is_given(&self, id: &str, container: &ContainerId) -> bool {
        self.winner(id).is_some_and(|(winner, _)| winner == container)
    }

    /// Containers that want an ID which another one has.
    pub(in crate::reconcile) fn rivals(&self, id: &str) -> Vec<&ContainerId> {
        let Some((winner, _)) = self.winner(id) else { return Vec::new() };
        let claims = self.claims.of(id).into_iter().flatten();
        let rivals = claims.filter(|(other, service)| *other != winner && !retires(service));
        rivals.map(|(id, _)| id).collect()
    }

    /// The services of a container to be kept for a while now that it offers these, and until when.
    pub(in crate::reconcile) fn retirees(
        &self,
        container: &ContainerId,
        offered: &[Service],
        now: Duration,
        overlap: Duration,
    ) -> Vec<(Service, Duration)> {
        let olds: Vec<_> = self
            .for_container(container)
            .filter_map(|id| {
                let registered = self.registered(id)?;
                let its = self.is_its(container, registered);
                its.then_some((registered, self.written(id)))
            })
            .collect();
        let is_free = |id: &str| self.registered(id).is_none_or(|one| self.is_its(container, one));
        retirees(&olds, offered, now, overlap, is_free)
    }

    /// When the next of a container's services has been kept for long enough.
    pub(in crate::reconcile) fn next_retirement(
        &self,
        container: &ContainerId,
    ) -> Option<Duration> {
        let kept = self.wanted_by(container).into_iter();
        kept.filter_map(|service| retires_at(&Registered::from(&**service))).min()
    }

    /// The container that is given an ID of those that want it, with its name.
    pub(in crate::reconcile) fn claimant(&self, id: &str) -> Option<(&ContainerId, &str)> {
        let (container, _) = self.winner(id)?;
        Some((container, self.name(container).unwrap_or_default()))
    }

    /// The name of a container that wants something.
    pub(super) fn name(&self, container: &ContainerId) -> Option<&str> {
        self.claims.name(container)
    }

    /// The containers that want a service of this ID or name.
    pub(in crate::reconcile) fn wanting(&self, what: &str) -> BTreeSet<ContainerId> {
        let wanted = |(_, service): &(&ContainerId, &Arc<Service>)| {
            service.id == what || service.name == what
        };
        self.claims.all().filter(wanted).map(|(container, _)| container.clone()).collect()
    }

    /// The IDs of the services that are registered for a container.
    pub(in crate::reconcile) fn had(&self, container: &ContainerId) -> Vec<String> {
        let has = |id: &&str| {
            self.slots.get(*id).and_then(|slot| self.has(slot)).as_ref() == Some(container)
        };
        self.for_container(container).filter(has).map(String::from).collect()
    }

    /// The services that a container wants.
    pub(in crate::reconcile) fn wanted_by(&self, container: &ContainerId) -> Vec<&Arc<Service>> {
        self.claims.services(container)
    }

    /// Whether a container of this name wants a service of this name.
    pub(in crate::reconcile) fn offers(&self, container: &str, service: &str) -> bool {
        self.claims.named(container).any(|id| {
            let mut wanted = self.claims.ids(id).filter_map(|id| self.wanted(id));
            wanted.any(|wanted| wanted.name == service && !retires(wanted))
        })
    }

    /// The services that a container is given, of those that it wants.
    pub(in crate::reconcile) fn offered(&self, container: &ContainerId) -> Vec<Arc<Service>> {
        let wanted = self.wanted_by(container).into_iter();
        let given = wanted.filter(|service| {
            self.is_given(&service.id, container) && self.registered(&service.id).is_some()
        });
        given.cloned().collect()
    }

    /// Its parts, by whose they are; the services that they share come last.
    #[cfg(test)]
    pub(super) fn parts(self) -> Vec<crate::reconcile::kept::Part> {
        let services: Vec<_> = self.claims.all().map(|(_, service)| service.clone()).collect();
        let Self { claims, slots, registered_for, .. } = self;
        vec![
            ("claims", Box::new(claims)),
            ("what is registered", Box::new(slots)),
            ("what is registered for whom", Box::new(registered_for)),
            ("services that are wanted", Box::new(services)),
        ]
    }

    /// Containers that have services or want some.
    pub(in crate::reconcile) fn containers(&self) -> BTreeSet<ContainerId> {
        self.claims.containers().chain(self.registered_for.keys()).cloned().collect()
    }
}
