//! The entries that others left behind, and the owners of entries.

use super::*;

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
