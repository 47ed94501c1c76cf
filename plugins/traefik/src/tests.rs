use wharfinger_plugin::testing::{
    ContainerBuilder, container, faults, laws, run, services, tagged,
};

use super::*;

fn web(labels: &[(&str, &str)]) -> ContainerBuilder {
    let web = container("web").publish(8080, 80);
    labels.iter().fold(web, |web, (key, value)| web.label(key, value))
}

fn check(settings: &str, container: &ContainerBuilder, expected: &[&[&str]]) {
    let answer = run::<Traefik>(settings, container, services(container));
    assert_eq!(answer.tags(), expected, "{settings}");
}

#[test]
fn labels_become_tags() {
    let labelled = web(&[
        ("traefik.enable", "true"),
        ("traefik.http.routers.web.rule", "Host(`a.example.com`, `b.example.com`)"),
        ("Traefik.HTTP.Middlewares.auth.basicauth.users", "ann:x"),
        ("traefik.docker.network", "shop"),
        ("traefiker", "no"),
    ]);
    let expected = [
        "traefik.HTTP.Middlewares.auth.basicauth.users=ann:x",
        "traefik.enable=true",
        "traefik.http.routers.web.rule=Host(`a.example.com`, `b.example.com`)",
    ];
    check("{}", &labelled, &[&expected]);
    check("{}", &web(&[]), &[&[]]);
}

#[test]
fn a_container_can_be_hidden() {
    let hidden = web(&[("traefik.enable", "false"), ("traefik.http.routers.web.rule", "x")]);
    check("{}", &hidden, &[&["traefik.enable=false"]]);
    let unsaid = web(&[("traefik.http.routers.web.rule", "x")]);
    check("{}", &unsaid, &[&["traefik.http.routers.web.rule=x"]]);
    let closed = r#"{"exposed-by-default": false}"#;
    check(closed, &unsaid, &[&["traefik.enable=false"]]);
    check(closed, &web(&[]), &[&["traefik.enable=false"]]);
    check(closed, &web(&[("traefik.enable", "1")]), &[&["traefik.enable=1"]]);
}

#[test]
fn the_port_that_a_label_says_chooses_the_service() {
    let two = |labels: &[(&str, &str)]| web(labels).publish(9090, 90);
    let said = two(&[
        ("traefik.http.routers.web.rule", "x"),
        ("traefik.http.services.web.loadbalancer.server.port", "90"),
    ]);
    check("{}", &said, &[&["traefik.enable=false"], &["traefik.http.routers.web.rule=x"]]);
    let unsaid = two(&[("traefik.http.routers.web.rule", "x")]);
    check("{}", &unsaid, &[&["traefik.http.routers.web.rule=x"], &["traefik.enable=false"]]);
    let first = two(&[("traefik.port", "90"), ("traefik.frontend.rule", "Host:a")]);
    check("{}", &first, &[&["traefik.enable=false"], &["traefik.frontend.rule=Host:a"]]);
    let none = two(&[("traefik.port", "91"), ("traefik.frontend.rule", "Host:a")]);
    check("{}", &none, &[&["traefik.enable=false"], &["traefik.enable=false"]]);
}

#[test]
fn two_ports_share_the_labels_out() {
    let shared = web(&[
        ("traefik.enable", "true"),
        ("traefik.http.middlewares.auth.basicauth.users", "ann:x"),
        ("traefik.http.routers.admin.rule", "Host(`admin`)"),
        ("traefik.http.routers.admin.service", "admin"),
        ("traefik.http.routers.web.rule", "Host(`web`)"),
        ("traefik.http.routers.web.service", "web@docker"),
        ("traefik.http.services.admin.loadbalancer.server.port", "90"),
        ("traefik.http.services.web.loadbalancer.server.port", "80"),
        ("traefik.http.services.web.loadbalancer.sticky", "true"),
    ])
    .publish(9090, 90);
    check(
        "{}",
        &shared,
        &[
            &[
                "traefik.enable=true",
                "traefik.http.middlewares.auth.basicauth.users=ann:x",
                "traefik.http.routers.web.rule=Host(`web`)",
                "traefik.http.routers.web.service=web@consulcatalog",
                "traefik.http.services.web.loadbalancer.sticky=true",
            ],
            &[
                "traefik.enable=true",
                "traefik.http.middlewares.auth.basicauth.users=ann:x",
                "traefik.http.routers.admin.rule=Host(`admin`)",
                "traefik.http.routers.admin.service=admin",
                // The label that said no more than its port was what made it known.
                "traefik.http.services.admin.loadbalancer.server.port=9090",
            ],
        ],
    );
    let segments = web(&[
        ("traefik.api.frontend.rule", "Host:api"),
        ("traefik.api.port", "90"),
        ("traefik.site.frontend.rule", "Host:site"),
        ("traefik.site.port", "80"),
    ])
    .publish(9090, 90);
    check(
        "{}",
        &segments,
        &[&["traefik.site.frontend.rule=Host:site"], &["traefik.api.frontend.rule=Host:api"]],
    );
}

/// A container that offers 22 and 80 over TCP, and 53 over TCP and UDP.
fn mixed(labels: &[(&str, &str)]) -> (ContainerBuilder, Vec<Service>) {
    let container = web(labels).publish(8022, 22).publish(8053, 53);
    let mut all = services(&container);
    let mut dns = all[1].clone();
    dns.id += ":udp";
    dns.protocol = wharfinger_plugin::Protocol::Udp;
    dns.origin.as_mut().expect("it has one").protocol = dns.protocol;
    all.push(dns);
    (container, all)
}

#[test]
fn labels_go_to_the_port_of_their_protocol() {
    let no = "traefik.enable=false";
    let port = ".loadbalancer.server.port";
    // The tags of 22/tcp, 53/tcp, 80/tcp and 53/udp.
    for (labels, expected) in [
        (
            vec![
                ("traefik.http.routers.web.rule", "w".to_string()),
                ("traefik.http.services.web.loadbalancer.server.port", "80".into()),
                ("traefik.tcp.routers.ssh.rule", "s".into()),
                ("traefik.tcp.services.ssh.loadbalancer.server.port", "22".into()),
                ("traefik.udp.routers.dns.entrypoints", "d".into()),
            ],
            [
                vec!["traefik.tcp.routers.ssh.rule=s".to_string()],
                vec![no.into()],
                vec!["traefik.http.routers.web.rule=w".into()],
                vec!["traefik.udp.routers.dns.entrypoints=d".into()],
            ],
        ),
        (
            vec![
                ("traefik.enable", "true".into()),
                ("traefik.udp.routers.dns.service", "dns@docker".into()),
                ("traefik.udp.services.dns.loadbalancer.server.port", "53".into()),
            ],
            [
                vec![no.into()],
                vec![no.into()],
                vec![no.into()],
                vec![
                    "traefik.enable=true".into(),
                    "traefik.udp.routers.dns.service=dns@consulcatalog".into(),
                    format!("traefik.udp.services.dns{port}=8053"),
                ],
            ],
        ),
        (
            vec![("traefik.enable", "true".into())],
            [vec!["traefik.enable=true".into()], vec![no.into()], vec![no.into()], vec![no.into()]],
        ),
        (
            vec![
                ("traefik.tcp.routers.a.rule", "a".into()),
                ("traefik.http.routers.b.rule", "b".into()),
                ("traefik.http.services.b.loadbalancer.server.port", "53".into()),
            ],
            [
                vec!["traefik.tcp.routers.a.rule=a".into()],
                vec!["traefik.http.routers.b.rule=b".into()],
                vec![no.into()],
                vec![no.into()],
            ],
        ),
    ] {
        let labels: Vec<_> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (container, all) = mixed(&labels);
        let answer = run::<Traefik>("{}", &container, all);
        assert_eq!(answer.tags(), expected, "{labels:?}");
        assert_eq!(answer.messages, [""; 0]);
    }
}

#[test]
fn labels_that_lead_nowhere_are_said_once() {
    let labelled = web(&[("traefik.udp.routers.dns.entrypoints", "d")]).publish(9090, 90);
    let answer = run::<Traefik>("{}", &labelled, services(&labelled));
    assert_eq!(answer.tags(), [["traefik.enable=false"], ["traefik.enable=false"]]);
    assert_eq!(answer.messages.len(), 1, "{:?}", answer.messages);
    assert!(answer.messages[0].contains("Udp") && answer.messages[0].starts_with("warn"));
}

#[test]
fn the_provider_can_be_another() {
    let labelled = web(&[("traefik.http.routers.web.middlewares", "a@docker,b@file")]);
    let settings = r#"{"provider": "consulcatalog-eu"}"#;
    check(
        settings,
        &labelled,
        &[&["traefik.http.routers.web.middlewares=a@consulcatalog-eu,b@file"]],
    );
    assert!(faults::<Traefik>(r#"{"provider": "a@b"}"#)[0].contains("provider"));
    assert!(faults::<Traefik>(r#"{"provider": ""}"#)[0].contains("provider"));
}

#[test]
fn what_the_service_has_wins() {
    let labelled = web(&[("traefik.enable", "true"), ("traefik.http.routers.web.rule", "label")]);
    let proposed = vec![tagged("web", 80, &["a", "traefik.http.routers.web.rule=own"])];
    let answer = run::<Traefik>("{}", &labelled, proposed);
    assert_eq!(answer.tags(), [["a", "traefik.http.routers.web.rule=own", "traefik.enable=true"]]);
    let other = web(&[("traefik.port", "81"), ("traefik.enable", "true")]);
    let proposed = vec![tagged("web", 80, &["traefik.own=1"]), tagged("web", 82, &[])];
    let answer = run::<Traefik>("{}", &other, proposed);
    assert_eq!(answer.tags(), [["traefik.own=1"], ["traefik.enable=false"]]);
    let hidden = web(&[("traefik.enable", "false")]);
    let proposed = vec![tagged("web", 80, &["a", "traefik.enable=true", "traefik.x=y", "b"])];
    let answer = run::<Traefik>("{}", &hidden, proposed);
    assert_eq!(answer.tags(), [["a", "traefik.enable=false", "b"]]);
}

#[test]
fn the_prefix_can_be_another() {
    let labelled = web(&[("edge.enable", "true"), ("traefik.enable", "false")]);
    check(r#"{"prefix": "edge"}"#, &labelled, &[&["edge.enable=true"]]);
    assert!(faults::<Traefik>(r#"{"prefix": ""}"#)[0].contains("prefix"));
    assert!(faults::<Traefik>(r#"{"prefix": "traefik."}"#)[0].contains("prefix"));
    assert!(faults::<Traefik>(r#"{"prefx": "a"}"#)[0].contains("prefx"));
}

#[test]
fn it_keeps_the_laws() {
    assert!(laws::<Traefik>("{}") > 100);
    assert!(laws::<Traefik>(r#"{"exposed-by-default": false}"#) > 100);
}
