//! Faults of the services of all containers together, or of their names in DNS:
//! said before anything is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::lint::dns_fault;
use crate::model::{
    container::{Container, Protocol},
    service::Service,
};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Finding {
    /// Several containers, or several services of one, want one service ID.
    DuplicateId {
        /// The ID.
        id: String,
        /// The containers' names; one stands twice if it wants it twice.
        containers: Vec<String>,
    },
    /// Services of several containers claim one address and port.
    PortClash {
        /// Address, port and protocol.
        at: String,
        /// The services' IDs, with their containers' names.
        services: Vec<(String, String)>,
    },
    /// Consul's DNS cannot serve a name.
    DnsName {
        /// The service's name.
        name: String,
        /// Why not.
        fault: String,
        /// The containers' names.
        containers: Vec<String>,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateId { id, containers } => {
                write!(f, "the service ID {id} is wanted several times: {}", containers.join(", "))
            }
            Self::PortClash { at, services } => {
                let all: Vec<_> =
                    services.iter().map(|(id, name)| format!("{id} of {name}")).collect();
                write!(f, "{at} is claimed by several containers: {}", all.join(", "))
            }
            Self::DnsName { name, fault, containers } => {
                let containers = containers.join(", ");
                write!(f, "DNS cannot serve the service name {name:?}: {fault} ({containers})")
            }
        }
    }
}

/// The IDs, places and names of the services of all containers.
#[derive(Debug, Default)]
pub struct Survey {
    ids: BTreeMap<String, Vec<String>>,
    places: BTreeMap<(String, u16, Protocol), BTreeSet<(String, String)>>,
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Survey {
    /// Note what a container offers.
    pub fn note(&mut self, container: &Container, services: &[Service]) {
        let name = || container.name.clone();
        for service in services {
            self.ids.entry(service.id.clone()).or_default().push(name());
            if service.port != 0 && !service.address.is_empty() {
                let place = (service.address.clone(), service.port, service.protocol);
                self.places.entry(place).or_default().insert((service.id.clone(), name()));
            }
            if dns_fault(&service.name).is_some() {
                self.names.entry(service.name.clone()).or_default().insert(name());
            }
        }
    }

    /// The faults.
    pub fn findings(&self) -> Vec<Finding> {
        let twice = self.ids.iter().filter(|(_, containers)| containers.len() > 1);
        let mut found: Vec<_> = twice
            .map(|(id, containers)| Finding::DuplicateId {
                id: id.clone(),
                containers: containers.clone(),
            })
            .collect();
        for ((address, port, protocol), services) in &self.places {
            let containers: BTreeSet<_> = services.iter().map(|(_, name)| name).collect();
            if containers.len() > 1 {
                let protocol = format!("{protocol:?}").to_lowercase();
                let at = match address.contains(':') {
                    true => format!("[{address}]:{port}/{protocol}"),
                    false => format!("{address}:{port}/{protocol}"),
                };
                found.push(Finding::PortClash { at, services: services.iter().cloned().collect() });
            }
        }
        found.extend(self.names.iter().map(|(name, containers)| Finding::DnsName {
            name: name.clone(),
            fault: dns_fault(name).unwrap_or_default(),
            containers: containers.iter().cloned().collect(),
        }));
        found
    }
}
