use wharfinger_plugin::{
    Check, DockerCheck, Protocol, ScriptCheck, TcpCheck, TtlCheck,
    testing::{Answer, check, container, faults, laws, run, service},
};

use super::*;

fn script() -> Check {
    check(CheckKind::Script(ScriptCheck { args: vec!["/bin/true".into()] }))
}

fn tcp() -> Check {
    check(CheckKind::Tcp(TcpCheck { address: "192.0.2.1:80".into() }))
}

fn ask(settings: &str, port: u16, checks: Vec<Check>) -> Answer {
    let proposed = Service { checks, ..service("web", port) };
    run::<Checks>(settings, &container("web"), vec![proposed])
}

/// What the checks of a service do, in a word.
fn kinds(settings: &str, service: Service) -> Vec<String> {
    let answer = run::<Checks>(settings, &container("web"), vec![service]);
    let word = |check: &Check| match &check.kind {
        CheckKind::Http(http) => http.url.clone(),
        CheckKind::Tcp(tcp) => format!("tcp {}", tcp.address),
        CheckKind::Udp(udp) => format!("udp {}", udp.address),
        CheckKind::Grpc(grpc) => format!("grpc {} tls={}", grpc.target, grpc.use_tls),
        CheckKind::H2Ping(ping) => format!("h2 {}", ping.address),
        other => format!("{other:?}"),
    };
    answer.one().checks.iter().map(word).collect()
}

const DEFAULT: &str = r#"{"default": [
    {"ports": [22], "kind": "none"},
    {"ports": [80, "8000-8999"], "kind": "http", "path": "/health"},
    {"ports": [443], "kind": "https"},
    {"ports": [50051], "kind": "grpc-tls"},
    {"ports": [50052], "kind": "h2-ping"},
    {"kind": "udp"},
    {"kind": "tcp"}
]}"#;

#[test]
fn a_service_without_a_check_gets_the_first_that_fits() {
    let of = |port| kinds(DEFAULT, service("web", port));
    assert_eq!(of(80), ["http://192.0.2.1:80/health"]);
    assert_eq!(of(8500), ["http://192.0.2.1:8500/health"]);
    assert_eq!(of(443), ["https://192.0.2.1:443/"]);
    assert_eq!(of(50051), ["grpc 192.0.2.1:50051 tls=true"]);
    assert_eq!(of(50052), ["h2 192.0.2.1:50052"]);
    assert_eq!(of(5432), ["tcp 192.0.2.1:5432"]);
    assert_eq!(of(22), [""; 0]);
    assert_eq!(of(0), [""; 0]);
    let udp = Service { protocol: Protocol::Udp, ..service("dns", 80) };
    assert_eq!(kinds(DEFAULT, udp), ["udp 192.0.2.1:80"]);
    let sctp = Service { protocol: Protocol::Sctp, ..service("x", 90) };
    assert_eq!(kinds(DEFAULT, sctp), [""; 0]);
    let v6 = Service { address: "2001:db8::1".into(), ..service("web", 80) };
    assert_eq!(kinds(DEFAULT, v6), ["http://[2001:db8::1]:80/health"]);
}

#[test]
fn one_that_has_a_check_keeps_it() {
    assert_eq!(ask(DEFAULT, 80, vec![tcp()]).one().checks, [tcp()]);
    assert_eq!(ask("{}", 80, Vec::new()).one().checks, []);
}

#[test]
fn programs_can_be_forbidden() {
    let docker = check(CheckKind::Docker(DockerCheck {
        container_id: "5d4d7e5e12ab".into(),
        shell: None,
        args: vec!["true".into()],
    }));
    assert_eq!(ask("{}", 80, vec![script()]).one().checks, [script()]);
    let dropped = ask(r#"{"scripts": "drop"}"#, 80, vec![script(), tcp(), docker.clone()]);
    assert_eq!(dropped.one().checks, [tcp()]);
    assert_eq!(
        dropped.messages,
        ["warn: service host:web:80: registered without 2 check(s) that run a program"]
    );
    let instead = ask(r#"{"scripts": "drop", "default": [{"kind": "tcp"}]}"#, 80, vec![script()]);
    assert_eq!(instead.one().checks, [tcp()]);
    let vetoed = ask(r#"{"scripts": "veto"}"#, 80, vec![tcp(), docker]);
    assert_eq!(vetoed.reasons(), ["a check of it runs a program, which is not allowed"]);
}

#[test]
fn times_are_brought_within_bounds() {
    let settings = r#"{
        "min-interval": "5s", "max-interval": "1m", "max-timeout": "3s", "deregister-after": "30m"
    }"#;
    let times = |interval: &str, timeout: Option<&str>| {
        let timed =
            Check { interval: Some(interval.into()), timeout: timeout.map(String::from), ..tcp() };
        let found = ask(settings, 80, vec![timed]).one().checks[0].clone();
        assert_eq!(found.deregister_after.as_deref(), Some("30m"));
        (found.interval.unwrap_or_default(), found.timeout.unwrap_or_default())
    };
    let check = |interval, timeout, expected: (&str, &str)| {
        let (found_interval, found_timeout) = times(interval, timeout);
        assert_eq!((&*found_interval, &*found_timeout), expected);
    };
    check("1s", Some("1s"), ("5s", "1s"));
    check("5000ms", Some("1m"), ("5000ms", "3s"));
    check("1h", None, ("1m", "3s"));
    check("often", Some("long"), ("often", "long"));
    let own = Check { deregister_after: Some("2m".into()), ..tcp() };
    let kept = ask(settings, 80, vec![own]);
    assert_eq!(kept.one().checks[0].deregister_after.as_deref(), Some("2m"));
    let ttl = check_of_ttl();
    let kept = ask(r#"{"min-interval": "5s", "max-timeout": "1s"}"#, 80, vec![ttl.clone()]);
    assert_eq!(kept.one().checks, [ttl]);
    let lower = ask(r#"{"min-timeout": "15s"}"#, 80, vec![tcp()]);
    assert_eq!(lower.one().checks[0].timeout.as_deref(), Some("15s"));
}

fn check_of_ttl() -> Check {
    Check { interval: None, ..check(CheckKind::Ttl(TtlCheck { ttl: "30s".into() })) }
}

#[test]
fn settings_are_validated() {
    let refused = |settings: &str, words: &str| {
        let faults = faults::<Checks>(settings).join("\n");
        assert!(faults.contains(words), "{settings}: {faults}");
    };
    refused(r#"{"min-interval": "5"}"#, "min-interval: \"5\" is not a duration");
    refused(r#"{"max-timeout": "0s"}"#, "max-timeout: \"0s\" is not");
    refused(
        r#"{"min-interval": "5s", "max-interval": "1s"}"#,
        "min-interval 5s is more than max-interval 1s",
    );
    refused(r#"{"deregister-after": "10s"}"#, "Consul's minimum is 1m");
    refused(
        r#"{"default": [{"kind": "tcp"}, {"kind": "http", "path": "health"}]}"#,
        "default, number 2: path: \"health\"",
    );
    refused(r#"{"default": [{"kind": "tcp", "interval": "x"}]}"#, "default, number 1: interval");
    refused(r#"{"default": [{"kind": "ping"}]}"#, "ping");
    assert_eq!(faults::<Checks>(DEFAULT), [""; 0]);
}

#[test]
fn it_keeps_the_laws() {
    for settings in [
        DEFAULT,
        r#"{"scripts": "drop", "default": [{"kind": "tcp", "interval": "1s"}], "min-interval": "5s"}"#,
        r#"{"scripts": "veto", "max-timeout": "5s", "deregister-after": "1h"}"#,
    ] {
        assert!(laws::<Checks>(settings) > 100, "{settings}");
    }
}
