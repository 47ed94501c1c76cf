//! The judge: knows what each life of the daemon was shown, and so what it may
//! write, and what the catalog must be in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Sim,
    agent::{Entry, Write, Writer},
    stages, world,
};
use crate::{
    docker::{Event, EventKind, Moment},
    model::{
        container::{Container, ContainerId, State},
        marks::{META_CONTAINER, Provenance},
        service::Service,
    },
    reconcile::{
        DrainBy, OnExit, Rename,
        lifecycle::MAINTENANCE,
        retire::{retires, retires_at},
    },
};

/// What the current life of the daemon was shown.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// What each container offered when it was last looked at with success;
    /// no container if it had ended.
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
    /// What it has tried to register.
    tried: BTreeSet<String>,
    /// What is being written.
    sent: Vec<String>,
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
        let mut marks = Provenance::new(world::HOST, self.profile.provenance);
        marks.set_engine(engine);
        services.into_iter().map(|service| marks.stamp(&container.id, service)).collect()
    }

    /// What a container's life leaves of what the pipeline offers for it.
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

    /// What a container is to have in the registry but for marks, unless another one
    /// has the ID.
    fn offered(&self, container: &Container) -> Vec<Service> {
        let host = stages::host(self.profile.internal);
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

    /// What a container is known to offer: nothing once that run of it is known to be over.
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
        let host = stages::host(self.profile.internal);
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
            return service.meta.get(META_CONTAINER).cloned().map(ContainerId);
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

    /// The daemon has read what is registered.
    pub(super) fn has_read(&mut self, began: Instant, at: Instant, seen: &BTreeMap<String, Entry>) {
        self.judge.read = Some((began, at));
        self.agent.unknown.clear();
        let unwritten = |id: &String| {
            let answered = self.judge.answered.get(id);
            !self.judge.sent.contains(id) && answered.is_none_or(|answered| *answered < began)
        };
        let foreign = seen.iter().filter(|(_, entry)| entry.writer == Writer::Foreign);
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

    /// Whether a daemon may send this write now.
    pub(super) fn judge_write(&mut self, write: &Write) {
        self.agent.writes += 1;
        self.judge.sent.push(write.id().to_string());
        self.written.push(write.clone());
        let known_foreign = self.judge.foreign.contains(write.id());
        let entry = self.agent.entries.get(write.id());
        if known_foreign && entry.is_some_and(|entry| entry.writer == Writer::Foreign) {
            self.violate(format_args!("{} is foreign and is written to", write.id()));
        }
        self.judge_held(write);
        match write {
            Write::Register { service, container, .. } => {
                self.judge_registration(service, container.as_ref());
                self.judge.tried.insert(service.id.clone());
            }
            Write::Deregister(id) if self.leaves(OnExit::Deregister) => {
                self.note(format_args!("{id} goes with the daemon"));
            }
            Write::Deregister(id) => self.judge_deregistration(id),
            Write::Maintain { .. } => {}
        }
    }

    /// Whether the daemon is stopping, and does this with all services then.
    fn leaves(&self, on_exit: OnExit) -> bool {
        let stopping = self.daemon.as_ref().is_some_and(|daemon| daemon.stopping);
        stopping && self.profile.choices.on_exit == on_exit
    }

    fn judge_registration(&mut self, service: &Service, container: Option<&ContainerId>) {
        let Some(container) = container else {
            return self.violate(format_args!("nobody offers {} like this", service.id));
        };
        if retires(service) {
            return self.judge_retirement(service, container);
        }
        let (snapshot, _) = &self.judge.claims[container];
        if snapshot.as_ref().is_some_and(|snapshot| stages::vetoes(snapshot, service)) {
            self.violate(format_args!("{} is vetoed and is registered", service.id));
        }
    }

    /// What retires was there before, and something has taken its place.
    fn judge_retirement(&mut self, service: &Service, container: &ContainerId) {
        let Rename::Overlap(overlap) = self.profile.choices.rename else {
            return self.violate(format_args!("{} is kept, which nobody wants", service.id));
        };
        let offered = self.judge.claims.get(container).map(|(_, offered)| offered.as_slice());
        let same = |new: &Service| new.origin == service.origin && new.port == service.port;
        if !offered.unwrap_or_default().iter().any(same) {
            self.violate(format_args!("{} is kept for nobody", service.id));
        }
        let latest = self.start.elapsed() + overlap + Duration::from_secs(1);
        if retires_at(&service.into()).is_none_or(|until| until > latest) {
            self.violate(format_args!("{} is kept for too long", service.id));
        }
    }

    /// Whether something leaves that is to be kept for a while.
    fn goes_early(&self, entry: &Entry, successor: bool) -> bool {
        let faults = &self.profile.faults;
        // What came of a write is not always known, and so not what is to be kept.
        let sure = faults.half + faults.late + faults.meddling + faults.slow == 0.0;
        let until = retires_at(&(&entry.service).into());
        let over = until.is_some_and(|until| until <= self.start.elapsed());
        sure && successor && !over && self.profile.choices.rename != Rename::Swap
    }

    /// Nothing that is held may go or be renamed.
    fn judge_held(&mut self, write: &Write) {
        let Some(entry) = self.agent.entries.get(write.id()) else { return };
        let Some(container) = &entry.container else { return };
        let goes = match write {
            Write::Deregister(_) => !self.leaves(OnExit::Deregister),
            Write::Maintain { .. } => false,
            // Another container may come by the ID.
            Write::Register { service, container: by, .. } => {
                by.as_ref() == Some(container) && service.name != entry.service.name
            }
        };
        // What has ended, here or on the other engine, may go all the same.
        let runs = [&self.world, &self.other_world]
            .into_iter()
            .any(|world| world.containers.get(container).is_some_and(|one| one.state.is_running()));
        if goes && runs && self.held().contains(write.id()) {
            self.violate(format_args!("{} is held and is taken out", write.id()));
        }
    }

    fn judge_deregistration(&mut self, id: &str) {
        let entry = self.agent.entries.get(id).cloned();
        let has = entry.as_ref().and_then(|entry| entry.container.clone());
        let offering = |container: &ContainerId| {
            // Who waits, or has failed and keeps what it has, wants no more than that.
            let wants = !self.judge.kept.contains(container) && !self.is_put_off(container);
            let mut offered = self.claim(container).unwrap_or_default().iter();
            (wants || has.as_ref() == Some(container)) && offered.any(|one| one.id == id)
        };
        if self.judge.claims.keys().any(offering) {
            return self.violate(format_args!("{id} is offered and is deregistered"));
        }
        let Some(entry) = entry else { return };
        if self.agent.unknown.contains(id) {
            // The daemon believes that something else is there.
            return;
        }
        match (entry.writer, &entry.container) {
            // Once it was to be adopted it goes with its container.
            (Writer::Predecessor, _) if self.judge.tried.contains(id) => {}
            (Writer::Predecessor, _) if !self.profile.cleanup => {
                self.violate(format_args!("{id} is the predecessor's and is deregistered"));
            }
            (Writer::Daemon, Some(container)) => match self.claim(container) {
                // It was to be another container's before that one ended.
                None if self.judge.tried.contains(id) => {}
                None => self.violate(format_args!("{id} is deregistered unseen")),
                // What two containers say that they have published on one port may be either's.
                Some(_) if self.is_shared(&entry.service, container) => {}
                Some(offered) => {
                    let same = |new: &&Service| stands_for(new) == stands_for(&entry.service);
                    let successor = offered.iter().find(same).map(|service| service.id.clone());
                    if self.goes_early(&entry, successor.is_some()) {
                        self.violate(format_args!("{id} goes before its time is over"));
                    }
                    if let Some(successor) = successor
                        && !self.was_known(&successor)
                    {
                        self.violate(format_args!("{id} goes before {successor} has come"));
                    }
                }
            },
            _ => {}
        }
    }

    /// Whether another container is known to offer something at the same address and port.
    fn is_shared(&self, service: &Service, container: &ContainerId) -> bool {
        let mut others = self.judge.claims.keys().filter(|id| *id != container);
        let place = (&service.address, service.port);
        others.any(|id| {
            let mut offered = self.claim(id).unwrap_or_default().iter();
            offered.any(|one| (&one.address, one.port) == place)
        })
    }

    /// Whether the daemon can believe that a service is registered.
    fn was_known(&self, id: &str) -> bool {
        let Some((began, at)) = self.judge.read else { return true };
        // What it has written since a read began it knows better than by that read.
        self.agent.entries.contains_key(id)
            || self.agent.gone.get(id).is_some_and(|gone| *gone >= at)
            || self.judge.answered.get(id).is_some_and(|answered| *answered >= began)
    }

    /// Whether what registrator left may go: no container of the name in its ID
    /// is known to offer such a service.
    fn may_clean_up(&self, entry: &Entry) -> bool {
        let name = entry.service.id.split(':').nth(1).unwrap_or_default();
        let offers = |(container, services): &(Option<Container>, Vec<Service>)| {
            container.as_ref().is_some_and(|container| container.name == name)
                && services.iter().any(|service| service.name == entry.service.name)
        };
        self.profile.cleanup && !self.judge.claims.values().any(offers)
    }

    /// What all running containers offer, by ID; several where they are rivals.
    fn expected(&self) -> BTreeMap<String, Vec<Service>> {
        let mut expected: BTreeMap<String, Vec<Service>> = BTreeMap::new();
        let engine = self.engine();
        for container in self.world.running() {
            for service in self.stamp(container, self.offered(container), engine.as_deref()) {
                expected.entry(service.id.clone()).or_default().push(service);
            }
        }
        expected
    }

    /// Whether several containers want one ID.
    pub(super) fn has_rivals(&self) -> bool {
        self.expected().into_values().any(|all| all.len() > 1)
    }

    /// Whether the catalog is what the running containers offer.
    pub(super) fn judge_catalog(&mut self) {
        self.world.ripen();
        let expected = self.expected();
        let mut faults = Vec::new();
        for (id, reason) in &self.agent.maintained {
            let entry = self.agent.entries.get(id);
            let container = entry.and_then(|entry| entry.container.as_ref());
            let runs = container.is_some_and(|id| self.world.containers.contains_key(id));
            if runs && reason.starts_with(MAINTENANCE) {
                faults.push(format!("{id} is in maintenance"));
            }
        }
        for (id, candidates) in &expected {
            match self.agent.entries.get(id) {
                _ if candidates.iter().all(|one| self.is_waiting(one)) => {}
                None => faults.push(format!("{id} is missing")),
                Some(entry) if entry.writer == Writer::Foreign => {}
                // Whoever failed and keeps its services keeps their IDs.
                Some(entry) if self.is_kept(entry) => {}
                Some(entry) if candidates.iter().any(|one| same(one, &entry.service)) => {}
                Some(entry) => {
                    faults.push(format!("{id} is {:?}, not one of {candidates:?}", entry.service))
                }
            }
        }
        for (id, entry) in self.agent.entries.iter().filter(|(id, _)| !expected.contains_key(*id)) {
            let surplus = match entry.writer {
                Writer::Daemon => !self.is_kept(entry) && !self.has_rival(entry),
                Writer::Predecessor => self.may_clean_up(entry),
                Writer::Foreign => false,
            };
            if surplus {
                faults.push(format!("{id} is too much"));
            }
        }
        for fault in faults {
            self.violate(format_args!("in the end {fault}"));
        }
    }
}

/// What the port of a service is, by which it is known again under another ID.
fn stands_for(service: &Service) -> (Option<u16>, &str, u16) {
    let port = service.origin.as_ref().map(|origin| origin.container_port);
    (port, &service.address, service.port)
}

/// Whether what is registered is this service, in all that is registered of it.
fn same(wanted: &Service, registered: &Service) -> bool {
    let plain = |service: &Service| Service {
        attributes: BTreeMap::new(),
        origin: None,
        ..service.clone()
    };
    plain(wanted) == plain(registered)
}
