//! The judge: knows what each life of the daemon was shown, and so what it may
//! write, and what the catalog must be in the end.

mod end;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Sim,
    agent::{Entry, Writer},
    stages,
};
use crate::{
    docker::{Event, EventKind, Moment},
    model::{
        container::{Container, ContainerId, State},
        marks::{META_CONTAINER, META_ENGINE, META_HOST, Provenance},
        service::Service,
    },
    reconcile::{DrainBy, retire::retires},
};

/// The facts that the current life of the daemon was shown, and its writes.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The services that each container offered when it was last looked at with
    /// success; no container if it had ended.
    claims: BTreeMap<ContainerId, (Option<Container>, Vec<Service>)>,
    /// By container, the last start of which the daemon was told and the last death that it was
    /// to believe.
    told: BTreeMap<ContainerId, (Duration, Duration)>,
    /// Containers that have ended and keep what they have.
    kept: BTreeSet<ContainerId>,
    /// How many reads that are taken over have begun.
    reads: u64,
    /// When the last of them that is known began, and when the agent answered it.
    read: Option<(Instant, Instant)>,
    /// Foreign services that this read showed, and that the daemon itself has
    /// not written to since before it.
    foreign: BTreeSet<String>,
    /// The IDs that it has tried to register.
    tried: BTreeSet<String>,
    /// The IDs that are being written.
    sent: Vec<String>,
    /// The services of the engine of the first read, as far as they were there ever since.
    first: Option<BTreeMap<String, Service>>,
    /// When the last write of an ID was answered.
    answered: BTreeMap<String, Instant>,
}

impl Sim {
    /// The services with the marks of a daemon that takes the engine for this one.
    fn stamp(
        &self,
        container: &Container,
        services: Vec<Service>,
        engine: Option<&str>,
    ) -> Vec<Service> {
        let mut marks = Provenance::new(self.host, self.profile.provenance);
        marks.set_engine(engine);
        services.into_iter().map(|service| marks.stamp(&container.id, service)).collect()
    }

    /// The services that a container's life leaves of those that the pipeline offers for it.
    fn by_life(&self, container: &Container, mut services: Vec<Service>) -> Vec<Service> {
        let lifecycle = self.profile.lifecycle();
        if lifecycle.gate(container).is_some() || self.is_drained(container) {
            return Vec::new();
        }
        lifecycle.add_checks(container, &mut services);
        services
    }

    /// Whether the daemon has seen that a container was told to end, and takes its
    /// services out for it.
    fn is_drained(&self, container: &Container) -> bool {
        let by = self.profile.choices.drain.map(|(_, by)| by);
        let daemon = self.daemon.as_ref().filter(|_| by == Some(DrainBy::Deregister));
        daemon.is_some_and(|daemon| daemon.probe.is_ending(container))
    }

    /// The services that a container is to have in the registry but for marks, unless
    /// another one has the ID.
    fn offered(&self, container: &Container) -> Vec<Service> {
        let host = self.shown_host();
        let shown = self.world.shown(container);
        self.by_life(container, stages::offered(&shown, &host, self.rules))
    }

    /// The pipeline has decided on a container.
    pub(super) fn claimed(&mut self, container: &Container, services: Vec<Service>) {
        let services = self.by_life(container, services);
        let engine = self.daemon.as_ref().and_then(|daemon| daemon.probe.engine());
        let services = self.stamp(container, services, engine.as_deref());
        self.judge.kept.remove(&container.id);
        self.judge.claims.insert(container.id.clone(), (Some(container.clone()), services));
    }

    /// The daemon learns what a container is like. One that has ended offers
    /// nothing, unless the rule is that it keeps what it has.
    pub(super) fn inspected(&mut self, id: &ContainerId, container: Option<&Container>) {
        if container.is_some_and(|one| self.keeps(one)) {
            self.judge.kept.insert(id.clone());
        } else if !container.is_some_and(|one| one.state.is_running()) {
            self.judge.kept.remove(id);
            self.judge.claims.insert(id.clone(), (None, Vec::new()));
        }
    }

    /// An event reaches the daemon. That of a death is to be believed if it is younger than
    /// every start that the daemon was told of.
    pub(super) fn told(&mut self, event: &Event) {
        let Some(Moment(at)) = event.at else { return };
        let (starts, deaths) = self.judge.told.entry(event.container.clone()).or_default();
        match event.kind {
            EventKind::Start => *starts = at.max(*starts),
            EventKind::Death { .. } if at > *starts => *deaths = at.max(*deaths),
            _ => {}
        }
    }

    /// The services that a container is known to offer: none once that run of it is known to be over.
    fn claim(&self, id: &ContainerId) -> Option<&[Service]> {
        let (_, death) = self.judge.told.get(id).copied().unwrap_or_default();
        match self.judge.claims.get(id) {
            Some((Some(container), _)) if container.started() < Some(death) => Some(&[]),
            Some((_, services)) => Some(services),
            None => (death > Duration::ZERO).then_some(&[]),
        }
    }

    fn keeps(&self, container: &Container) -> bool {
        let ended = matches!(container.state, State::Exited | State::Dead);
        self.profile.on_success && ended && container.exit_code == 1
    }

    /// Whether the entry's container runs and wants an ID that is not its own in
    /// the registry, or is held: then what had its place stays.
    fn has_rival(&self, entry: &Entry) -> bool {
        let container = entry.container.as_ref().and_then(|id| self.world.containers.get(id));
        let Some(container) = container.filter(|container| container.state.is_running()) else {
            return false;
        };
        let held = self.held();
        self.offered(container).iter().any(|service| {
            let holder = self.agent.entries.get(&service.id);
            held.contains(&service.id)
                || holder.is_none_or(|holder| holder.container.as_ref() != Some(&container.id))
        })
    }

    /// Whether the bulk guard holds a container.
    fn waits(&self, container: &ContainerId) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.probe.holds(container))
    }

    /// Whether the daemon has noted that a container's plan waits.
    fn is_put_off(&self, container: &ContainerId) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.probe.waits(container))
    }

    fn is_waiting(&self, service: &Service) -> bool {
        self.claimant(service).is_some_and(|container| self.waits(&container))
    }

    /// The IDs of the services that the bulk guard holds.
    fn held(&self) -> BTreeSet<String> {
        self.daemon.as_ref().map(|daemon| daemon.probe.held()).unwrap_or_default()
    }

    /// Whether a change to the rules in force is more than the guard lets through;
    /// none where that cannot be told from what is in the registry.
    pub(super) fn is_held(&self) -> Option<bool> {
        let (share, least) = self.profile.choices.guard?;
        let ours = self.agent.entries.values().filter(|entry| entry.writer == Writer::Daemon);
        let (mut of, mut gone) = (0, 0);
        for entry in ours {
            let container = self.world.containers.get(entry.container.as_ref()?)?;
            if self.is_neighbours(entry) {
                return None;
            }
            if !container.state.is_running() || retires(&entry.service) {
                return None;
            }
            of += 1;
            let offered = self.offered(container);
            let stays =
                |new: &Service| (&new.id, &new.name) == (&entry.service.id, &entry.service.name);
            gone += usize::from(!offered.iter().any(stays));
        }
        let rivals = self.has_rivals();
        let bulk = gone >= least && gone * 100 > of * usize::from(share);
        (!rivals && of > 0).then_some(bulk)
    }

    fn is_kept(&self, entry: &Entry) -> bool {
        if entry.container.as_ref().is_some_and(|container| self.waits(container))
            || self.held().contains(&entry.service.id)
        {
            return true;
        }
        let container = entry.container.as_ref().and_then(|id| self.world.containers.get(id));
        container.is_some_and(|container| self.keeps(container)) || self.is_inherited(entry)
    }

    /// Whether a container that has ended and keeps what it has may have this: without marks, of two
    /// that offered the very same it is the second one's once the first one is gone.
    fn is_inherited(&self, entry: &Entry) -> bool {
        let service = &entry.service;
        let place = (&service.address, service.port);
        let host = self.shown_host();
        let mut kept = self.world.containers.values().filter(|container| self.keeps(container));
        !self.profile.provenance
            && kept.any(|container| {
                let offered = stages::offered(&self.world.shown(container), &host, self.rules);
                offered.iter().any(|one| (&one.address, one.port) == place)
            })
    }

    /// The container for which a service is registered.
    pub(super) fn claimant(&self, service: &Service) -> Option<ContainerId> {
        if retires(service) {
            return service.meta.get(META_CONTAINER).map(|id| ContainerId(id.as_str().into()));
        }
        let mut claims = self.judge.claims.iter();
        claims.find(|(_, (_, services))| services.contains(service)).map(|(id, _)| id.clone())
    }

    /// A read begins: whether it is one that is taken over. One that only tells whether
    /// something was lost teaches nothing else.
    pub(super) fn begins_to_read(&mut self) -> bool {
        let reads = self.daemon.as_ref().map_or(0, |daemon| daemon.probe.reads());
        std::mem::replace(&mut self.judge.reads, reads) != reads
    }

    /// The daemon has read what is registered, perhaps for the first time.
    pub(super) fn begins_with(&mut self, seen: &BTreeMap<String, Entry>) {
        if let Some(first) = &mut self.judge.first {
            first.retain(|id, service| seen.get(id).is_some_and(|entry| entry.service == *service));
            return;
        }
        let engine = self.daemon.as_ref().and_then(|daemon| daemon.probe.engine());
        let engine = self.mark_of(engine.as_deref());
        let of_it =
            seen.iter().filter(|(_, one)| one.service.meta.get(META_ENGINE) == engine.as_ref());
        let first = of_it.map(|(id, entry)| (id.clone(), entry.service.clone())).collect();
        self.judge.first = Some(first);
    }

    /// The mark of an engine's services.
    fn mark_of(&self, engine: Option<&str>) -> Option<String> {
        let mut marks = Provenance::new(self.host, true);
        marks.set_engine(engine);
        marks.engine
    }

    /// A service was taken out: what comes under its ID from now on is another one.
    pub(super) fn has_gone(&mut self, id: &str) {
        if let Some(first) = &mut self.judge.first {
            first.remove(id);
        }
    }

    /// Whether a service has another name of this host and may be a second daemon's: it was not
    /// there when the daemon began, or has another engine, too, or a container that still runs and
    /// offers nothing in its place.
    fn is_neighbours(&self, entry: &Entry) -> bool {
        let meta = &entry.service.meta;
        let first = self.judge.first.as_ref();
        let same = |first: &BTreeMap<String, Service>| {
            first.get(&entry.service.id) == Some(&entry.service)
        };
        meta.get(META_HOST).is_some_and(|host| host != self.host)
            && (meta.get(META_ENGINE) != self.mark_of(self.engine().as_deref()).as_ref()
                || !first.is_some_and(same)
                || self.has_no_successor(entry))
    }

    fn has_no_successor(&self, entry: &Entry) -> bool {
        let container = entry.container.as_ref().and_then(|id| self.world.containers.get(id));
        let Some(container) = container.filter(|one| one.state.is_running()) else { return false };
        let old = &entry.service;
        let named = old.meta.get(META_HOST).map_or("", String::as_str);
        // Not what stands behind an ID without the host's name, such as the rules' own ending.
        let rest =
            |id: &str, host: &str| id.strip_prefix(host)?.strip_prefix(':').map(String::from);
        // Not where a rival has the ID: then the container has nothing but what it had.
        let has = |id: &str| {
            self.agent.entries.get(id).is_none_or(|there| there.container == entry.container)
        };
        let succeeds = |new: &Service| {
            let alike = (&new.address, new.port) == (&old.address, old.port)
                || rest(&new.id, self.host).is_some_and(|new| Some(new) == rest(&old.id, named));
            alike && has(&new.id)
        };
        !self.offered(container).iter().any(succeeds)
    }

    /// The daemon has read what is registered.
    pub(super) fn has_read(&mut self, began: Instant, at: Instant, seen: &BTreeMap<String, Entry>) {
        self.judge.read = Some((began, at));
        self.agent.unknown.clear();
        let unwritten = |id: &String| {
            let answered = self.judge.answered.get(id);
            !self.judge.sent.contains(id) && answered.is_none_or(|answered| *answered < began)
        };
        let foreign = seen.iter().filter(|(_, entry)| entry.writer.is_another());
        self.judge.foreign =
            foreign.map(|(id, _)| id).filter(|id| unwritten(id)).cloned().collect();
    }

    /// The daemon learns what became of a write.
    pub(super) fn answered(&mut self, id: &str) {
        self.judge.answered.insert(id.to_string(), Instant::now());
        if let Some(at) = self.judge.sent.iter().position(|sent| sent == id) {
            self.judge.sent.swap_remove(at);
        }
    }
}
