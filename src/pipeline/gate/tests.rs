//! The values that a container may give, and what becomes of the others: through the pipeline
//! of the daemon's own stage.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    model::{
        container::{Container, Protocol, PublishedPort},
        host::{Compat, Host},
        service::Service,
    },
    pipeline::{
        Level, Outcome, Pipeline,
        tests::{container, host},
    },
    stages::builtin::Builtin,
};

const COMPAT: [Compat; 2] = [Compat::None, Compat::Registrator];

async fn evaluate_as(
    compat: Compat,
    settings: &str,
    container: &Container,
) -> Result<Outcome, String> {
    let stage = Builtin::new("registrator", "registrator", settings).expect("a stage");
    let host = Host {
        hostname: "testhost".into(),
        forced_address: None,
        resolved_address: Some("10.0.0.1".into()),
        compat,
        flags: BTreeMap::from([("compat".into(), compat.to_string())]),
        agent: None,
        engine: None,
        ..host()
    };
    let outcome = Pipeline::new(vec![Arc::new(stage)]).evaluate(container, &host).await;
    outcome.map_err(|error| error.source.to_string())
}

/// A container with the ports 80 and 443 and these labels.
fn labelled(labels: &[(&str, &str)]) -> Container {
    let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    Container { labels: labels.collect(), ..container() }
}

async fn outcome(compat: Compat, labels: &[(&str, &str)]) -> Outcome {
    let outcome = evaluate_as(compat, "{}", &labelled(labels)).await.expect("it is let pass");
    for warning in &outcome.warnings {
        assert!(!warning.contains(crate::pipeline::validate::deceives), "{warning:?}");
    }
    outcome
}

fn of_port(outcome: &Outcome, port: u16) -> Option<&Service> {
    let is = |service: &&Service| {
        service.origin.as_ref().is_some_and(|origin| origin.container_port == port)
    };
    outcome.services.iter().find(is)
}

/// The warnings of the stage itself: it holds back some of what the gate would.
fn by_the_stage(outcome: &Outcome) -> Vec<&str> {
    let messages = outcome.trace.iter().flat_map(|trace| &trace.messages);
    messages.filter(|it| it.level >= Level::Warn).map(|it| it.text.as_str()).collect()
}

/// That there is a warning with all these parts, or one of the stage's of the first, a key.
fn warned(outcome: &Outcome, parts: &[&str]) {
    let stage = by_the_stage(outcome);
    let found = outcome.warnings.iter().any(|it| parts.iter().all(|part| it.contains(part)))
        || stage.iter().any(|it| it.contains(parts[0]));
    assert!(found, "{parts:?}: {:?} {stage:?}", outcome.warnings);
}

#[tokio::test]
async fn an_id_that_would_do_harm_costs_the_id() {
    let long = "x".repeat(600);
    for id in [
        "post\tgres",
        "h:vic\ntim:80",
        "a\r",
        "\u{7f}",
        "a\u{85}b",
        "a\u{202e}b",
        "a\u{2028}b",
        "a\u{2029}b",
        "a\u{2066}b",
        "a\u{200b}b",
        "a\u{feff}",
        "a\u{200d}b",
        "a\u{3000}b",
        "a\u{a0}b",
        "a\u{e000}",
        "a\u{378}",
        "a\0b",
        "a/../b",
        "a//b",
        "/a",
        "a/",
        ".",
        "..",
        "./a",
        "a/.",
        "/",
        "//",
        " a",
        "a ",
        "\u{a0}a",
        "\u{3000}",
        "consul",
        "service",
        "service:h:victim:80",
        "_service_maintenance",
        "_service_maintenance:x",
        "_node_maintenance",
        "wharfinger-health:testhost:victim",
        &long,
    ] {
        for compat in COMPAT {
            let outcome = outcome(compat, &[("SERVICE_80_ID", id), ("SERVICE_NAME", "web")]).await;
            let service = of_port(&outcome, 80).expect("it is registered");
            assert_eq!(service.id, "testhost:app:80", "{id:?} {compat}");
            assert_eq!(of_port(&outcome, 443).expect("as well").id, "testhost:app:443");
            warned(&outcome, &["SERVICE_80_ID", "port 80", "registered as testhost:app:80"]);
            let said = outcome.warnings.len() + by_the_stage(&outcome).len();
            assert_eq!(said, 1, "{:?}", outcome.warnings);
        }
    }
    for id in ["a%2fb", "a\\b", "testhost:victim:80", "testhost:victim:53:udp", "other:app:80"] {
        let sound = outcome(Compat::None, &[("SERVICE_80_ID", id)]).await;
        assert_eq!(of_port(&sound, 80).expect("it is registered").id, "testhost:app:80", "{id}");
        // What only concerns the original's users is theirs.
        let original = outcome(Compat::Registrator, &[("SERVICE_80_ID", id)]).await;
        let expected = if id.contains(':') { "testhost:app:80" } else { id };
        assert_eq!(of_port(&original, 80).expect("it is registered").id, expected);
    }
    for id in
        ["web-1", "team/app/1", "my id", "a?b#c", "ü", "日本", "x:y", "testhost:app:81", "a;b"]
    {
        for compat in COMPAT {
            let outcome = outcome(compat, &[("SERVICE_80_ID", id)]).await;
            assert_eq!(of_port(&outcome, 80).expect("it is registered").id, id);
            assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
        }
    }
}

#[tokio::test]
async fn services_that_lose_one_id_are_told_apart() {
    let labels = [("SERVICE_ID", "a\tb")];
    let both = outcome(Compat::None, &labels).await;
    let ids: Vec<_> = both.services.iter().map(|service| service.id.as_str()).collect();
    assert_eq!(ids, ["testhost:app:80", "testhost:app:443"]);

    // The first asks for what the second falls back to.
    let labels = [("SERVICE_80_ID", "testhost:app:443"), ("SERVICE_443_ID", "a//b")];
    let taken = outcome(Compat::None, &labels).await;
    assert_eq!(taken.services.len(), 1, "{:?}", taken.services);
    assert_eq!(taken.vetoed.len(), 1);
    warned(&taken, &["SERVICE_443_ID", "another service of the container has it"]);

    let mut dns = labelled(&[("SERVICE_ID", "a\tb")]);
    let port = |protocol| PublishedPort {
        container_port: 53,
        protocol,
        host_ip: "0.0.0.0".into(),
        host_port: 53,
    };
    dns.published_ports = vec![port(Protocol::Tcp), port(Protocol::Udp)];
    let outcome = evaluate_as(Compat::None, "{}", &dns).await.expect("it is let pass");
    let ids: Vec<_> = outcome.services.iter().map(|service| service.id.as_str()).collect();
    assert_eq!(ids, ["testhost:app:53", "testhost:app:53:udp"]);
}

#[tokio::test]
async fn names_tags_and_metadata_cost_no_more_than_themselves() {
    for name in
        ["a\tb", " ", "..", "a/../b", "/a", "a//b", "\u{2028}", "a\u{202e}b", &"n".repeat(600)]
    {
        let outcome = outcome(Compat::None, &[("SERVICE_80_NAME", name)]).await;
        assert_eq!(of_port(&outcome, 80).expect("it is registered").name, "web-80", "{name:?}");
        warned(&outcome, &["SERVICE_80_NAME", "it is named web-80"]);
    }
    let tags = outcome(Compat::None, &[("SERVICE_TAGS", "good,b\u{2028}ad,\u{1b}[31m,also good")]);
    let tags = tags.await;
    let mut found = of_port(&tags, 80).expect("it is registered").tags.clone();
    found.sort();
    assert_eq!(found, ["also good", "good"]);
    warned(&tags, &["SERVICE_TAGS", "which nobody sees", "without that tag"]);

    let labels = [
        ("SERVICE_WHARFINGER-HOST", "x"),
        ("SERVICE_wharfinger-retire-at", "0"),
        ("SERVICE_OK", "1"),
    ];
    for compat in COMPAT {
        let outcome = outcome(compat, &labels).await;
        for service in &outcome.services {
            assert_eq!(service.meta, [("ok".to_string(), "1".to_string())].into());
        }
    }
    let null = outcome(Compat::None, &[("SERVICE_BAD", "a\0b"), ("SERVICE_OK", "1")]).await;
    assert_eq!(of_port(&null, 80).expect("it is registered").meta.len(), 1);
    warned(&null, &["SERVICE_BAD", "null character"]);
}

/// The IDs of the checks of port 80 with these labels.
async fn ids(labels: &[(&str, &str)]) -> (Vec<Option<String>>, Outcome) {
    let outcome = outcome(Compat::None, labels).await;
    let service = of_port(&outcome, 80).expect("it is registered");
    (service.checks.iter().map(|check| check.id.clone()).collect(), outcome)
}

#[tokio::test]
async fn checks_get_the_services_id_in_front() {
    let own = |id: &str| format!(r#"[{{"TTL":"9s","CheckID":{}}}]"#, serde_json::json!(id));
    for (given, expected) in [
        ("beat", Some("testhost:app:80:beat")),
        ("testhost:app:80:beat", Some("testhost:app:80:beat")),
        ("service:testhost:app:80", None),
        ("service:testhost:app:80:2", Some("testhost:app:80:2")),
        ("testhost:app:80", Some("testhost:app:80:testhost_app_80")),
        ("testhost:victim:80:beat", Some("testhost:app:80:testhost_victim_80_beat")),
        ("serfHealth", None),
        ("_node_maintenance", None),
        ("_service_maintenance:testhost:victim:80", None),
        ("service:testhost:victim:80", None),
        ("service:testhost:app:80x", None),
        ("service:testhost:app:801", None),
        ("pg\nttl", None),
        ("a/../b", None),
        ("..", Some("testhost:app:80:..")),
        ("a//b", None),
        ("a%2fb", None),
        ("a\u{202e}b", None),
        ("", None),
    ] {
        let (found, outcome) = ids(&[("SERVICE_80_CHECKS", &own(given))]).await;
        assert_eq!(found, [expected.map(String::from)], "{given:?}: {:?}", outcome.warnings);
        let silent = expected.is_some() || given.is_empty();
        assert_eq!(outcome.warnings.is_empty(), silent, "{given:?}: {:?}", outcome.warnings);
        if !silent {
            warned(&outcome, &["SERVICE_80_CHECKS", "CheckID", "port 80"]);
        }
    }
    let twice = r#"[{"TTL":"9s","CheckID":"a"},{"TTL":"8s","CheckID":"a"},{"TTL":"7s","ID":"a"}]"#;
    let (found, outcome) = ids(&[("SERVICE_80_CHECKS", twice)]).await;
    assert_eq!(found, [Some("testhost:app:80:a".into()), None, None]);
    warned(&outcome, &["check 2", "another check of the service has it"]);
}

#[tokio::test]
async fn no_id_that_consul_makes_is_a_neighbours() {
    let two = r#"[{"TTL":"9s"},{"TTL":"8s"}]"#;
    let one = r#"[{"TTL":"9s"}]"#;
    for (id, checks, expected) in [
        // `service:db:2` is the second check of a service `db`.
        ("db:2", one, vec![Some("db:2:1")]),
        // `service:testhost:dns:53` is the check of a container `dns`.
        ("testhost:dns", two, vec![Some("testhost:dns:1"), Some("testhost:dns:2")]),
        ("testhost:dns", one, vec![None]),
        ("db", two, vec![None, None]),
        ("testhost:app:80", two, vec![None, None]),
    ] {
        let (found, _) = ids(&[("SERVICE_80_ID", id), ("SERVICE_80_CHECKS", checks)]).await;
        let expected: Vec<_> = expected.into_iter().map(|id| id.map(String::from)).collect();
        assert_eq!(found, expected, "{id}");
    }
    let mixed = r#"[{"TTL":"9s"},{"TTL":"8s","CheckID":"1"}]"#;
    let (found, _) = ids(&[("SERVICE_80_ID", "db:2"), ("SERVICE_80_CHECKS", mixed)]).await;
    assert_eq!(found, [Some("db:2:2".into()), Some("db:2:1".into())]);
}

#[tokio::test]
async fn a_check_that_consul_would_refuse_or_misread_costs_that_check() {
    for (bad, part) in [
        (r#"{"TTL":"9s","ServiceID":"victim"}"#, "attributes"),
        (r#"{"TTL":"9s","service_id":"victim"}"#, "attributes"),
        (r#"{"TTL":"9s","Node":"victim"}"#, "attributes"),
        (r#"{"TTL":"9s","CheckID":"a","check_id":"serfHealth"}"#, "attributes"),
        (r#"{"TCP":"a:1","Args":["/bin/sh"]}"#, "attributes"),
        (r#"{"HTTP":"file:///etc/passwd"}"#, "url"),
        (r#"{"HTTP":"http://a\nb/"}"#, "url"),
        (r#"{"TCP":"a:0"}"#, "address"),
        (r#"{"TTL":"9s","Name":"a\u2028b"}"#, "name"),
        (r#"{"HTTP":"http://a/","Method":"GET / HTTP/1.1\r\nX: y"}"#, "method"),
        (r#"{"HTTP":"http://a/","Header":{"X":["a\r\nY: z"]}}"#, "headers"),
    ] {
        let text = format!(r#"[{{"TTL":"7s"}},{bad}]"#);
        let (found, outcome) = ids(&[("SERVICE_CHECKS", &text)]).await;
        assert_eq!(found.len(), 1, "{bad}");
        warned(&outcome, &["SERVICE_CHECKS", "check 2", part, "without that check"]);
    }
    let deep = |deep: usize| {
        let value = "[".repeat(deep) + &"]".repeat(deep);
        format!(r#"[{{"TTL":"7s"}},{{"TTL":"9s","New":{value}}}]"#)
    };
    let (found, outcome) = ids(&[("SERVICE_CHECKS", &deep(64))]).await;
    assert_eq!((found.len(), &outcome.warnings[..]), (2, &[][..]));
    let (found, outcome) = ids(&[("SERVICE_CHECKS", &deep(65))]).await;
    assert_eq!(found.len(), 1);
    warned(&outcome, &["check 2", "\"New\": its value is 65 deep", "without that check"]);
    let (found, _) = ids(&[("SERVICE_CHECK_HTTP", "/a\nb")]).await;
    assert!(found.is_empty());
    let server = r#"[{"H2PING":"a:1","TLSServerName":"a.example"}]"#;
    let any = r#"{"check-targets":"any"}"#;
    let outcome = evaluate_as(Compat::None, any, &labelled(&[("SERVICE_CHECKS", server)])).await;
    let outcome = outcome.expect("it is let pass");
    let checks = of_port(&outcome, 80).expect("it is registered").checks.len();
    assert_eq!((checks, outcome.warnings.len()), (1, 0), "{:?}", outcome.warnings);
}

#[tokio::test]
async fn an_address_that_stands_for_many_hosts_costs_the_port() {
    for address in ["224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1"] {
        let mut odd = container();
        odd.published_ports[0].host_ip = address.into();
        let outcome = evaluate_as(Compat::None, "{}", &odd).await.expect("it is let pass");
        assert!(of_port(&outcome, 443).is_some());
        assert!(of_port(&outcome, 80).is_none(), "{:?}", outcome.services);
        warned(&outcome, &["address", "port 80", "it stands for many hosts"]);
    }
}

#[tokio::test]
async fn a_thousand_faults_are_twenty_warnings() {
    let tags: Vec<_> = (0..200).map(|n| format!("{n}\u{202e}")).collect();
    let tags = tags.join(",");
    let outcome = outcome(Compat::None, &[("SERVICE_TAGS", &tags)]).await;
    assert_eq!(outcome.warnings.len(), 21);
    assert_eq!(outcome.warnings[20], "380 more values break a rule");
}

#[tokio::test]
async fn a_container_that_asks_for_too_much_is_refused_before_it_is_made() {
    let note = "n".repeat(1_000);
    let check = format!(r#"{{"TTL":"9s","Notes":"{note}"}}"#);
    let ports: Vec<_> = (1..=900).map(|n| n.to_string()).collect();
    let many: Vec<_> = (1..=5_000).map(|n| n.to_string()).collect();
    for (labels, part) in [
        (vec![("wharfinger.port", many.join(","))], "5002 ports; 1000 are allowed (limits.ports)"),
        (
            vec![
                ("wharfinger.port", ports.join(",")),
                ("SERVICE_CHECKS", format!("[{}]", vec![check.as_str(); 60].join(","))),
            ],
            "of services; 2.0 MiB are allowed (limits.bytes)",
        ),
        (vec![("SERVICE_TAGS", "a,".repeat(500_000))], "(limits.tags)"),
        (vec![("SERVICE_TAGS", "a,".repeat(5_000_000))], "(limits.bytes)"),
        (vec![("SERVICE_CHECKS", format!("[{}]", vec!["{}"; 9_999].join(",")))], "(limits.checks)"),
    ] {
        let labels: Vec<_> = labels.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let container = Container { network_mode: "host".into(), ..labelled(&labels) };
        let fault = evaluate_as(Compat::None, "{}", &container).await.expect_err(part);
        assert!(fault.contains(part), "{fault}");
    }
}
