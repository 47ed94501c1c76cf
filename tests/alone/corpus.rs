//! registrator to the letter: under `--compat registrator --no-provenance`,
//! every recorded case gives the bodies that the original sent.

use std::{fs, process::Command};

use crate::common::{command_lines, corpus, daemon::Daemon, info, recording_consul::normal};
use serde_json::{Value, json};

/// Cases of which a plan says nothing. Both are carried out in `tests/docker/live.rs`,
/// where nothing is registered for the one, and the other is compared in full.
const NOT_COMPARED: [(&str, &str); 2] = [
    ("tmpl-fatal-sindex-empty", "the original exits at the container; here the container fails"),
    ("net-two", "what was recorded first is the container before its start"),
];

fn normal_all(bodies: &[Value]) -> Vec<String> {
    let mut texts: Vec<_> = bodies.iter().map(|body| normal(body, false).to_string()).collect();
    texts.sort();
    texts
}

fn plan(case: &corpus::Case, further: &[&str]) -> Result<Vec<Value>, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&file, Value::from(case.inspected()).to_string()).expect("the file is written");
    let registrator = &case.value["registrator"];
    let mut command = Command::new(Daemon::binary());
    command.args(["plan", "--output", "consul-json", "--no-provenance", "-hostname"]);
    command.arg(registrator["hostname"].as_str().unwrap_or("testhost"));
    command.args(further).arg("--containers").arg(file.path());
    for (name, address) in registrator["hosts"].as_object().into_iter().flatten() {
        command.args(["--resolve", &format!("{name}={}", address.as_str().unwrap_or_default())]);
    }
    // The clean-up and the resync of the daemon are no matter of a plan.
    let mut flags = case.flags().into_iter();
    while let Some(flag) = flags.next() {
        match flag {
            "-ip" | "-tags" | "-useIpFromLabel" => {
                command.arg(flag).args(flags.next());
            }
            "-internal" | "-explicit" => {
                command.arg(flag);
            }
            "-cleanup" => {}
            _ => drop(flags.next()),
        }
    }
    let output = command.output().expect("the program can be started");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The bodies of the first phase that registers anything.
fn recorded(case: &corpus::Case) -> Vec<Value> {
    let bodies = |phase: &Value| -> Vec<Value> {
        let calls = phase["calls"].as_array().into_iter().flatten();
        calls
            .filter(|call| call["path"] == "/v1/agent/service/register")
            .map(|call| call["body"].clone())
            .collect()
    };
    let phases = case.value["phases"].as_array().into_iter().flatten();
    phases.flat_map(bodies).collect()
}

#[test]
fn every_single_phase_case_is_identical() {
    info::serve();
    let cases = corpus::cases();
    let single = cases.iter().filter(|case| {
        let consul =
            case.value["registrator"]["uri"].as_str().is_some_and(|u| u.starts_with("consul://"));
        let left_out = NOT_COMPARED.iter().any(|(name, _)| *name == case.name);
        consul && !left_out && !matches!(case.area(), "cli" | "lifecycle")
    });
    let (mut identical, mut total, mut differing) = (0, 0, Vec::new());
    for case in single {
        total += 1;
        let planned = plan(case, &["--compat", "registrator", "--allow-http-get"]);
        let expected = normal_all(&recorded(case));
        let same = match &planned {
            Ok(bodies) => normal_all(bodies) == expected,
            // The original exits, too, at the first container.
            Err(_) => case.name.starts_with("tmpl-fatal"),
        };
        if same || !case.is_deterministic() {
            identical += 1;
        } else {
            differing.push(format!("{}: expected {expected:#?}, planned {planned:#?}", case.name));
        }
    }
    println!("{identical} of {total} cases identical");
    assert!(total >= 150, "{total}");
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What differs without `--compat`: a case, what stands where in its only body,
/// and null for what is not there.
#[test]
fn each_difference_holds_on_a_recorded_case() {
    let cases = corpus::cases();
    for (name, pointer, expected) in [
        // An image that is given by its identifier is named after it.
        ("name-default-by-image-id", "/Name", json!("2bdd01bb6724")),
        // A script is a command line, which takes a shell.
        ("check-script", "/Check/ScriptArgs/0", json!("/bin/sh")),
        (
            "check-script",
            "/Check/ScriptArgs/2",
            json!("true 203.0.113.10:20080 20080 ${SERVICE_IP}"),
        ),
        // A value that Consul cannot read costs the check's field, not the service.
        ("check-bad-interval", "/Check/Interval", json!("10s")),
        ("check-interval-nounit", "/Check/Interval", json!("10s")),
        ("check-bad-ttl", "/Check", json!(null)),
        ("check-initial-status-bad", "/Check/Status", json!(null)),
        ("check-tcp-full", "/Check", json!(null)),
        ("check-http-noslash", "/Check/HTTP", json!("http://203.0.113.10:20080/health")),
        ("check-https-skip-verify", "/Check/TLSSkipVerify", json!(true)),
        // An IPv6 address stands in brackets.
        ("ip-flag-v6", "/Check/HTTP", json!("http://[2001:db8::7]:20080/")),
        // Metadata that Consul refuses is left out, and nothing else.
        ("meta-dot-key", "/Meta", json!(null)),
        ("meta-long-value", "/Meta", json!(null)),
        ("meta-65-keys", "/Meta/k55", json!("55")),
        ("meta-65-keys", "/Meta/k56", json!(null)),
        // A published port goes with the host's address.
        ("net-container-user", "/Address", json!("203.0.113.10")),
        ("ip-flag-user-net", "/Address", json!("198.51.100.7")),
        // A label that holds no address is not used.
        ("label-ip-garbage", "/Address", json!("203.0.113.10")),
        // A host whose name does not resolve leaves the address to Consul.
        ("port-host-unresolvable", "/Address", json!(null)),
        // With -internal on the host's network, the address is the host's.
        ("net-host-internal", "/Address", json!("203.0.113.10")),
    ] {
        let case = cases.iter().find(|case| case.name == name).expect("a case of the corpus");
        let bodies = plan(case, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = bodies.first().and_then(|body| body.pointer(pointer)).unwrap_or(&Value::Null);
        assert_eq!(*found, expected, "{name} {pointer}: {bodies:#?}");
    }
}

/// Services that registrator would have registered over one another keep IDs
/// of their own.
#[test]
fn no_service_takes_the_place_of_another() {
    let cases = corpus::cases();
    for (name, expected) in [
        ("id-multi-collision", ["dup", "dup:443"]),
        ("id-tcp-udp-collision", ["dns-id", "dns-id:53"]),
        ("port-sctp-host", ["testhost:app:3868", "testhost:app:3868:sctp"]),
        ("ignore-true", ["", ""]),
    ] {
        let case = cases.iter().find(|case| case.name == name).expect("a case of the corpus");
        let bodies = plan(case, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let ids: Vec<_> = bodies.iter().flat_map(|body| body["ID"].as_str()).collect();
        let expected: Vec<_> = expected.into_iter().filter(|id| !id.is_empty()).collect();
        assert_eq!(ids, expected, "{name}");
    }
}

/// Command lines of the original end as they did.
#[tokio::test(flavor = "multi_thread")]
async fn command_lines_end_as_they_did() {
    let cases: Vec<_> = corpus::cases().into_iter().filter(|it| it.area() == "cli").collect();
    let mut faults = Vec::new();
    for case in &cases {
        faults.extend(command_lines::faults(case).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    println!("{0} of {0} command lines end alike", cases.len());
    assert_eq!(cases.len(), 12);
}

/// A container that is not recorded: its name, image, environment, and ports as
/// `(host's, container's)`.
fn made(name: &str, image: &str, env: &[&str], ports: &[(u16, u16)]) -> corpus::Case {
    let exposed: serde_json::Map<_, _> =
        ports.iter().map(|(_, port)| (format!("{port}/tcp"), json!({}))).collect();
    let published: serde_json::Map<_, _> = ports
        .iter()
        .map(|(host, port)| {
            let binding = json!([{"HostIp": "0.0.0.0", "HostPort": host.to_string()}]);
            (format!("{port}/tcp"), binding)
        })
        .collect();
    let inspected = json!({
        "Id": "a".repeat(64),
        "Name": format!("/{name}"),
        "State": {"Status": "running", "Running": true},
        "Config": {"Image": image, "Env": env, "ExposedPorts": exposed, "Labels": {}},
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Ports": published, "Networks": {}},
    });
    let value = json!({
        "registrator": {"hostname": "hostname", "hosts": {"hostname": "192.168.1.102"}, "flags": []},
        "docker_inspect": {name: inspected},
    });
    corpus::Case { name: name.into(), value }
}

/// The examples of registrator's own documentation. It lists tags in the order
/// in which they are written, and so they are sent; what it sends itself is the reverse.
#[test]
fn the_published_examples_hold() {
    let at = "192.168.1.102";
    let redis = "progrium/redis";
    let metadata = ["SERVICE_NAME=db", "SERVICE_TAGS=master,backups", "SERVICE_REGION=us2"];
    let web = [(4443, 443), (8000, 80)];
    let named = [
        "SERVICE_443_NAME=https",
        "SERVICE_443_ID=https.12345",
        "SERVICE_443_SNI=enabled",
        "SERVICE_80_NAME=http",
        "SERVICE_TAGS=www",
    ];
    for (case, expected) in [
        (
            made("redis.0", redis, &[], &[(10000, 6379)]),
            json!([{"ID": "hostname:redis.0:6379", "Name": "redis", "Port": 10000, "Address": at}]),
        ),
        (
            made("redis.0", redis, &metadata, &[(10000, 6379)]),
            json!([{
                "ID": "hostname:redis.0:6379", "Name": "db", "Port": 10000, "Address": at,
                "Tags": ["backups", "master"], "Meta": {"region": "us2"},
            }]),
        ),
        (
            made("nginx.0", "progrium/nginx", &[], &web),
            json!([
                {"ID": "hostname:nginx.0:443", "Name": "nginx-443", "Port": 4443, "Address": at},
                {"ID": "hostname:nginx.0:80", "Name": "nginx-80", "Port": 8000, "Address": at},
            ]),
        ),
        (
            made("nginx.0", "progrium/nginx", &named, &web),
            json!([
                {"ID": "hostname:nginx.0:80", "Name": "http", "Port": 8000, "Address": at, "Tags": ["www"]},
                {
                    "ID": "https.12345", "Name": "https", "Port": 4443, "Address": at,
                    "Tags": ["www"], "Meta": {"sni": "enabled"},
                },
            ]),
        ),
    ] {
        for compat in ["none", "registrator"] {
            let bodies = plan(&case, &["--compat", compat]).expect("a plan");
            let mut expected = expected.as_array().expect("an array").clone();
            for tags in expected.iter_mut().filter_map(|body| body["Tags"].as_array_mut()) {
                if compat == "none" {
                    tags.reverse();
                }
            }
            assert_eq!(normal_all(&bodies), normal_all(&expected), "{compat}");
        }
    }
}

/// Differences that no recorded case shows.
#[test]
fn each_difference_holds_on_a_made_container() {
    let one = [(8000, 80)];
    for (image, env, pointer, original, sound) in [
        ("web@sha256:0a1b", "A=b", "/Name", json!("web@sha256"), json!("web")),
        ("web", "SERVICE_IGNORE=false", "/Name", json!(null), json!("web")),
        ("web", "SERVICE_DB_PASSWORD=x", "/Meta/db_password", json!("x"), json!(null)),
        ("web", "SERVICE_DB=pg://a:b@c/d", "/Meta/db", json!("pg://a:b@c/d"), json!(null)),
        ("web", "SERVICE_CHECKS=[{\"TTL\":\"9s\"}]", "/Check/TTL", json!(null), json!("9s")),
        ("web", "SERVICE_CHECKS=[{]", "/Name", json!("web"), json!("web")),
        ("web", "SERVICE_CHECK_GRPC=false", "/Check", json!({}), json!(null)),
    ] {
        let case = made("app", image, &[env], &one);
        for (compat, expected) in [("registrator", &original), ("none", &sound)] {
            let bodies = plan(&case, &["--compat", compat]).expect("a plan");
            let found = bodies.first().and_then(|body| body.pointer(pointer));
            let found = found.unwrap_or(&Value::Null);
            let any = *expected == json!({}) && found.is_object();
            assert!(any || found == expected, "{env} {compat} {pointer}: {bodies:#?}");
        }
    }
}
