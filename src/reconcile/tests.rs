//! The planner's properties: a plan that is carried out leaves nothing to do,
//! foreign services stay untouched, and a stale plan is not carried out.

use std::collections::{BTreeMap, HashSet};

use proptest::{collection::vec, prelude::*};

use super::{
    catalog::Catalog,
    plan::{cleanup, leftovers, plan},
    *,
};
use crate::{
    container::Protocol,
    registry::Registered,
    service::{Service, Weights},
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

/// Carry a plan out on a registry, as the executor does.
fn apply(catalog: &mut Catalog, registry: &mut BTreeMap<String, Registered>, plan: &Plan) {
    for action in &plan.actions {
        match action {
            Action::Register { service, generation, .. } => {
                if catalog.is_current(&service.id, *generation) {
                    registry.insert(service.id.clone(), Registered::from(&**service));
                    catalog.end_write(&service.id, Some(service.clone()));
                }
            }
            Action::Deregister { id, generation, .. } => {
                if catalog.is_current(id, *generation) {
                    registry.remove(id);
                    catalog.end_write(id, None);
                }
            }
        }
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
                for (n, services) in &offers {
                    look(&mut catalog, &mut registry, *n, services);
                }
            }
            offers.insert(n, services.clone());
            look(&mut catalog, &mut registry, n, &services);
        }
        // Everyone is looked at once more, as a resync does.
        for (n, services) in &offers {
            look(&mut catalog, &mut registry, *n, services);
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
            prop_assert_eq!(plan(&catalog, &concerned).actions, vec![]);
        }
    }
}

fn claim(
    catalog: &mut Catalog,
    n: u8,
    services: &[(u8, u8)],
) -> std::collections::BTreeSet<String> {
    let services =
        services.iter().map(|(id, name)| service(&format!("s{id}"), &format!("n{name}")));
    catalog.claim(&container(n), &format!("c{n}"), services.collect())
}

fn look(
    catalog: &mut Catalog,
    registry: &mut BTreeMap<String, Registered>,
    n: u8,
    services: &[(u8, u8)],
) {
    let concerned = claim(catalog, n, services);
    let plan = plan(catalog, &concerned);
    apply(catalog, registry, &plan);
}

#[test]
fn a_stale_plan_does_not_take_a_successor_out() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    // The first container ends, and the second one takes its ID, before the
    // plan to deregister it is carried out.
    let concerned = claim(&mut catalog, 1, &[]);
    let stale = plan(&catalog, &concerned);
    assert!(matches!(stale.actions[..], [Action::Deregister { .. }]));
    look(&mut catalog, &mut registry, 2, &[(0, 0)]);
    apply(&mut catalog, &mut registry, &stale);
    assert_eq!(registry["s0"].meta[META_CONTAINER], container(2).0);
}

#[test]
fn a_service_is_registered_under_its_new_id_before_the_old_one_goes() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    let concerned = claim(&mut catalog, 1, &[(1, 0)]);
    let plan = plan(&catalog, &concerned);
    assert!(
        matches!(&plan.actions[..], [Action::Register { .. }, Action::Deregister { id, .. }] if id == "s0")
    );
}

#[test]
fn an_uncertain_write_is_made_again() {
    let mut catalog = catalog(true);
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    catalog.begin_write("s0", None);
    let plan = plan(&catalog, &concerned);
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
    catalog.begin_write("s0", None);
    catalog.begin_read();
    catalog.lose_write("s0");
    catalog.end_read(registry.clone(), &HashSet::new());
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    let plan = plan(&catalog, &concerned);
    assert!(matches!(&plan.actions[..], [Action::Register { reason: Reason::Uncertain, .. }]));
}

#[test]
fn a_refused_write_says_nothing_of_the_lost_one_before_it() {
    let mut catalog = catalog(true);
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    catalog.begin_write("s0", None);
    catalog.lose_write("s0");
    catalog.begin_write("s0", None);
    catalog.refuse_write("s0");
    let plan = plan(&catalog, &concerned);
    assert!(matches!(&plan.actions[..], [Action::Register { reason: Reason::Uncertain, .. }]));
}

#[test]
fn a_service_that_changes_its_id_waits_for_its_heir() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    let concerned = claim(&mut catalog, 1, &[(1, 0)]);
    let heirs: Vec<_> = plan(&catalog, &concerned)
        .actions
        .iter()
        .filter_map(|action| action.heir().map(String::from))
        .collect();
    assert_eq!(heirs, ["s1"]);
    assert!(!catalog.has_heir("s0", "s1"));
    // It may be there, which is not enough.
    catalog.begin_write("s1", None);
    assert!(!catalog.has_heir("s0", "s1"));
}

#[test]
fn a_write_during_a_read_is_newer_than_the_read() {
    let mut catalog = catalog(true);
    let mut registry = BTreeMap::new();
    catalog.begin_read();
    look(&mut catalog, &mut registry, 1, &[(0, 0)]);
    catalog.end_read(BTreeMap::new(), &HashSet::new());
    let concerned = claim(&mut catalog, 1, &[(0, 0)]);
    assert_eq!(plan(&catalog, &concerned).actions, vec![]);
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
        let plan = plan(&catalog, &concerned);
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
    let adoption = plan(&catalog, &concerned);
    let [Action::Register { service, reason: Reason::Adopted, .. }] = &adoption.actions[..] else {
        panic!("{adoption:?}");
    };
    assert_eq!((service.id.as_str(), &adoption.conflicts[..]), ("wanted", &[][..]));
    // To look at a container takes nothing out that may be another one's.
    let concerned = catalog.claim(&container(1), "app", Vec::new());
    assert_eq!(plan(&catalog, &concerned).actions, vec![]);
    catalog.claim(&container(1), "app", vec![service.as_ref().clone()]);
    let left = leftovers(&catalog).actions;
    assert!(matches!(&left[..], [Action::Deregister { id, .. }] if id == "h:gone:80"), "{left:?}");
}

/// What is planned for a container that offers these services.
fn planned(catalog: &mut Catalog, n: u8, services: &[Service]) -> Plan {
    let concerned = catalog.claim(&container(n), "app", services.to_vec());
    plan(catalog, &concerned)
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
                catalog.begin_write("web", None);
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
    apply(&mut catalog, &mut registry, &plan);
    assert_eq!(registry["web"].name, "second");
    let names = |catalog: &Catalog| -> Vec<String> {
        let twins = catalog.overwritten(&container(1), "web");
        twins.iter().map(|twin| twin.name.clone()).collect()
    };
    assert_eq!(names(&catalog), ["first"]);
    let plan = planned(&mut catalog, 1, &[]);
    assert_eq!(names(&catalog), ["first"], "it is deregistered as often as it was registered");
    apply(&mut catalog, &mut registry, &plan);
    assert!(names(&catalog).is_empty() && registry.is_empty());
}

/// A service of a container's port under this ID and name.
fn at_port(id: &str, name: &str, port: u16) -> Service {
    let origin =
        crate::service::Origin { container_port: port, protocol: Protocol::Tcp, published: None };
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
        let plan = plan(catalog, &concerned);
        apply(catalog, &mut registry, &plan);
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
        let plan = plan(&catalog, &concerned);
        taken.push((plan.actions.len(), plan.taken().map(String::from).collect::<Vec<_>>()));
        apply(&mut catalog, &mut registry, &plan);
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
