//! A host whose containers are made up, with a real agent behind a proxy that counts.

use reqwest::Method;
use serde_json::{Value, json};

use std::time::Duration;

use crate::common::{
    consul::{self, Consul},
    daemon::Daemon,
    fake_docker::FakeDocker,
    http::Activity,
    proxy::Proxy,
    wait::until,
};

/// A host whose containers are made up, with a real agent behind a proxy that counts.
pub(crate) struct Lab {
    pub(crate) docker: FakeDocker,
    pub(crate) consul: Consul,
    pub(crate) proxy: Proxy,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let docker = FakeDocker::start(Activity::default());
        let consul = Consul::start(consul::Options::default()).await;
        let proxy = Proxy::start(&consul.addr()).await;
        Self { docker, consul, proxy }
    }

    /// A container in the host's network that serves on port 80, with these labels.
    pub(crate) fn start(&self, name: &str, number: usize, labels: &[(&str, &str)]) {
        self.start_on(80, name, number, labels);
    }

    /// The same on another port.
    pub(crate) fn start_on(&self, port: u16, name: &str, number: usize, labels: &[(&str, &str)]) {
        let ports = json!({ format!("{port}/tcp"): {} });
        let labels: Value =
            labels.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
        self.docker.set(
            name,
            Some(json!({
                "Id": format!("{number:064x}"),
                "Name": format!("/{name}"),
                "Created": "2026-01-01T00:00:00Z",
                "Image": "sha256:0",
                "State": { "Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:01Z" },
                "Config": {
                    "Image": "web:1", "Hostname": name, "ExposedPorts": ports, "Labels": labels,
                },
                "HostConfig": { "NetworkMode": "host" },
                "NetworkSettings": { "Ports": {}, "Networks": { "host": { "IPAddress": "" } } },
            })),
        );
    }

    pub(crate) fn event(&self, number: usize, action: &str) {
        self.docker.send(&json!({
            "Type": "container", "Action": action, "status": action, "id": format!("{number:064x}"),
            "Actor": { "ID": format!("{number:064x}"), "Attributes": {} }, "time": 1, "timeNano": 1,
        }));
    }

    pub(crate) fn daemon(&self, flags: &[&str], config: Option<&str>) -> Daemon {
        self.daemon_at("192.0.2.10", flags, config)
    }

    /// A daemon of a host with this address.
    pub(crate) fn daemon_at(&self, ip: &str, flags: &[&str], config: Option<&str>) -> Daemon {
        let uri = format!("consul://{}", self.proxy.addr());
        let folder = tempfile::tempdir().expect("a folder").keep();
        let file = folder.join("wharfinger.toml").display().to_string();
        let mut args = vec!["run", "-ip", ip, "--hostname", "h"];
        if let Some(config) = config {
            std::fs::write(&file, config).expect("the file is written");
            args.extend(["--config", &file]);
        }
        args.extend(flags);
        args.push(&uri);
        Daemon::start(&args, &[("DOCKER_HOST", &self.docker.host())])
    }

    pub(crate) async fn has(&self, ids: &[String], limit: Duration) {
        until(limit, format!("{} services", ids.len()), async || {
            let there = self.consul.services().await;
            let missing: Vec<_> = ids.iter().filter(|id| !there.contains_key(*id)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("without {missing:?}")) }
        })
        .await;
    }

    pub(crate) async fn remove(&self, path: &str) {
        self.consul.send(Method::PUT, path, &Value::Null).await.expect(path);
    }

    pub(crate) async fn register(&self, body: &Value) {
        let path = "/v1/agent/service/register";
        self.consul.send(Method::PUT, path, body).await.expect("a registration");
    }
}
