use wharfinger_plugin::{
    NetworkPeer,
    testing::{ContainerBuilder, container, faults, laws, run, services},
};

use super::*;

fn web(image: &str) -> ContainerBuilder {
    container("web").image(image).publish(8080, 80).publish(9090, 90)
}

fn check(settings: &str, container: &ContainerBuilder, names: &[&str], reasons: &[&str]) {
    let answer = run::<Allow>(settings, container, services(container));
    assert_eq!(answer.names(), names, "{settings}");
    assert_eq!(answer.reasons(), reasons, "{settings}");
}

fn allowed(settings: &str, image: &str) {
    check(settings, &web(image), &["web-80", "web-90"], &[]);
}

fn vetoed(settings: &str, image: &str, reason: &str) {
    check(settings, &web(image), &[], &[reason, reason]);
}

#[test]
fn images_are_known_by_every_name_of_theirs() {
    let settings =
        r#"{"images": {"allow": ["web", "r.example.com/shop/*", "docker.io/team/web:1.*"]}}"#;
    for image in [
        "web",
        "web:1",
        "docker.io/library/web",
        "r.example.com/shop/a/web:2",
        "team/web:1.2",
        "web@sha256:2bdd",
    ] {
        let container = container("web").image(image).publish(8080, 80);
        let answer = run::<Allow>(settings, &container, services(&container));
        assert_eq!(answer.reasons(), [""; 0], "{image}");
    }
    vetoed(
        settings,
        "team/web:2",
        "image team/web:2 is not allowed: it is none of web, \
        r.example.com/shop/*, docker.io/team/web:1.*",
    );
    vetoed(
        settings,
        "r.example.com.evil.org/shop/web",
        "image r.example.com.evil.org/shop/web \
        is not allowed: it is none of web, r.example.com/shop/*, docker.io/team/web:1.*",
    );
}

#[test]
fn no_tag_is_the_tag_latest() {
    let settings = r#"{"images": {"deny": ["*:latest"]}}"#;
    allowed(settings, "web:1");
    allowed(settings, "web@sha256:2bdd");
    vetoed(settings, "web", "image web is denied by *:latest");
    vetoed(
        settings,
        "r.example.com:5000/web",
        "image r.example.com:5000/web is denied by *:latest",
    );
}

#[test]
fn registries_are_those_that_images_name() {
    let settings = r#"{"registries": {"allow": ["*.example.com"], "deny": ["old.example.com"]}}"#;
    allowed(settings, "r.example.com/web");
    vetoed(
        settings,
        "web",
        "registry docker.io of the image web is not allowed: it is none of \
        *.example.com",
    );
    vetoed(
        settings,
        "old.example.com/web",
        "registry old.example.com of the image old.example.com/web is denied by old.example.com",
    );
}

#[test]
fn an_identifier_is_no_name() {
    vetoed(
        r#"{"images": {"deny": ["x"]}}"#,
        "sha256:2bdd",
        "image sha256:2bdd is given by its identifier, so that its name is not known",
    );
    vetoed(
        r#"{"registries": {"allow": ["*"]}}"#,
        "sha256:2bdd",
        "image sha256:2bdd is given by its identifier, so that its registry is not known",
    );
    let ports = r#"{"ports": {"deny": [22]}}"#;
    check(ports, &web("sha256:2bdd"), &["2bdd-80", "2bdd-90"], &[]);
}

#[test]
fn a_port_is_vetoed_by_itself() {
    let settings = r#"{"ports": {"allow": ["80-100"], "deny": [90]}}"#;
    check(settings, &web("web"), &["web-80"], &["port 90 is denied by 90"]);
    let settings = r#"{"ports": {"allow": []}}"#;
    check(
        settings,
        &container("web").publish(80, 81),
        &[],
        &["port 81 is not allowed: nothing is"],
    );
}

#[test]
fn every_network_must_be_allowed() {
    let settings = r#"{"networks": {"allow": ["shop_*", "bridge"]}}"#;
    allowed(settings, "web");
    let two =
        container("web").publish(80, 80).network("shop_a", "172.20.0.2").network("lan", "10.0.0.2");
    check(settings, &two, &[], &["network lan is not allowed: it is none of shop_*, bridge"]);
    let peer = NetworkPeer {
        id: String::new(),
        name: "vpn".into(),
        network_mode: "lan".into(),
        networks: two.networks.iter().filter(|network| network.name == "lan").cloned().collect(),
        published_ports: Vec::new(),
    };
    let shared = container("web").publish(80, 80).with(|container| {
        container.networks.clear();
        container.network_peer = Some(peer);
    });
    check(settings, &shared, &[], &["network lan is not allowed: it is none of shop_*, bridge"]);
    let none = container("web").publish(80, 80).with(|container| {
        container.networks.clear();
        container.network_mode = "host".into();
    });
    check(settings, &none, &[], &["network host is not allowed: it is none of shop_*, bridge"]);
}

#[test]
fn settings_are_validated() {
    assert!(faults::<Allow>("{}")[0].contains("neither an allow nor a deny"));
    assert!(faults::<Allow>(r#"{"ports": {"deny": ["x"]}}"#)[0].contains("neither a port"));
    assert!(faults::<Allow>(r#"{"image": {"deny": ["x"]}}"#)[0].contains("image"));
    assert_eq!(faults::<Allow>(r#"{"ports": {"deny": [1]}}"#), [""; 0]);
}

#[test]
fn it_keeps_the_laws() {
    assert!(laws::<Allow>(r#"{"images": {"deny": ["*:latest"]}}"#) > 100);
    assert!(
        laws::<Allow>(r#"{"ports": {"allow": ["80-443"]}, "networks": {"deny": ["s*"]}}"#) > 100
    );
}
