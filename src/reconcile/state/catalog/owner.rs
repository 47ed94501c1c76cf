//! The owner of a registered service, by its marks and by what this daemon remembers.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Catalog, slot::Entry};
use crate::{
    model::{
        container::ContainerId,
        marks::{META_CONTAINER, META_ENGINE, META_HOST, Owner},
        registered::Registered,
        service::Service,
    },
    reconcile::retire::{Old, is_same, retires},
};

impl Catalog {
    /// The owner of a registered service. If the host's name was another one when a service was
    /// registered, it is this daemon's nevertheless once its container has ended on this very
    /// engine; or if it was there when this daemon began and the container's own service takes its
    /// place. All else is that of a second daemon of another name.
    ///
    /// A service registered under this host's name for another engine is that engine's, for as long
    /// as nothing tells that it is this one.
    pub(in crate::reconcile) fn owner(&self, registered: &Registered) -> Owner {
        match (self.provenance.owner(registered), self.marked_container(registered)) {
            (Owner::OtherHost(_), Some(container))
                if self.ended.contains(&container) || self.is_succeeded(&container, registered) =>
            {
                Owner::Ours(container)
            }
            (Owner::Ours(container), _) if self.is_other_engines(registered) => {
                Owner::OtherEngine(container)
            }
            (owner, _) => owner,
        }
    }

    /// Whether a service was registered for an engine that is not this one, as far as is
    /// known. One without the mark is taken for this one's.
    fn is_other_engines(&self, registered: &Registered) -> bool {
        registered.meta.get(META_ENGINE).is_some_and(|engine| self.is_elsewhere(engine))
    }

    /// This engine's mark, if it tells who it is.
    pub(in crate::reconcile) fn engine(&self) -> Option<&str> {
        self.provenance.engine.as_deref()
    }

    /// Whether a service has this host's name and another engine, or another name and this
    /// engine.
    pub(in crate::reconcile) fn is_neighbours(&self, one: &Registered) -> bool {
        let (host, engine) = (one.meta.get(META_HOST), one.meta.get(META_ENGINE));
        let named = host.is_some_and(|host| *host == self.provenance.host);
        match engine {
            None => false,
            Some(engine) if self.engine() == Some(engine) => host.is_some() && !named,
            Some(_) => named,
        }
    }

    /// The IDs of such services, as far as is known.
    pub(in crate::reconcile) fn neighbours(&self) -> BTreeSet<String> {
        let all = self.all_registered().filter(|one| self.is_neighbours(one));
        all.map(|one| one.id.clone()).collect()
    }

    /// Whether an engine is another one than this, as far as is known.
    pub(in crate::reconcile) fn is_elsewhere(&self, engine: &str) -> bool {
        self.provenance.engine.as_deref() != Some(engine) && !self.met.contains(engine)
    }

    /// A container is here. So the engine for which something was registered for it is
    /// this one, whatever it was called. Say which containers' services are known to be
    /// this engine's from now on.
    pub(in crate::reconcile) fn meet(&mut self, container: &ContainerId) -> BTreeSet<ContainerId> {
        let engines = self.for_container(container).filter_map(|id| {
            let meta = &self.registered(id)?.meta;
            let engine = meta.get(META_ENGINE).filter(|engine| self.is_elsewhere(engine))?;
            meta.get(META_CONTAINER).is_some_and(|id| **id == *container.0).then(|| engine.clone())
        });
        let engines: BTreeSet<_> = engines.collect();
        if engines.is_empty() {
            return BTreeSet::new();
        }
        let of = |registered: &Registered| {
            let meta = &registered.meta;
            let met = meta.get(META_ENGINE).is_some_and(|engine| engines.contains(engine));
            meta.get(META_CONTAINER).filter(|_| met).map(|id| ContainerId(id.as_str().into()))
        };
        let concerned = self.all_registered().filter_map(of).collect();
        self.met.extend(engines);
        concerned
    }

    /// By the operator's word these engines are no more.
    pub(in crate::reconcile) fn give_up(&mut self, engines: impl IntoIterator<Item = String>) {
        self.met.extend(engines);
    }

    /// The other engine for which services of a container that is not here are registered, and
    /// their IDs; but for those whose place a container of this engine takes.
    pub(in crate::reconcile) fn elsewhere(
        &self,
        container: &ContainerId,
    ) -> Option<(String, Vec<String>)> {
        let others: Vec<_> = self
            .for_container(container)
            .filter_map(|id| {
                let registered = self.registered(id)?;
                let theirs = matches!(self.owner(registered), Owner::OtherEngine(_));
                let taken = self.wanted(id).is_some_and(|new| self.takes_place(new, registered));
                (theirs && !taken).then_some((id, registered))
            })
            .collect();
        let engine = others.first()?.1.meta.get(META_ENGINE)?.clone();
        Some((engine, others.into_iter().map(|(id, _)| id.to_string()).collect()))
    }

    /// Whether a service takes the place of another engine's under the same ID. A port
    /// of the host is bound once: whoever has it now, the other one has not. If that one
    /// is registered again all the same, it is believed.
    pub(in crate::reconcile) fn takes_place(&self, new: &Service, registered: &Registered) -> bool {
        let published = new.origin.as_ref().is_some_and(|origin| origin.published.is_some());
        let place = |name: &str, address: &str, port: u16| {
            (name, address, port) == (&*new.name, &*new.address, new.port)
        };
        published
            && place(&registered.name, &registered.address, registered.port)
            && !self.overtaken.contains(&registered.id)
    }

    /// Note the services of this engine's containers that are there under another host's
    /// name when this daemon begins, and that name.
    pub(super) fn note_former(&mut self, read: &BTreeMap<String, Registered>) {
        let other = |(id, registered): (&String, &Registered)| {
            let other = matches!(self.provenance.owner(registered), Owner::OtherHost(_));
            (other && self.marked_container(registered).is_some()).then(|| id.clone())
        };
        *self.former = read.iter().filter_map(other).collect();
    }

    /// The name that this host had when a service was registered, if it was another one.
    pub(in crate::reconcile) fn former_name(&self, id: &str) -> Option<&str> {
        let registered = self.registered(id).filter(|_| self.former.contains(id))?;
        registered.meta.get(META_HOST).map(String::as_str)
    }

    /// The IDs of all services that are registered under a former name of this host.
    pub(in crate::reconcile) fn formerly_named(&self) -> BTreeSet<String> {
        self.former.iter().filter(|id| self.former_name(id).is_some()).cloned().collect()
    }

    /// Whether a service is the one that was registered for the same container under the
    /// host's former name: it has the same ID but for that name, or the same place.
    pub(in crate::reconcile) fn succeeds(&self, new: &Service, old: &Registered) -> bool {
        let name = old.meta.get(META_HOST).filter(|_| self.former.contains(&old.id));
        let Some(name) = name else { return false };
        let rest = |id: &str, host: &str| id.strip_prefix(host).map(String::from);
        let same_but_for_it = rest(&old.id, name)
            .is_some_and(|old| rest(&new.id, &self.provenance.host) == Some(old));
        let same = is_same(new, Old::of(old, self.written(&old.id)));
        !retires(new) && (new.id == old.id || same_but_for_it || same)
    }

    fn is_succeeded(&self, container: &ContainerId, registered: &Registered) -> bool {
        self.former.contains(&registered.id)
            && self.wanted_by(container).into_iter().any(|new| self.succeeds(new, registered))
    }

    /// Whether a service was registered for a container, also under the host's former name.
    pub(super) fn is_its(&self, container: &ContainerId, registered: &Registered) -> bool {
        let former = self.former.contains(&registered.id);
        self.owner(registered) == Owner::Ours(container.clone())
            || (former && self.marked_container(registered).as_ref() == Some(container))
    }

    /// Whether what takes the place of a service that was registered under the host's
    /// former name is found by the same name: then nobody misses anything.
    pub(in crate::reconcile) fn is_renamed_host(&self, container: &ContainerId, id: &str) -> bool {
        let Some(old) = self.registered(id) else { return false };
        let wanted = self.wanted_by(container).into_iter();
        wanted.filter(|new| new.name == old.name).any(|new| self.succeeds(new, old))
    }

    /// The container of this host's engine that a service's mark names.
    pub(super) fn marked_container(&self, registered: &Registered) -> Option<ContainerId> {
        match self.provenance.owner(registered) {
            Owner::Ours(container) | Owner::OtherEngine(container) => Some(container),
            Owner::OtherHost(_) => {
                let engine = registered.meta.get(META_ENGINE);
                let container = registered.meta.get(META_CONTAINER)?;
                let same = engine.is_some() && engine == self.provenance.engine.as_ref();
                same.then(|| ContainerId(container.as_str().into()))
            }
            Owner::Host | Owner::Unmarked | Owner::Member(_) => None,
        }
    }

    /// The IDs of the services that were registered under this host's name, now or before this
    /// daemon began.
    pub(in crate::reconcile) fn services(&self) -> impl Iterator<Item = &str> {
        let entries = self.slots.iter().filter_map(|(id, slot)| Some((id, slot.entry.as_deref()?)));
        let ours = |entry: &Entry| {
            let owner = self.provenance.owner(&entry.registered);
            entry.written.is_some() || matches!(owner, Owner::Ours(_) | Owner::Host)
        };
        let all = entries.filter(move |(id, entry)| ours(entry) || self.former.contains(&***id));
        all.map(|(id, _)| &**id)
    }

    /// The IDs of the services that are this daemon's, in order.
    pub(in crate::reconcile) fn ours(&self) -> BTreeSet<String> {
        self.own().map(String::from).collect()
    }

    fn own(&self) -> impl Iterator<Item = &str> {
        let all = self.slots.iter().filter_map(|(id, slot)| Some((id, slot.entry.as_deref()?)));
        all.filter(|(_, entry)| self.is_ours(entry)).map(|(id, _)| &**id)
    }

    pub(super) fn is_ours(&self, entry: &Entry) -> bool {
        let ours =
            || matches!(self.provenance.owner(&entry.registered), Owner::Ours(_) | Owner::Host);
        entry.written.is_some() || (ours() && !self.is_other_engines(&entry.registered))
    }

    /// Services by which it can be told whether the registry has forgotten what it
    /// was told: of the daemon's own the one that was written the longest ago, since
    /// what was written a moment ago is there whatever was forgotten before; and
    /// one of somebody else that is in the way of one.
    #[cfg(test)]
    pub(in crate::reconcile) fn sentinels(&self) -> Vec<String> {
        self.sentinels_but(&HashSet::new())
    }

    /// The same, without those that cannot be looked up.
    pub(in crate::reconcile) fn sentinels_but(&self, strange: &HashSet<String>) -> Vec<String> {
        let (mut own, mut other) = (None, None);
        for (id, slot) in self.slots.iter().filter(|(id, _)| !strange.contains(&***id)) {
            let Some(entry) = slot.entry.as_deref().filter(|_| !slot.is_uncertain()) else {
                continue;
            };
            if self.claims.of(id).is_none() {
                continue;
            }
            let oldest = if self.is_ours(entry) { &mut own } else { &mut other };
            let this = (entry.since, id);
            if oldest.is_none_or(|oldest| this < oldest) {
                *oldest = Some(this);
            }
        }
        own.into_iter().chain(other).map(|(_, id)| id.to_string()).collect()
    }

    /// Services that were there and that a read does not have although this daemon
    /// has not written them meanwhile, with their names.
    pub(in crate::reconcile) fn missing(
        &self,
        read: &BTreeMap<String, Registered>,
    ) -> Vec<(String, String)> {
        let missing = self.slots.iter().filter_map(|(id, slot)| {
            let entry = slot.entry.as_deref()?;
            let missing = !read.contains_key(&**id) && !slot.is_newer() && !slot.is_uncertain();
            missing.then(|| (id.to_string(), entry.registered.name.clone()))
        });
        let mut missing: Vec<_> = missing.collect();
        missing.sort_unstable();
        missing
    }
}
