//! The writes that a daemon may make, by what it was shown.

use std::time::Duration;

use super::super::{
    Sim,
    agent::{Entry, Write, Writer},
    peer, stages,
};
use crate::{
    model::{container::ContainerId, service::Service},
    reconcile::{
        OnExit, Rename,
        retire::{retires, retires_at},
    },
};

impl Sim {
    /// Whether a daemon may send this write now.
    pub(in crate::reconcile::sim) fn judge_write(&mut self, write: &Write) {
        self.agent.writes += 1;
        self.judge.sent.push(write.id().to_string());
        self.written.push(write.clone());
        let known_foreign = self.judge.foreign.contains(write.id());
        let entry = self.agent.entries.get(write.id());
        let anothers = entry.is_some_and(|entry| entry.writer.is_another());
        if anothers && (known_foreign || peer::is_its_own(write.id())) {
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

    /// Judge a service that retires: another one must have taken its place.
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
        // A container that has ended, here or on the other engine, may go all the same.
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
}

/// The ports and the address of a service, by which it is known again under another ID.
fn stands_for(service: &Service) -> (Option<u16>, &str, u16) {
    let port = service.origin.as_ref().map(|origin| origin.container_port);
    (port, &service.address, service.port)
}
