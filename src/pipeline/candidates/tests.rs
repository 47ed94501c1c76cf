use std::path::Path;

use serde_json::{Value, json};

mod field;

use super::*;
use crate::{
    config::Config,
    docker::{Tags, container},
};

/// The output of `docker inspect` on a container in these networks, each with an
/// IPv4 and an IPv6 address.
fn inspected(mode: &str, networks: &[(&str, &str, &str)]) -> Value {
    let endpoint = |&(name, ipv4, ipv6): &(&str, &str, &str)| {
        let endpoint = json!({
            "NetworkID": format!("id-of-{name}"), "IPAddress": ipv4, "GlobalIPv6Address": ipv6,
        });
        (name.to_string(), endpoint)
    };
    let networks: serde_json::Map<_, _> = networks.iter().map(endpoint).collect();
    json!({
        "Id": "c".repeat(64),
        "Name": "/web",
        "State": { "Status": "running" },
        "Config": { "Image": "web", "Env": [], "Labels": {}, "ExposedPorts": { "80/tcp": {} } },
        "HostConfig": { "NetworkMode": mode },
        "NetworkSettings": { "Networks": networks, "Ports": {} }
    })
}

/// The container with values at these JSON pointers.
fn with(mut inspected: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        inspected.pointer_mut(parent).expect("its parent")[key] = value.clone();
    }
    inspected
}

fn bindings(list: &[(&str, &str)]) -> Value {
    list.iter().map(|(ip, port)| json!({ "HostIp": ip, "HostPort": port })).collect()
}

fn host(internal: bool) -> Host {
    Host {
        hostname: "h".into(),
        forced_address: None,
        resolved_address: Some("192.0.2.10".into()),
        internal,
        explicit: false,
        address_label: None,
        compat: Compat::None,
        flags: BTreeMap::new(),
        agent: None,
        engine: None,
    }
}

fn rules(keys: &str) -> Result<AddressRules, String> {
    let text = format!("[address]\n{keys}\n");
    let config = Config::parse(&text, Path::new("wharfinger.toml"), Path::new(""));
    let config = config.map_err(|error| error.to_string())?;
    Ok(config.address.rules().expect("they were checked"))
}

/// The candidates of a container.
fn found(
    inspected: &Value,
    peer: Option<&Value>,
    host: &Host,
    keys: &str,
) -> Result<Candidates, LabelFault> {
    let read = |value: &Value| serde_json::from_value(value.clone()).expect("as Docker prints it");
    let peer = peer.map(read);
    let container =
        container(&read(inspected), peer.as_ref(), &Tags::default()).expect("a container");
    candidates(&container, host, &rules(keys).expect("rules"))
}

/// One line for each candidate, and one for each reason why there is none.
fn lines(inspected: &Value, peer: Option<&Value>, host: &Host, keys: &str) -> Vec<String> {
    let found = match found(inspected, peer, host, keys) {
        Ok(found) => found,
        Err(fault) => return vec![format!("held: {fault}")],
    };
    let line = |service: &Service| {
        let mut line = format!("{} {} {}", service.id, service.address, service.port);
        for (tag, (address, port)) in &service.tagged_addresses {
            line += &format!(" {tag}={address} {port}");
        }
        line
    };
    found.services.iter().map(line).chain(found.ignored).collect()
}

#[track_caller]
fn check(inspected: &Value, internal: bool, keys: &str, expected: &[&str]) {
    assert_eq!(lines(inspected, None, &host(internal), keys), expected, "{keys}");
}

/// In three networks, started in the one called back.
fn attached() -> Value {
    let networks = [
        ("back", "10.1.0.2", ""),
        ("edge", "10.2.0.2", "fd00:2::2"),
        ("shop_front", "10.3.0.2", "fd00:3::2"),
    ];
    inspected("back", &networks)
}

#[test]
fn a_network_is_chosen_by_name() {
    for (keys, expected) in [
        ("", "h:web:80 10.1.0.2 80"),
        ("networks = ['edge']", "h:web:80 10.2.0.2 80"),
        ("networks = ['nosuch', 'shop_*', 'edge']", "h:web:80 10.3.0.2 80"),
        ("networks = ['*']", "h:web:80 10.1.0.2 80"),
        ("networks = ['nosuch']", "the container has no address in a network of address.networks"),
    ] {
        check(&attached(), true, keys, &[expected]);
    }
    // They say nothing of the host's address.
    let published = with(
        attached(),
        &[("/NetworkSettings/Ports", json!({ "80/tcp": bindings(&[("0.0.0.0", "8080")]) }))],
    );
    check(&published, false, "networks = ['edge']", &["h:web:80 192.0.2.10 8080"]);
    check(&published, true, "networks = ['edge']", &["h:web:80 10.2.0.2 80"]);
}

#[test]
fn a_network_is_chosen_by_subnet() {
    let none = "the container has no address in a subnet of address.subnets";
    let neither = "the container has no address in a network of address.networks and a subnet of \
                   address.subnets";
    for (keys, expected) in [
        ("subnets = ['10.2.0.0/16']", "h:web:80 10.2.0.2 80"),
        ("subnets = ['10.9.0.0/16', 'fd00:3::/64', '10.2.0.0/16']", "h:web:80 fd00:3::2 80"),
        ("subnets = ['10.9.0.0/16']", none),
        ("networks = ['*']\nsubnets = ['10.2.0.0/15', '10.1.0.0/16']", "h:web:80 10.1.0.2 80"),
        ("networks = ['edge']\nsubnets = ['10.3.0.0/16']", neither),
    ] {
        check(&attached(), true, keys, &[expected]);
    }
}

#[test]
fn a_network_is_chosen_by_a_label() {
    let labelled =
        |name: &str| with(attached(), &[("/Config/Labels", json!({ "wharfinger.network": name }))]);
    // Without -internal, too, and whatever the rules say.
    for internal in [false, true] {
        check(&labelled("edge"), internal, "", &["h:web:80 10.2.0.2 80"]);
        check(&labelled("id-of-edge"), internal, "", &["h:web:80 10.2.0.2 80"]);
        check(&labelled("edge"), internal, "networks = ['back']", &["h:web:80 10.2.0.2 80"]);
    }
    check(&labelled(""), true, "", &["h:web:80 10.1.0.2 80"]);
    let held = "held: label wharfinger.network: the container is not attached to a network \
                \"egde\", but to back, edge, shop_front";
    check(&labelled("egde"), true, "", &[held]);
    let waiting =
        with(labelled("back"), &[("/NetworkSettings/Networks/back/IPAddress", json!(""))]);
    let held =
        "held: label wharfinger.network: the container has no address in the network \"back\"";
    check(&waiting, true, "", &[held]);
    // registrator knows no such label.
    let compat = Host { compat: Compat::Registrator, ..host(true) };
    assert_eq!(lines(&labelled("egde"), None, &compat, ""), ["h:web:80 10.3.0.2 80"]);
}

#[test]
fn an_own_address_is_of_the_family() {
    for (keys, expected) in [
        ("family = 'ipv4'\nnetworks = ['edge']", "h:web:80 10.2.0.2 80"),
        ("family = 'ipv6'\nnetworks = ['back', 'edge']", "h:web:80 fd00:2::2 80"),
        ("family = 'ipv6'", "port 80 has no IPv6 address (address.family)"),
        ("family = 'dual'", "h:web:80 10.1.0.2 80 lan_ipv4=10.1.0.2 80"),
        (
            "family = 'dual'\nnetworks = ['edge']",
            "h:web:80 10.2.0.2 80 lan_ipv4=10.2.0.2 80 lan_ipv6=fd00:2::2 80",
        ),
        (
            "family = 'dual'\nsubnets = ['10.1.0.0/16', 'fd00:3::/64']",
            "h:web:80 10.1.0.2 80 lan_ipv4=10.1.0.2 80 lan_ipv6=fd00:3::2 80",
        ),
    ] {
        check(&attached(), true, keys, &[expected]);
    }
    let ipv6_only = inspected("six", &[("six", "", "fd00:6::2")]);
    check(&ipv6_only, true, "", &["h:web:80 fd00:6::2 80"]);
    check(&ipv6_only, true, "family = 'dual'", &["h:web:80 fd00:6::2 80 lan_ipv6=fd00:6::2 80"]);
    let none = "port 80 has no IPv4 address (address.family)";
    check(&ipv6_only, true, "family = 'ipv4'", &[none]);
}

#[test]
fn a_published_address_is_of_the_family() {
    let published = |list: &[(&str, &str)]| {
        let ports = json!({ "80/tcp": bindings(list) });
        with(attached(), &[("/NetworkSettings/Ports", ports)])
    };
    // Docker may choose two ports for -P.
    let all = published(&[("0.0.0.0", "8080"), ("::", "8081")]);
    let known = "host-ipv6 = '2001:db8::10'";
    check(&all, false, "", &["h:web:80 192.0.2.10 8080"]);
    check(&all, false, "family = 'ipv4'", &["h:web:80 192.0.2.10 8080"]);
    let six = format!("family = 'ipv6'\n{known}");
    check(&all, false, &six, &["h:web:80 2001:db8::10 8081"]);
    let unknown = "port 80 has no IPv6 address (address.family)";
    check(&all, false, "family = 'ipv6'", &[unknown]);
    let dual = format!("family = 'dual'\n{known}");
    let both = "h:web:80 192.0.2.10 8080 lan_ipv4=192.0.2.10 8080 lan_ipv6=2001:db8::10 8081";
    check(&all, false, &dual, &[both]);
    let only_four = "h:web:80 192.0.2.10 8080 lan_ipv4=192.0.2.10 8080";
    check(&all, false, "family = 'dual'", &[only_four]);
    check(&published(&[("0.0.0.0", "8080")]), false, &dual, &[only_four]);
    let only_six = "h:web:80 2001:db8::10 8081 lan_ipv6=2001:db8::10 8081";
    check(&published(&[("::", "8081")]), false, &dual, &[only_six]);
    let given = "h:web:80 198.51.100.1 8080 lan_ipv4=198.51.100.1 8080";
    check(
        &published(&[("0.0.0.0", "8080")]),
        false,
        "family = 'dual'\nhost-ipv4 = '198.51.100.1'",
        &[given],
    );

    // Podman binds to no address in particular.
    let any = "h:web:80 192.0.2.10 80 lan_ipv4=192.0.2.10 80 lan_ipv6=2001:db8::10 80";
    check(&published(&[("", "80")]), false, &dual, &[any]);

    let bound = published(&[("192.0.2.7", "8080"), ("2001:db8::7", "8080")]);
    check(&bound, false, "", &["h:web:80 192.0.2.7 8080"]);
    let both = "h:web:80 192.0.2.7 8080 lan_ipv4=192.0.2.7 8080 lan_ipv6=2001:db8::7 8080";
    check(&bound, false, "family = 'dual'", &[both]);
    let forced = Host { forced_address: Some("203.0.113.1".into()), ..host(false) };
    let both = "h:web:80 203.0.113.1 8080 lan_ipv4=203.0.113.1 8080 lan_ipv6=2001:db8::7 8080";
    assert_eq!(lines(&bound, None, &forced, "family = 'dual'"), [both]);
    check(&published(&[("::", "8081")]), false, "", &["h:web:80 192.0.2.10 8081"]);
    check(&published(&[("2001:db8::7", "1")]), false, "", &["h:web:80 2001:db8::7 1"]);
}

#[test]
fn without_a_known_address_consul_says_its_nodes() {
    let host = Host { resolved_address: None, ..host(false) };
    let ports = json!({ "80/tcp": bindings(&[("0.0.0.0", "8080")]) });
    let published = with(attached(), &[("/NetworkSettings/Ports", ports)]);
    for keys in ["", "family = 'ipv4'", "family = 'dual'"] {
        assert_eq!(lines(&published, None, &host, keys), ["h:web:80  8080"], "{keys}");
    }
}

#[test]
fn a_direct_network_needs_no_published_port() {
    let lan = inspected("lan0", &[("lan0", "192.0.2.77", "2001:db8::77")]);
    check(&lan, false, "", &["port 80 not published on host"]);
    check(&lan, false, "direct-networks = ['lan*']", &["h:web:80 192.0.2.77 80"]);
    check(&lan, false, "direct-networks = ['vlan*']", &["port 80 not published on host"]);
    let both = "h:web:80 192.0.2.77 80 lan_ipv4=192.0.2.77 80 lan_ipv6=2001:db8::77 80";
    check(&lan, false, "direct-networks = ['lan*']\nfamily = 'dual'", &[both]);
    // What is published as well is reached there.
    let ports = json!({ "80/tcp": bindings(&[("0.0.0.0", "8080")]), "81/tcp": null });
    let two = [
        ("/NetworkSettings/Ports", ports),
        ("/Config/ExposedPorts", json!({ "80/tcp": {}, "81/tcp": {} })),
    ];
    let expected = ["h:web:80 192.0.2.10 8080", "h:web:81 192.0.2.77 81"];
    check(&with(lan, &two), false, "direct-networks = ['lan*']", &expected);
}

#[test]
fn a_task_of_swarm_is_not_reached_through_the_mesh() {
    let networks = [("ingress", "10.0.0.9", ""), ("shop", "10.0.1.9", "")];
    let task = with(
        inspected("default", &networks),
        &[(
            "/Config/Labels",
            json!({ "com.docker.swarm.service.name": "web", "com.docker.swarm.task.id": "t" }),
        )],
    );
    check(&task, true, "networks = ['*']", &["h:web:80 10.0.1.9 80"]);
    check(&task, true, "networks = ['ingress']", &["h:web:80 10.0.0.9 80"]);
    check(&task, true, "subnets = ['10.0.0.0/16']", &["h:web:80 10.0.1.9 80"]);
    check(&task, false, "direct-networks = ['*']", &["h:web:80 10.0.1.9 80"]);
    // A port in the mode host is published on the node, as any other.
    let ports = json!({ "80/tcp": bindings(&[("0.0.0.0", "8080")]) });
    let task = with(task, &[("/NetworkSettings/Ports", ports)]);
    check(&task, false, "", &["h:web:80 192.0.2.10 8080"]);
}

#[test]
fn a_shared_network_is_that_of_its_owner() {
    let owner = with(
        attached(),
        &[(
            "/NetworkSettings/Ports",
            json!({ "80/tcp": bindings(&[("0.0.0.0", "8080"), ("::", "8080")]) }),
        )],
    );
    let sharing = with(
        inspected("container:abc", &[]),
        &[("/Config/ExposedPorts", json!({ "80/tcp": {}, "81/tcp": {} }))],
    );
    let lines = |internal, keys| lines(&sharing, Some(&owner), &host(internal), keys);
    assert_eq!(lines(false, ""), ["h:web:80 192.0.2.10 8080", "h:web:81 10.1.0.2 81"]);
    let edge = "networks = ['edge']";
    assert_eq!(lines(true, edge), ["h:web:80 10.2.0.2 80", "h:web:81 10.2.0.2 81"]);
    let dual = "family = 'dual'\nhost-ipv6 = '2001:db8::10'\nnetworks = ['edge']";
    assert_eq!(
        lines(false, dual),
        [
            "h:web:80 192.0.2.10 8080 lan_ipv4=192.0.2.10 8080 lan_ipv6=2001:db8::10 8080",
            "h:web:81 10.2.0.2 81 lan_ipv4=10.2.0.2 81 lan_ipv6=fd00:2::2 81",
        ]
    );
}

#[test]
fn without_its_owner_nothing_of_a_shared_network_is_in_reach() {
    let sharing = inspected(&format!("container:{}", "a".repeat(64)), &[]);
    let exited = [("/State/Status", json!("exited"))];
    let dead = "it shares the network of container cccccccccccc (web), which does not run";
    let gone = "it shares the network of container aaaaaaaaaaaa, which is not there";
    for (owner, expected) in [
        (Some(attached()), "h:web:80 10.1.0.2 80"),
        (Some(with(attached(), &exited)), dead),
        (Some(with(attached(), &[("/State/Status", json!("paused"))])), "h:web:80 10.1.0.2 80"),
        // The host's network outlives it.
        (Some(with(inspected("host", &[]), &exited)), "h:web:80 192.0.2.10 80"),
        (None, gone),
    ] {
        for internal in [false, true] {
            assert_eq!(lines(&sharing, owner.as_ref(), &host(internal), ""), [expected]);
        }
        // An address that the container names itself needs no network.
        let labelled = with(sharing.clone(), &[("/Config/Labels", json!({ "ip": "10.9.9.9" }))]);
        let host = Host { address_label: Some("ip".into()), ..host(true) };
        let found = lines(&labelled, owner.as_ref(), &host, "");
        assert!(!found[0].contains("shares the network"), "{found:?}");
    }
    // Podman shows the owner's network as the container's own.
    let podmans = inspected("container:abc", &[("bridge", "10.4.0.2", "")]);
    assert_eq!(lines(&podmans, None, &host(true), ""), ["h:web:80 10.4.0.2 80"]);
}

#[test]
fn the_hosts_network_is_reached_at_its_addresses() {
    let open = inspected("host", &[("host", "", "")]);
    for internal in [false, true] {
        check(&open, internal, "", &["h:web:80 192.0.2.10 80"]);
        check(&open, internal, "networks = ['edge']", &["h:web:80 192.0.2.10 80"]);
        let both = "h:web:80 192.0.2.10 80 lan_ipv4=192.0.2.10 80 lan_ipv6=2001:db8::10 80";
        check(&open, internal, "family = 'dual'\nhost-ipv6 = '2001:db8::10'", &[both]);
    }
}

#[test]
fn ports_are_named_by_a_label() {
    let labelled = |mode: &str, ports: &str| {
        let labels = json!({ "wharfinger.port": ports });
        let networks: &[_] = if mode == "host" { &[] } else { &[("bridge", "10.4.0.2", "")] };
        let changes = [("/Config/Labels", labels), ("/Config/ExposedPorts", Value::Null)];
        with(inspected(mode, networks), &changes)
    };
    let expected = ["h:web:53 192.0.2.10 53", "h:web:8080 192.0.2.10 8080"];
    check(&labelled("host", "8080, 53/udp"), false, "", &expected);
    check(&labelled("bridge", "8080"), true, "", &["h:web:8080 10.4.0.2 8080"]);
    check(&labelled("bridge", "8080"), false, "", &["port 8080 not published on host"]);
    for wrong in ["http", "0", "70000", "80/dccp", "80,", "-1"] {
        let held = lines(&labelled("host", wrong), None, &host(false), "");
        assert!(held[0].starts_with("held: label wharfinger.port: "), "{wrong}: {held:?}");
        assert!(held[0].contains("is no port such as 8080 or 53/udp"), "{held:?}");
    }
}

#[test]
fn a_service_may_have_no_port() {
    let portless = |value: &str, mode: &str, env: &[&str]| {
        let changes = [
            ("/Config/Labels", json!({ "wharfinger.portless": value })),
            ("/Config/Env", json!(env)),
        ];
        let networks: &[_] = if mode == "none" { &[] } else { &[("bridge", "10.4.0.2", "")] };
        with(inspected(mode, networks), &changes)
    };
    let named = ["SERVICE_NAME=worker"];
    check(&portless("true", "bridge", &named), false, "", &["h:web:0 192.0.2.10 0"]);
    check(&portless("true", "bridge", &named), true, "", &["h:web:0 10.4.0.2 0"]);
    check(&portless("true", "none", &named), false, "", &["h:web:0 192.0.2.10 0"]);
    check(&portless("false", "bridge", &[]), true, "", &["h:web:80 10.4.0.2 80"]);
    let dual = "h:web:0 192.0.2.10 0 lan_ipv4=192.0.2.10 0";
    check(&portless("true", "bridge", &named), false, "family = 'dual'", &[dual]);
    let unnamed = "held: label wharfinger.portless: it needs SERVICE_NAME";
    check(&portless("true", "bridge", &[]), false, "", &[unnamed]);
    check(&portless("true", "bridge", &["SERVICE_NAME="]), false, "", &[unnamed]);
    let wrong = "held: label wharfinger.portless: \"yes\" is neither true nor false";
    check(&portless("yes", "bridge", &named), false, "", &[wrong]);
}

#[test]
fn wrong_rules_are_said_with_their_keys() {
    for (keys, part) in [
        ("networks = ['{']", "address.networks: error parsing glob '{'"),
        ("networks = ['']", "address.networks: a pattern is empty"),
        ("direct-networks = ['[']", "address.direct-networks: error parsing glob '['"),
        ("subnets = ['10.0.0.0/33']", "address.subnets: \"10.0.0.0/33\" is no subnet"),
        ("subnets = ['10.0.0.1']", "address.subnets: \"10.0.0.1\" is no subnet"),
        ("subnets = ['10.1.2.3/16']", "\"10.1.2.3/16\" is no subnet; 10.1.0.0/16 is"),
        ("family = 'ipv5'", "unknown variant `ipv5`"),
        ("host-ipv6 = '10.0.0.1'", "IPv6"),
        ("host-ipv4 = '10.0.0.1'", "address.family: the host's addresses have no meaning"),
        ("family = 'ipv4'\nhost-ipv6 = '::1'", "address.host-ipv6: address.family excludes it"),
        ("family = 'ipv6'\nhost-ipv4 = '10.0.0.1'", "address.host-ipv4: address.family excludes"),
        ("network = ['x']", "unknown field `network`"),
        ("bound = 'loopback'", "unknown variant `loopback`"),
        ("label-subnets = ['10.1.2.3/16']", "address.label-subnets: \"10.1.2.3/16\" is no subnet"),
    ] {
        let fault = rules(keys).expect_err(keys);
        assert!(fault.contains(part), "{keys}: {fault}");
    }
}
