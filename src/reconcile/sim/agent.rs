//! The simulated Consul agent: answers late, wrongly or not at all, forgets,
//! and has other writers than the daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{Ground, Sim, world};
use crate::{
    model::{
        container::{ContainerId, Protocol},
        marks::{META_CONTAINER, META_HOST},
        registered::Registered,
        service::{Check, Service},
    },
    registry::{Capabilities, Registry, RegistryError},
};

/// The state of the agent.
#[derive(Debug, Default)]
pub(super) struct Agent {
    pub(super) entries: BTreeMap<String, Entry>,
    /// The services in maintenance, with the reasons.
    pub(super) maintained: BTreeMap<String, String>,
    /// When an ID was last seen to go.
    pub(super) gone: BTreeMap<String, Instant>,
    /// The token reads nothing; and whether it may write.
    pub(super) blind: Option<bool>,
    /// IDs under which there is something of which the daemon cannot know: what came of
    /// a write that was given up, or of a dead daemon's.
    pub(super) unknown: BTreeSet<String>,
    /// How many writes were sent by daemons.
    pub(super) writes: u64,
}

/// A service in the agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) service: Service,
    pub(super) writer: Writer,
    /// The container it is registered for.
    pub(super) container: Option<ContainerId>,
}

/// The writer of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Daemon,
    /// registrator, before the daemon took its place.
    Predecessor,
    /// Somebody whom it does not concern.
    Foreign,
    /// A second daemon, for another engine.
    Peer,
}

impl Writer {
    /// Whether it is none whose services a daemon may write to.
    pub(super) fn is_another(self) -> bool {
        matches!(self, Self::Foreign | Self::Peer)
    }
}

/// A write that a daemon sends.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are few, and most are registrations")]
pub(super) enum Write {
    Register { service: Service, container: Option<ContainerId>, replace: bool },
    Deregister(String),
    Maintain { id: String, reason: Option<String> },
}

impl Write {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Register { service, .. } => &service.id,
            Self::Deregister(id) | Self::Maintain { id, .. } => id,
        }
    }

    /// Whether it changes what is registered.
    fn registers(&self) -> bool {
        !matches!(self, Self::Maintain { .. })
    }
}

/// The way of a call through the network.
struct Course {
    before: Duration,
    carried_out: bool,
    answer: Result<(), RegistryError>,
    /// It reaches the agent even if the daemon dies meanwhile.
    outlives: bool,
    crash: bool,
}

/// Registered by hand; by another host's daemon; by hand, with this host's name.
pub(super) fn foreign() -> Vec<Service> {
    let mut other = service("other:x:80", "x", "10.0.0.2");
    other.meta = crate::model::few::Pairs::from([
        (META_HOST.to_string(), "other".to_string()),
        (META_CONTAINER.to_string(), "x".to_string()),
    ]);
    vec![service("manual", "billing", ""), other, service("h:byhand:80", "byhand", "10.9.9.9")]
}

/// The services that registrator left.
fn predecessors() -> Vec<Service> {
    ["web", "db", "gone"].map(|name| service(&format!("h:{name}:80"), name, world::ADDRESS)).into()
}

pub(super) fn service(id: &str, name: &str, address: &str) -> Service {
    Service {
        id: id.into(),
        name: name.into(),
        address: address.into(),
        port: 80,
        protocol: Protocol::Tcp,
        tags: Vec::new(),
        meta: Default::default(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: Default::default(),
        origin: None,
        further: Default::default(),
        attributes: Default::default(),
    }
}

impl Agent {
    /// An agent that was in use before the daemon's first start.
    pub(super) fn inherited(rng: &mut fastrand::Rng) -> Self {
        let mut agent = Self::default();
        let all = foreign().into_iter().map(|service| (service, Writer::Foreign));
        let all =
            all.chain(predecessors().into_iter().map(|service| (service, Writer::Predecessor)));
        for (service, writer) in all {
            if rng.bool() {
                agent.put(Entry { service, writer, container: None });
            }
        }
        agent
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.entries.insert(entry.service.id.clone(), entry);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.maintained.remove(id);
        self.gone.insert(id.to_string(), Instant::now());
        Some(entry)
    }

    fn carry_out(&mut self, write: Write) {
        match write {
            Write::Register { mut service, container, replace } => {
                let old = self.entries.get(&service.id).filter(|_| !replace);
                let kept = |check: &&Check| service.checks.iter().all(|new| new.id != check.id);
                let kept: Vec<_> =
                    old.iter().flat_map(|old| &old.service.checks).filter(kept).cloned().collect();
                service.checks.extend(kept);
                if replace {
                    // Its maintenance is a check like any other.
                    self.maintained.remove(&service.id);
                }
                self.put(Entry { service, writer: Writer::Daemon, container });
            }
            Write::Deregister(id) => drop(self.remove(&id)),
            Write::Maintain { id, reason: Some(reason) } if self.entries.contains_key(&id) => {
                self.maintained.entry(id).or_insert(reason);
            }
            Write::Maintain { id, .. } => drop(self.maintained.remove(&id)),
        }
    }
}

/// The agent, as one life of the daemon sees it.
pub(super) struct Client {
    pub(super) ground: Ground,
    pub(super) incarnation: u32,
}

impl Client {
    async fn write(&self, write: Write) -> Result<(), RegistryError> {
        let course = {
            let mut sim = self.ground.lock();
            sim.is_alive(self.incarnation).then(|| {
                sim.judge_write(&write);
                sim.course(&write)
            })
        };
        let Some(course) = course else { return std::future::pending().await };
        let (sender, receiver) = oneshot::channel();
        let (ground, incarnation, id) =
            (self.ground.clone(), self.incarnation, write.id().to_string());
        let answered = id.clone();
        tokio::spawn(async move {
            sleep(course.before).await;
            let mut sim = ground.lock();
            let dead = !sim.is_alive(incarnation);
            // The daemon may have given the call up without its end.
            let given_up = dead || sender.is_closed();
            let known = !given_up || sim.profile.provenance;
            if course.carried_out && known && (!dead || course.outlives) {
                sim.note(format_args!(
                    "agent: carried out {id}{}",
                    if dead { " of a dead daemon" } else { "" }
                ));
                sim.needs_resync |= given_up;
                if given_up && write.registers() {
                    sim.agent.unknown.insert(id.clone());
                }
                if matches!(write, Write::Deregister(_)) {
                    sim.has_gone(&id);
                }
                sim.agent.carry_out(write);
            }
            if course.crash && !sim.quiet {
                sim.crash();
            }
            let _ = sender.send(());
        });
        // The other half lives for as long as the agent needs.
        let _ = receiver.await;
        self.ground.travel(self.incarnation).await;
        self.ground.lock().answered(&answered);
        course.answer
    }
}

#[async_trait::async_trait]
impl Registry for Client {
    fn capabilities(&self) -> Capabilities {
        Capabilities { neighbours: false, ..crate::registry::Consul::CAPABILITIES }
    }

    async fn probe(&self) -> Result<String, RegistryError> {
        Ok("simulated".into())
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let began = Instant::now();
        let counts = self.ground.lock().begins_to_read();
        self.ground.travel(self.incarnation).await;
        let (answer, seen, blind) = {
            let mut sim = self.ground.lock();
            let fault = sim.profile.faults.read;
            if sim.fault(fault) {
                sim.note(format_args!("agent: read fails"));
                return Err(unreachable("read"));
            }
            let blind = sim.agent.blind.is_some();
            sim.note(format_args!("agent: read{}", if blind { ", blind" } else { "" }));
            let seen = if blind { BTreeMap::new() } else { sim.agent.entries.clone() };
            let registered = |(id, entry): (&String, &Entry)| (id.clone(), (&entry.service).into());
            (seen.iter().map(registered).collect(), seen, blind)
        };
        let at = Instant::now();
        self.ground.travel(self.incarnation).await;
        if counts {
            self.ground.lock().begins_with(&seen);
        }
        // In a blind one nothing may be seen.
        if counts && !blind {
            self.ground.lock().has_read(began, at, &seen);
        }
        Ok(answer)
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        self.ground.travel(self.incarnation).await;
        let answer = {
            let mut sim = self.ground.lock();
            let fault = sim.profile.faults.read;
            match (sim.fault(fault), sim.agent.blind) {
                (true, _) => Err(unreachable("look up")),
                (false, Some(_)) => Err(forbidden()),
                (false, None) => Ok(sim.agent.entries.contains_key(id)),
            }
        };
        self.ground.travel(self.incarnation).await;
        answer
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        let container = self.ground.lock().claimant(service);
        self.write(Write::Register { service: service.clone(), container, replace: false }).await
    }

    async fn replace(&self, service: &Service) -> Result<(), RegistryError> {
        let container = self.ground.lock().claimant(service);
        self.write(Write::Register { service: service.clone(), container, replace: true }).await
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        self.write(Write::Deregister(id.to_string())).await
    }

    async fn set_maintenance(&self, id: &str, reason: Option<&str>) -> Result<(), RegistryError> {
        let reason = reason.map(String::from);
        self.write(Write::Maintain { id: id.to_string(), reason }).await
    }

    async fn maintenance(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        self.ground.travel(self.incarnation).await;
        let answer = {
            let mut sim = self.ground.lock();
            let fault = sim.profile.faults.read;
            match (sim.fault(fault), sim.agent.blind) {
                (true, _) => Err(unreachable("read the checks")),
                (false, Some(_)) => Ok(BTreeMap::new()),
                (false, None) => Ok(sim.agent.maintained.clone()),
            }
        };
        self.ground.travel(self.incarnation).await;
        answer
    }
}

fn unreachable(attempt: &str) -> RegistryError {
    RegistryError::Unreachable { attempt: attempt.into(), source: "no answer".into() }
}

fn forbidden() -> RegistryError {
    let (attempt, permission, message) = ("write".into(), "write".into(), "denied".into());
    RegistryError::Forbidden { attempt, permission, message }
}

impl Sim {
    /// Draw the course of a write.
    fn course(&mut self, write: &Write) -> Course {
        let faults = self.profile.faults.clone();
        let (mut before, mut carried_out, mut answer) = (self.latency(), true, Ok(()));
        if self.agent.blind == Some(false) || self.fault(faults.forbidden) {
            (carried_out, answer) = (false, Err(forbidden()));
        } else if self.fault(faults.refused) {
            let (attempt, status, message) = ("write".into(), 400, "not like this".into());
            (carried_out, answer) =
                (false, Err(RegistryError::Refused { attempt, status, message }));
        } else if self.fault(faults.lost) {
            let (attempt, status, message) = ("write".into(), 500, "no leader".into());
            (carried_out, answer) =
                (false, Err(RegistryError::Unavailable { attempt, status, message }));
        } else if self.fault(faults.half) {
            answer = Err(unreachable("write"));
        } else if self.fault(faults.late) {
            // The answer is given up, and the write takes effect after that.
            self.needs_resync = true;
            let late = Duration::from_millis(self.rng.u64(..20_000));
            let (ground, write, id) = (self.ground(), write.clone(), write.id().to_string());
            tokio::spawn(async move {
                sleep(before + late).await;
                let mut sim = ground.lock();
                sim.note(format_args!("agent: carried out late {id}"));
                if write.registers() {
                    sim.agent.unknown.insert(id);
                }
                sim.agent.carry_out(write);
            });
            before += late.min(Duration::from_millis(self.rng.u64(..20_000)));
            (carried_out, answer) = (false, Err(unreachable("write")));
        }
        let text = match write {
            Write::Register { replace: true, .. } => "replace",
            Write::Register { .. } => "register",
            Write::Deregister(_) => "deregister",
            Write::Maintain { reason: Some(_), .. } => "put into maintenance",
            Write::Maintain { reason: None, .. } => "take out of maintenance",
        };
        self.note(format_args!("{text} {}: carried out {carried_out}, {answer:?}", write.id()));
        let crash = self.fault(faults.crash_in_write);
        Course { before, carried_out, answer, outlives: self.rng.bool(), crash }
    }

    /// The agent starts again without its data.
    pub(super) fn forget(&mut self) {
        self.note(format_args!("agent: forgets everything"));
        for id in self.agent.entries.keys().cloned().collect::<Vec<_>>() {
            self.agent.remove(&id);
        }
    }

    /// The token is taken away, or given back.
    pub(super) fn cover(&mut self) {
        self.needs_resync = true;
        self.agent.blind = match self.agent.blind {
            Some(_) => None,
            None => Some(self.rng.u8(..4) == 0),
        };
        let blind = self.agent.blind;
        self.note(format_args!("agent: blind {blind:?}"));
    }

    /// The agent takes out one of the daemon's services by itself, as it does after
    /// `DeregisterCriticalServiceAfter`.
    pub(super) fn reap(&mut self) {
        let daemons =
            |(id, entry): (&String, &Entry)| (entry.writer == Writer::Daemon).then(|| id.clone());
        let ids: Vec<_> = self.agent.entries.iter().filter_map(daemons).collect();
        let Some(id) = self.rng.choice(ids) else { return };
        self.needs_resync = true;
        self.agent.remove(&id);
        self.note(format_args!("agent: reaps {id}"));
    }

    /// Somebody changes or takes out what this daemon registered, or registers
    /// again what is foreign.
    pub(super) fn meddle(&mut self) {
        self.needs_resync = true;
        if self.rng.u8(..3) == 0 {
            let service = self.rng.choice(foreign()).expect("there are some");
            if !self.agent.entries.contains_key(&service.id) {
                self.note(format_args!("somebody registers {}", service.id));
                self.agent.put(Entry { service, writer: Writer::Foreign, container: None });
            }
            return;
        }
        let daemons = |entry: &&mut Entry| entry.writer == Writer::Daemon;
        let Some(entry) =
            self.rng.choice(self.agent.entries.values_mut().filter(daemons).collect::<Vec<_>>())
        else {
            return;
        };
        let id = entry.service.id.clone();
        if self.rng.bool() {
            entry.service.tags.push("theirs".into());
            entry.service.port = entry.service.port.wrapping_add(1);
            self.note(format_args!("somebody changes {id}"));
        } else {
            self.agent.remove(&id);
            self.note(format_args!("somebody takes out {id}"));
        }
    }
}
