//! Services that are called otherwise than before, and those of other names and engines.

use super::*;

/// A service of a container's port under this ID and name.
fn at_port(id: &str, name: &str, port: u16) -> Service {
    let origin = crate::model::service::Origin {
        container_port: port,
        protocol: Protocol::Tcp,
        published: None,
    };
    Service { port, origin: Some(origin), ..service(id, name) }
}

/// The services registered for a container after it has offered these lists in turn, with the times
/// at which they retire.
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
    assert_eq!(wanted.meta[META_CONTAINER], container(2).to_string());
    assert!(catalog.rivals("s0").is_empty());
}

#[test]
fn a_former_name_is_kept_under_another_id_where_that_is_somebody_elses() {
    let (old, new) = ([at_port("s0", "web", 80)], [at_port("s0", "front", 80)]);
    let until = "until 1970-01-01T00:01:10Z";
    for taken in [&[][..], &["s0:was:web"], &["s0:was:web", "s0:was:web:2"]] {
        let mut catalog = catalog(true);
        let others = |id: &&str| {
            let meta = [(META_HOST, "other"), (META_CONTAINER, &*container(2).0)];
            ((*id).to_string(), foreign(id, &meta))
        };
        read(&mut catalog, &taken.iter().map(others).collect());
        let free = match taken.len() {
            0 => "s0:was:web".to_string(),
            others => format!("s0:was:web:{}", others + 1),
        };
        let all = after_rename(&mut catalog, &[&old, &new, &new], 10);
        let (kept, front) = (format!("{free} web {until}"), "s0 front".to_string());
        assert!(all.contains(&kept) && all.contains(&front), "{all:?}");
        assert_eq!(all.len(), 2 + taken.len());
    }
}

#[test]
fn a_name_that_goes_once_more_is_kept_for_the_whole_time_again() {
    let mut catalog = catalog(true);
    let (old, new) = ([at_port("s0", "web", 80)], [at_port("s0", "front", 80)]);
    after_rename(&mut catalog, &[&old, &new], 10);
    after_rename(&mut catalog, &[&old], 20);
    // Its time is over by now, and nobody has looked since.
    let all = after_rename(&mut catalog, &[&new], 100);
    assert_eq!(all, ["s0 front", "s0:was:web web until 1970-01-01T00:02:40Z"]);
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

/// The actions, then the conflicts, for the first container when it offers these services.
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

    // A removal of which nobody knows what came of it, and which came to nothing, is this
    // daemon's own doing.
    let (mut catalog, there) = of_engines(&[("old:c:80", "old", "here")]);
    read(&mut catalog, &there);
    assert_eq!(done(&mut catalog, &own[..1]), ["+h:c:80", "-old:c:80 after 1"]);
    catalog.begin_write("old:c:80", &container(1), None);
    catalog.lose_write("old:c:80");
    read(&mut catalog, &there);
    assert_eq!(done(&mut catalog, &own[..1]), ["+h:c:80", "-old:c:80 after 1"]);

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
