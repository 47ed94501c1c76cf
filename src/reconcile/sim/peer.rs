//! A second daemon on the same agent: it has the host's name, as of a unit that was copied, and
//! serves another engine, whose containers this one never sees. It does what a sound daemon does:
//! it registers its containers' services under IDs that nobody else has, and writes to no others.

use super::{
    Sim,
    agent::{self, Entry, Writer},
    world,
};
use crate::model::{
    container::ContainerId,
    marks::{META_CONTAINER, META_ENGINE, META_HOST},
    service::Service,
};

/// Its containers. The first has a name that this engine's may have, too.
const CONTAINERS: [&str; 3] = ["web", "peer1", "peer2"];

/// Whether an ID is that of a container which only the second daemon's engine has.
pub(super) fn is_its_own(id: &str) -> bool {
    id.split(':').nth(1).is_some_and(|name| name.starts_with("peer"))
}

/// The service that it offers for a container, on a port that is free on the host.
fn offered(at: usize) -> Service {
    let (host, name) = (world::HOSTS[0], CONTAINERS[at]);
    let mut service = agent::service(&format!("{host}:{name}:80"), name, world::ADDRESS);
    service.port = 9000 + u16::try_from(at).expect("there are few");
    service.meta = crate::model::few::Pairs::from([
        (META_HOST.to_string(), host.to_string()),
        (META_ENGINE.to_string(), "the peer's".to_string()),
        (META_CONTAINER.to_string(), container(at).to_string()),
    ]);
    service
}

fn container(at: usize) -> ContainerId {
    ContainerId(format!("{:064}", at + 1).into())
}

impl Sim {
    /// One of its containers has come, has changed or has ended.
    pub(super) fn peer_acts(&mut self) {
        let at = self.rng.usize(..CONTAINERS.len());
        let mut service = offered(at);
        let id = service.id.clone();
        let there = self.agent.entries.get(&id).map(|entry| entry.writer);
        // This daemon is not told what others write.
        self.needs_resync = true;
        match there {
            None => {
                self.note(format_args!("the peer registers {id}"));
                let container = Some(container(at));
                self.agent.put(Entry { service, writer: Writer::Peer, container });
            }
            Some(Writer::Peer) if self.rng.bool() => {
                self.note(format_args!("the peer changes {id}"));
                service.tags.push("changed".into());
                let container = Some(container(at));
                self.agent.put(Entry { service, writer: Writer::Peer, container });
            }
            Some(Writer::Peer) => {
                self.note(format_args!("the peer deregisters {id}"));
                self.agent.remove(&id);
            }
            // It is another's.
            Some(_) => {}
        }
    }
}
