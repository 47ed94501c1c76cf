use wharfinger_plugin::{native, testing};

use super::*;

fn keys(
    sound: bool,
    pairs: &[(&str, &str)],
    port: u16,
    protocol: Protocol,
) -> Vec<(String, String)> {
    let mut container = testing::container("web").build();
    for (key, value) in pairs {
        container.env.push(Attribute::new(format!("SERVICE_{key}"), *value));
    }
    let origin = Origin { container_port: port, protocol, published: None };
    let keys = Keys::of(&container, Rules { sound }, &Log::default());
    let said = keys.of_port(&origin);
    said.iter().map(|(name, _, value)| (name.to_string(), value.to_string())).collect()
}

fn check(pairs: &[(&str, &str)], port: u16, expected: &[(&str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    for sound in [false, true] {
        assert_eq!(keys(sound, pairs, port, Protocol::Tcp), expected, "{pairs:?} {sound}");
    }
}

#[test]
fn the_port_wins_wherever_it_stands() {
    check(&[("name", "a"), ("80_name", "b")], 80, &[("name", "b")]);
    check(&[("80_name", "b"), ("name", "a")], 80, &[("name", "b")]);
    check(&[("80_name", "b"), ("name", "a")], 81, &[("name", "a")]);
    check(&[("80_name", "b"), ("80_name", "c")], 80, &[("name", "c")]);
}

#[test]
fn only_a_number_before_an_underscore_names_a_port() {
    check(&[("80", "x")], 80, &[("80", "x")]);
    check(&[("+80_x", "v")], 80, &[]);
    check(&[("080_x", "v")], 80, &[]);
    check(&[("70000_x", "v")], 80, &[]);
    check(&[("8a_x", "v")], 80, &[("8a_x", "v")]);
    check(&[("_x", "v")], 80, &[("_x", "v")]);
    check(&[("80_udp", "v")], 80, &[("udp", "v")]);
    check(&[("udp_x", "v")], 80, &[("udp_x", "v")]);
    check(&[("a-b_x", "v")], 80, &[("a-b_x", "v")]);
}

#[test]
fn the_key_that_names_the_port_most_closely_counts() {
    let all = [
        ("x", "common"),
        ("1-90_x", "wide"),
        ("70-90_x", "narrow"),
        ("70-90_UDP_x", "narrow udp"),
        ("80_x", "port"),
        ("80_udp_x", "port udp"),
    ];
    // Without the last ones, the one before counts, in whichever order they stand.
    for (taken, tcp, udp) in [
        (6, "port", "port udp"),
        (5, "port", "port"),
        (4, "narrow", "narrow udp"),
        (3, "narrow", "narrow"),
        (2, "wide", "wide"),
        (1, "common", "common"),
    ] {
        let mut pairs = all[..taken].to_vec();
        for _ in 0..2 {
            for (protocol, expected) in [(Protocol::Tcp, tcp), (Protocol::Udp, udp)] {
                let found = keys(true, &pairs, 80, protocol);
                assert_eq!(found, [("x".to_string(), expected.to_string())], "{pairs:?}");
            }
            pairs.reverse();
        }
    }
    let outside = keys(true, &all, 91, Protocol::Udp);
    assert_eq!(outside, [("x".to_string(), "common".to_string())]);
}

#[test]
fn registrator_knows_neither_ranges_nor_protocols() {
    let pairs = [("70-90_x", "a"), ("80_UDP_x", "b")];
    let found = keys(false, &pairs, 80, Protocol::Tcp);
    assert_eq!(
        found,
        [("70-90_x".to_string(), "a".to_string()), ("udp_x".to_string(), "b".to_string())]
    );
}

/// What is said of a container with this variable.
fn said(key: &str) -> Vec<String> {
    let mut container = testing::container("web").publish(8000, 80).build();
    container.env.push(Attribute::new(key, "v"));
    let services = testing::services(&container);
    let host = testing::host("h").build();
    let called = native::process::<crate::Registrator>("{}", &container, &host, services);
    let loud = called.messages.into_iter();
    loud.filter(|(level, _)| *level == wharfinger_plugin::logging::Level::Warn)
        .map(|(_, text)| text)
        .collect()
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    for (key, parts) in [
        ("SERVICE_90-80_NAME", ["SERVICE_90-80_NAME", "no range of ports"]),
        ("SERVICE_1-70000_NAME", ["SERVICE_1-70000_NAME", "no range of ports"]),
        ("SERVICE_CHECK_HTPP", ["SERVICE_CHECK_HTPP is not used", "is SERVICE_CHECK_HTTP"]),
        (
            "SERVICE_80_TCP_CHECK_HEADR",
            ["SERVICE_80_TCP_CHECK_HEADR", "SERVICE_80_TCP_CHECK_HEADER"],
        ),
        ("SERVICE_80_CHECK_é", ["SERVICE_80_CHECK_é", "nearest is SERVICE_CHECK_"]),
    ] {
        let said = said(key);
        assert_eq!(said.len(), 1, "{key}: {said:?}");
        for part in parts {
            assert!(said[0].contains(part), "{part:?} is not in {said:?}");
        }
    }
    assert_eq!(said("SERVICE_REGION"), [""; 0]);
}
