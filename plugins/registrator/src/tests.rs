//! What the stage makes of containers, beyond registrator's recorded behaviour.

mod checks;

use wharfinger_plugin::{
    Attribute, CheckKind, Container, Decision, Outcome, Protocol, Service, Weights,
    logging::Level,
    native,
    testing::{self, ContainerBuilder},
};

use super::*;

/// What came of a container: its services, the reasons of vetoes, and what was said.
struct Came {
    services: Vec<Service>,
    vetoes: Vec<String>,
    warnings: Vec<String>,
    all: Vec<String>,
}

impl Came {
    fn of(settings: &str, container: &Container, services: Vec<Service>, compat: bool) -> Self {
        let host = testing::host("h");
        let host = if compat { host.flag("compat", "registrator") } else { host };
        let host = host.build();
        let called = native::process::<Registrator>(settings, container, &host, services);
        let Outcome { verdicts, .. } = called.result.expect("it decides");
        let (mut services, mut vetoes) = (Vec::new(), Vec::new());
        for verdict in verdicts {
            match verdict.decision {
                Decision::Replace(service) => services.push(service),
                Decision::Veto(veto) => vetoes.push(veto.reason),
                Decision::Keep => panic!("a service is kept as it was"),
            }
        }
        let text = |wanted: Option<Level>| {
            let messages = called.messages.iter();
            let wanted = messages.filter(|(level, _)| wanted.is_none_or(|wanted| *level == wanted));
            wanted.map(|(_, text)| text.clone()).collect()
        };
        Self { services, vetoes, warnings: text(Some(Level::Warn)), all: text(None) }
    }

    /// Whether a warning has all of these parts.
    #[track_caller]
    fn warns(&self, parts: &[&str]) {
        let found = self.warnings.iter().any(|text| parts.iter().all(|part| text.contains(part)));
        assert!(found, "no warning has all of {parts:?}: {:?}", self.warnings);
    }
}

/// A container with these variables that offers 80/tcp at 192.0.2.1, port 8000.
fn web(env: &[(&str, &str)]) -> ContainerBuilder {
    let web = testing::container("web").publish(8000, 80);
    env.iter().fold(web, |web, (key, value)| web.env(&format!("SERVICE_{key}"), value))
}

fn came(env: &[(&str, &str)]) -> Came {
    under("{}", env)
}

fn under(settings: &str, env: &[(&str, &str)]) -> Came {
    let container = web(env).build();
    Came::of(settings, &container, testing::services(&container), false)
}

/// The same for a container that offers 80 and 443 over TCP and 53 over UDP.
fn several(env: &[(&str, &str)]) -> Came {
    let container = web(env).publish(8443, 443).publish(8053, 53).build();
    let mut services = testing::services(&container);
    let dns = services.iter_mut().find(|one| one.container_port() == 53).expect("it is published");
    dns.protocol = Protocol::Udp;
    dns.origin.as_mut().expect("it has one").protocol = Protocol::Udp;
    services.rotate_left(1);
    Came::of("{}", &container, services, false)
}

/// What a service's checks are, in a line.
fn checks(service: &Service) -> String {
    let one = |check: &Check| match &check.kind {
        CheckKind::Http(http) => http.url.clone(),
        CheckKind::Tcp(tcp) => format!("tcp {}", tcp.address),
        CheckKind::Udp(udp) => format!("udp {}", udp.address),
        CheckKind::Grpc(grpc) => format!("grpc {}", grpc.target),
        CheckKind::H2Ping(ping) => format!("h2ping {} {}", ping.address, ping.use_tls),
        CheckKind::Script(script) => format!("script {}", script.args.join(" ")),
        CheckKind::Docker(docker) => format!("docker {}", docker.args.join(" ")),
        CheckKind::Ttl(ttl) => format!("ttl {}", ttl.ttl),
        CheckKind::Alias(alias) => format!("alias {:?} {:?}", alias.node, alias.service),
        CheckKind::OsService(name) => format!("os {name}"),
    };
    service.checks.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn it_is_said_which_key_counts() {
    let said =
        several(&[("CHECK_HTTP", "/"), ("443_CHECK_HTTP", "/x"), ("443_TCP_NAME", "tls")]).all;
    let expected = "443/tcp: SERVICE_443_CHECK_HTTP counts, not SERVICE_CHECK_HTTP; \
                    SERVICE_443_TCP_NAME counts";
    assert!(said.iter().any(|text| text == expected), "{said:?}");
    let said = several(&[("CHECK_HTTP", "/"), ("NAME", "web")]).all;
    assert!(!said.iter().any(|text| text.starts_with("443/tcp:")), "{said:?}");
    let said = several(&[("CHECK_HTTP", "/"), ("443_CHECK_HTTPS", "/x")]).all;
    let expected = "443/tcp: SERVICE_443_CHECK_HTTPS counts, not SERVICE_CHECK_HTTP";
    assert!(said.iter().any(|text| text == expected), "{said:?}");
}

#[test]
fn fields_of_the_service_have_keys() {
    let all = came(&[
        ("ENABLETAGOVERRIDE", "true"),
        ("WEIGHTS_PASSING", "10"),
        (
            "TAGGED_ADDRESSES",
            r#"{"wan": {"Address": "198.51.100.1", "Port": 80}, "lan": {"address": "10.0.0.1"}}"#,
        ),
        ("REGION", "eu"),
    ]);
    let service = &all.services[0];
    assert!(service.enable_tag_override);
    assert_eq!(service.weights, Some(Weights { passing: 10, warning: 1 }));
    let tagged: Vec<_> = service
        .tagged_addresses
        .iter()
        .map(|at| format!("{} {} {}", at.tag, at.address, at.port))
        .collect();
    assert_eq!(tagged, ["lan 10.0.0.1 8000", "wan 198.51.100.1 80"]);
    assert_eq!(service.meta, [Attribute::new("region", "eu")]);
    assert_eq!(all.warnings, [""; 0]);
    for (key, value, weights, warns) in [
        ("WEIGHTS", r#"{"Passing": 5, "warning": 0}"#, Some((5, 0)), false),
        ("WEIGHTS_WARNING", "0", Some((1, 0)), false),
        ("WEIGHTS_PASSING", "0", None, true),
        ("WEIGHTS_PASSING", "65536", None, true),
        ("WEIGHTS_WARNING", "many", None, true),
        ("WEIGHTS", "many", None, true),
        ("TAGGED_ADDRESSES", "10.0.0.1", None, true),
        ("NAMESPACE", "team", None, true),
        ("PARTITION", "team", None, true),
    ] {
        let came = came(&[(key, value)]);
        let found = came.services[0].weights.map(|weights| (weights.passing, weights.warning));
        assert_eq!(found, weights, "{key}={value}");
        assert_eq!(!came.warnings.is_empty(), warns, "{key}={value}: {:?}", came.warnings);
        assert_eq!(came.services[0].meta, [], "{key}");
    }
}

#[test]
fn an_id_of_another_container_is_not_given() {
    let any = r#"{"ids": "any"}"#;
    for (id, own) in [
        ("h:web:80", "h:web:80"),
        ("h:web:9", "h:web:9"),
        ("https.12345", "https.12345"),
        ("db:5432", "db:5432"),
        ("h:db:80", "h:web:80"),
        ("h:db:80:udp", "h:web:80"),
        ("h:db:80:was:old", "h:web:80"),
        ("other:web:80", "h:web:80"),
        ("H:web:80", "h:web:80"),
        ("h:Web:80", "h:web:80"),
    ] {
        let came = came(&[("ID", id)]);
        assert_eq!(came.services[0].id, own, "{id}");
        assert_eq!(came.warnings.len(), usize::from(id != own), "{:?}", came.warnings);
        if id != own {
            came.warns(&["SERVICE_ID", id, "the setting ids"]);
        }
        assert_eq!(under(any, &[("ID", id)]).services[0].id, id);
    }
}

#[test]
fn a_one_off_container_is_no_instance() {
    for (label, env, wanted) in [
        ("True", vec![], false),
        ("true", vec![("NAME", "web")], false),
        ("1", vec![], false),
        ("False", vec![], true),
        ("", vec![], true),
        ("True", vec![("ONEOFF", "true")], true),
        ("True", vec![("80_ONEOFF", "yes")], true),
        ("True", vec![("ONEOFF", "false")], false),
    ] {
        let container = web(&env).label(ONE_OFF, label).build();
        let came = Came::of("{}", &container, testing::services(&container), false);
        assert_eq!(came.services.len(), usize::from(wanted), "{label:?} {env:?}");
        assert_eq!(came.vetoes.iter().any(|one| one.contains("docker compose run")), !wanted);
        assert!(came.services.iter().all(|service| service.meta.is_empty()), "{env:?}");
        let compat = Came::of("{}", &container, testing::services(&container), true);
        assert_eq!(compat.services.len(), 1, "registrator knows nothing of it");
    }
}

#[test]
fn what_is_ignored_does_not_count_for_the_suffix() {
    for (env, names) in [
        (vec![], vec!["web-80", "web-443", "web-53"]),
        (vec![("443_IGNORE", "true")], vec!["web-80", "web-53"]),
        (vec![("443_IGNORE", "true"), ("53_UDP_IGNORE", "yes")], vec!["web"]),
        (
            vec![("40-500_IGNORE", "true"), ("53_IGNORE", "no"), ("80_IGNORE", "no")],
            vec!["web-80", "web-53"],
        ),
        (vec![("IGNORE", "true"), ("443_IGNORE", "false")], vec!["web"]),
        (vec![("443_IGNORE", "true"), ("53_IGNORE", "false")], vec!["web-80", "web-53"]),
        (vec![("80-443_NAME", "front")], vec!["front", "front", "web-53"]),
    ] {
        let came = several(&env);
        let found: Vec<_> = came.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(found, names, "{env:?}");
    }
}

#[test]
fn templates_of_a_container_are_text() {
    let came = came(&[("TAGS", "a,v-{{ .Config.Image }},b")]);
    assert_eq!(came.services[0].tags, ["a", "v-{{ .Config.Image }}", "b"]);
    came.warns(&["SERVICE_TAGS", "{{ .Config.Image }}", "template"]);
}

#[test]
fn registrator_gets_what_it_always_got() {
    let container = web(&[
        ("TAGS", "a, b "),
        ("CHECK_HTTP", "/"),
        ("80_CHECK_TTL", "9s"),
        ("CHECK_HEADER", "x"),
        ("ENABLE_TAG_OVERRIDE", "true"),
        ("80_TCP_NAME", "x"),
    ])
    .build();
    let came = Came::of("{}", &container, testing::services(&container), true);
    let service = &came.services[0];
    assert_eq!(service.tags, [" b ", "a"]);
    assert_eq!(checks(service), "http://192.0.2.1:8000/");
    let keys: Vec<_> = service.meta.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(
        keys,
        ["check_header", "check_http", "check_ttl", "enable_tag_override", "tcp_name"]
    );
    assert!(!service.enable_tag_override);
    assert_eq!(came.all, [""; 0]);
}

#[test]
fn settings_are_words() {
    for settings in [
        r#"{"scripts": "no"}"#,
        r#"{"check-targets": "x"}"#,
        r#"{"ids": true}"#,
        r#"{"check-redirects": "own"}"#,
    ] {
        assert_eq!(testing::faults::<Registrator>(settings).len(), 1, "{settings}");
    }
    let all =
        r#"{"scripts": "drop", "check-targets": "own", "check-redirects": "none", "ids": "any"}"#;
    assert_eq!(testing::faults::<Registrator>(all), [""; 0]);
}

#[test]
fn a_hostile_container_makes_no_flood() {
    let long = "x".repeat(100_000);
    let mut env: Vec<(String, String)> =
        (0..20_000).map(|n| (format!("CHECK_A{n}"), String::new())).collect();
    env.push((format!("CHECK_{long}"), long.clone()));
    env.extend((0..2_000).map(|n| (format!("80_x{}", "_".repeat(n % 7)), long.clone())));
    let env: Vec<_> = env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let came = came(&env);
    assert_eq!(came.services.len(), 1);
    let bytes: usize = came.all.iter().map(String::len).sum();
    assert!(came.all.len() <= 101 && bytes < 110_000, "{} {bytes}", came.all.len());
}
