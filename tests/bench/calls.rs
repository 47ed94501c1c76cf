//! A stage's call, as the daemon makes it and as the engine alone would: the same component, the same
//! payload, an instance of its own from a pool.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use globset::{Glob, GlobSet};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, HasSelf, Linker},
};
use wharfinger::{
    model::{
        container::{Container, ContainerId, ExposedPort, Health, Protocol, PublishedPort, State},
        host::{Compat, Host},
        service::Service,
    },
    pipeline::{AddressRules, Stage as _, candidates},
    stages::plugin::{ComponentSpec, ComponentStage, Grants, HostOptions, Limits, PluginHost},
};

use bindings::{
    StageComponent, StageComponentPre,
    wharfinger::pipeline::{logging, types},
};

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({ path: "wit/v0.1.0", world: "stage-component" });
}

/// A container's facts: 8 variables, 8 labels, 1 port.
const FACTS: usize = 8;

/// What the engine alone needs of a host: nothing.
struct Nobody;

impl logging::Host for Nobody {
    fn log(&mut self, _level: logging::Level, _message: String) {}
}

impl types::Host for Nobody {}

/// A component in an engine of its own, with nothing around it.
pub(crate) struct Alone {
    linked: StageComponentPre<Nobody>,
    settings: String,
    container: types::Container,
    host: types::HostFacts,
    services: Vec<types::Service>,
}

impl Alone {
    pub(crate) fn load(file: &Path, settings: &str) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        // What an operator who knows the engine would say of small guests.
        pool.linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config.concurrency_support(false);
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, fs::read(file)?)?;
        let mut linker = Linker::new(&engine);
        StageComponent::add_to_linker::<_, HasSelf<_>>(&mut linker, |nobody| nobody)?;
        let linked = StageComponentPre::new(linker.instantiate_pre(&component)?)?;
        let (container, host) = facts();
        let services = proposed(&container, &host).iter().map(service).collect();
        let container = self::container(&container);
        let host = types::HostFacts {
            hostname: host.hostname,
            address: host.forced_address,
            flags: Vec::new(),
            attributes: Vec::new(),
        };
        Ok(Self { linked, settings: settings.into(), container, host, services })
    }

    /// One call in an instance of its own.
    pub(crate) fn call(&self) {
        let mut store = Store::new(self.linked.engine(), Nobody);
        let instance = self.linked.instantiate(&mut store).expect("an instance");
        let stage = instance.wharfinger_pipeline_stage();
        stage
            .call_process(&mut store, &self.settings, &self.container, &self.host, &self.services)
            .expect("the guest runs")
            .expect("the stage decides");
    }

    /// How long a call takes.
    pub(crate) fn times(&self, count: usize) -> Vec<Duration> {
        let time = |_| {
            let began = Instant::now();
            self.call();
            began.elapsed()
        };
        (0..count).map(time).collect()
    }
}

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
fn facts() -> (Container, Host) {
    let host_port = 20_080;
    let numbered = |n: usize| (format!("SERVICE_FACT_{n}"), format!("value-{n}"));
    let mut labels: std::collections::BTreeMap<_, _> =
        (0..FACTS - 2).map(|n| (format!("org.example.label-{n}"), format!("value-{n}"))).collect();
    labels.insert("com.docker.compose.project".into(), "shop".into());
    labels.insert("SERVICE_REGION".into(), "eu-west".into());
    let container = Container {
        id: ContainerId(format!("{:064x}", 7)),
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

fn proposed(container: &Container, host: &Host) -> Vec<Service> {
    let services = candidates(container, host, &AddressRules::default()).expect("right labels");
    assert_eq!(services.services.len(), 1);
    services.services
}

fn attribute((key, value): (&String, &String)) -> types::Attribute {
    types::Attribute { key: key.clone(), value: value.clone() }
}

fn published(port: &PublishedPort) -> types::PublishedPort {
    types::PublishedPort {
        container_port: port.container_port,
        protocol: types::Protocol::Tcp,
        host_ip: port.host_ip.clone(),
        host_port: port.host_port,
    }
}

fn container(it: &Container) -> types::Container {
    types::Container {
        id: it.id.0.clone(),
        name: it.name.clone(),
        image: it.image.clone(),
        image_id: it.image_id.clone(),
        hostname: it.hostname.clone(),
        env: it.env.iter().map(|(key, value)| attribute((key, value))).collect(),
        labels: it.labels.iter().map(attribute).collect(),
        exposed_ports: it
            .exposed_ports
            .iter()
            .map(|it| types::ExposedPort { port: it.port, protocol: types::Protocol::Tcp })
            .collect(),
        published_ports: it.published_ports.iter().map(published).collect(),
        networks: Vec::new(),
        network_mode: it.network_mode.clone(),
        network_peer: None,
        state: types::State::Running,
        exit_code: it.exit_code,
        health: types::Health::None,
        created_at: it.created_at.clone(),
        started_at: it.started_at.clone(),
        attributes: Vec::new(),
    }
}

fn service(it: &Service) -> types::Service {
    types::Service {
        id: it.id.clone(),
        name: it.name.clone(),
        address: it.address.clone(),
        port: it.port,
        protocol: types::Protocol::Tcp,
        tags: it.tags.clone(),
        meta: it.meta.iter().map(attribute).collect(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: it.enable_tag_override,
        tagged_addresses: Vec::new(),
        origin: it.origin.as_ref().map(|origin| types::Origin {
            container_port: origin.container_port,
            protocol: types::Protocol::Tcp,
            published: origin.published.as_ref().map(published),
        }),
        attributes: it.attributes.iter().map(attribute).collect(),
    }
}
