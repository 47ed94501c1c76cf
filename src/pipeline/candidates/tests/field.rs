//! Cases that users of tools of this kind have met: ports and addresses as engines
//! give them, and hosts as people name them.

use super::*;

/// A host whose address is given, or whose name resolves to one.
fn host_at(forced: Option<&str>, resolved: Option<&str>) -> Host {
    Host {
        forced_address: forced.map(String::from),
        resolved_address: resolved.map(String::from),
        ..host(false)
    }
}

/// A container whose port 80 is published by these bindings.
fn bound(list: &[(&str, &str)]) -> Value {
    let ports = json!({ "80/tcp": bindings(list) });
    let usual = inspected("bridge", &[("bridge", "172.17.0.2", "fd00:17::2")]);
    with(usual, &[("/NetworkSettings/Ports", ports)])
}

/// Check where a container is offered, and a part of the only warning, if one is
/// expected.
#[track_caller]
fn check_at(inspected: &Value, host: &Host, keys: &str, expected: &str, warned: Option<&str>) {
    assert_eq!(lines(inspected, None, host, keys), [expected], "{keys}");
    let found = found(inspected, None, host, keys).expect("labels that make sense");
    match warned {
        None => assert_eq!(found.warnings, [""; 0], "{keys}"),
        Some(part) => {
            assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
            assert!(found.warnings[0].contains(part), "{part:?}: {:?}", found.warnings);
        }
    }
}

#[test]
fn address_and_port_come_from_one_binding() {
    let (four, six) = (("0.0.0.0", "8080"), ("::", "8081"));
    let v4 = host_at(None, Some("192.0.2.10"));
    let v6 = host_at(Some("2001:db8::10"), None);
    for list in [[four, six], [six, four]] {
        check_at(&bound(&list), &v4, "", "h:web:80 192.0.2.10 8080", None);
        check_at(&bound(&list), &v6, "", "h:web:80 2001:db8::10 8081", None);
        // A name may be of either family, and so may Consul's node.
        let name = host_at(Some("host.example"), None);
        check_at(&bound(&list), &name, "", "h:web:80 host.example 8080", None);
        check_at(&bound(&list), &host_at(None, None), "", "h:web:80  8080", None);
    }
    // Podman's binding is of both.
    check_at(&bound(&[("", "80")]), &v6, "", "h:web:80 2001:db8::10 80", None);
    let other = Some("is of the other family than");
    check_at(&bound(&[four]), &v6, "", "h:web:80 2001:db8::10 8080", other);
    check_at(&bound(&[six]), &v4, "", "h:web:80 192.0.2.10 8081", other);
    let forced = host_at(Some("192.0.2.10"), None);
    let own = [("2001:db8::7", "8081"), ("192.0.2.7", "8080")];
    check_at(&bound(&own), &forced, "", "h:web:80 192.0.2.10 8080", None);
    check_at(&bound(&own), &v4, "", "h:web:80 192.0.2.7 8080", None);
    check_at(&bound(&own), &v6, "", "h:web:80 2001:db8::10 8081", None);
    check_at(&bound(&own[..1]), &forced, "", "h:web:80 192.0.2.10 8081", other);
}

#[test]
fn the_surest_binding_counts() {
    let forced = host_at(Some("192.0.2.10"), Some("192.0.2.10"));
    let resolved = host_at(None, Some("192.0.2.10"));
    let here = Some("is published on 127.0.0.1 only");
    check_at(&bound(&[("127.0.0.1", "1")]), &forced, "", "h:web:80 192.0.2.10 1", here);
    check_at(&bound(&[("127.0.0.1", "1")]), &resolved, "", "h:web:80 127.0.0.1 1", here);
    let there = Some("127.9.9.9");
    check_at(&bound(&[("127.9.9.9", "1")]), &forced, "", "h:web:80 192.0.2.10 1", there);
    check_at(&bound(&[("::1", "1")]), &forced, "", "h:web:80 192.0.2.10 1", Some("::1 only"));
    let both = [("127.0.0.1", "1"), ("::1", "2")];
    check_at(&bound(&both), &forced, "", "h:web:80 192.0.2.10 1", here);
    for other in ["0.0.0.0", "", "192.0.2.10", "192.0.2.7"] {
        let list = [("127.0.0.1", "1"), ("::1", "2"), (other, "3")];
        check_at(&bound(&list), &forced, "", "h:web:80 192.0.2.10 3", None);
    }
    let list = [("127.0.0.1", "1"), ("192.0.2.7", "2")];
    check_at(&bound(&list), &resolved, "", "h:web:80 192.0.2.7 2", None);
    // Docker may say a binding twice.
    let twice = [("::", "2"), ("0.0.0.0", "1"), ("0.0.0.0", "1"), ("::", "2")];
    check_at(&bound(&twice), &forced, "", "h:web:80 192.0.2.10 1", None);
    let list = [("192.0.2.7", "1"), ("192.0.2.10", "2")];
    check_at(&bound(&list), &forced, "", "h:web:80 192.0.2.10 2", None);
    let list = [("192.0.2.7", "1"), ("0.0.0.0", "2")];
    check_at(&bound(&list), &forced, "", "h:web:80 192.0.2.10 2", None);
    // Who gives the host such an address means this machine.
    let local = host_at(Some("127.0.0.1"), None);
    check_at(&bound(&[("127.0.0.1", "1")]), &local, "", "h:web:80 127.0.0.1 1", None);
    // The family's rule comes first, and the warning with it.
    let six = "family = 'ipv6'\nhost-ipv6 = '2001:db8::10'";
    check_at(&bound(&[("::1", "1")]), &resolved, six, "h:web:80 ::1 1", Some("::1 only"));
}

#[test]
fn a_binding_may_count_for_more_than_the_host() {
    let forced = host_at(Some("192.0.2.10"), None);
    let one = bound(&[("198.51.100.7", "1")]);
    check_at(&one, &forced, "", "h:web:80 192.0.2.10 1", None);
    check_at(&one, &forced, "bound = 'host'", "h:web:80 192.0.2.10 1", None);
    let binding = "bound = 'binding'";
    check_at(&one, &forced, binding, "h:web:80 198.51.100.7 1", None);
    check_at(&bound(&[("0.0.0.0", "1")]), &forced, binding, "h:web:80 192.0.2.10 1", None);
    check_at(&bound(&[("", "1")]), &forced, binding, "h:web:80 192.0.2.10 1", None);
    let here = Some("which only this machine reaches");
    check_at(&bound(&[("127.0.0.1", "1")]), &forced, binding, "h:web:80 127.0.0.1 1", here);
    let list = [("127.0.0.1", "1"), ("2001:db8::7", "2"), ("198.51.100.7", "3")];
    check_at(&bound(&list), &forced, binding, "h:web:80 198.51.100.7 3", None);
    // registrator knows no such key.
    let compat = Host { compat: Compat::Registrator, ..forced };
    check_at(&one, &compat, binding, "h:web:80 192.0.2.10 1", None);
}

#[test]
fn another_containers_binding_is_doubted_as_ones_own() {
    let owner = bound(&[("127.0.0.1", "1")]);
    let sharing = inspected("container:abc", &[]);
    let found = found(&sharing, Some(&owner), &host_at(Some("192.0.2.10"), None), "");
    let warnings = found.expect("no labels").warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("127.0.0.1"), "{warnings:?}");
}

#[test]
fn a_range_is_a_port_each() {
    let range = json!({ "33060-33061/tcp": bindings(&[("0.0.0.0", "40000-40001")]) });
    let declared = json!({ "33060-33061/tcp": {}, "53-54/udp": {} });
    let changes = [("/NetworkSettings/Ports", range), ("/Config/ExposedPorts", declared)];
    let ranged = with(inspected("bridge", &[("bridge", "172.17.0.2", "")]), &changes);
    check(
        &ranged,
        false,
        "",
        &[
            "h:web:33060 192.0.2.10 40000",
            "h:web:33061 192.0.2.10 40001",
            "port 53 not published on host",
            "port 54 not published on host",
        ],
    );
    let own = ["53", "54", "33060", "33061"].map(|port| format!("h:web:{port} 172.17.0.2 {port}"));
    assert_eq!(lines(&ranged, None, &host(true), ""), own);
}

/// A host that takes addresses from a label, and a container with the label.
fn by_label(mode: &str, address: &str) -> (Host, Value) {
    let host = Host { address_label: Some("net.ip".into()), ..host(false) };
    let networks: &[_] = match mode {
        "none" | "host" => &[],
        _ => &[("bridge", "172.17.0.2", "")],
    };
    let labels = json!({ "net.ip": address });
    (host, with(inspected(mode, networks), &[("/Config/Labels", labels)]))
}

#[test]
fn an_address_from_a_label_needs_neither_network_nor_publishing() {
    for mode in ["none", "bridge", "host", "shop"] {
        for (address, expected) in [
            ("10.42.0.9", "h:web:80 10.42.0.9 80"),
            ("10.42.0.9/16", "h:web:80 10.42.0.9 80"),
            (" 10.42.0.9 ", "h:web:80 10.42.0.9 80"),
            ("fd00::9/64", "h:web:80 fd00::9 80"),
        ] {
            for internal in [false, true] {
                let (host, labelled) = by_label(mode, address);
                check_at(&labelled, &Host { internal, ..host }, "", expected, None);
            }
        }
    }
    // Where the port is published, the host's counts as ever.
    let (host, labelled) = by_label("bridge", "10.42.0.9");
    let ports = json!({ "80/tcp": bindings(&[("0.0.0.0", "8080")]) });
    let published = with(labelled, &[("/NetworkSettings/Ports", ports)]);
    check_at(&published, &host, "", "h:web:80 10.42.0.9 8080", None);
    let internal = Host { internal: true, ..host };
    check_at(&published, &internal, "", "h:web:80 10.42.0.9 80", None);
    // Dual stack or not: there is one address.
    check_at(&published, &internal, "family = 'dual'", "h:web:80 10.42.0.9 80", None);
    // Without a port there is nothing to offer.
    let (host, labelled) = by_label("none", "10.42.0.9");
    let portless = with(labelled, &[("/Config/ExposedPorts", json!({}))]);
    assert_eq!(lines(&portless, None, &host, ""), ["no published ports"]);
}

#[test]
fn an_address_from_a_label_is_one_for_others() {
    for (address, why) in [
        ("127.0.0.1", "127.0.0.1 is a loopback address"),
        ("127.0.0.53/8", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("0.0.0.0", "the unspecified address"),
        ("::/0", "the unspecified address"),
        ("169.254.169.254", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("224.0.0.1", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("255.255.255.255", "a multicast address"),
        ("web.example", "\"web.example\" is no IP address"),
        ("10.0.0.1:80", "is no IP address"),
    ] {
        let (host, labelled) = by_label("bridge", address);
        let internal = Host { internal: true, ..host };
        check_at(&labelled, &internal, "", "h:web:80 172.17.0.2 80", Some(why));
        // registrator takes what it is given.
        let compat = Host { compat: Compat::Registrator, ..internal };
        let given = address.rsplit_once('/').map_or(address, |(address, _)| address);
        check_at(&labelled, &compat, "", &format!("h:web:80 {given} 80"), None);
    }
}

#[test]
fn a_label_chooses_within_the_subnets_that_it_may() {
    let keys = "label-subnets = ['10.42.0.0/16', 'fd00:42::/64']";
    let outside = Some("is in no subnet of address.label-subnets; it is not used");
    for (address, expected, warned) in [
        ("10.42.0.9", "h:web:80 10.42.0.9 80", None),
        ("fd00:42::9", "h:web:80 fd00:42::9 80", None),
        ("10.43.0.9", "h:web:80 172.17.0.2 80", outside),
        ("fd00:43::9", "h:web:80 172.17.0.2 80", outside),
    ] {
        let (host, labelled) = by_label("bridge", address);
        check_at(&labelled, &Host { internal: true, ..host }, keys, expected, warned);
    }
    let named = |network: &str| {
        with(attached(), &[("/Config/Labels", json!({ "wharfinger.network": network }))])
    };
    check(&named("edge"), false, "label-subnets = ['10.2.0.0/16']", &["h:web:80 10.2.0.2 80"]);
    check(&named("edge"), false, "label-subnets = ['fd00:2::/64']", &["h:web:80 fd00:2::2 80"]);
    let held = "held: label wharfinger.network: in the network \"edge\", 10.2.0.2 is in no subnet \
                of address.label-subnets";
    check(&named("edge"), false, "label-subnets = ['10.3.0.0/16']", &[held]);
    // What no label chooses is not bound to them.
    check(&attached(), true, "label-subnets = ['10.3.0.0/16']", &["h:web:80 10.1.0.2 80"]);
    let linked = inspected("lan", &[("lan", "169.254.7.7", "")]);
    let linked = with(linked, &[("/Config/Labels", json!({ "wharfinger.network": "lan" }))]);
    let held = "held: label wharfinger.network: in the network \"lan\", 169.254.7.7 is a \
                link-local address";
    check(&linked, false, "", &[held]);
}

#[test]
fn the_mesh_counts_only_where_it_is_named() {
    let networks = [("ingress", "10.0.0.9", ""), ("shop", "10.0.1.9", "")];
    for mode in ["default", "ingress"] {
        check(&inspected(mode, &networks), true, "", &["h:web:80 10.0.1.9 80"]);
        let none = "the container has no address in any network";
        check(&inspected(mode, &networks[..1]), true, "", &[none]);
    }
    let named = json!({ "wharfinger.network": "ingress" });
    let named = with(inspected("default", &networks), &[("/Config/Labels", named)]);
    check(&named, true, "", &["h:web:80 10.0.0.9 80"]);
}

#[test]
fn a_hosts_address_that_is_a_containers_is_doubted() {
    let published = with(
        inspected("bridge", &[("bridge", "192.0.2.10", "2001:db8::10")]),
        &[("/NetworkSettings/Ports", json!({ "80/tcp": bindings(&[("", "8080")]) }))],
    );
    let own = Some("resolves to 192.0.2.10, which is this container's own address");
    let resolved = host_at(None, Some("192.0.2.10"));
    check_at(&published, &resolved, "", "h:web:80 192.0.2.10 8080", own);
    let six = host_at(None, Some("2001:db8::10"));
    let own = Some("in the network bridge");
    check_at(&published, &six, "", "h:web:80 2001:db8::10 8080", own);
    // The operator has said what the address is.
    let forced = host_at(Some("192.0.2.10"), Some("192.0.2.10"));
    check_at(&published, &forced, "", "h:web:80 192.0.2.10 8080", None);
    let compat = Host { compat: Compat::Registrator, ..resolved };
    check_at(&published, &compat, "", "h:web:80 192.0.2.10 8080", None);
}

#[test]
fn the_binding_that_counts_is_the_one_that_stages_see() {
    let list = [("127.0.0.1", "1"), ("::", "2"), ("0.0.0.0", "3")];
    let found = found(&bound(&list), None, &host_at(Some("192.0.2.10"), None), "");
    let origin = found.expect("no labels").services.remove(0).origin.expect("an origin");
    let published = origin.published.expect("a binding");
    assert_eq!((published.host_ip.as_str(), published.host_port), ("0.0.0.0", 3));
}

#[test]
fn what_was_started_before_the_owner_of_its_network_may_be_out_of_reach() {
    let owners = format!("container:{}", "a".repeat(64));
    let (sharing, own) =
        (inspected(&owners, &[]), inspected("bridge", &[("bridge", "172.17.0.2", "")]));
    let started = |one: &Value, at: &str| {
        let state = json!({ "Status": "running", "Running": true, "StartedAt": at });
        with(one.clone(), &[("/State", state)])
    };
    let (early, late) = ("2026-01-01T00:00:01.5Z", "2026-01-01T00:00:02Z");
    let never = "0001-01-01T00:00:00Z";
    for (its, owners, doubted) in [
        (late, early, false),
        (early, early, false),
        (early, late, true),
        // The same moment, and an earlier one, in another zone.
        (late, "2026-01-01T01:00:02+01:00", false),
        (late, "2026-01-01T00:00:01-01:00", true),
        (never, late, false),
        (late, never, false),
        ("", late, false),
    ] {
        let peer = with(started(&own, owners), &[("/Id", json!("a".repeat(64)))]);
        for internal in [true, false] {
            let found =
                found(&started(&sharing, its), Some(&peer), &host(internal), "").expect("labels");
            let said = found.warnings.iter().any(|words| words.contains("was started after it"));
            assert_eq!(said, doubted, "{its} {owners}: {:?}", found.warnings);
        }
    }
    let hosts = with(own.clone(), &[("/HostConfig/NetworkMode", json!("host"))]);
    let found = found(&started(&sharing, early), Some(&started(&hosts, late)), &host(true), "");
    assert_eq!(found.expect("labels").warnings, [""; 0]);
}
