//! Whose a registered service is, by its marks and by what this daemon remembers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Catalog, slot::Entry};
use crate::{
    container::ContainerId,
    reconcile::provenance::{META_CONTAINER, META_ENGINE, Owner},
    registry::Registered,
};

impl Catalog {
    /// Whose a registered service is. If the host's name was another one when a
    /// service was registered, it is this daemon's nevertheless once its
    /// container has ended on this very engine. Until then it might be that of a
    /// second daemon of another name.
    pub(in crate::reconcile) fn owner(&self, registered: &Registered) -> Owner {
        match (self.provenance.owner(registered), self.marked_container(registered)) {
            (Owner::OtherHost(_), Some(container)) if self.ended.contains(&container) => {
                Owner::Ours(container)
            }
            (owner, _) => owner,
        }
    }

    /// The container of this host's engine that a service's mark names.
    pub(super) fn marked_container(&self, registered: &Registered) -> Option<ContainerId> {
        match self.provenance.owner(registered) {
            Owner::Ours(container) => Some(container),
            Owner::OtherHost(_) => {
                let engine = registered.meta.get(META_ENGINE);
                let container = registered.meta.get(META_CONTAINER)?;
                let same = engine.is_some() && engine == self.provenance.engine.as_ref();
                same.then(|| ContainerId(container.clone()))
            }
            Owner::Host | Owner::Unmarked => None,
        }
    }

    /// The engine for which a service was registered, if it is another one.
    pub(in crate::reconcile) fn other_engine(&self, id: &str) -> Option<&str> {
        let ours = self.provenance.engine.as_ref()?;
        let engine = self.registered(id)?.meta.get(META_ENGINE)?;
        (engine != ours).then_some(engine)
    }

    /// Whether no container that runs here has a service that was registered for
    /// this engine.
    pub(in crate::reconcile) fn is_absent(&self, engine: &str) -> bool {
        !self.all_registered().any(|registered| {
            let meta = &registered.meta;
            let container = meta.get(META_CONTAINER).cloned().map(ContainerId);
            meta.get(META_ENGINE).is_some_and(|other| other == engine)
                && container.is_some_and(|id| self.by_container.contains_key(&id))
        })
    }

    /// How many services are this daemon's.
    pub(in crate::reconcile) fn services(&self) -> usize {
        self.own().count()
    }

    /// The IDs of the services that are this daemon's, in order.
    pub(in crate::reconcile) fn ours(&self) -> BTreeSet<String> {
        self.own().cloned().collect()
    }

    fn own(&self) -> impl Iterator<Item = &String> {
        let all = self.slots.iter().filter_map(|(id, slot)| Some((id, slot.entry.as_ref()?)));
        all.filter(|(_, entry)| self.is_ours(entry)).map(|(id, _)| id)
    }

    pub(super) fn is_ours(&self, entry: &Entry) -> bool {
        let owner = self.provenance.owner(&entry.registered);
        entry.written.is_some() || matches!(owner, Owner::Ours(_) | Owner::Host)
    }

    /// Services by which it can be told whether the registry has forgotten what it
    /// was told: of the daemon's own the one that was written the longest ago, since
    /// what was written a moment ago is there whatever was forgotten before; and
    /// one of somebody else that is in the way of one.
    pub(in crate::reconcile) fn sentinels(&self) -> Vec<String> {
        let (mut own, mut other) = (None, None);
        for (id, slot) in &self.slots {
            let Some(entry) = slot.entry.as_ref().filter(|_| !slot.is_uncertain()) else {
                continue;
            };
            if !self.claims.contains_key(id) {
                continue;
            }
            let oldest = if self.is_ours(entry) { &mut own } else { &mut other };
            let this = (entry.since, id);
            if oldest.is_none_or(|oldest| this < oldest) {
                *oldest = Some(this);
            }
        }
        own.into_iter().chain(other).map(|(_, id)| id.clone()).collect()
    }

    /// Services that were there and that a read does not have although this daemon
    /// has not written them meanwhile, with their names.
    pub(in crate::reconcile) fn missing(
        &self,
        read: &BTreeMap<String, Registered>,
    ) -> Vec<(String, String)> {
        let missing = self.slots.iter().filter_map(|(id, slot)| {
            let entry = slot.entry.as_ref()?;
            let missing = !read.contains_key(id) && !slot.is_newer() && !slot.is_uncertain();
            missing.then(|| (id.clone(), entry.registered.name.clone()))
        });
        let mut missing: Vec<_> = missing.collect();
        missing.sort_unstable();
        missing
    }
}
