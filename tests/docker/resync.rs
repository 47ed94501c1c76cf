//! A resync costs what has changed: one list and one read tell that the rest is as it was. What no
//! event told is found by the list.

use std::time::Duration;

use crate::common::{
    docker_proxy::DockerProxy,
    lab::{Lab, SOON},
    ports,
    wait::until,
};

const BUILTIN: &str = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";

/// Waits for so many lists that the engine was asked for after so many requests, and returns the
/// containers that were looked at meanwhile, by the beginning of their identifiers, sorted, each
/// once.
async fn looked_at(proxy: &DockerProxy, skip: usize, lists: usize) -> Vec<String> {
    until(SOON, format!("{lists} lists"), async || {
        let requests = proxy.requests(skip);
        let listed = requests.iter().filter(|path| path.starts_with("containers/json")).count();
        if listed >= lists { Ok(()) } else { Err(format!("{requests:?}")) }
    })
    .await;
    let inspected = proxy.requests(skip).into_iter().filter_map(|path| {
        let id = path.strip_prefix("containers/")?.strip_suffix("/json?size=false")?;
        Some(id[..12].to_string())
    });
    let mut inspected: Vec<_> = inspected.collect();
    inspected.sort();
    inspected.dedup();
    inspected
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resync_looks_at_what_has_changed() {
    let lab = Lab::new().await;
    let proxy = DockerProxy::start(lab.docker.socket());
    lab.docker.run(&["network", "create", "shop"]);
    let [twice] = ports::free::<1>();
    let twice = format!("127.0.0.1:{twice}:80");
    let health = ["--health-cmd=true", "--health-interval=1s", "--health-start-period=30s", "-P"];
    let rows: &[(&str, &[&str])] = &[
        ("plain", &["-P"]),
        ("labelled", &["-P", "-l", "a=b (healthy)", "-l", "c=", "-e", "SERVICE_NAME=shop"]),
        ("in-network", &["-P", "--network", "shop", "--network-alias", "front"]),
        ("twice", &["-P", "-p", &twice]),
        ("of-the-host", &["--network", "host"]),
        ("without", &["--network", "none"]),
        ("healthy", &health),
        ("shares", &["--network", "container:plain"]),
        ("linked", &["-P", "--link", "plain:other"]),
        ("exposes", &["-P", "--expose", "9000"]),
    ];
    let mut ids = Vec::new();
    for (name, args) in rows {
        ids.push(lab.start(name, args)[..12].to_string());
    }
    until(SOON, "it is healthy", async || {
        let state = lab.docker.inspect("healthy")["State"]["Health"]["Status"].clone();
        if state == "healthy" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    let (_daemon, _folder) = lab.configured_at(&proxy.host(), BUILTIN, &["--resync", "2"]);
    lab.service("testhost:healthy:80").await;
    lab.service("testhost:linked:80").await;
    // The looks of the start, and of what the first of them left to do.
    tokio::time::sleep(Duration::from_secs(3)).await;

    let before = proxy.requests(0).len();
    let inspected = looked_at(&proxy, before, 3).await;
    assert_eq!(inspected, [""; 0], "{ids:?}");

    // No event comes through any more.
    proxy.silence_streams();
    let before = proxy.requests(0).len();
    lab.docker.run(&["rename", "plain", "renamed"]);
    lab.docker.run(&["network", "disconnect", "shop", "in-network"]);
    lab.docker.run(&["kill", "twice"]);
    lab.service("testhost:renamed:80").await;
    until(SOON, "the dead one's service is gone", async || {
        let services = lab.consul.services().await;
        if services.contains_key("testhost:twice:80") {
            Err("it is there".to_string())
        } else {
            Ok(())
        }
    })
    .await;
    let inspected = looked_at(&proxy, before, 3).await;
    let mut expected = [0, 2, 3].map(|row: usize| ids[row].clone());
    expected.sort();
    assert_eq!(inspected, expected, "{ids:?}");

    // What somebody else has taken out is looked at, and comes back.
    let before = proxy.requests(0).len();
    lab.consul.deregister("testhost:linked:80").await;
    lab.service("testhost:linked:80").await;
    let mut inspected = looked_at(&proxy, before, 2).await;
    // Of what was disconnected it is awaited for a while that its port is published again.
    inspected.retain(|id| *id != ids[2]);
    assert_eq!(inspected, [ids[8].clone()]);
}
