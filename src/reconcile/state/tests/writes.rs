//! Writes that are lost, refused or overtaken, and what a plan does about them.

use super::*;

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
    assert_eq!(registry["s0"].meta[META_CONTAINER], container(2).to_string());
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
        attributes: Default::default(),
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

/// A loss while a write was on its way is found by looking up the service that was written the
/// longest ago, for which the write's beginning counts.
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

/// A service that another container is given, or has, is written at that one's own look.
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

/// Without marks, an unchanged service under an ID passes to whoever wants it.
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
    assert_eq!((of("s0"), of("s1")), (container(1).to_string(), container(2).to_string()));
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
        catalog.maintained.note("s0", before);
        catalog.maintained.see(read.map(|ours| ("s0".to_string(), ours)));
        assert_eq!(catalog.maintained.differs("s0", false), differs, "{before:?} {read:?}");
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
