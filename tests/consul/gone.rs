//! What is gone without the daemon's doing is registered again within seconds, without a resync
//! and without a look at anything else: a service, its checks, a TTL check that is reported
//! to. And one service that is not as others are keeps none of them from that.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    common::{
        daemon::Daemon,
        http::{self, Answer},
        proxy::Kind,
        wait::until,
    },
    lab::Lab,
};

const SOON: Duration = Duration::from_secs(30);
/// docs/operations.md's times, and a busy machine's.
const SERVICES: Duration = Duration::from_secs(10);
const CHECKS: Duration = Duration::from_secs(20);

/// The IDs that the daemon has registered since so many writes; it did nothing else.
fn registered(lab: &Lab, skip: usize) -> Vec<String> {
    let id = |write: crate::common::proxy::Write| match write.kind {
        Kind::Register(id) => id,
        other => panic!("{other:?}"),
    };
    lab.proxy.writes(skip).into_iter().map(id).collect()
}

fn ids(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(|number| format!("h:c{number}:80")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_or_check_that_is_gone_is_registered_again_and_nothing_else_is() {
    let lab = Lab::new().await;
    let start = |number: usize| {
        let labels: &[_] = match number {
            0..5 => &[("SERVICE_CHECK_TTL", "60s")],
            5..10 => &[("SERVICE_CHECK_TCP", "true"), ("SERVICE_CHECK_INTERVAL", "60s")],
            _ => &[],
        };
        lab.start(&format!("c{number}"), number, labels);
    };
    start(0);
    // Others register what this daemon would not, and what it cannot ask for.
    lab.register(&json!({ "ID": "odd", "Name": "odd", "Port": 70000 })).await;
    lab.register(&json!({ "ID": "negative", "Name": "odd", "Port": -1 })).await;
    let marks = json!({ "wharfinger-host": "h", "wharfinger-container": "f".repeat(64) });
    let strange = ["a\tb", "..", "x//y", "\u{2028}"];
    for id in strange {
        lab.register(&json!({ "ID": id, "Name": "strange", "Meta": marks })).await;
    }
    let daemon = lab.daemon(&[], None);
    // What was written first is looked up every other second, and if it is gone, all is read.
    lab.has(&ids(0..1), SOON).await;
    for number in 1..20 {
        start(number);
        lab.event(number, "start");
    }
    lab.has(&ids(0..20), SOON).await;
    daemon.wait_for_log("cannot be asked for", SOON).await;
    let written = lab.proxy.count();
    let inspected = lab.docker.inspections(&format!("{:064x}", 1));

    // One of many, and not the one that was sent first.
    for number in [12, 7, 19] {
        let before = lab.proxy.count();
        lab.remove(&format!("/v1/agent/service/deregister/h:c{number}:80")).await;
        let start = Instant::now();
        lab.has(&ids(number..=number), SERVICES).await;
        println!("a service was there again after {:?}", start.elapsed());
        assert_eq!(registered(&lab, before), ids(number..=number));
    }
    // Its checks, of two kinds.
    for number in [3, 8] {
        let (check, before) = (format!("service:h:c{number}:80"), lab.proxy.count());
        lab.remove(&format!("/v1/agent/check/deregister/{check}")).await;
        let start = Instant::now();
        until(CHECKS, "the check is there", async || {
            let checks = lab.consul.checks().await;
            checks.get(&check).map(drop).ok_or(format!("{:?}", checks.keys()))
        })
        .await;
        println!("a check was there again after {:?}", start.elapsed());
        assert_eq!(registered(&lab, before), ids(number..=number));
    }
    // One removed and another one put in its place: the count stays the same.
    let before = lab.proxy.count();
    lab.remove("/v1/agent/service/deregister/h:c15:80").await;
    lab.register(&json!({ "ID": "theirs", "Name": "theirs" })).await;
    lab.has(&ids(15..16), SERVICES).await;
    assert_eq!(registered(&lab, before), ids(15..16));

    // Nothing else was looked at or written, and what is others' is as it was.
    assert_eq!(lab.docker.inspections(&format!("{:064x}", 1)), inspected);
    assert_eq!(lab.proxy.count() - written, 6);
    let services = lab.consul.services().await;
    for id in strange.into_iter().chain(["odd", "negative", "theirs"]) {
        assert!(services.contains_key(id), "{id:?}");
    }
    let log = daemon.log();
    let said = log.lines().filter(|line| line.contains("cannot be asked for")).count();
    assert_eq!(said, strange.len(), "{log}");
}

/// An agent that refuses a field is given the service without it, and what it was not given it
/// does not lack, whoever has registered it.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_the_agent_does_not_take_is_not_missed() {
    let lab = Lab::new().await;
    let newer = r#"{"H2PING": "192.0.2.10:80", "Interval": "60s"}"#;
    let both = format!(r#"[{newer}, {{"TTL": "60s"}}]"#);
    lab.start("c0", 0, &[("SERVICE_CHECKS", &format!("[{newer}]"))]);
    lab.start("c1", 1, &[("SERVICE_CHECKS", &both)]);
    lab.start("c2", 2, &[("SERVICE_CHECK_TTL", "60s")]);
    let look_twice = Duration::from_secs(25);
    for written in [3, 0] {
        let before = lab.proxy.writes(0).len();
        let daemon = lab.daemon(&[], None);
        lab.has(&ids(0..3), SOON).await;
        tokio::time::sleep(look_twice).await;
        let log = daemon.log();
        assert!(!log.contains("taken out its checks"), "{log}");
        let writes = lab.proxy.writes(before);
        // Of those two the agent refuses the whole first.
        assert_eq!(writes.len(), if written > 0 { written + 2 } else { 0 }, "{writes:?}");
        let checks = lab.consul.checks().await;
        for check in ["h:c1:80:2", "service:h:c2:80"] {
            assert!(checks.keys().any(|id| id.contains(check)), "{check}: {:?}", checks.keys());
        }
    }
    // The one that it has is missed.
    let daemon = lab.daemon(&[], None);
    lab.has(&ids(0..3), SOON).await;
    daemon.wait_for_log("Listening for Docker events", SOON).await;
    let checks = lab.consul.checks().await;
    let check = checks.keys().find(|id| id.contains("h:c1:80:2")).expect("it is there").clone();
    lab.remove(&format!("/v1/agent/check/deregister/{check}")).await;
    until(CHECKS, "the check is there", async || {
        let checks = lab.consul.checks().await;
        checks.get(&check).map(drop).ok_or(format!("{:?}", checks.keys()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ttl_check_that_is_reported_to_is_registered_again_when_it_is_gone() {
    let lab = Lab::new().await;
    for number in 0..3 {
        lab.start(&format!("c{number}"), number, &[("SERVICE_CHECK_TTL", "3s")]);
    }
    let config = "[lifecycle]\nheartbeat = true\n[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";
    let _daemon = lab.daemon(&[], Some(config));
    lab.has(&ids(0..3), SOON).await;
    let passing = async |limit: Duration| {
        until(limit, "all checks pass", async || {
            let checks = lab.consul.checks().await;
            let passing = checks.values().filter(|check| check["Status"] == "passing").count();
            if passing == 3 { Ok(()) } else { Err(format!("{checks:?}")) }
        })
        .await;
    };
    passing(SOON).await;
    let check = "/v1/agent/check/deregister/service:h:c1:80";
    for path in [check, "/v1/agent/service/deregister/h:c2:80"] {
        lab.remove(path).await;
        // A report is made once a second.
        let start = Instant::now();
        passing(Duration::from_secs(8)).await;
        println!("{path}: passing again after {:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_forgets_has_everything_again_although_one_id_cannot_be_looked_up() {
    let mut lab = Lab::new().await;
    for number in 0..5 {
        lab.start(&format!("c{number}"), number, &[]);
    }
    // The agent's Unicode does not know this letter, and the daemon's does.
    lab.start("new", 100, &[("SERVICE_ID", "h:\u{1F6D8}:80")]);
    let marks = json!({ "wharfinger-host": "h", "wharfinger-container": format!("{:064x}", 200) });
    lab.register(&json!({ "ID": "gone\u{1F6D8}", "Name": "x", "Meta": marks })).await;
    let daemon = lab.daemon(&[], None);
    lab.has(&ids(0..5), SOON).await;
    lab.consul.restart_empty().await;
    let start = Instant::now();
    lab.has(&ids(0..5), Duration::from_secs(10)).await;
    println!("everything was there again after {:?}", start.elapsed());
    // What starts afterwards is not kept waiting.
    lab.start("c5", 5, &[]);
    lab.event(5, "start");
    lab.has(&ids(5..6), Duration::from_secs(5)).await;
    drop(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_consul_itself_has_removed_is_registered_again() {
    let lab = Lab::new().await;
    // Nothing listens there, and no shorter time is taken.
    let failing = [
        ("SERVICE_CHECK_TCP", "true"),
        ("SERVICE_CHECK_INTERVAL", "1s"),
        ("SERVICE_CHECK_DEREGISTER_AFTER", "1m"),
    ];
    lab.start("c0", 0, &[]);
    lab.start("c1", 1, &failing);
    let _daemon = lab.daemon(&[], None);
    lab.has(&ids(0..2), SOON).await;
    let written = lab.proxy.count();
    until(Duration::from_secs(180), "Consul removes it", async || {
        let there = lab.consul.services().await.contains_key("h:c1:80");
        let again = lab.proxy.count() > written;
        if again || !there { Ok(()) } else { Err("it is there".into()) }
    })
    .await;
    lab.has(&ids(0..2), SERVICES).await;
    assert_eq!(registered(&lab, written), ids(1..2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_is_set_again() {
    let lab = Lab::new().await;
    for number in 0..5 {
        lab.start(&format!("c{number}"), number, &[]);
    }
    let uri = format!("consulkv://{}/services", lab.proxy.addr());
    let args = ["-ip", "192.0.2.10", "--hostname", "h", uri.as_str()];
    let _daemon = Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())]);
    let keys = async |count: usize, limit: Duration| {
        until(limit, format!("{count} keys"), async || {
            let keys = lab.consul.send(Method::GET, "/v1/kv/services/?keys", &Value::Null).await;
            let found = keys.clone().unwrap_or_default().as_array().map_or(0, Vec::len);
            if found == count { Ok(()) } else { Err(format!("{keys:?}")) }
        })
        .await;
    };
    keys(5, SOON).await;
    let written = lab.proxy.count();
    let key = "/v1/kv/services/web/h:c3:80";
    lab.consul.send(Method::DELETE, key, &Value::Null).await.expect("it is deleted");
    keys(5, Duration::from_secs(12)).await;
    assert_eq!(lab.proxy.count() - written, 1);
}

/// What becomes of lookups of one ID.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Status(u16),
    Hang,
}

/// Before an agent, a server that has trouble with the lookups of one service.
async fn troubled(
    agent: String,
    id: &'static str,
) -> (String, std::sync::Arc<std::sync::Mutex<Trouble>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    let trouble = std::sync::Arc::new(std::sync::Mutex::new(Trouble::None));
    let mode = trouble.clone();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (agent, mode, client) = (agent.clone(), mode.clone(), client.clone());
            tokio::spawn(async move {
                let Some(request) = http::read(&mut stream).await else { return };
                let looked_up = request.path.strip_prefix("/v1/agent/service/") == Some(id);
                let trouble = *mode.lock().expect("the mode");
                let answer = match trouble {
                    Trouble::Hang if looked_up => return std::future::pending().await,
                    Trouble::Status(status) if looked_up => {
                        Answer::Text(status, "not this one".into())
                    }
                    _ => {
                        let method = request.method.parse().expect("a method");
                        let url = format!("http://{agent}{}", request.target);
                        let sent = client.request(method, url).body(request.body).send().await;
                        // The agent may be away.
                        let Ok(answer) = sent else { return };
                        let status = answer.status().as_u16();
                        Answer::Text(status, answer.text().await.unwrap_or_default())
                    }
                };
                http::send(&mut stream, &answer).await;
            });
        }
    });
    (address, trouble)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trouble_of_one_id_is_its_own() {
    for way in [Trouble::Status(400), Trouble::Status(500), Trouble::Hang] {
        let mut lab = Lab::new().await;
        lab.start("c0", 0, &[]);
        let (address, trouble) = troubled(lab.consul.addr(), "h:c0:80").await;
        let uri = format!("consul://{address}");
        let args = ["-ip", "192.0.2.10", "--hostname", "h", uri.as_str()];
        let daemon = Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())]);
        // The oldest one is the one by which a loss of everything is seen.
        lab.has(&ids(0..1), SOON).await;
        for number in 1..5 {
            lab.start(&format!("c{number}"), number, &[]);
            lab.event(number, "start");
        }
        lab.has(&ids(0..5), SOON).await;
        *trouble.lock().expect("the mode") = way;
        lab.remove("/v1/agent/service/deregister/h:c3:80").await;
        let start = Instant::now();
        lab.has(&ids(3..4), Duration::from_secs(25)).await;
        println!("{way:?}: one was there again after {:?}", start.elapsed());
        lab.consul.restart_empty().await;
        let start = Instant::now();
        lab.has(&ids(1..5), Duration::from_secs(25)).await;
        println!("{way:?}: the others were there again after {:?}", start.elapsed());
        *trouble.lock().expect("the mode") = Trouble::None;
        lab.has(&ids(0..5), Duration::from_secs(25)).await;
        drop(daemon);
    }
}

/// A thousand services cost next to nothing while nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn the_watch_of_a_thousand_services_costs_a_few_small_reads() {
    let lab = Lab::new().await;
    for number in 0..1000 {
        lab.start(&format!("c{number}"), number, &[("SERVICE_CHECK_TTL", "1h")]);
    }
    let daemon = lab.daemon(&[], None);
    lab.has(&ids(0..1000), Duration::from_secs(120)).await;
    // The last list follows the last change of the catalog.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (reads, cpu, written) = (lab.proxy.reads(), ticks(&daemon), lab.proxy.count());
    let period = Duration::from_secs(40);
    tokio::time::sleep(period).await;
    let (reads, cpu) = (lab.proxy.reads() - reads, ticks(&daemon) - cpu);
    let share = cpu as f64 / 100.0 / period.as_secs_f64();
    let percent = share * 100.0;
    println!("{reads} reads and {percent:.3} % of a core in {period:?}, Docker's list included");
    assert_eq!(lab.proxy.count(), written);
    // A lookup every two seconds, an index every four and every ten, and every five the
    // services of other daemons on this agent.
    assert!(reads <= 20 + 10 + 4 + 8 + 6, "{reads} reads");
    assert!(share < 0.01, "{share}");
    let before = lab.proxy.count();
    lab.remove("/v1/agent/service/deregister/h:c777:80").await;
    let start = Instant::now();
    lab.has(&ids(777..778), SERVICES).await;
    println!("one of a thousand was there again after {:?}", start.elapsed());
    assert_eq!(registered(&lab, before), ids(777..778));
}

/// The time that a process has used, in hundredths of a second.
fn ticks(daemon: &Daemon) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("a process");
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}
