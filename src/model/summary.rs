//! A container as a list of containers shows it: enough to see that it is as it was, but for what
//! an engine shows only when it is asked for the one.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher as _},
};

use super::container::{Container, ContainerId, Health, Protocol, State};

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which it is.
    pub id: ContainerId,
    /// The digest of its summary; none where the list does not show all of that.
    pub summary: Option<u64>,
}

/// The facts that both a list and a look at a container show. The rest is either part of the
/// container for as long as it is there (its image, its variables, the ports that it exposes), or
/// changes with something that is here: the start of its run with a state, an alias with a network.
/// Other changes show in the next look at everything.
#[derive(Debug, Hash)]
pub struct Summary<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: BTreeMap<&'a str, &'a str>,
    /// Where it is in its life.
    pub state: State,
    /// The state of its health check.
    pub health: Health,
    /// Container port, protocol, host address and host port.
    pub published: Vec<(u16, Protocol, &'a str, u16)>,
    /// Its networks by name: the identifier and the addresses of both families.
    pub networks: BTreeMap<&'a str, (&'a str, Option<&'a str>, Option<&'a str>)>,
}

impl Summary<'_> {
    /// A number that is the same for the same summary, whoever showed it.
    pub fn digest(mut self) -> u64 {
        self.published.sort_unstable();
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

impl<'a> From<&'a Container> for Summary<'a> {
    fn from(container: &'a Container) -> Self {
        let label = |(key, value): (&'a String, &'a String)| (key.as_str(), value.as_str());
        let published = container.published_ports.iter().map(|port| {
            (port.container_port, port.protocol, port.host_ip.as_str(), port.host_port)
        });
        let networks = container.networks.iter().map(|network| {
            let addresses = (network.ipv4.as_deref(), network.ipv6.as_deref());
            (network.name.as_str(), (network.id.as_str(), addresses.0, addresses.1))
        });
        Self {
            name: &container.name,
            labels: container.labels.iter().map(label).collect(),
            state: container.state,
            health: container.health,
            published: published.collect(),
            networks: networks.collect(),
        }
    }
}
