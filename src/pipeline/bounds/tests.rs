//! A request for too much is refused before anything is made of it, and a small
//! container's part of the whole is never taken from it.

use super::*;
use crate::{
    model::{
        container::ContainerId,
        service::{Check, CheckKind},
    },
    pipeline::{
        candidates,
        tests::{container, host},
    },
};

fn check(note: usize) -> Check {
    Check {
        id: None,
        name: None,
        notes: Some("n".repeat(note)),
        kind: CheckKind::Ttl { ttl: "9s".into() },
        interval: None,
        timeout: None,
        initial_status: None,
        deregister_after: None,
        success_before_passing: None,
        failures_before_critical: None,
        attributes: Default::default(),
    }
}

const SMALL: Bounds = Bounds {
    ports: 10,
    services: 5,
    checks: 3,
    tags: 4,
    bytes: 8 << 10,
    all_services: 20,
    all_bytes: 64 << 10,
};

fn said(result: Result<(), StageError>) -> Option<String> {
    result.err().map(|error| error.to_string())
}

/// The fault of a container with this label, if it has one.
fn labelled(key: &str, value: &str) -> Option<String> {
    let mut container = container();
    container.labels.insert(key.into(), value.into());
    let rules = AddressRules::default();
    let asked = SMALL.said(&container, &host(), &rules);
    said(asked.and_then(|()| SMALL.product(&container, &host(), 2)))
}

#[test]
fn a_container_that_asks_for_too_much_is_told_what_and_by_which_key() {
    let tags = |n: usize| vec!["a"; n].join(",");
    let checks = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
    for (key, value, part) in [
        (
            "x",
            "y".repeat(9_000),
            Some("of labels and variables; 8.0 KiB are allowed (limits.bytes)"),
        ),
        ("wharfinger.port", tags(8), None),
        ("wharfinger.port", tags(9), Some("11 ports; 10 are allowed (limits.ports)")),
        ("SERVICE_TAGS", tags(4), None),
        ("SERVICE_TAGS", tags(5), Some("5 tags for a service; 4 are allowed (limits.tags)")),
        ("SERVICE_tags", tags(5), Some("(limits.tags)")),
        ("SERVICE_80_TAGS", tags(5), Some("(limits.tags)")),
        ("SERVICE_80-82_UDP_TAGS", tags(5), Some("(limits.tags)")),
        // Neither an escaped comma nor an empty part makes a tag more.
        ("SERVICE_TAGS", r"a\,b\,c\,d\,e,f".into(), None),
        ("SERVICE_TAGS", ",,,,a,,,,".into(), None),
        ("SERVICE_CHECKS", checks(3), None),
        (
            "SERVICE_CHECKS",
            checks(4),
            Some("4 checks for a service; 3 are allowed (limits.checks)"),
        ),
        ("SERVICE_80_CHECKS", checks(4), Some("(limits.checks)")),
        ("SERVICE_CHECKS", "[{".into(), None),
        ("SERVICE_CHECKS", "[{},{},{},{},".into(), Some("(limits.checks)")),
        (
            "SERVICE_CHECKS",
            format!("[{{\"TTL\":\"1s\",\"x\":[{}]}}]", "[],".repeat(300)),
            Some("(limits.bytes)"),
        ),
        ("SERVICE_X", "y".repeat(3_000), None),
        ("SERVICE_X", "y".repeat(4_000), Some("of services; 8.0 KiB are allowed (limits.bytes)")),
        ("SERVICE_80_X", "y".repeat(4_000), None),
    ] {
        let found = labelled(key, &value);
        match part {
            None => assert_eq!(found, None, "{key}: {value:.40}"),
            Some(part) => {
                let found = found.unwrap_or_else(|| panic!("{key}: {value:.40} is let pass"));
                assert!(found.contains(part), "{key}: {found}");
            }
        }
    }
}

#[test]
fn what_is_exposed_counts_where_it_would_be_offered() {
    let mut many = container();
    let port = |port| ExposedPort { port, protocol: crate::model::container::Protocol::Udp };
    many.exposed_ports = (10_000..10_100).map(port).collect();
    let rules = AddressRules::default();
    let count =
        |container: &Container, host: &Host| said(SMALL.said(container, host, &rules)).is_some();
    assert!(!count(&many, &host()), "nobody reaches them");
    assert!(count(&many, &Host { internal: true, ..host() }));
    many.network_mode = "host".into();
    assert!(count(&many, &host()));
}

#[test]
fn what_stages_made_is_counted_once_more() {
    let service = |tags: usize, checks: usize, note: usize| Service {
        tags: vec!["t".into(); tags],
        checks: vec![check(note); checks],
        ..candidates(&container(), &host(), &AddressRules::default()).expect("it is right").services
            [0]
        .clone()
    };
    for (services, part) in [
        (vec![service(4, 3, 1); 2], None),
        (vec![service(0, 0, 0); 6], Some("limits.services")),
        (vec![service(5, 0, 0)], Some("limits.tags")),
        (vec![service(0, 4, 0)], Some("limits.checks")),
        (vec![service(0, 1, 9_000)], Some("limits.bytes")),
    ] {
        let made = said(SMALL.made(&services).map(drop));
        match part {
            None => assert_eq!(made, None),
            Some(part) => assert!(made.expect("too much").contains(part)),
        }
    }
}

#[test]
fn nobody_takes_what_a_small_container_needs() {
    let tally = Tally::default();
    let id = |n: usize| ContainerId(format!("{n:064}").into());
    let ask = |n: usize, services: usize| {
        tally.grant(&SMALL, &id(n), Size { services, bytes: services * 100 })
    };
    for n in 0..4 {
        ask(n, 5).expect("there is enough");
    }
    let refused = ask(4, 5).expect_err("there is nothing left").to_string();
    assert!(
        refused.contains("25 services with those of all; 20 are allowed (limits.all-services)")
    );
    for n in 5..10 {
        ask(n, 1).expect("it is small");
    }
    ask(0, 5).expect_err("it asks for more than its part");
    ask(0, 2).expect("its part is two of twenty among ten");
    for n in 0..10 {
        tally.forget(&id(n));
    }
    ask(4, 20).expect("all have gone");
    ask(4, 20).expect("what it was granted is not counted twice");
    ask(4, 0).expect("it asks for nothing");
    ask(5, 20).expect("nothing is kept for it");
}
