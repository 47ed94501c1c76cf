//! Guarantee: the daemon takes over from registrator without a gap. What
//! registrator has registered is adopted in place, never taken out in between,
//! and what others have registered stays as it is.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    dockerd::Dockerd,
    ports,
    wait::until,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const WATCH: Duration = Duration::from_millis(20);
const HOST: &str = "testhost";
const IP: &str = "192.0.2.10";
const COUNT: usize = 50;

/// A service as registrator registers it: without a mark.
fn original(id: &str, port: u16) -> Value {
    json!({"ID": id, "Name": "web", "Address": IP, "Port": port, "Tags": [], "Meta": {}})
}

/// Ask for the agent's services again and again until `stop`, and count how
/// often it answered. The error says what was missing.
async fn watch(
    address: String,
    ids: BTreeSet<String>,
    stop: Arc<AtomicBool>,
) -> Result<u32, String> {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let url = format!("http://{address}/v1/agent/services");
    let mut looks = 0;
    let mut clock = tokio::time::interval(WATCH);
    while !stop.load(Ordering::Relaxed) {
        clock.tick().await;
        let answer = client.get(&url).send().await.map_err(|error| format!("{error:?}"))?;
        let services: serde_json::Map<String, Value> =
            answer.json().await.map_err(|error| format!("{error:?}"))?;
        looks += 1;
        let missing: Vec<_> = ids.iter().filter(|id| !services.contains_key(*id)).collect();
        if !missing.is_empty() {
            return Err(format!("look {looks}: missing are {missing:?}"));
        }
    }
    Ok(looks)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_services_are_adopted_without_a_gap() {
    let docker = Dockerd::start().await;
    docker.import_busybox("web:1", &["CMD [\"sleep\",\"100000\"]", "EXPOSE 80"]);
    let consul = Consul::start(consul::Options::default()).await;
    let ports = ports::free::<COUNT>();
    let ids: Vec<_> = (0..COUNT).map(|n| format!("{HOST}:c{n}:80")).collect();
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (docker, ports) = (&docker, &ports);
            scope.spawn(move || {
                for n in (start..COUNT).step_by(4) {
                    let (name, publish) = (format!("c{n}"), format!("{}:80", ports[n]));
                    docker.run(&["run", "-d", "--name", &name, "-p", &publish, "web:1"]);
                }
            });
        }
    });
    for (id, port) in ids.iter().zip(ports) {
        consul.register_foreign(&original(id, port)).await;
    }
    let others = [
        json!({"ID": "manual", "Name": "web", "Port": 1}),
        json!({"ID": "testhost:byhand:80", "Name": "byhand", "Port": 80}),
        json!({"ID": "otherhost:c1:80", "Name": "web", "Address": IP, "Port": 80,
            "Meta": {"wharfinger-host": "otherhost", "wharfinger-container": "0"}}),
    ];
    for service in &others {
        consul.register_foreign(service).await;
    }
    let before = consul.services().await;
    assert_eq!(before.len(), COUNT + others.len());

    let stop = Arc::new(AtomicBool::new(false));
    let all = ids.iter().cloned().collect();
    let watcher = tokio::spawn(watch(consul.addr(), all, stop.clone()));
    let uri = format!("consul://{}", consul.addr());
    let args = ["-ip", IP, "-hostname", HOST, "-resync", "1", &uri];
    let mut daemon = Daemon::start(&args, &[("DOCKER_HOST", &docker.host())]);
    let after = until(SOON, "all carry the mark", async || {
        let services = consul.services().await;
        let marked = |id: &&String| services[*id]["Meta"]["wharfinger-host"] == HOST;
        let count = ids.iter().filter(marked).count();
        if count == COUNT { Ok(services) } else { Err(format!("{count} of {COUNT}")) }
    })
    .await;
    // The daemon says so a moment after it is done.
    until(SOON, "all adoptions are in the log", async || {
        let count = daemon.log().lines().filter(|line| line.contains("adopted: ")).count();
        if count == COUNT { Ok(()) } else { Err(format!("{count} of {COUNT}")) }
    })
    .await;
    // A resync later nothing else has been done.
    let seen = daemon.lines();
    for _ in 0..2 {
        let seen = daemon.lines();
        daemon.wait_for_log_after(seen, "Syncing services on 50 containers", SOON).await;
    }
    stop.store(true, Ordering::Relaxed);
    let looks = watcher.await.expect("the watcher ends").expect("no gap");
    assert!(looks > 20, "{looks}");

    let log = daemon.log();
    assert_eq!(log.lines().filter(|line| line.contains("adopted: ")).count(), COUNT, "{log}");
    let later: Vec<_> = log.lines().skip(seen).collect();
    for word in ["added", "adopted", "changed", "removed"] {
        assert!(!later.iter().any(|line| line.contains(&format!("{word}: "))), "{later:?}");
    }
    for (id, port) in ids.iter().zip(ports) {
        let service = &after[id];
        let place = (&service["Service"], &service["Address"], &service["Port"]);
        assert_eq!(place, (&json!("web"), &json!(IP), &json!(port)), "{id}");
    }
    let end = consul.services().await;
    assert_eq!(end.len(), before.len());
    for service in &others {
        let id = service["ID"].as_str().expect("an ID");
        assert_eq!(end[id], before[id]);
    }
    assert!(daemon.terminate().await.success());
    assert_eq!(consul.services().await, end);
}
