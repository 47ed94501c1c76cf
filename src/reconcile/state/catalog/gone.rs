//! The services that went without this daemon's doing, as found between two reads of everything.
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
use crate::{
    model::{container::ContainerId, service::Service},
    reconcile::difference::differences,
};

impl Catalog {
    /// The count of writes, by which a finding is told from what is newer.
    pub(in crate::reconcile) fn now(&self) -> u64 {
        self.clock
    }

    /// Services that a container wants, or that are this daemon's, and are not among these
    /// IDs, in order.
    pub(in crate::reconcile) fn vanished(&self, ids: &BTreeSet<String>, asked: u64) -> Vec<String> {
        let vanished = self.slots.iter().filter(|(id, slot)| {
            let ours = slot.entry.as_deref().is_some_and(|entry| self.is_ours(entry));
            let concerned = ours || self.claims.of(id).is_some();
            concerned && !ids.contains(&***id) && is_settled(slot, asked)
        });
        let mut vanished: Vec<_> = vanished.map(|(id, _)| id.to_string()).collect();
        vanished.sort_unstable();
        vanished
    }

    /// Whether what is known to be under an ID is this daemon's.
    pub(in crate::reconcile) fn ours_is(&self, id: &str) -> bool {
        self.entry(id).is_some_and(|entry| self.is_ours(entry))
    }

    /// Note that nothing is there under an ID, and say which containers that concerns; none if what
    /// is known is newer.
    pub(in crate::reconcile) fn note_gone(
        &mut self,
        id: &str,
        asked: u64,
    ) -> BTreeSet<ContainerId> {
        if !self.slots.get(id).is_some_and(|slot| is_settled(slot, asked)) {
            return BTreeSet::new();
        }
        let mut concerned = self.owners(id);
        concerned.extend(self.claims.of(id).into_iter().flatten().map(|(by, _)| by.clone()));
        self.change(id, Slot::clear);
        self.maintained.forget(id);
        concerned
    }

    /// The IDs of which the last read showed nothing and a lookup did not tell more.
    pub(in crate::reconcile) fn unseen(&self) -> BTreeSet<String> {
        if self.reading {
            return BTreeSet::new();
        }
        self.slots.iter().filter(|(_, slot)| slot.unseen).map(|(id, _)| id.to_string()).collect()
    }

    /// It is not known yet whether these are there, of which a read shows nothing.
    pub(in crate::reconcile) fn keep_unseen(&mut self, ids: &HashSet<String>) {
        for (id, slot) in &mut *self.slots {
            slot.unseen |= ids.contains(&**id) && slot.entry.is_some() && !slot.is_newer();
        }
    }

    /// Count the service under an ID as there, whatever the last read showed.
    pub(in crate::reconcile) fn note_seen(&mut self, id: &str) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.unseen = false;
        }
    }

    /// Whether a container wants a service with checks.
    pub(in crate::reconcile) fn wants_checks(&self) -> bool {
        self.claims.all().any(|(_, service)| !service.checks.is_empty())
    }

    /// The services with checks that are there as a container wants them.
    pub(in crate::reconcile) fn checked(&self, asked: u64) -> Vec<Arc<Service>> {
        let as_wanted = |(id, slot): (&Arc<str>, &Slot)| {
            let (_, service) = self.winner(id)?;
            let entry = slot.entry.as_deref()?;
            let same = is_settled(slot, asked)
                && !service.checks.is_empty()
                && self.is_ours(entry)
                && differences(service, &entry.registered).is_empty();
            same.then(|| service.clone())
        };
        self.slots.iter().filter_map(as_wanted).collect()
    }

    /// Note that a service has lost its checks, so that it is to be registered again, and say which
    /// container that concerns; none if what is known is newer.
    pub(in crate::reconcile) fn note_lost_checks(
        &mut self,
        service: &Arc<Service>,
        asked: u64,
    ) -> Option<ContainerId> {
        let id = &service.id;
        let (container, wanted) = self.winner(id)?;
        let (container, same) = (container.clone(), Arc::ptr_eq(wanted, service));
        if !same || !self.slots.get(id.as_str()).is_some_and(|slot| is_settled(slot, asked)) {
            return None;
        }
        let write = Written { service: service.clone(), container: container.clone() };
        // As after a write of which the outcome is not known.
        self.change(id, |slot| slot.leave_unconfirmed(Some(write)));
        Some(container)
    }
}

/// Whether what is known of an ID is certain and was before this.
fn is_settled(slot: &Slot, asked: u64) -> bool {
    let old = slot.entry.as_deref().is_some_and(|entry| entry.since <= asked);
    old && !slot.is_uncertain()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{
        container::Protocol,
        marks::Provenance,
        service::{Check, CheckKind},
    };

    fn service(id: &str) -> Service {
        let check = Check {
            id: None,
            name: None,
            notes: None,
            kind: CheckKind::Ttl { ttl: "1m".into() },
            interval: None,
            timeout: None,
            initial_status: None,
            deregister_after: None,
            success_before_passing: None,
            failures_before_critical: None,
            attributes: Default::default(),
        };
        Service {
            id: id.into(),
            name: "web".into(),
            address: "10.0.0.1".into(),
            port: 80,
            protocol: Protocol::Tcp,
            tags: Vec::new(),
            meta: Default::default(),
            checks: vec![check],
            weights: None,
            enable_tag_override: false,
            tagged_addresses: Default::default(),
            origin: None,
            further: Default::default(),
            attributes: Default::default(),
        }
    }

    /// A catalog with one service of one container, which is registered.
    fn registered() -> (Catalog, ContainerId) {
        let container = ContainerId("c".repeat(64).into());
        let mut catalog = Catalog::new(Provenance::new("h", true));
        catalog.claim(&container, "app", vec![service("s0")]);
        write(&mut catalog, &container);
        (catalog, container)
    }

    fn write(catalog: &mut Catalog, container: &ContainerId) {
        let wanted = catalog.wanted("s0").cloned();
        catalog.begin_write("s0", container, wanted.as_ref());
        catalog.end_write("s0");
    }

    #[test]
    fn a_finding_tells_nothing_of_what_was_written_since() {
        let (mut catalog, container) = registered();
        let asked = catalog.now();
        assert_eq!(catalog.vanished(&BTreeSet::new(), asked), ["s0"]);
        assert_eq!(catalog.vanished(&BTreeSet::from(["s0".into()]), asked), [""; 0]);
        let wanted = catalog.checked(asked);
        write(&mut catalog, &container);
        assert!(catalog.note_gone("s0", asked).is_empty());
        assert_eq!(catalog.note_lost_checks(&wanted[0], asked), None);
        assert!(catalog.registered("s0").is_some() && !catalog.is_uncertain("s0"));
        let asked = catalog.now();
        assert_eq!(catalog.note_gone("s0", asked), [container].into());
        assert!(catalog.registered("s0").is_none());
        assert!(catalog.note_gone("s0", asked).is_empty());
    }

    #[test]
    fn a_service_without_its_checks_is_to_be_written_again_once() {
        let (mut catalog, container) = registered();
        let (asked, wanted) = (catalog.now(), catalog.checked(catalog.now()));
        assert_eq!(wanted.len(), 1);
        assert_eq!(catalog.note_lost_checks(&wanted[0], asked), Some(container.clone()));
        assert!(catalog.is_uncertain("s0"));
        assert_eq!(catalog.note_lost_checks(&wanted[0], asked), None);
        write(&mut catalog, &container);
        assert!(!catalog.is_uncertain("s0"));
    }

    #[test]
    fn what_a_lookup_does_not_tell_is_no_heir_until_it_does() {
        let (mut catalog, container) = registered();
        let all = HashSet::from(["s0".to_string()]);
        catalog.begin_read();
        catalog.see(&BTreeMap::new());
        assert!(catalog.unseen().is_empty(), "a read is under way");
        catalog.end_read(BTreeMap::new(), &all);
        catalog.keep_unseen(&all);
        assert!(!catalog.has_successor(&container, "s0"));
        assert_eq!(catalog.unseen(), BTreeSet::from(["s0".to_string()]));
        catalog.note_seen("s0");
        assert!(catalog.has_successor(&container, "s0") && catalog.unseen().is_empty());
    }
}
