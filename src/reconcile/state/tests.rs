//! The planner's properties: a plan that is carried out leaves nothing to do,
//! foreign services stay untouched, and a stale plan is not carried out.

mod leftovers;
mod renames;
mod writes;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use proptest::{collection::vec, prelude::*};

use super::{
    catalog::Catalog,
    plan::{Action, Conflict, Plan, Reason, cleanup, is_due, leftovers, plan},
};
use crate::model::{
    container::{ContainerId, Protocol},
    marks::{META_CONTAINER, META_ENGINE, META_HOST, META_RETIRE, Provenance},
    registered::Registered,
    service::{Check, CheckKind, Service, Weights},
};

fn service(id: &str, name: &str) -> Service {
    Service {
        id: id.into(),
        name: name.into(),
        address: "10.0.0.1".into(),
        port: 80,
        protocol: Protocol::Tcp,
        tags: Vec::new(),
        meta: Default::default(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: Default::default(),
        origin: None,
        further: Default::default(),
        attributes: Default::default(),
    }
}

fn foreign(id: &str, meta: &[(&str, &str)]) -> Registered {
    let meta = meta.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let weights = Weights { passing: 1, warning: 1 };
    Registered { meta, weights, ..Registered::from(&service(id, "foreign")) }
}

fn container(n: u8) -> ContainerId {
    ContainerId(format!("{n:064}").into())
}

fn catalog(provenance: bool) -> Catalog {
    Catalog::new(Provenance::new("h", provenance))
}

/// Carry a container's plan out on a registry, as the executor does.
fn apply(catalog: &mut Catalog, registry: &mut BTreeMap<String, Registered>, n: u8, plan: &Plan) {
    for action in &plan.actions {
        let id = action.id();
        let waits =
            action.successors().any(|(by, successor)| !catalog.has_successor(by, successor));
        if waits || !is_due(catalog, &container(n), action) {
            continue;
        }
        catalog.begin_write(id, &container(n), action.service());
        match action.service() {
            Some(service) => registry.insert(id.to_string(), Registered::from(&**service)),
            None => registry.remove(id),
        };
        catalog.end_write(id);
    }
}

fn read(catalog: &mut Catalog, registry: &BTreeMap<String, Registered>) {
    catalog.begin_read();
    catalog.end_read(registry.clone(), &HashSet::new());
}

/// A step of a host's life: a container offers these services from now on.
fn step() -> impl Strategy<Value = (u8, Vec<(u8, u8)>)> {
    (0..4_u8, vec((0..5_u8, 0..3_u8), 0..3))
}

proptest! {
    #[test]
    fn a_carried_out_plan_leaves_nothing_to_do(
        steps in vec(step(), 1..20),
        provenance: bool,
        restart_at in 0..20_usize,
    ) {
        let theirs = BTreeMap::from([
            ("manual".to_string(), foreign("manual", &[])),
            ("h:byhand:80".to_string(), foreign("h:byhand:80", &[])),
            ("s1".to_string(), foreign("s1", &[(META_HOST, "other"), (META_CONTAINER, "x")])),
        ]);
        let mut registry = theirs.clone();
        let mut catalog = catalog(provenance);
        read(&mut catalog, &registry);
        let mut offers: BTreeMap<u8, Vec<(u8, u8)>> = BTreeMap::new();
        for (at, (n, services)) in steps.into_iter().enumerate() {
            if at == restart_at && provenance {
                // Killed and started again: all that is known is the registry.
                catalog = self::catalog(provenance);
                read(&mut catalog, &registry);
                for n in offers.keys() {
                    settle(&mut catalog, &mut registry, &offers, *n);
                }
            }
            offers.insert(n, services);
            settle(&mut catalog, &mut registry, &offers, n);
        }
        // Everyone is looked at once more, as a resync does.
        for n in offers.keys() {
            settle(&mut catalog, &mut registry, &offers, *n);
        }
        for (id, registered) in &theirs {
            prop_assert_eq!(registry.get(id), Some(registered));
        }
        let wanted: std::collections::BTreeSet<_> = offers
            .values()
            .flatten()
            .map(|(id, _)| format!("s{id}"))
            .chain(theirs.keys().cloned())
            .collect();
        let registered: std::collections::BTreeSet<_> = registry.keys().cloned().collect();
        prop_assert_eq!(registered, wanted);
        // A converged host is not written to, also after it is read again.
        read(&mut catalog, &registry);
        for (n, services) in &offers {
            let concerned = claim(&mut catalog, *n, services);
            prop_assert_eq!(plan(&catalog, &container(*n), &concerned).actions, vec![]);
        }
    }
}

fn claim(
    catalog: &mut Catalog,
    n: u8,
    services: &[(u8, u8)],
) -> std::collections::BTreeSet<String> {
    // Services of one port would take each other's place.
    let services = services.iter().map(|(id, name)| Service {
        port: 80 + u16::from(*id),
        ..service(&format!("s{id}"), &format!("n{name}"))
    });
    catalog.claim(&container(n), &format!("c{n}"), services.collect())
}

fn look(
    catalog: &mut Catalog,
    registry: &mut BTreeMap<String, Registered>,
    n: u8,
    services: &[(u8, u8)],
) {
    let concerned = claim(catalog, n, services);
    let plan = plan(catalog, &container(n), &concerned);
    apply(catalog, registry, n, &plan);
}

/// Look at a container, and at those that its look has left something for.
fn settle(
    catalog: &mut Catalog,
    registry: &mut BTreeMap<String, Registered>,
    offers: &BTreeMap<u8, Vec<(u8, u8)>>,
    n: u8,
) {
    let mut due = vec![container(n)];
    for _ in 0..20 {
        let Some(next) = due.pop() else { return };
        let n: u8 = next.0.parse().expect("it is a number");
        let concerned = claim(catalog, n, offers.get(&n).map_or(&[], Vec::as_slice));
        let plan = plan(catalog, &next, &concerned);
        apply(catalog, registry, n, &plan);
        due.extend(plan.others);
    }
    panic!("containers leave work for each other without end");
}

/// The plan for a container that offers these services.
fn planned(catalog: &mut Catalog, n: u8, services: &[Service]) -> Plan {
    let concerned = catalog.claim(&container(n), "app", services.to_vec());
    plan(catalog, &container(n), &concerned)
}
