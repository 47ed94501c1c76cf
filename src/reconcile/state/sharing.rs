//! The containers that have another one's facts for their own: a container that shares another
//! one's network is reached where that one is, and no event tells of it when that changes.
//!
//! Each look notes what the container is like, as far as that bears on others. If a
//! look shows something else than what there was when a sharer was last looked at,
//! the sharer is looked at again. A sharer's own facts hold those of the owner, so
//! that this goes on from one to the next, and ends, in a circle, too, as soon as
//! nothing is new.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use crate::model::container::{Container, ContainerId, NetworkPeer};

/// The owners of shared networks and the sharers, as far as they are known.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Sharing {
    /// The containers that were looked at, with their facts.
    known: BTreeMap<ContainerId, Known>,
    sharers: BTreeMap<ContainerId, Sharer>,
    /// Counts the changes of what is known.
    clock: u64,
}

#[derive(Debug, Clone)]
struct Known {
    name: String,
    /// A digest of what bears on sharers; none if there is no such container.
    facts: Option<u64>,
    /// Since when.
    since: u64,
    /// A digest of what its sharers see of it.
    shown: Option<u64>,
}

#[derive(Debug, Clone)]
struct Sharer {
    /// The owner, by identifier or name, as the engine gives it.
    owner: String,
    /// The digest of the owner's facts when the sharer was last looked at.
    seen: Option<u64>,
    /// The network's owner, at the end of the way, and a digest of it by the sharer's own facts: it
    /// may have been so for a moment between two looks at the owner.
    saw: Option<(ContainerId, u64)>,
}

impl Sharing {
    /// The count of changes at which a look begins. It may not see what becomes known from now on.
    pub(in crate::reconcile) fn begin(&self) -> u64 {
        self.clock
    }

    /// Note a container as a look showed it that began then, and say which are to be looked at for
    /// it; it may be that one itself.
    pub(in crate::reconcile) fn note(
        &mut self,
        id: &ContainerId,
        container: Option<&Container>,
        began: u64,
    ) -> BTreeSet<ContainerId> {
        let again = self.note_sharer(id, container, began);
        let mut others = self.note_facts(id, container);
        others.extend(again);
        others.extend(self.unknown_owners(container));
        others
    }

    fn note_sharer(
        &mut self,
        id: &ContainerId,
        container: Option<&Container>,
        began: u64,
    ) -> Option<ContainerId> {
        let before = self.sharers.remove(id).and_then(|sharer| sharer.saw);
        // Also of one that has ended: others may be reached by way of it.
        let container = container?;
        let owner = container.network_owner()?.to_string();
        let known = self.find(&owner);
        let seen = known.filter(|(_, known)| known.since <= began).map(|(_, known)| known.digest());
        let again = match known {
            // It became so while this one was being looked at.
            Some(_) if seen.is_none() => Some(id.clone()),
            Some(_) => None,
            // Its end would be heard of, but not that it never was.
            None => is_identifier(&owner).then(|| ContainerId(owner.as_str().into())),
        };
        let peer = container.network_peer.as_ref();
        let saw = peer.map(|peer| (peer.id.clone(), shown_of(peer)));
        // Once: it was seen otherwise than the owner itself was.
        let owner_again = saw
            .clone()
            .filter(|saw| Some(saw) != before.as_ref())
            .filter(|saw| self.known.get(&saw.0).is_some_and(|known| known.shown != Some(saw.1)));
        self.sharers.insert(id.clone(), Sharer { owner, seen, saw });
        again.or(owner_again.map(|(owner, _)| owner))
    }

    /// Those by way of which a network is shared that were not looked at yet: what does
    /// not run is in no list.
    fn unknown_owners(&self, container: Option<&Container>) -> Vec<ContainerId> {
        let peer = container.and_then(|container| container.network_peer.as_ref());
        let owners = peer.into_iter().flat_map(|peer| peer.through.iter().chain([&peer.id]));
        owners.filter(|id| !self.known.contains_key(*id)).cloned().collect()
    }

    fn note_facts(
        &mut self,
        id: &ContainerId,
        container: Option<&Container>,
    ) -> BTreeSet<ContainerId> {
        let facts = container.map(facts);
        let name = container.map(|container| container.name.clone()).unwrap_or_default();
        let before = self.known.get(id);
        let is_news = before.is_none_or(|known| known.facts != facts);
        // A former name stands for nobody any more.
        let former = before.map(|known| known.name.clone()).unwrap_or_default();
        if is_news {
            self.clock += 1;
            let since = self.clock;
            let shown = container.map(shown);
            self.known.insert(id.clone(), Known { name: name.clone(), facts, since, shown });
        }
        let means = |owner: &str| {
            *owner == *id.0 || (!owner.is_empty() && [&*name, &*former].contains(&owner))
        };
        let sharers = self.sharers.iter().filter(|(_, sharer)| means(&sharer.owner));
        let stale = sharers.filter(|(_, sharer)| {
            self.find(&sharer.owner).map(|(_, known)| known.digest()) != sharer.seen
        });
        let shown = container.map(shown);
        let other = |saw: &(ContainerId, u64)| saw.0 == *id && Some(saw.1) != shown;
        let mistaken =
            self.sharers.iter().filter(|(_, sharer)| sharer.saw.as_ref().is_some_and(other));
        let again = stale.chain(mistaken).map(|(sharer, _)| sharer.clone()).collect();
        if facts.is_none() && !self.sharers.values().any(|sharer| *sharer.owner == *id.0) {
            self.known.remove(id);
        }
        again
    }

    /// The container that this stands for, and its facts; of several of one name, the one that is
    /// there and changed last.
    fn find(&self, owner: &str) -> Option<(&ContainerId, &Known)> {
        let by_id = || self.known.get_key_value(&ContainerId(owner.into()));
        let named = |(_, known): &(&ContainerId, &Known)| known.name == owner;
        let by_name = || {
            let all = self.known.iter().filter(named);
            all.max_by_key(|(_, known)| (known.facts.is_some(), known.since))
        };
        if is_identifier(owner) { by_id() } else { by_name() }
    }
}

impl Known {
    fn digest(&self) -> u64 {
        self.facts.unwrap_or_default()
    }
}

fn is_identifier(owner: &str) -> bool {
    owner.len() == 64 && owner.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A digest of what a container's sharers see of it.
fn shown(container: &Container) -> u64 {
    let mut hasher = DefaultHasher::new();
    (container.state.is_running(), &container.name, &container.network_mode).hash(&mut hasher);
    (&container.networks, &container.published_ports).hash(&mut hasher);
    hasher.finish()
}

/// The same of what a sharer has seen.
fn shown_of(peer: &NetworkPeer) -> u64 {
    let mut hasher = DefaultHasher::new();
    (peer.running, &peer.name, &peer.network_mode).hash(&mut hasher);
    (&peer.networks, &peer.published_ports).hash(&mut hasher);
    hasher.finish()
}

/// A digest of what of a container bears on those that share its network.
fn facts(container: &Container) -> u64 {
    let mut hasher = DefaultHasher::new();
    (container.state.is_running(), &container.name, &container.network_mode).hash(&mut hasher);
    (&container.networks, &container.published_ports, &container.network_peer).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::{Health, Network, State as Life};

    fn id(n: u8) -> ContainerId {
        ContainerId(format!("{n:064}").into())
    }

    /// A running container of this name in a network of this mode, with an address.
    fn container(n: u8, name: &str, mode: &str, address: &str) -> Container {
        Container {
            id: id(n),
            name: name.into(),
            image: String::new(),
            image_id: String::new(),
            hostname: String::new(),
            env: Vec::new(),
            labels: BTreeMap::new(),
            exposed_ports: Vec::new(),
            published_ports: Vec::new(),
            networks: vec![Network {
                name: "bridge".into(),
                id: String::new(),
                ipv4: Some(address.into()),
                ipv6: None,
                aliases: Vec::new(),
            }],
            network_mode: mode.into(),
            network_peer: None,
            state: Life::Running,
            exit_code: 0,
            health: Health::None,
            stop_signal: 15,
            created_at: String::new(),
            started_at: None,
            pending_ports: Vec::new(),
            attributes: Default::default(),
            setup: None,
            image_facts: None,
        }
    }

    /// The numbers of the containers to be looked at after a look at this one, and so on
    /// until nothing is left to do; with the looks that this took.
    fn settle(sharing: &mut Sharing, world: &BTreeMap<u8, Container>, first: u8) -> Vec<u8> {
        let (mut due, mut looked) = (BTreeSet::from([id(first)]), Vec::new());
        while let Some(next) = due.pop_first() {
            let n: u8 = next.0.parse().expect("a number");
            looked.push(n);
            assert!(looked.len() < 50, "without end: {looked:?}");
            let began = sharing.begin();
            due.extend(sharing.note(&next, world.get(&n), began));
        }
        looked
    }

    fn mode(n: u8) -> String {
        format!("container:{}", id(n).0)
    }

    #[test]
    fn who_shares_is_looked_at_when_the_owner_has_changed_and_only_then() {
        let mut sharing = Sharing::default();
        let mut world = BTreeMap::from([
            (1, container(1, "vpn", "bridge", "10.0.0.1")),
            (2, container(2, "by-id", &mode(1), "")),
            (3, container(3, "by-name", "container:vpn", "")),
            (4, container(4, "alone", "bridge", "10.0.0.4")),
        ]);
        for n in [2, 3, 4, 1] {
            settle(&mut sharing, &world, n);
        }
        for n in 1..=4 {
            assert_eq!(settle(&mut sharing, &world, n), [n], "nothing is new");
        }
        world.get_mut(&1).expect("it is there").state = Life::Exited;
        assert_eq!(settle(&mut sharing, &world, 1), [1, 2, 3]);
        world.get_mut(&1).expect("it is there").state = Life::Running;
        assert_eq!(settle(&mut sharing, &world, 1), [1, 2, 3]);
        world.get_mut(&1).expect("it is there").networks.clear();
        assert_eq!(settle(&mut sharing, &world, 1), [1, 2, 3]);
        // Another one of the name takes the first one's place.
        world.remove(&1);
        assert_eq!(settle(&mut sharing, &world, 1), [1, 2, 3]);
        world.insert(5, container(5, "vpn", "bridge", "10.0.0.5"));
        assert_eq!(settle(&mut sharing, &world, 5), [5, 3]);
        world.get_mut(&5).expect("it is there").name = "other".into();
        assert_eq!(settle(&mut sharing, &world, 5), [5, 3]);
        assert_eq!(settle(&mut sharing, &world, 4), [4]);
    }

    #[test]
    fn it_goes_on_from_one_to_the_next_and_a_circle_ends() {
        let mut sharing = Sharing::default();
        let peer = |owner: &Container| NetworkPeer {
            id: owner.id.clone(),
            name: owner.name.clone(),
            network_mode: owner.network_mode.clone(),
            networks: owner.networks.clone(),
            published_ports: Vec::new(),
            running: owner.state.is_running(),
            started_at: owner.started_at.clone(),
            through: Vec::new(),
        };
        let mut owner = container(1, "vpn", "bridge", "10.0.0.1");
        let world = |owner: &Container| {
            let of = |n: u8, next: u8| Container {
                network_peer: Some(peer(owner)),
                ..container(n, "x", &mode(next), "")
            };
            BTreeMap::from([(1, owner.clone()), (2, of(2, 1)), (3, of(3, 2)), (4, of(4, 3))])
        };
        for n in [4, 3, 2, 1] {
            settle(&mut sharing, &world(&owner), n);
        }
        owner.state = Life::Exited;
        assert_eq!(settle(&mut sharing, &world(&owner), 1), [1, 2, 3, 4]);
        // Also by way of one that does not run.
        let without = |owner: &Container| {
            let mut world = world(owner);
            world.get_mut(&3).expect("it is there").state = Life::Exited;
            world
        };
        assert_eq!(settle(&mut sharing, &without(&owner), 3), [3, 4]);
        owner.state = Life::Running;
        assert_eq!(settle(&mut sharing, &without(&owner), 1), [1, 2, 3, 4]);

        let mut sharing = Sharing::default();
        let mut circle = BTreeMap::from([
            (1, container(1, "a", &mode(2), "")),
            (2, container(2, "b", &mode(1), "")),
        ]);
        settle(&mut sharing, &circle, 1);
        assert_eq!(settle(&mut sharing, &circle, 2), [2]);
        circle.get_mut(&1).expect("it is there").name = "c".into();
        assert_eq!(settle(&mut sharing, &circle, 1), [1, 2]);
    }

    #[test]
    fn what_becomes_known_during_a_look_is_looked_at_again() {
        let mut sharing = Sharing::default();
        let (owner, sharer) =
            (container(1, "vpn", "bridge", "10.0.0.1"), container(2, "x", &mode(1), ""));
        let began = sharing.begin();
        // The owner is not known yet: it is asked for.
        assert_eq!(sharing.note(&id(2), Some(&sharer), began), [id(1)].into());
        let began = sharing.begin();
        let now = sharing.begin();
        sharing.note(&id(1), Some(&owner), now);
        assert_eq!(sharing.note(&id(2), Some(&sharer), began), [id(2)].into());
        let now = sharing.begin();
        assert_eq!(sharing.note(&id(2), Some(&sharer), now), BTreeSet::new());
    }
}
