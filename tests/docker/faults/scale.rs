//! Many containers at once, and one that comes and goes.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use super::{
    fake::{FakeSink, container_id, inspected},
    lab::{HOST, Lab, SOON, daemon, ids, names, none},
};
use crate::common::{
    fake_docker::FakeDocker,
    http::Activity,
    wait::{holds, until},
};

/// How many the fake Docker has.
const MANY: usize = 5_000;

/// Three hundred are what a small machine carries on a real Docker: they share
/// the host's network, as a bridge of the tests has no more than 126 addresses.
#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_containers_in_a_burst_are_registered_once_each() {
    let lab = Lab::new().await;
    let containers = names("c", 300);
    let words = ["create", "--network=host", "--stop-signal=KILL", "--name"];
    lab.each(&words, &containers, &["web:1"]);
    let _daemon = lab.daemon(&[]).await;
    lab.each(&["start"], &containers, &[]);
    lab.sink.exactly(&ids(&containers), SOON).await;
    lab.sink.stays(&ids(&containers), Duration::from_secs(2)).await;
    lab.sink.assert_written_once(0, &ids(&containers), &none());
    lab.sink.assert_foreign_untouched().await;
}

/// Docker and Consul are fakes: the one says that the containers run, and sends
/// the events of each start as fast as they can be read; the other one is quicker
/// than the real, which takes a minute for so many.
#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_containers_in_a_burst_are_registered_once_each() {
    let docker = FakeDocker::start(Activity::default());
    let sink = FakeSink::start().await;
    let daemon = daemon(&docker.host(), &[], &sink.consul.uri(), &[]);
    daemon.wait_for_log("Syncing services on 0 containers", SOON).await;
    until(SOON, "the daemon listens", async || match docker.listeners() {
        0 => Err("nobody listens".into()),
        _ => Ok(()),
    })
    .await;
    let containers = names("c", MANY);
    for (number, name) in containers.iter().enumerate() {
        docker.set(name, Some(inspected(name, number, &[80])));
        for action in ["create", "start"] {
            docker.send(&json!({
                "Type": "container",
                "Action": action,
                "Actor": { "ID": container_id(number), "Attributes": { "name": name } },
            }));
        }
    }
    sink.exactly(&ids(&containers), Duration::from_secs(120)).await;
    let period = Duration::from_secs(2);
    holds(period, "no more writes", async || match sink.consul.count() {
        MANY => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
    sink.assert_registered_once(&ids(&containers));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lives_of_a_container_leave_no_stale_entry() {
    const LIVES: usize = 200;
    let lab = Lab::new().await;
    let _daemon = lab.daemon(&[]).await;
    let web = names("web", 1);
    lab.start(&web, &[]);
    for life in 0..LIVES {
        lab.docker.run(&["kill", "web0"]);
        lab.docker.run(&["start", "web0"]);
        if life % 50 == 49 {
            lab.sink.exactly(&ids(&web), SOON).await;
        }
    }
    lab.docker.run(&["kill", "web0"]);
    lab.sink.exactly(&BTreeSet::new(), SOON).await;
    lab.sink.stays(&none(), Duration::from_secs(2)).await;
    let (registered, deregistered) = lab.sink.written(0);
    assert!(registered.len() <= LIVES + 1, "{}", registered.len());
    assert!(deregistered.len() <= registered.len(), "{}", deregistered.len());
    let only = format!("{HOST}:web0:80");
    assert!(registered.iter().chain(&deregistered).all(|id| *id == only));
    lab.sink.assert_foreign_untouched().await;
}
