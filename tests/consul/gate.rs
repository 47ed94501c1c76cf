//! Guarantee: what a container says can hurt nobody else. On a real Consul, behind a Docker of
//! the test's own: a neighbour's service and checks, somebody else's, the node's health and the
//! key-value store are as they were, and a good container is registered all the same.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::common::{
    consul::{Consul, Options},
    daemon::Daemon,
    fake_docker::FakeDocker,
    hostile_labels::{Hostile, inspected},
    http::Activity,
    wait::until,
};
use serde_json::{Map, Value, json};

const SOON: Duration = Duration::from_secs(30);

/// A host with a good container, and what belongs to others in Consul.
struct Lab {
    consul: Consul,
    docker: FakeDocker,
    daemon: Daemon,
    others: Others,
}

/// What must stay as it is.
#[derive(Debug, PartialEq)]
struct Others {
    services: Map<String, Value>,
    checks: Map<String, Value>,
    node: Value,
    kv: Value,
}

impl Lab {
    async fn start(flags: &[&str]) -> Self {
        let consul = Consul::start(Options::default()).await;
        for (id, checks) in [
            ("postgres", json!([{ "CheckID": "pg-ttl", "TTL": "1h", "Status": "passing" }])),
            (
                "db",
                json!([{ "TTL": "1h", "Status": "passing" }, { "TTL": "2h", "Status": "passing" }]),
            ),
            ("foreign", json!([{ "CheckID": "foreign-check", "TTL": "1h", "Status": "passing" }])),
        ] {
            let service = json!({ "ID": id, "Name": id, "Port": 1, "Checks": checks });
            consul.register_foreign(&service).await;
        }
        consul.put("/v1/kv/shop/key", &json!("value")).await;
        let docker = FakeDocker::start(Activity::default());
        let good = json!({ "SERVICE_CHECKS": r#"[{"TTL":"1h","Status":"passing"}]"# });
        docker.set("good", Some(container("good", 0, &good)));
        let uri = format!("consul://{}", consul.addr());
        let mut args = vec!["run", "-ip", "127.0.0.1", "--hostname", "testhost"];
        args.extend(flags);
        args.push(&uri);
        let daemon = Daemon::start(&args, &[("DOCKER_HOST", &docker.host())]);
        let others =
            Others { services: Map::new(), checks: Map::new(), node: Value::Null, kv: Value::Null };
        let mut lab = Self { consul, docker, daemon, others };
        until(SOON, "the good one is registered", async || {
            match lab.ids().await.contains("testhost:good:80") {
                true => Ok(()),
                false => Err(lab.daemon.log()),
            }
        })
        .await;
        lab.others = lab.others().await;
        lab
    }

    /// What is not a hostile container's.
    async fn others(&self) -> Others {
        const OTHERS: [&str; 4] = ["postgres", "db", "foreign", "testhost:good:80"];
        let mut services = self.consul.services().await;
        services.retain(|id, _| OTHERS.contains(&id.as_str()));
        let mut checks = self.consul.checks().await;
        checks.retain(|_, check| {
            OTHERS.contains(&check["ServiceID"].as_str().unwrap_or_default())
                || check["ServiceID"] == ""
        });
        let mut node = self.consul.get("/v1/health/state/any").await;
        node.as_array_mut().expect("a list").retain(|check| check["ServiceID"] == "");
        node.as_array_mut().expect("a list").iter_mut().for_each(|check| {
            check.as_object_mut().expect("a check").remove("ModifyIndex");
        });
        Others { services, checks, node, kv: self.consul.get("/v1/kv/?recurse=true").await }
    }

    async fn ids(&self) -> BTreeSet<String> {
        self.consul.services().await.keys().cloned().collect()
    }

    /// The services of a container.
    async fn of(&self, id: &str) -> Vec<Value> {
        let services = self.consul.services().await;
        let is = |service: &Value| service["Meta"]["wharfinger-container"] == id;
        services.into_iter().map(|(_, service)| service).filter(is).collect()
    }

    fn start_container(&self, name: &str, inspected: Value) {
        let id = inspected["Id"].clone();
        self.docker.set(name, Some(inspected));
        self.docker.send(&event("start", &id));
    }

    fn end_container(&self, name: &str) {
        if let Some(inspected) = self.docker.inspected(name) {
            self.docker.set(name, None);
            self.docker.send(&event("die", &inspected["Id"]));
        }
    }

    /// Starts a container with these labels, waits until it is registered or the log says this of
    /// it, and takes it away again. The others are as they were, all the while.
    async fn suffer(&self, n: usize, labels: &Value, said: Option<&str>) {
        let name = format!("bad{n}");
        let lines = self.daemon.lines();
        let bad = container(&name, n, labels);
        let id = bad["Id"].as_str().expect("an ID").to_string();
        self.start_container(&name, bad);
        match said {
            Some(said) => drop(self.daemon.wait_for_log_after(lines, said, SOON).await),
            None => {
                until(SOON, format!("{labels} is registered"), async || {
                    match self.of(&id).await.len() {
                        0 => Err("it is not".to_string()),
                        _ => Ok(()),
                    }
                })
                .await;
            }
        }
        assert_eq!(self.others().await, self.others, "while {labels} runs");
        self.end_container(&name);
        until(SOON, format!("nothing is left of {labels}"), async || match self.of(&id).await {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        })
        .await;
        assert_eq!(self.others().await, self.others, "after {labels} has ended");
    }

    /// Starts a good container and says how long it takes until it is registered.
    async fn good(&self, n: usize) -> Duration {
        let name = format!("fine{n}");
        let began = Instant::now();
        self.start_container(&name, container(&name, 9_000 + n, &json!({})));
        let (service, container) = (format!("testhost:{name}:80"), id(9_001 + n));
        until(SOON, format!("{service} is registered"), async || match self.of(&container).await {
            found if found.iter().any(|one| one["ID"] == service.as_str()) => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
        began.elapsed()
    }
}

fn event(action: &str, id: &Value) -> Value {
    json!({ "Type": "container", "Action": action, "Actor": { "ID": id, "Attributes": {} } })
}

fn id(n: usize) -> String {
    format!("{n:064x}")
}

fn container(name: &str, n: usize, labels: &Value) -> Value {
    let port = (10_000 + n % 20_000).to_string();
    let ports = json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": port }] });
    inspected(name, &id(n + 1), labels, &json!([]), &ports)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_words_are_its_own_trouble() {
    let lab = Lab::start(&[]).await;
    let check = |id: &str| json!({ "SERVICE_CHECKS": format!(r#"[{{"TTL":"1h","CheckID":{}}}]"#, json!(id)) });
    let mut rows: Vec<Value> = [
        "post\tgres",
        "postgres\r",
        "post\u{7f}gres",
        "\u{7f}",
        "\u{85}",
        "\u{202e}",
        "\u{2028}",
        "a/../b",
        "a//b",
        "/a",
        ".",
        "..",
        "../../../../kv/shop/key",
        "testhost:go\nod:80",
        "testhost:good:80",
        "otherhost:good:80",
        "service:testhost:good:80",
        "_service_maintenance:testhost:good:80",
        "postgres%00",
        "consul",
    ]
    .iter()
    .map(|id| json!({ "SERVICE_ID": id }))
    .collect();
    rows.extend(
        [
            "serfHealth",
            "_node_maintenance",
            "_service_maintenance:postgres",
            "service:testhost:good:80",
            "pg-ttl",
            "pg\n-ttl",
            "service:db:1",
            "foreign-check",
        ]
        .map(check),
    );
    // The second check of `db`, by an ID that Consul makes.
    rows.push(json!({ "SERVICE_ID": "db:2", "SERVICE_CHECKS": r#"[{"TTL":"1h"}]"# }));
    rows.push(json!({
        "SERVICE_CHECKS": r#"[{"TTL":"1h","check_id":"serfHealth","ServiceID":"postgres"}]"#,
    }));
    rows.push(json!({ "SERVICE_WHARFINGER-CONTAINER": "x", "SERVICE_TAGS": "\u{1b}[2J,a\nb" }));
    rows.push(json!({ "SERVICE_NAME": "postgres\n2026-01-01T00:00:00Z ERROR forged" }));
    for (n, labels) in rows.iter().enumerate() {
        lab.suffer(n + 1, labels, None).await;
    }
    let took = lab.good(1).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let log = lab.daemon.log();
    assert!(
        !log.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR forged")),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_its_data_gets_everything_back() {
    let mut lab = Lab::start(&[]).await;
    for (n, bad) in ["\u{7f}", "a/../b", ".", "/a", "\u{2028}"].into_iter().enumerate() {
        let name = format!("bad{n}");
        lab.start_container(&name, container(&name, n + 1, &json!({ "SERVICE_ID": bad })));
    }
    let all =
        ["good", "bad0", "bad1", "bad2", "bad3", "bad4"].map(|name| format!("testhost:{name}:80"));
    let everything = async |lab: &Lab| {
        until(SOON, "all are registered", async || {
            let ids = lab.ids().await;
            let missing: Vec<_> = all.iter().filter(|id| !ids.contains(*id)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
        })
        .await;
    };
    everything(&lab).await;
    lab.consul.restart_empty().await;
    everything(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_asks_for_too_much_takes_no_memory() {
    let lab = Lab::start(&[]).await;
    let before = lab.daemon.memory_kib("VmHWM");
    let ports = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let check = format!(r#"{{"TTL":"1h","Notes":"{}"}}"#, "n".repeat(1_000));
    let checks = |count: usize| format!("[{}]", vec![check.as_str(); count].join(","));
    let rows = [
        (json!({ "wharfinger.port": ports(5_000), "SERVICE_CHECKS": checks(100) }), "limits.ports"),
        (json!({ "wharfinger.port": ports(900), "SERVICE_CHECKS": checks(60) }), "limits.bytes"),
        (json!({ "SERVICE_CHECKS": checks(100) }), "limits.checks"),
        (json!({ "SERVICE_TAGS": "a,".repeat(900_000) }), "limits.tags"),
        // Of still more Docker's answer is not read to its end.
        (json!({ "SERVICE_TAGS": "a,".repeat(3_500_000) }), "limits.bytes"),
        (json!({ "SERVICE_CHECKS": format!("[{}]", "{},".repeat(600_000)) }), "limits.checks"),
        (
            json!({ "SERVICE_CHECKS": format!("[{{\"TTL\":\"1h\",\"x\":[{}1]}}]", "[],".repeat(600_000)) }),
            "limits.bytes",
        ),
    ];
    for (n, (labels, said)) in rows.iter().enumerate() {
        let name = format!("bad{n}");
        let lines = lab.daemon.lines();
        let mut greedy = container(&name, n + 1, labels);
        greedy["HostConfig"]["NetworkMode"] = json!("host");
        lab.start_container(&name, greedy);
        let line = lab.daemon.wait_for_log_after(lines, &format!("({name}): "), SOON).await;
        assert!(line.contains(said), "{line:.1000}");
        assert!(line.len() < 2_000, "{} bytes", line.len());
    }
    let took = lab.good(1).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(lab.others().await, lab.others);
    let more = lab.daemon.memory_kib("VmHWM").saturating_sub(before);
    println!("{more} KiB more at the peak");
    assert!(more < 64 << 10, "{more} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_takes_too_long_holds_its_container_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    let many: Map<_, _> = (0..20_000).map(|n| (format!("label-{n}"), json!("x"))).collect();
    for (select, held) in [
        ("labels.all(a, labels.all(b, a != b || true))", true),
        ("labels.all(a, labels.exists(b, a == b))", true),
        ("labels.all(a, labels == labels)", true),
        ("size(labels.map(a, labels)) >= 0", true),
        ("!labels.exists(a, a.startsWith('none'))", false),
        ("!('none' in labels)", false),
    ] {
        let text = format!(
            "[containers]\nselect = \"{select}\"\n[[pipeline]]\nname = 'r'\nbuiltin = 'registrator'\n"
        );
        std::fs::write(&file, text).expect("it is written");
        let mut lab = Lab::start(&["--config", file.to_str().expect("a path")]).await;
        lab.start_container("many", container("many", 1, &Value::Object(many.clone())));
        let took = lab.good(1).await;
        assert!(took < Duration::from_secs(1), "{select}: {took:?}");
        if held {
            lab.daemon.wait_for_log("too costly", SOON).await;
            assert!(!lab.ids().await.contains("testhost:many:80"), "{select}");
        } else {
            until(SOON, format!("{select} lets it pass"), async || {
                let there = lab.ids().await.contains("testhost:many:80");
                if there { Ok(()) } else { Err(lab.daemon.log()) }
            })
            .await;
        }
        let began = Instant::now();
        assert!(lab.daemon.terminate().await.success());
        assert!(began.elapsed() < Duration::from_secs(5), "{select}: {:?}", began.elapsed());
    }
}

/// `WHARFINGER_GATE_CONTAINERS` and `WHARFINGER_GATE_SEED` make it more and others.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_hostile_containers_touch_nothing_and_leave_nothing() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = setting("WHARFINGER_GATE_CONTAINERS").unwrap_or(300);
    let seed = setting("WHARFINGER_GATE_SEED").unwrap_or(20_260_802);
    println!("seed {seed}");
    let count = usize::try_from(count).expect("a number");
    let lab = Lab::start(&[]).await;
    let mut hostile = Hostile::new(seed);
    // Beside those of the good ones.
    let id = |n: usize| id(n + 1_000_000);
    let ids: BTreeSet<_> = (1..=count).map(id).collect();
    let patience = SOON + Duration::from_millis(100) * u32::try_from(count).expect("a number");
    let (mut seen, mut most) = (0, 0);
    // A hundred at a time, and the next hundred while the last one ends.
    for batch in (1..=count).collect::<Vec<_>>().chunks(100) {
        for n in batch {
            let name = format!("bad{n}");
            lab.start_container(&name, hostile.inspected(&name, &id(*n)));
        }
        let looked = |n: &&usize| lab.docker.inspections(&id(**n)) > 0;
        until(patience, "all have been looked at", async || {
            match batch.iter().filter(looked).count() {
                looked if looked == batch.len() => Ok(()),
                looked => Err(format!("{looked} of {}", batch.len())),
            }
        })
        .await;
        let took = lab.good(batch[0]).await;
        lab.end_container(&format!("fine{}", batch[0]));
        println!("a good one beside {} is registered after {took:?}", batch.len());
        assert_eq!(lab.others().await, lab.others);
        let there = lab.consul.services().await;
        let ours = there.values().filter(|service| {
            ids.contains(service["Meta"]["wharfinger-container"].as_str().unwrap_or_default())
        });
        let ours = ours.count();
        (seen, most) = (seen + ours, most.max(ours));
        for n in batch {
            lab.end_container(&format!("bad{n}"));
        }
        assert_eq!(lab.others().await, lab.others);
    }
    let mut left = BTreeSet::new();
    until(patience, "nothing is left", async || {
        let known = ["postgres", "db", "foreign", "testhost:good:80"];
        left = lab.ids().await;
        left.retain(|id| !known.contains(&id.as_str()));
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    assert_eq!(lab.others().await, lab.others);
    println!("{count} containers, {seen} services seen, {most} at once; the catalog is as it was");
    assert!(seen > count / 2, "{seen}");
    let log = lab.daemon.log();
    assert!(!log.contains("panicked"), "{log}");
}
