//! A component as a stage of the daemon, and the container that it is called for.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use globset::{Glob, GlobSet};
use wharfinger::{
    model::{
        container::{Container, ContainerId, ExposedPort, Health, Protocol, PublishedPort, State},
        host::{Compat, Host},
        service::Service,
    },
    pipeline::{AddressRules, Stage as _, candidates},
    stages::plugin::{ComponentSpec, ComponentStage, Grants, HostOptions, Limits, PluginHost},
};

/// A container's facts: 8 variables, 8 labels, 1 port.
const FACTS: usize = 8;

/// The component as a stage of the daemon.
pub(crate) struct Hosted {
    stage: ComponentStage,
    container: Container,
    host: Host,
    services: Vec<Service>,
}

impl Hosted {
    pub(crate) async fn load(file: &Path, settings: &str) -> Arc<Self> {
        let host = Arc::new(PluginHost::new(HostOptions::default()).expect("an engine"));
        let env = Glob::new("SERVICE_*").and_then(|glob| GlobSet::new([glob])).expect("a pattern");
        let spec = ComponentSpec {
            name: "stage".into(),
            file: file.into(),
            settings: settings.into(),
            limits: Limits::DEFAULT,
            grants: Grants { env, ..Grants::default() },
        };
        let stage = host.load(spec).await.expect("the component is right");
        let (container, host) = facts();
        let services = proposed(&container, &host);
        Arc::new(Self { stage, container, host, services })
    }

    pub(crate) async fn call(&self) {
        let called = self.stage.process(&self.container, &self.host, &self.services).await;
        called.result.expect("the stage decides");
    }

    /// How long a call takes, one after the other.
    pub(crate) async fn times(self: &Arc<Self>, count: usize) -> Vec<Duration> {
        let this = self.clone();
        let calls = tokio::spawn(async move {
            let mut times = Vec::with_capacity(count);
            for _ in 0..count {
                let began = Instant::now();
                this.call().await;
                times.push(began.elapsed());
            }
            times
        });
        calls.await.expect("they were made")
    }

    /// Make so many calls, eight at once.
    pub(crate) async fn bulk(self: &Arc<Self>, count: usize) {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let this = self.clone();
                tokio::spawn(async move {
                    for _ in 0..count / 8 {
                        this.call().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("they were made");
        }
    }
}

/// A container and its host.
pub(crate) fn facts() -> (Container, Host) {
    let host_port = 20_080;
    let numbered = |n: usize| (format!("SERVICE_FACT_{n}"), format!("value-{n}"));
    let mut labels: std::collections::BTreeMap<_, _> =
        (0..FACTS - 2).map(|n| (format!("org.example.label-{n}"), format!("value-{n}"))).collect();
    labels.insert("com.docker.compose.project".into(), "shop".into());
    labels.insert("SERVICE_REGION".into(), "eu-west".into());
    let container = Container {
        id: ContainerId(format!("{:064x}", 7).into()),
        name: "web".into(),
        image: "registry.local:5000/shop/web:1.2.3".into(),
        image_id: format!("sha256:{:064x}", 8),
        hostname: format!("{:012x}", 7),
        env: (0..FACTS).map(numbered).collect(),
        labels,
        exposed_ports: vec![ExposedPort { port: 80, protocol: Protocol::Tcp }],
        published_ports: vec![PublishedPort {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: "0.0.0.0".into(),
            host_port,
        }],
        pending_ports: Vec::new(),
        networks: Vec::new(),
        network_mode: "bridge".into(),
        network_peer: None,
        state: State::Running,
        exit_code: 0,
        health: Health::None,
        stop_signal: 15,
        created_at: "2026-11-22T17:32:50Z".into(),
        started_at: Some("2026-11-22T17:32:51Z".into()),
        attributes: Default::default(),
        setup: None,
        image_facts: None,
    };
    let host = Host {
        hostname: "host".into(),
        forced_address: Some("10.0.0.1".into()),
        resolved_address: None,
        internal: false,
        explicit: false,
        address_label: None,
        compat: Compat::None,
        flags: Default::default(),
        agent: None,
        engine: None,
    };
    (container, host)
}

/// What the container could offer.
pub(crate) fn proposed(container: &Container, host: &Host) -> Vec<Service> {
    let services = candidates(container, host, &AddressRules::default()).expect("right labels");
    assert_eq!(services.services.len(), 1);
    services.services
}
