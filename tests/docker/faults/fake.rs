//! For what a real Docker and a real Consul take too long: a Docker that says
//! what it is told to say, and an agent that keeps what is registered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::lab::{same, strangers};
use crate::common::{
    http::Activity,
    recording_consul::{RecordingConsul, Write},
    wait::until,
};

/// What `docker inspect` prints of a container in the host's network with these
/// ports, as far as the daemon reads it.
pub(super) fn inspected(name: &str, number: usize, ports: &[u16]) -> Value {
    let exposed: Map<_, _> = ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
    json!({
        "Id": container_id(number),
        "Name": format!("/{name}"),
        "Created": "2026-01-01T00:00:00Z",
        "Image": "sha256:0",
        "State": { "Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:01Z" },
        "Config": { "Image": "web:1", "Hostname": name, "ExposedPorts": exposed },
        "HostConfig": { "NetworkMode": "host" },
        "NetworkSettings": { "Ports": {}, "Networks": { "host": { "IPAddress": "" } } },
    })
}

/// The identifier of such a container.
pub(super) fn container_id(number: usize) -> String {
    format!("{number:064x}")
}

/// An agent, and on it services that are not the daemon's.
pub(super) struct FakeSink {
    pub(super) consul: RecordingConsul,
    foreign: BTreeMap<String, Value>,
}

impl FakeSink {
    pub(super) async fn start() -> Self {
        let consul = RecordingConsul::start(Activity::default(), Vec::new()).await;
        strangers().iter().for_each(|service| consul.put(service));
        let foreign = consul.services();
        Self { consul, foreign }
    }

    /// Wait until exactly these are registered, beside those of others.
    pub(super) async fn exactly(&self, expected: &BTreeSet<String>, limit: Duration) {
        until(limit, format!("exactly {} services", expected.len()), async || {
            let found = self.consul.ids().into_iter();
            same(&found.filter(|id| !self.foreign.contains_key(id)).collect(), expected)
        })
        .await;
    }

    /// Each of these was registered once, nothing else was written, and those of
    /// others are as they were.
    pub(super) fn assert_registered_once(&self, expected: &BTreeSet<String>) {
        let writes = self.consul.writes(0);
        let registered = writes.iter().map(|write| match write {
            Write::Register(id, _) => id.clone(),
            other => panic!("{other} was written"),
        });
        assert_eq!(registered.collect::<BTreeSet<_>>(), *expected);
        assert_eq!(writes.len(), expected.len());
        let services = self.consul.services();
        for (id, service) in &self.foreign {
            assert_eq!(services.get(id), Some(service));
        }
    }
}
