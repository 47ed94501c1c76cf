//! The loop's requests to a registry while nothing changes, over an hour of simulated time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    docker::{HttpGet, Recorded, Tags},
    reconcile::{Answered, Operation, Options, Reconciler},
    registry::Memory,
    stages::loader::Stages,
};

/// Containers that are recorded in a file.
fn containers(folder: &std::path::Path, count: usize) -> std::path::PathBuf {
    let all = (1..=count).map(|n| {
        json!({
            "Id": format!("{n:064x}"), "Name": format!("/c{n}"), "Created": "2026-01-01T00:00:00Z",
            "Image": "sha256:0",
            "State": { "Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:01Z" },
            "Config": {
                "Image": "web:1", "Hostname": format!("c{n}"), "Labels": {},
                "ExposedPorts": { format!("{}/tcp", 8000 + n): {} },
            },
            "HostConfig": { "NetworkMode": "host" },
            "NetworkSettings": { "Ports": {}, "Networks": { "host": { "IPAddress": "" } } },
        })
    });
    let file = folder.join("containers.json");
    let text = serde_json::Value::from(all.collect::<Vec<_>>()).to_string();
    std::fs::write(&file, text).expect("it is written");
    file
}

#[tokio::test(start_paused = true)]
async fn an_idle_hour_writes_nothing_beyond_its_first_minute() {
    const COUNT: usize = 10;
    let folder = tempfile::tempdir().expect("a folder");
    let tags = Tags::parse("", HttpGet::Forbidden).expect("no tags");
    let source = Recorded::read(&[containers(folder.path(), COUNT)], &tags).expect("containers");
    let pipeline = Stages::default().load(&Config::default()).await.expect("a pipeline");
    let host = serde_json::from_value(json!({
        "hostname": "h", "forced_address": "192.0.2.1", "resolved_address": null, "internal": false,
        "explicit": false, "address_label": null, "compat": "none", "flags": {},
    }));
    let options = Options { resync: Some(Duration::from_secs(60)), ..Options::default() };
    let host = host.expect("a host");
    let registry = Arc::new(Memory::default());
    let reconciler = Reconciler::new(Arc::new(source), registry, pipeline, host, options);
    let (handle, stop) = (reconciler.handle(), CancellationToken::new());
    let stopping = stop.clone();
    let running = tokio::spawn(async move { reconciler.run(stopping).await });
    let writes = async || handle.seen().await.expect("it runs").counts.writes;
    sleep(Duration::from_secs(60)).await;
    let first = writes().await;
    let registered = [((Operation::Register, Answered::Ok), COUNT as u64)];
    assert_eq!(first, BTreeMap::from(registered));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(writes().await, first);
    stop.cancel();
    running.await.expect("it ends");
}
