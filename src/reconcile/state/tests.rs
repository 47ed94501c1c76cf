//! The planner's properties: a plan that is carried out leaves nothing to do,
//! foreign services stay untouched, and a stale plan is not carried out.

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
        meta: BTreeMap::new(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: BTreeMap::new(),
        origin: None,
        attributes: BTreeMap::new(),
    }
}

fn foreign(id: &str, meta: &[(&str, &str)]) -> Registered {
    let meta = meta.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let weights = Weights { passing: 1, warning: 1 };
    Registered { meta, weights, ..Registered::from(&service(id, "foreign")) }
}

fn container(n: u8) -> ContainerId {
    ContainerId(format!("{n:064}"))
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

#[test]
fn a_stale_plan_does_not_take_a_successor_out() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    // The first container ends, and the second one takes its ID, before the
    // plan to deregister it is carried out.
    let concerned = claim(&mut catalog, 1, &[]);
    let stale = plan(&catalog, &container(1), &concerned);
    assert!(matches!(stale.actions[..], [Action::Deregister { .. }]));
    look(&mut catalog, &mut registry, 2, &[(0, 0)]);
    apply(&mut catalog, &mut registry, 1, &stale);
    assert_eq!(registry["s0"].meta[META_CONTAINER], container(2).0);
}

#[test]
fn a_service_is_registered_under_its_new_id_before_the_old_one_goes() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    let concerned = claim(&mut catalog, 1, &[(1, 0)]);
    let plan = plan(&catalog, &container(1), &concerned);
    assert!(
        matches!(&plan.actions[..], [Action::Register { .. }, Action::Deregister { id, .. }] if id == "s0")
    );
}

#[test]
fn an_uncertain_write_is_made_again() {
    let mut catalog = catalog(true);
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    catalog.begin_write("s0", &container(1), None);
    let plan = plan(&catalog, &container(1), &concerned);
    assert!(matches!(&plan.actions[..], [Action::Register { reason: Reason::Uncertain, .. }]));
}

#[test]
fn a_lost_write_stays_uncertain_whatever_was_read_meanwhile() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    // The container ends. The read is answered before the write is carried out,
    // of which the daemon only learns that its answer did not come.
    claim(&mut catalog, 1, &[]);
    catalog.begin_write("s0", &container(1), None);
    catalog.begin_read();
    catalog.lose_write("s0");
    catalog.end_read(registry.clone(), &HashSet::new());
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    let plan = plan(&catalog, &container(1), &concerned);
    assert!(matches!(&plan.actions[..], [Action::Register { reason: Reason::Uncertain, .. }]));
}

/// A service with a check that looks for this path. An agent does not say what checks a
/// service has.
fn checked(path: &str) -> Service {
    let kind = CheckKind::Ttl { ttl: path.into() };
    let check = Check {
        id: None,
        name: None,
        notes: None,
        kind,
        interval: None,
        timeout: None,
        initial_status: None,
        deregister_after: None,
        success_before_passing: None,
        failures_before_critical: None,
        attributes: BTreeMap::new(),
    };
    Service { checks: vec![check], ..service("s0", "web") }
}

/// Without marks a daemon knows its own by memory: of all that it may have written, what
/// a read shows is its own.
#[test]
fn of_several_lost_writes_each_may_be_what_is_there() {
    for shown in 0..3 {
        let mut catalog = catalog(false);
        let names = ["n0", "n1", "n2"];
        for name in names {
            let wanted = Arc::new(service("s0", name));
            catalog.claim(&container(1), "app", vec![service("s0", name)]);
            catalog.begin_write("s0", &container(1), Some(&wanted));
            catalog.lose_write("s0");
        }
        catalog.claim(&container(1), "app", Vec::new());
        let there = Registered::from(&service("s0", names[shown]));
        read(&mut catalog, &BTreeMap::from([("s0".to_string(), there)]));
        let plan = planned(&mut catalog, 1, &[]);
        assert!(matches!(&plan.actions[..], [Action::Deregister { id, .. }] if id == "s0"));
    }
}

#[test]
fn a_read_does_not_tell_which_of_two_services_that_look_alike_is_there() {
    let mut catalog = catalog(false);
    let mut registry = BTreeMap::new();
    let first = planned(&mut catalog, 1, &[checked("1s")]);
    apply(&mut catalog, &mut registry, 1, &first);
    let second = planned(&mut catalog, 1, &[checked("2s")]);
    let [action] = &second.actions[..] else { panic!("{second:?}") };
    catalog.begin_write("s0", &container(1), action.service());
    catalog.lose_write("s0");
    read(&mut catalog, &registry);
    let plan = planned(&mut catalog, 1, &[checked("2s")]);
    assert!(matches!(&plan.actions[..], [Action::Register { reason: Reason::Uncertain, .. }]));
}

#[test]
fn an_heir_that_a_read_does_not_show_is_none_before_it_is_known_to_be_gone() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    let offered = [service("s0", "web")];
    let first = planned(&mut catalog, 1, &offered);
    apply(&mut catalog, &mut registry, 1, &first);
    assert!(catalog.has_successor(&container(1), "s0"));
    catalog.begin_read();
    catalog.see(&BTreeMap::new());
    assert!(!catalog.has_successor(&container(1), "s0"));
    // The token may not read it: it counts as it was.
    catalog.end_read(BTreeMap::new(), &HashSet::from(["s0".to_string()]));
    assert!(catalog.has_successor(&container(1), "s0"));
}

/// What was lost while a write was on its way is found by looking up what was written
/// the longest ago, for which the beginning counts.
#[test]
fn the_sentinel_is_what_was_sent_first_and_not_what_was_answered_first() {
    let mut catalog = catalog(true);
    let services = [service("s0", "web"), Service { port: 81, ..service("s1", "web") }];
    let both = planned(&mut catalog, 1, &services);
    for action in &both.actions {
        catalog.begin_write(action.id(), &container(1), action.service());
    }
    for id in ["s1", "s0"] {
        catalog.end_write(id);
    }
    assert_eq!(catalog.sentinels(), ["s0"]);
}

/// What another container is given, or has, is written at that one's own look.
#[test]
fn a_plan_writes_only_what_is_its_containers() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    // The second container wants the ID of the first one and does not get it.
    let rival = planned(&mut catalog, 2, &[service("s0", "web")]);
    assert_eq!((rival.actions.len(), rival.others.len()), (0, 0));
    // The first one ends: the ID is the second one's now.
    let concerned = claim(&mut catalog, 1, &[]);
    let end = plan(&catalog, &container(1), &concerned);
    assert_eq!(end.actions, vec![]);
    assert_eq!(end.others, [container(2)].into());
    let own = planned(&mut catalog, 2, &[service("s0", "web")]);
    assert!(matches!(&own.actions[..], [Action::Register { .. }]), "{own:?}");
}

/// Where there are no marks, what stays the same under an ID passes to whoever wants it.
#[test]
fn what_does_not_change_is_inherited() {
    let mut catalog = catalog(false);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    assert_eq!(claim(&mut catalog, 1, &[]), ["s0".to_string()].into());
    claim(&mut catalog, 2, &[(0, 0)]);
    assert_eq!(catalog.owners("s0"), [container(2)].into());
    look(&mut catalog, &mut registry, 2, &[]);
    assert!(registry.is_empty());
}

#[test]
fn a_container_that_has_failed_keeps_what_it_has_and_is_in_nobodys_way() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    claim(&mut catalog, 1, &[(0, 0), (1, 0)]);
    claim(&mut catalog, 2, &[(1, 0)]);
    assert_eq!(catalog.rivals("s1"), [&container(2)]);
    let concerned = catalog.keep(&container(1));
    let kept = plan(&catalog, &container(1), &concerned);
    assert_eq!((kept.actions, kept.others), (vec![], [container(2)].into()));
    look(&mut catalog, &mut registry, 2, &[(1, 0)]);
    let of = |id: &str| registry[id].meta[META_CONTAINER].clone();
    assert_eq!((of("s0"), of("s1")), (container(1).0, container(2).0));
}

#[test]
fn what_may_be_in_maintenance_is_taken_out_of_it_and_others_is_not() {
    let mut catalog = catalog(true);
    for (before, read, differs) in [
        (None, None, false),
        (None, Some(true), true),
        // It may have been put there since the read.
        (Some(true), None, true),
        (Some(false), None, true),
        // An operator's.
        (Some(false), Some(false), false),
        (None, Some(false), false),
    ] {
        catalog.note_maintenance("s0", before);
        catalog.see_maintained(read.map(|ours| ("s0".to_string(), ours)));
        assert_eq!(catalog.maintenance_differs("s0", false), differs, "{before:?} {read:?}");
    }
}

#[test]
fn a_refused_write_says_nothing_of_the_lost_one_before_it() {
    let mut catalog = catalog(true);
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    catalog.begin_write("s0", &container(1), None);
    catalog.lose_write("s0");
    catalog.begin_write("s0", &container(1), None);
    catalog.refuse_write("s0");
    let plan = plan(&catalog, &container(1), &concerned);
    assert!(matches!(&plan.actions[..], [Action::Register { reason: Reason::Uncertain, .. }]));
}

#[test]
fn a_service_that_changes_its_id_waits_for_its_successor() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    let first = planned(&mut catalog, 1, &[service("s0", "web")]);
    apply(&mut catalog, &mut registry, 1, &first);
    let concerned = catalog.claim(&container(1), "app", vec![service("s1", "web")]);
    let successors: Vec<_> = plan(&catalog, &container(1), &concerned)
        .actions
        .iter()
        .flat_map(|action| {
            action.successors().map(|(_, successor)| successor.clone()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(successors, ["s1"]);
    assert!(!catalog.has_successor(&container(1), "s1"));
    // It may be there, which is not enough.
    catalog.begin_write("s1", &container(1), None);
    assert!(!catalog.has_successor(&container(1), "s1"));
}

#[test]
fn a_write_during_a_read_is_newer_than_the_read() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    catalog.begin_read();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    catalog.end_read(BTreeMap::new(), &HashSet::new());
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    assert_eq!(plan(&catalog, &container(1), &concerned).actions, vec![]);
}

#[test]
fn what_registrator_left_is_adopted_and_the_rest_is_a_conflict() {
    for (id, meta, adopted) in [
        ("h:app:80", &[][..], true),
        ("custom", &[][..], false),
        ("h:app:80", &[(META_HOST, "other"), (META_CONTAINER, "x")][..], false),
    ] {
        let mut catalog = catalog(true);
        read(&mut catalog, &BTreeMap::from([(id.to_string(), foreign(id, meta))]));
        let concerned = catalog.claim(&container(1), "app", vec![service(id, "web")]);
        let plan = plan(&catalog, &container(1), &concerned);
        let adopts =
            matches!(&plan.actions[..], [Action::Register { reason: Reason::Adopted, .. }]);
        assert_eq!(adopts, adopted, "{id} {meta:?}");
        assert_eq!(plan.conflicts.len(), usize::from(!adopted), "{id} {meta:?}");
    }
}

#[test]
fn clean_up_removes_what_registrator_left_and_nothing_else() {
    let at = |id: &str, address: &str| {
        (id.to_string(), Registered { address: address.into(), ..foreign(id, &[]) })
    };
    let mut catalog = catalog(true);
    read(
        &mut catalog,
        &BTreeMap::from([
            at("h:gone:80", "10.0.0.1"),
            at("h:gone:53:udp", "10.0.0.1"),
            at("h:byhand:80", ""),
            at("h:elsewhere:80", "10.0.0.2"),
            at("other:gone:80", "10.0.0.1"),
            at("h:app:81", "10.0.0.1"),
            at("manual", "10.0.0.1"),
            at("h:x:80:sctp", "10.0.0.1"),
        ]),
    );
    catalog.claim(&container(1), "app", vec![service("h:app:80", "foreign")]);
    let ids: Vec<_> = cleanup(&catalog, &["10.0.0.1"])
        .actions
        .into_iter()
        .map(|action| match action {
            Action::Deregister { id, .. } => id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, ["h:gone:53:udp", "h:gone:80"]);
}

#[test]
fn what_is_this_hosts_without_its_container_is_adopted_or_left_over() {
    let entry = |id: &str, host| (id.to_string(), foreign(id, &[(META_HOST, host)]));
    let mut catalog = catalog(true);
    let entries = [entry("wanted", "h"), entry("h:gone:80", "h"), entry("h:theirs:80", "other")];
    read(&mut catalog, &BTreeMap::from(entries));
    let concerned = catalog.claim(&container(1), "app", vec![service("wanted", "web")]);
    let adoption = plan(&catalog, &container(1), &concerned);
    let [Action::Register { service, reason: Reason::Adopted, .. }] = &adoption.actions[..] else {
        panic!("{adoption:?}");
    };
    assert_eq!((service.id.as_str(), &adoption.conflicts[..]), ("wanted", &[][..]));
    // To look at a container takes nothing out that may be another one's.
    let concerned = catalog.claim(&container(1), "app", Vec::new());
    assert_eq!(plan(&catalog, &container(1), &concerned).actions, vec![]);
    catalog.claim(&container(1), "app", vec![service.as_ref().clone()]);
    let left = leftovers(&catalog).actions;
    assert!(matches!(&left[..], [Action::Deregister { id, .. }] if id == "h:gone:80"), "{left:?}");
}

/// What is planned for a container that offers these services.
fn planned(catalog: &mut Catalog, n: u8, services: &[Service]) -> Plan {
    let concerned = catalog.claim(&container(n), "app", services.to_vec());
    plan(catalog, &container(n), &concerned)
}

/// As registrator does it, and again only after some time.
#[test]
fn what_was_refused_is_asked_for_once() {
    let web = service("web", "web");
    for asking_once in [true, false] {
        let mut catalog = catalog(false);
        if asking_once {
            catalog = catalog.mimicking();
        }
        let refuse = |catalog: &mut Catalog| {
            let plan = planned(catalog, 1, std::slice::from_ref(&web));
            if !plan.actions.is_empty() {
                catalog.begin_write("web", &container(1), None);
                catalog.refuse_write("web");
                catalog.note_refusal(&Arc::new(web.clone()));
            }
            plan.actions.len()
        };
        assert_eq!(refuse(&mut catalog), 1);
        assert_eq!(refuse(&mut catalog), usize::from(!asking_once));
        // Another port may be taken; so may the same one after a restart or a read.
        let other = Service { port: 81, ..web.clone() };
        assert_eq!(planned(&mut catalog, 1, &[other]).actions.len(), 1);
        assert_eq!(planned(&mut catalog, 1, &[]).actions.len(), 0);
        assert_eq!(refuse(&mut catalog), 1);
        read(&mut catalog, &BTreeMap::new());
        assert_eq!(refuse(&mut catalog), 1);
    }
}

#[test]
fn services_of_one_id_are_known_until_it_is_deregistered() {
    let mut catalog = catalog(false).mimicking();
    let services = [service("web", "first"), service("web", "second")];
    let mut registry = BTreeMap::new();
    let plan = planned(&mut catalog, 1, &services);
    apply(&mut catalog, &mut registry, 1, &plan);
    assert_eq!(registry["web"].name, "second");
    let names = |catalog: &Catalog| -> Vec<String> {
        let twins = catalog.overwritten(&container(1), "web");
        twins.iter().map(|twin| twin.name.clone()).collect()
    };
    assert_eq!(names(&catalog), ["first"]);
    let plan = planned(&mut catalog, 1, &[]);
    assert_eq!(names(&catalog), ["first"], "it is deregistered as often as it was registered");
    apply(&mut catalog, &mut registry, 1, &plan);
    assert!(names(&catalog).is_empty() && registry.is_empty());
}

/// A service of a container's port under this ID and name.
fn at_port(id: &str, name: &str, port: u16) -> Service {
    let origin = crate::model::service::Origin {
        container_port: port,
        protocol: Protocol::Tcp,
        published: None,
    };
    Service { port, origin: Some(origin), ..service(id, name) }
}

/// What is registered for a container after it has offered one list of services
/// and then another one, with the times at which that retires.
fn after_rename(catalog: &mut Catalog, offers: &[&[Service]], now: u64) -> Vec<String> {
    let mut registry = BTreeMap::new();
    for offered in offers {
        let time = Duration::from_secs;
        let kept = catalog.retirees(&container(1), offered, time(now), time(60));
        let concerned = catalog.claim_with(&container(1), "c", offered.to_vec(), kept);
        let plan = plan(catalog, &container(1), &concerned);
        apply(catalog, &mut registry, 1, &plan);
    }
    let all = catalog.all_registered().map(|one| {
        let until = one.meta.get(META_RETIRE).map(|until| format!(" until {until}"));
        format!("{} {}{}", one.id, one.name, until.unwrap_or_default())
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

#[test]
fn what_a_service_was_called_is_kept_for_a_while() {
    let [old, id, name] = [("s0", "web"), ("s1", "web"), ("s0", "front")];
    let of = |(id, name): (&str, &str)| vec![at_port(id, name, 80)];
    let (old, id, name) = (of(old), of(id), of(name));
    let other = vec![at_port("s1", "web", 81)];
    let until = "until 1970-01-01T00:01:10Z";
    for (offers, expected) in [
        (vec![&old[..], &id], vec![format!("s0 web {until}"), "s1 web".into()]),
        (vec![&old, &name], vec!["s0 front".into(), format!("s0:was:web web {until}")]),
        // Looking again changes nothing, and what comes back is kept no longer.
        (vec![&old, &id, &id], vec![format!("s0 web {until}"), "s1 web".into()]),
        (vec![&old, &name, &name], vec!["s0 front".into(), format!("s0:was:web web {until}")]),
        (vec![&old, &id, &old], vec!["s0 web".into(), format!("s1 web {until}")]),
        // What the container does not offer any more goes at once; so does what
        // stands for another port.
        (vec![&old, &id, &[]], vec![]),
        (vec![&old, &other], vec!["s1 web".into()]),
    ] {
        let mut catalog = catalog(true);
        assert_eq!(after_rename(&mut catalog, &offers, 10), expected);
    }
}

#[test]
fn what_is_kept_goes_when_its_time_is_over_and_counts_once_as_renamed() {
    let mut catalog = catalog(true);
    let (old, new) = ([at_port("s0", "web", 80)], [at_port("s1", "web", 80)]);
    let time = Duration::from_secs;
    let mut registry = BTreeMap::new();
    let mut taken = Vec::new();
    for (offered, now) in [(&old, 10), (&new, 10), (&new, 69), (&new, 70)] {
        // A daemon that is started in between has no memory but the marks.
        if now == 69 {
            catalog = self::catalog(true);
            read(&mut catalog, &registry);
        }
        let kept = catalog.retirees(&container(1), offered, time(now), time(60));
        let concerned = catalog.claim_with(&container(1), "c", offered.to_vec(), kept);
        let plan = plan(&catalog, &container(1), &concerned);
        taken.push((plan.actions.len(), plan.taken().map(String::from).collect::<Vec<_>>()));
        apply(&mut catalog, &mut registry, 1, &plan);
    }
    let none = Vec::new;
    assert_eq!(taken, [(1, none()), (2, vec!["s0".to_string()]), (0, none()), (1, none())]);
    assert_eq!(registry.into_keys().collect::<Vec<_>>(), ["s1"]);
}

#[test]
fn what_is_kept_gives_way_to_what_another_container_offers() {
    let mut catalog = catalog(true);
    after_rename(&mut catalog, &[&[at_port("s0", "web", 80)], &[at_port("s1", "web", 80)]], 10);
    catalog.claim(&container(2), "other", vec![at_port("s0", "web", 80)]);
    let wanted = catalog.wanted("s0").expect("it is wanted");
    assert_eq!(wanted.meta[META_CONTAINER], container(2).0);
    assert!(catalog.rivals("s0").is_empty());
}

/// A catalog of this host's engine, and what is registered under these names for these
/// engines, all of it for the first container.
fn of_engines(entries: &[(&str, &str, &str)]) -> (Catalog, BTreeMap<String, Registered>) {
    let mark = |engine: &str| {
        let mut marks = Provenance::new("", true);
        marks.set_engine(Some(engine));
        marks.engine.expect("it was set")
    };
    let one = |(id, host, engine): &(&str, &str, &str)| {
        let (container, engine) = (container(1).0, mark(engine));
        let meta = [(META_HOST, *host), (META_CONTAINER, &container), (META_ENGINE, &engine)];
        let there = Registered { name: "web".into(), ..foreign(id, &meta) };
        (id.to_string(), there)
    };
    let mut catalog = catalog(true);
    catalog.set_engine(Some("here"));
    (catalog, entries.iter().map(one).collect())
}

/// What is done for the first container when it offers these services.
fn done(catalog: &mut Catalog, services: &[Service]) -> Vec<String> {
    let plan = planned(catalog, 1, services);
    let action = |action: &Action| match action {
        Action::Register { service, .. } => format!("+{}", service.id),
        Action::Deregister { id, successors, .. } => format!("-{id} after {}", successors.len()),
    };
    let conflict = |conflict: &Conflict| format!("!{}", conflict.id);
    plan.actions.iter().map(action).chain(plan.conflicts.iter().map(conflict)).collect()
}

#[test]
fn what_was_there_under_a_former_name_is_renamed_and_what_comes_later_is_not() {
    let own = [service("h:c:80", "web"), Service { port: 81, ..service("fixed", "web") }];
    let (mut catalog, there) = of_engines(&[
        ("old:c:80", "old", "here"),
        ("fixed", "old", "here"),
        ("else:c:80", "old", "elsewhere"),
    ]);
    read(&mut catalog, &there);
    assert_eq!(done(&mut catalog, &own), ["+fixed", "+h:c:80", "-old:c:80 after 1"]);
    assert_eq!(catalog.former_name("old:c:80"), Some("old"));
    assert!(catalog.is_renamed_host(&container(1), "old:c:80"));
    assert!(!catalog.is_renamed_host(&container(1), "else:c:80"));
    // It was removed, and has come back: a daemon of that name lives.
    read(&mut catalog, &BTreeMap::new());
    read(&mut catalog, &there);
    assert_eq!(done(&mut catalog, &own), ["+h:c:80", "!fixed"]);
    assert_eq!(catalog.former_name("old:c:80"), None);

    // What nothing takes the place of may be a second daemon's; the same ID but for the
    // host's name is the same service, wherever it is now.
    let (mut catalog, there) =
        of_engines(&[("old:c:80", "old", "here"), ("old:c:9", "old", "here")]);
    let moved = [Service { address: "10.0.0.9".into(), ..service("h:c:80", "web") }];
    let mut registry = there.clone();
    registry.get_mut("old:c:9").expect("it is there").port = 9;
    read(&mut catalog, &registry);
    assert_eq!(done(&mut catalog, &moved), ["+h:c:80", "-old:c:80 after 1"]);
    assert_eq!(done(&mut catalog, &[]), Vec::<String>::new());
}

#[test]
fn another_engines_service_is_in_the_way_until_it_is_known_to_be_none() {
    let elsewhere = [("h:c:80", "h", "elsewhere")];
    let own = [service("h:c:80", "web")];
    let (mut catalog, there) = of_engines(&elsewhere);
    read(&mut catalog, &there);
    assert_eq!(catalog.elsewhere(&container(1)).map(|(_, ids)| ids), Some(vec!["h:c:80".into()]));
    assert_eq!(done(&mut catalog, &own), ["!h:c:80"]);
    // The operator says that it is no more.
    let engine = there["h:c:80"].meta[META_ENGINE].clone();
    catalog.give_up([engine]);
    assert_eq!(done(&mut catalog, &own), ["+h:c:80"]);

    // The container is here: the engine was called otherwise.
    let (mut catalog, there) = of_engines(&elsewhere);
    read(&mut catalog, &there);
    assert_eq!(catalog.meet(&container(1)), [container(1)].into());
    assert_eq!(catalog.elsewhere(&container(1)), None);
    assert_eq!(done(&mut catalog, &own), ["+h:c:80"]);

    // A port of the host has one owner; who comes back all the same is believed.
    let published = crate::model::container::PublishedPort {
        container_port: 80,
        protocol: Protocol::Tcp,
        host_ip: "0.0.0.0".into(),
        host_port: 80,
    };
    let origin = crate::model::service::Origin {
        container_port: 80,
        protocol: Protocol::Tcp,
        published: Some(published),
    };
    let own = [Service { origin: Some(origin), ..service("h:c:80", "web") }];
    let (mut catalog, there) = of_engines(&elsewhere);
    let mut registry = there.clone();
    read(&mut catalog, &registry);
    let plan = planned(&mut catalog, 1, &own);
    apply(&mut catalog, &mut registry, 1, &plan);
    assert_ne!(registry, there);
    assert_eq!(done(&mut catalog, &own), Vec::<String>::new());
    read(&mut catalog, &there);
    assert_eq!(done(&mut catalog, &own), ["!h:c:80"]);
}
