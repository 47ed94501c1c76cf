//! Containers, hosts and services with what a test says of them, and usual
//! values for everything else.

use std::ops::Deref;

use crate::{
    AgentFacts, Attribute, Check, CheckKind, Container, EngineFacts, ExposedPort, Health,
    HostFacts, ImageFacts, Network, Origin, Protocol, PublishedPort, ResourceLimits, RestartPolicy,
    Service, Setup, State, image::Image,
};

/// A running container of this name on Docker's default network. Its image has
/// the same name; it publishes nothing.
pub fn container(name: &str) -> ContainerBuilder {
    ContainerBuilder(Container {
        id: "5d4d7e5e12ab".chars().cycle().take(64).collect(),
        name: name.into(),
        image: name.into(),
        image_id: format!("sha256:{}", "2bdd01bb6724".repeat(6).split_at(64).0),
        hostname: "5d4d7e5e12ab".into(),
        env: Vec::new(),
        labels: Vec::new(),
        exposed_ports: Vec::new(),
        published_ports: Vec::new(),
        networks: vec![attached("bridge", "172.17.0.2")],
        network_mode: "bridge".into(),
        network_peer: None,
        state: State::Running,
        exit_code: 0,
        health: Health::None,
        created_at: "2026-01-02T03:04:05Z".into(),
        started_at: Some("2026-01-02T03:04:06Z".into()),
        image_facts: Some(ImageFacts { digests: Vec::new(), labels: Vec::new() }),
        setup: Some(setup()),
        attributes: Vec::new(),
    })
}

/// A container that is being made; `&builder` can stand for `&Container`.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerBuilder(Container);

impl ContainerBuilder {
    /// It was made from this image.
    pub fn image(mut self, image: &str) -> Self {
        self.0.image = image.into();
        self
    }

    /// It has this label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0.labels.retain(|label| label.key != key);
        let at = self.0.labels.partition_point(|label| label.key.as_str() < key);
        self.0.labels.insert(at, Attribute::new(key, value));
        self
    }

    /// It has this variable, and the stage is granted it.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.0.env.push(Attribute::new(key, value));
        self
    }

    /// Its TCP port `container_port` is published as the host's `host_port`.
    pub fn publish(mut self, host_port: u16, container_port: u16) -> Self {
        self.0.published_ports.push(published(host_port, container_port));
        self.0.published_ports.sort_by_key(|port| port.container_port);
        self.expose(container_port)
    }

    /// Its image exposes this TCP port.
    pub fn expose(mut self, port: u16) -> Self {
        if !self.0.exposed_ports.iter().any(|exposed| exposed.port == port) {
            self.0.exposed_ports.push(ExposedPort { port, protocol: Protocol::Tcp });
            self.0.exposed_ports.sort_by_key(|exposed| exposed.port);
        }
        self
    }

    /// It is attached to this network, and to no other but those that are said
    /// in the same way.
    pub fn network(mut self, name: &str, ipv4: &str) -> Self {
        if self.0.network_mode == "bridge" {
            self.0.networks.clear();
            self.0.network_mode = name.into();
        }
        self.0.networks.push(attached(name, ipv4));
        self.0.networks.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// It was set up so; what is not said is usual. A stage sees it if it wants it.
    pub fn set_up(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(self.0.setup.get_or_insert_with(setup));
        self
    }

    /// Its image is known to registries by this name and digest. A stage sees it if it wants it.
    pub fn pinned(mut self, digest: &str) -> Self {
        self.of_image().digests.push(digest.into());
        self
    }

    /// Its image has this label. A stage sees it if it wants it.
    pub fn image_label(mut self, key: &str, value: &str) -> Self {
        self.of_image().labels.push(Attribute::new(key, value));
        self
    }

    fn of_image(&mut self) -> &mut ImageFacts {
        let nothing = || ImageFacts { digests: Vec::new(), labels: Vec::new() };
        self.0.image_facts.get_or_insert_with(nothing)
    }

    /// What a test needs beyond the other methods.
    pub fn with(mut self, change: impl FnOnce(&mut Container)) -> Self {
        change(&mut self.0);
        self
    }

    /// The container.
    pub fn build(self) -> Container {
        self.0
    }
}

impl Deref for ContainerBuilder {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.0
    }
}

/// A host of this name, with the address 192.0.2.1 and no flags.
pub fn host(name: &str) -> HostBuilder {
    HostBuilder(HostFacts {
        hostname: name.into(),
        address: Some("192.0.2.1".into()),
        flags: Vec::new(),
        agent: None,
        engine: None,
        attributes: Vec::new(),
    })
}

/// A host that is being made; `&builder` can stand for `&HostFacts`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostBuilder(HostFacts);

impl HostBuilder {
    /// Services are registered with an agent of this version, at this node and datacenter. A
    /// stage sees it if it wants it.
    pub fn agent(mut self, node: &str, datacenter: &str, version: &str) -> Self {
        let (node, datacenter, version) = (node.into(), datacenter.into(), version.into());
        let node_meta = Vec::new();
        self.0.agent = Some(AgentFacts { node, datacenter, version, node_meta });
        self
    }

    /// The containers are this engine's. A stage sees it if it wants it.
    pub fn engine(mut self, kind: &str, version: &str) -> Self {
        self.0.engine = Some(EngineFacts { kind: kind.into(), version: version.into() });
        self
    }

    /// The run has this flag.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.0.flags.push(Attribute::new(name, value));
        self
    }

    /// The host.
    pub fn build(self) -> HostFacts {
        self.0
    }
}

impl Deref for HostBuilder {
    type Target = HostFacts;

    fn deref(&self) -> &HostFacts {
        &self.0
    }
}

/// A TCP service at this port of 192.0.2.1, which the container publishes
/// under the same number.
pub fn service(name: &str, port: u16) -> Service {
    Service {
        origin: Some(Origin { published: Some(published(port, port)), ..origin(port) }),
        ..Service::new(format!("host:{name}:{port}"), name, "192.0.2.1", port)
    }
}

/// [`service`] with these tags.
pub fn tagged(name: &str, port: u16, tags: &[&str]) -> Service {
    Service { tags: tags.iter().map(ToString::to_string).collect(), ..service(name, port) }
}

/// The services that a container's published ports stand for, named as the
/// stage `registrator` names them where the container says nothing.
pub fn services(container: &Container) -> Vec<Service> {
    let ports = &container.published_ports;
    let several = ports.len() > 1;
    let base = Image::parse(&container.image).name();
    let named = |port: &PublishedPort| {
        let suffix = if several { format!("-{}", port.container_port) } else { String::new() };
        Service {
            id: format!("host:{}:{}", container.name, port.container_port),
            origin: Some(Origin { published: Some(port.clone()), ..origin(port.container_port) }),
            ..service(&format!("{base}{suffix}"), port.host_port)
        }
    };
    ports.iter().map(named).collect()
}

/// The container's TCP port that a service stands for, not published.
pub fn origin(container_port: u16) -> Origin {
    Origin { container_port, protocol: Protocol::Tcp, published: None }
}

/// A check every ten seconds.
pub fn check(kind: CheckKind) -> Check {
    Check::new(kind, Some("10s".into()))
}

/// A container that was made with nothing beside its image, by an engine that has it run as root.
fn setup() -> Setup {
    Setup {
        user: String::new(),
        privileged: false,
        added_capabilities: Vec::new(),
        dropped_capabilities: Vec::new(),
        read_only_root: false,
        mounts: Vec::new(),
        restart_policy: RestartPolicy { name: "no".into(), retries: 0 },
        limits: ResourceLimits { memory: None, processors: None, processes: None },
        health_check: None,
    }
}

fn published(host_port: u16, container_port: u16) -> PublishedPort {
    PublishedPort { container_port, protocol: Protocol::Tcp, host_ip: "0.0.0.0".into(), host_port }
}

fn attached(name: &str, ipv4: &str) -> Network {
    Network {
        name: name.into(),
        id: String::new(),
        ipv4: Some(ipv4.into()),
        ipv6: None,
        aliases: Vec::new(),
    }
}
