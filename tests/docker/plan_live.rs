//! Guarantee: what `plan` says is what the daemon does. On a real Docker and a real
//! Consul with 50 containers the bodies that were planned are the bodies that are
//! sent, to the byte, and afterwards there is nothing to do.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::{
    daemon::Daemon,
    lab::{HOST, IP, Lab, SOON, after_registrator},
    ports,
    proxy::{Kind, Proxy},
    wait::until,
};
use serde_json::{Value, json};

const CONTAINERS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(120);

/// The exit code of a plan and what it says.
async fn plan(lab: &Lab, config: &str, uri: &str) -> (Option<i32>, Value) {
    let args =
        ["plan", "--config", config, "--ip", IP, "--hostname", HOST, "--output", "json", uri];
    let mut child = Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())]);
    let status = child.wait(PATIENCE).await;
    let plan = serde_json::from_str(&child.stdout());
    (status.code(), plan.unwrap_or_else(|error| panic!("{error}: {}", child.log())))
}

/// What is planned: bodies by ID, IDs that go, and how many are vetoed.
fn planned(plan: &Value) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let containers = list(&plan["plan"]["containers"]);
    let mut writes: Vec<_> = containers.iter().flat_map(|one| list(&one["writes"])).collect();
    writes.extend(list(&plan["plan"]["dangling"]));
    let (mut bodies, mut gone) = (BTreeMap::new(), Vec::new());
    for write in writes {
        let id = write["id"].as_str().expect("an ID").to_string();
        match write["action"].as_str() {
            Some("register") => {
                bodies.insert(id, serde_json::to_vec(&write["body"]).expect("JSON"));
            }
            Some("deregister") => gone.push(id),
            other => panic!("{other:?}: {write}"),
        }
    }
    gone.sort();
    (bodies, gone)
}

/// Containers of many kinds: with tags, metadata and checks, with names and IDs of
/// their own, ignored ones, and some that the policy vetoes.
fn start(lab: &Lab) {
    let published = ports::free::<CONTAINERS>();
    for (n, port) in published.iter().enumerate() {
        let name = format!("c{n:02}");
        let publish = format!("{port}:80");
        let mut args = vec!["run", "-d", "--name", &name];
        if n % 10 != 9 {
            args.extend(["-p", publish.as_str()]);
        }
        args.extend(match n % 5 {
            0 => ["-e", "SERVICE_TAGS=a,b", "-l", "owner=ann"],
            1 => ["-e", "SERVICE_CHECK_TTL=30s", "-l", "owner=bob"],
            2 => ["-e", "SERVICE_80_NAME=of-port", "-l", "owner=eve"],
            3 => ["-e", "SERVICE_CHECK_SCRIPT=true", "-l", "owner=joe"],
            _ => ["-e", "SERVICE_REGION=eu", "-l", "somebody=none"],
        });
        if n % 7 == 6 {
            args.extend(["-e", "SERVICE_IGNORE=true"]);
        }
        if n % 3 == 1 {
            args.extend(["-l", "team=shop"]);
        }
        args.push("web:1");
        lab.docker.run(&args);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_what_happens_and_then_there_is_nothing_to_do() {
    let lab = Lab::new().await;
    start(&lab);
    // What a registrator left, in another form; what a daemon of this host left of a
    // container that is gone; and what is nobody's business here.
    let left = json!({ "ID": format!("{HOST}:c00:80"), "Name": "old", "Address": IP, "Port": 1 });
    let gone = json!({ "ID": "gone", "Name": "gone", "Meta": {
        "wharfinger-host": HOST, "wharfinger-container": "f".repeat(64) } });
    let foreign = json!({ "ID": "foreign", "Name": "db", "Address": "10.0.0.9", "Port": 5432 });
    for service in [&left, &gone, &foreign] {
        lab.consul.register_foreign(service).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wharfinger.toml");
    std::fs::write(&config, after_registrator("convention", "convention", "")).expect("a file");
    let config = config.to_str().expect("a path");
    let proxy = Proxy::start(&lab.consul.addr()).await;
    let uri = format!("consul://{}", proxy.addr());

    let (code, first) = plan(&lab, config, &uri).await;
    assert_eq!((code, proxy.count()), (Some(2), 0), "a plan writes nothing: {first:#}");
    let (bodies, removed) = planned(&first);
    assert_eq!(first["summary"]["adopt"], 1, "{:#}", first["summary"]);
    assert_eq!(removed, ["gone"]);
    assert!(bodies.len() > 20, "{}", bodies.len());
    assert!(first["summary"]["vetoed"].as_u64() > Some(3), "{:#}", first["summary"]);

    let args = ["run", "--config", config, "--ip", IP, "--hostname", HOST, uri.as_str()];
    let mut daemon = Daemon::start(&args, &[("DOCKER_HOST", &lab.docker.host())]);
    let writes = bodies.len() + removed.len();
    until(PATIENCE, format!("{writes} writes"), async || match proxy.count() {
        count if count >= writes => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
    // Containers whose ports come late may be looked at again; what is there then is
    // what was planned all the same.
    until(SOON, "nothing to do", async || match plan(&lab, config, &uri).await {
        (Some(0), _) => Ok(()),
        (code, plan) => Err(format!("{code:?}: {:#}", plan["summary"])),
    })
    .await;
    assert!(daemon.terminate().await.success(), "{}", daemon.log());

    let mut sent = BTreeMap::new();
    let mut deregistered = Vec::new();
    for write in proxy.writes(0) {
        assert_eq!(write.status, Some(200), "{:?}", write.kind);
        match write.kind {
            Kind::Register(id) => drop(sent.insert(id, write.body)),
            Kind::Deregister(id) => deregistered.push(id),
            Kind::Other(path) => panic!("nothing else was planned: {path}"),
        }
    }
    let text = |all: &BTreeMap<String, Vec<u8>>| -> BTreeMap<String, String> {
        let text = |body: &Vec<u8>| String::from_utf8_lossy(body).into_owned();
        all.iter().map(|(id, body)| (id.clone(), text(body))).collect()
    };
    assert_eq!(text(&sent), text(&bodies));
    assert_eq!(deregistered, removed);
    let (code, second) = plan(&lab, config, &uri).await;
    assert_eq!((code, planned(&second)), (Some(0), (BTreeMap::new(), Vec::new())));
    assert!(lab.consul.services().await.contains_key("foreign"));
}
