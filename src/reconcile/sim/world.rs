//! The containers of the simulated host, and what befalls them.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use tokio::time::Instant;

use crate::{
    docker::{EventKind, Moment},
    model::container::{
        Container, ContainerId, ExposedPort, Health, Network, NetworkPeer, Protocol, PublishedPort,
        State,
    },
};

/// The address that the host advertises.
pub(super) const ADDRESS: &str = "10.0.0.1";
/// The names that the host may have, first that of the beginning.
pub(super) const HOSTS: [&str; 2] = ["h", "g"];
/// The names of containers: few, so that a new container often has the name,
/// and so the service IDs, of one that went.
pub(super) const NAMES: [&str; 5] = ["web", "db", "app", "job", "cron"];

/// Something that has happened to a container.
pub(super) struct Change {
    pub(super) id: ContainerId,
    pub(super) what: String,
    /// The kind of Docker's event.
    pub(super) kind: EventKind,
}

/// All containers that exist, running or not.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) containers: BTreeMap<ContainerId, Container>,
    /// Those that die and start again by themselves.
    pub(super) looping: Vec<ContainerId>,
    /// Containers share the networks of others.
    sharing: bool,
    /// Ports that Docker shows from some moment on.
    late: BTreeMap<ContainerId, (Instant, Vec<PublishedPort>)>,
}

impl World {
    /// A host without containers, which may come to share networks.
    pub(super) fn new(sharing: bool) -> Self {
        Self { sharing, ..Self::default() }
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().filter(|container| container.state.is_running())
    }

    /// Something happens to some container; which, and what. None if nothing
    /// could.
    pub(super) fn change(&mut self, rng: &mut fastrand::Rng, now: Moment) -> Option<Change> {
        if self.containers.is_empty() || (self.containers.len() < 5 && rng.u8(..5) == 0) {
            return self.create(rng, now);
        }
        let nth = rng.usize(..self.containers.len());
        let id = self.containers.keys().nth(nth).expect("it is in range").clone();
        let ran = self.runs(&id);
        let what = self.befall(&id, rng, now)?;
        Some(self.changed(id, what, ran))
    }

    fn create(&mut self, rng: &mut fastrand::Rng, now: Moment) -> Option<Change> {
        let name = self.free_name(rng)?;
        let id = ContainerId(format!("{:012x}{:052}", rng.u64(..1 << 48), 0).into());
        let container = Container {
            id: id.clone(),
            name,
            image: "image:1".into(),
            image_id: String::new(),
            hostname: String::new(),
            env: Vec::new(),
            labels: labels(rng),
            exposed_ports: Vec::new(),
            published_ports: ports(rng),
            networks: vec![network(rng)],
            network_mode: "bridge".into(),
            network_peer: None,
            state: State::Running,
            exit_code: 0,
            health: health(rng),
            created_at: String::new(),
            started_at: Some(shown(now)),
            stop_signal: 15,
            pending_ports: Vec::new(),
            attributes: Default::default(),
            setup: None,
            image_facts: None,
        };
        let container = match self.owner(rng) {
            Some(owner) => Container {
                exposed_ports: container.published_ports.iter().map(exposed).collect(),
                published_ports: Vec::new(),
                networks: Vec::new(),
                network_mode: format!("container:{owner}"),
                ..container
            },
            None => container,
        };
        let mode = &container.network_mode;
        let what = format!(
            "create {} {mode} ports {:?} labels {:?} {:?}",
            container.name,
            published(&container),
            container.labels,
            container.health
        );
        self.containers.insert(id.clone(), container);
        Some(self.changed(id, what, false))
    }

    /// The owner, by identifier or name, of the network that a new container shares, if it does.
    fn owner(&self, rng: &mut fastrand::Rng) -> Option<String> {
        if !self.sharing || rng.bool() {
            return None;
        }
        let owner = rng.choice(self.containers.values())?;
        Some(if rng.u8(..3) == 0 { owner.name.clone() } else { owner.id.to_string() })
    }

    /// A container as the engine shows it, with the owner of its network.
    pub(super) fn shown(&self, container: &Container) -> Container {
        let (mut through, mut at) = (Vec::new(), container);
        let owner = loop {
            let Some(what) = at.network_owner() else { break Some(at) };
            let named = |one: &&Container| *one.id.0 == *what || one.name == what;
            let Some(next) = self.containers.values().find(named) else { break None };
            if next.id == container.id || through.contains(&next.id) {
                break None;
            }
            through.push(next.id.clone());
            at = next;
        };
        through.pop();
        let peer = owner.filter(|owner| owner.id != container.id).map(|owner| NetworkPeer {
            id: owner.id.clone(),
            name: owner.name.clone(),
            network_mode: owner.network_mode.clone(),
            networks: owner.networks.clone(),
            published_ports: owner.published_ports.clone(),
            running: owner.state.is_running(),
            started_at: owner.started_at.clone(),
            through,
        });
        Container { network_peer: peer, ..container.clone() }
    }

    fn free_name(&self, rng: &mut fastrand::Rng) -> Option<String> {
        let taken = |name: &&str| self.containers.values().any(|other| other.name == **name);
        let free: Vec<_> = NAMES.iter().copied().filter(|name| !taken(name)).collect();
        rng.choice(free).map(String::from)
    }

    /// Docker shows a container's ports only after a while.
    pub(super) fn hide_ports(&mut self, id: &ContainerId, for_now: Duration) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let hidden = std::mem::take(&mut container.published_ports);
        container.pending_ports = hidden.iter().map(exposed).collect();
        self.late.insert(id.clone(), (Instant::now() + for_now, hidden));
    }

    /// Docker shows the ports whose time has come.
    pub(super) fn ripen(&mut self) {
        let ripe = |(at, _): &(Instant, Vec<PublishedPort>)| *at <= Instant::now();
        let ids: Vec<_> =
            self.late.iter().filter(|(_, late)| ripe(late)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let (_, ports) = self.late.remove(&id).expect("it was just there");
            if let Some(container) = self.containers.get_mut(&id) {
                container.published_ports = ports;
                container.pending_ports.clear();
            }
        }
    }

    /// One thing that can happen to a container in the state it is in.
    fn befall(&mut self, id: &ContainerId, rng: &mut fastrand::Rng, now: Moment) -> Option<String> {
        let name = self.free_name(rng);
        let looping = self.looping.contains(id);
        let container = self.containers.get_mut(id)?;
        let running = container.state.is_running();
        Some(match rng.u8(..12) {
            0 | 1 if running => die(container, rng),
            0..=2 if !running => start(container, now),
            2 if container.state == State::Running => {
                container.state = State::Paused;
                "pause".into()
            }
            2 => {
                container.state = State::Running;
                "unpause".into()
            }
            3 | 4 => {
                container.name = name?;
                format!("rename to {}", container.name)
            }
            5 | 6 if container.network_owner().is_some() => return None,
            5 if self.sharing && rng.u8(..3) == 0 => {
                container.networks.clear();
                container.published_ports.clear();
                container.pending_ports.clear();
                self.late.remove(id);
                "disconnect".into()
            }
            5 => {
                container.networks = vec![network(rng)];
                format!("network {:?}", container.networks[0].ipv4)
            }
            6 => {
                container.published_ports = ports(rng);
                container.pending_ports.clear();
                self.late.remove(id);
                format!("ports {:?}", published(container))
            }
            7 | 8 => {
                container.labels = labels(rng);
                format!("labels {:?}", container.labels)
            }
            9 => {
                container.health = health(rng);
                format!("health {:?}", container.health)
            }
            10 if looping => {
                self.looping.retain(|other| other != id);
                "loops no more".into()
            }
            10 => {
                self.looping.push(id.clone());
                "loops".into()
            }
            _ => {
                self.containers.remove(id);
                self.late.remove(id);
                self.looping.retain(|other| other != id);
                "remove".into()
            }
        })
    }

    /// The next turn of a container that crashes again and again.
    pub(super) fn turn(&mut self, rng: &mut fastrand::Rng, now: Moment) -> Option<Change> {
        let id = rng.choice(&self.looping)?.clone();
        let ran = self.runs(&id);
        let container = self.containers.get_mut(&id)?;
        let what =
            if container.state.is_running() { die(container, rng) } else { start(container, now) };
        Some(self.changed(id, what, ran))
    }

    fn runs(&self, id: &ContainerId) -> bool {
        self.containers.get(id).is_some_and(|one| one.state.is_running())
    }

    /// The change of a container that ran before, or did not.
    fn changed(&self, id: ContainerId, what: String, ran: bool) -> Change {
        let exit_code = self.containers.get(&id).map_or(137, |container| container.exit_code);
        let kind = match (ran, self.runs(&id)) {
            (false, true) => EventKind::Start,
            (true, false) => EventKind::Death { exit_code },
            _ => EventKind::Change,
        };
        Change { id, what, kind }
    }
}

pub(super) fn die(container: &mut Container, rng: &mut fastrand::Rng) -> String {
    container.state = *rng.choice(&[State::Exited, State::Dead]).expect("there are some");
    container.exit_code = *rng.choice(&[0, 1, 137]).expect("there are some");
    format!("die with {}", container.exit_code)
}

fn start(container: &mut Container, now: Moment) -> String {
    container.state = State::Running;
    container.started_at = Some(shown(now));
    container.exit_code = 0;
    "start".into()
}

/// A moment as Docker shows it.
fn shown(moment: Moment) -> String {
    humantime::format_rfc3339_nanos(UNIX_EPOCH + moment.0).to_string()
}

fn exposed(port: &PublishedPort) -> ExposedPort {
    ExposedPort { port: port.container_port, protocol: port.protocol }
}

fn published(container: &Container) -> Vec<(u16, u16)> {
    container.published_ports.iter().map(|port| (port.container_port, port.host_port)).collect()
}

fn ports(rng: &mut fastrand::Rng) -> Vec<PublishedPort> {
    let port = |container_port, host_port| PublishedPort {
        container_port,
        protocol: Protocol::Tcp,
        host_ip: "0.0.0.0".into(),
        host_port,
    };
    let mut ports = Vec::new();
    for (container_port, first) in [(80, 8000), (443, 8010), (9000, 8020)] {
        if rng.bool() {
            ports.push(port(container_port, first + rng.u16(..3)));
        }
    }
    ports
}

/// Labels that the stages of [`super::stages`] heed.
fn labels(rng: &mut fastrand::Rng) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut maybe = |key: &str, one_in: u8, values: &[&str]| {
        if rng.u8(..one_in) == 0 {
            let value = rng.choice(values).expect("there are some");
            labels.insert(key.to_string(), value.to_string());
        }
    };
    maybe("id", 3, &["shared", "own", "manual", "other:x:80"]);
    maybe("name", 4, &["front", "back"]);
    maybe("tag", 4, &["blue", "green"]);
    maybe("check", 4, &["/health", "/ready"]);
    maybe("veto", 5, &["all", "80", "443"]);
    maybe("ready", 4, &["if-healthy"]);
    labels
}

fn health(rng: &mut fastrand::Rng) -> Health {
    let all = [Health::None, Health::Starting, Health::Healthy, Health::Unhealthy];
    *rng.choice(&all).expect("there are some")
}

fn network(rng: &mut fastrand::Rng) -> Network {
    Network {
        name: "bridge".into(),
        id: "bridge".into(),
        ipv4: Some(format!("172.17.0.{}", rng.u8(2..5))),
        ipv6: None,
        aliases: Vec::new(),
    }
}
