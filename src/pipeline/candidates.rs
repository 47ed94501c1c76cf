//! The services that a container could offer, one per port, before any stage
//! has seen them.
//!
//! A candidate has the address and port under which it can be reached, a plain
//! name and an ID. A port that cannot be reached is no candidate, and the reason
//! is said.

use std::collections::BTreeMap;

use super::{
    address::{self, AddressRules, Place, Reach},
    labels::{LabelFault, Labels},
};
use crate::model::{
    container::{Container, ExposedPort, Network, Protocol, PublishedPort},
    host::{Compat, Host},
    service::{Origin, Service},
};

/// The candidates of a container, sorted by port and protocol, and the reasons
/// why others are none.
#[derive(Debug, Default)]
pub struct Candidates {
    /// The services that can be reached.
    pub services: Vec<Service>,
    /// Why something is not offered, a phrase each.
    pub ignored: Vec<String>,
    /// Warnings, a sentence each.
    pub warnings: Vec<String>,
}

/// Work out what a container offers on this host.
///
/// # Errors
///
/// A label of the container makes no sense, so that it is not known what the
/// container offers.
pub fn candidates(
    container: &Container,
    host: &Host,
    rules: &AddressRules,
) -> Result<Candidates, LabelFault> {
    let mut found = Candidates::default();
    // registrator knows none of them.
    let labels = if compat(host) { Labels::default() } else { Labels::read(container, rules)? };
    found.warnings.extend(hosts_own(container, host));
    let ports = ports(container, &labels);
    if ports.is_empty() {
        found.ignored.push("no published ports".into());
        return Ok(found);
    }
    let labelled = address_from_label(container, host, rules, &mut found.warnings);
    // An address that the container names itself needs no network of Docker's.
    let cut_off = container.cut_off().filter(|_| labelled.is_none() && !compat(host));
    if let Some(reason) = cut_off {
        found.ignored.push(reason);
        return Ok(found);
    }
    found.warnings.extend(container.left_behind().filter(|_| labelled.is_none() && !compat(host)));
    for (port, published) in ports {
        let reached = if compat(host) {
            let reach = original_reach(container, host, port, published.first());
            // Sharing another container's network wins over the label.
            let label = labelled.as_ref().filter(|_| !is_shared(container));
            reach.map(|reach| match label {
                Some(label) => Reached::sure(reach.at(label)),
                None => Reached::sure(reach),
            })
        } else {
            let offer = Offer { container, host, rules, labels: &labels };
            match &labelled {
                Some(label) => Ok(offer.labelled(port, &published, label)),
                None => offer.reach(port, &published),
            }
        };
        match reached {
            Ok(Reached { reach, doubt }) => {
                found.warnings.extend(doubt);
                let published = binding(published, &reach.place);
                found.services.push(service(container, host, port, published, reach));
            }
            Err(reason) => found.ignored.push(reason),
        }
    }
    Ok(found)
}

/// Where a port is reached, and why others may not reach it there, a sentence.
struct Reached {
    reach: Reach,
    doubt: Option<String>,
}

impl Reached {
    fn sure(reach: Reach) -> Self {
        Self { reach, doubt: None }
    }
}

/// That the host's address is the container's own: the daemon runs in a
/// container, where its host's name stands for that container.
fn hosts_own(container: &Container, host: &Host) -> Option<String> {
    if compat(host) || host.forced_address.is_some() {
        return None;
    }
    let address = host.resolved_address.as_deref()?;
    let has = |network: &&Network| {
        [&network.ipv4, &network.ipv6].into_iter().flatten().any(|own| own == address)
    };
    let network = container.networks.iter().find(has)?;
    Some(format!(
        "the host's name {} resolves to {address}, which is this container's own address in the \
         network {}: published ports are not reached there; -ip names the host's",
        host.hostname, network.name
    ))
}

/// Of the bindings of a port the one that a place is of.
fn binding(published: Vec<PublishedPort>, (address, port): &Place) -> Option<PublishedPort> {
    let of_place = |one: &&PublishedPort| one.host_port == *port;
    let exact = published.iter().find(|one| of_place(one) && one.host_ip == *address);
    let same = || {
        let six = address.contains(':');
        published.iter().find(|one| of_place(one) && one.host_ip.contains(':') == six)
    };
    let any = || published.iter().find(of_place);
    exact.or_else(same).or_else(any).or(published.first()).cloned()
}

fn compat(host: &Host) -> bool {
    host.compat == Compat::Registrator
}

fn is_shared(container: &Container) -> bool {
    container.network_mode.starts_with("container:")
}

/// Every port that is exposed, published or named by a label, with where it is
/// published. A service without a port has the port 0.
fn ports(container: &Container, labels: &Labels) -> Vec<(ExposedPort, Vec<PublishedPort>)> {
    if labels.portless {
        return vec![(ExposedPort { port: 0, protocol: Protocol::Tcp }, Vec::new())];
    }
    let named = container.exposed_ports.iter().chain(&labels.ports);
    let mut ports: BTreeMap<ExposedPort, Vec<PublishedPort>> =
        named.map(|port| (*port, Vec::new())).collect();
    for published in &container.published_ports {
        let port = ExposedPort { port: published.container_port, protocol: published.protocol };
        ports.entry(port).or_default().push(published.clone());
    }
    ports.into_iter().collect()
}

/// Docker keeps no map of ports for a container without a network of its own:
/// whatever it listens on is open where that network is.
fn is_open(container: &Container) -> bool {
    is_shared(container) || matches!(container.network_mode.as_str(), "host" | "none")
}

fn not_published(port: ExposedPort) -> String {
    format!("port {} not published on host", port.port)
}

/// The facts and rules by which the address of a container's ports is chosen.
struct Offer<'a> {
    container: &'a Container,
    host: &'a Host,
    rules: &'a AddressRules,
    labels: &'a Labels,
}

impl Offer<'_> {
    /// Where a container's port is reached, or why it is not.
    fn reach(&self, port: ExposedPort, published: &[PublishedPort]) -> Result<Reached, String> {
        let Places { places, bindings } = self.places(port, published)?;
        let reach = self.rules.choose(places).map_err(|family| match family {
            "IP" => format!("port {} has no address", port.port),
            family => format!("port {} has no {family} address (address.family)", port.port),
        })?;
        let doubt = AddressRules::doubt(self.host, &reach.place, &bindings);
        let doubt = doubt.map(|words| format!("port {} {words}", port.port));
        Ok(Reached { reach, doubt })
    }

    /// Where a port is reached of a container whose label says its address. That
    /// takes neither a network nor a published port; where it is published, the
    /// host's port counts as ever.
    fn labelled(&self, port: ExposedPort, published: &[PublishedPort], label: &str) -> Reached {
        let reached = self.reach(port, published);
        let number = reached.map_or(port.port, |reached| reached.reach.place.1);
        Reached::sure(Reach { place: (label.to_string(), number), tagged: Vec::new() })
    }

    /// Every place where the port is reached, the preferred one first.
    fn places(&self, port: ExposedPort, published: &[PublishedPort]) -> Result<Places, String> {
        let Self { container, host, rules, labels } = *self;
        let (networks, mode, published) = match &container.network_peer {
            Some(peer) => {
                let of_port = |other: &&PublishedPort| {
                    (other.container_port, other.protocol) == (port.port, port.protocol)
                };
                let through = peer.published_ports.iter().filter(of_port).cloned().collect();
                (&peer.networks, peer.network_mode.as_str(), through)
            }
            None => (&container.networks, container.network_mode.as_str(), published.to_vec()),
        };
        let at = |addresses: Vec<String>| {
            let places = addresses.into_iter().map(|own| (own, port.port)).collect();
            Ok(Places { places, bindings: Vec::new() })
        };
        if mode == "host" {
            return at(rules.host(host));
        }
        let own = labels.network.is_some() || host.internal;
        if !own && published.is_empty() && (labels.portless || !is_open(container)) {
            let direct = rules.direct(networks);
            return match direct.is_empty() {
                false => at(direct),
                true if labels.portless => at(rules.host(host)),
                true => Err(not_published(port)),
            };
        }
        if mode == "none" {
            let port = port.port;
            return Err(format!("port {port} cannot be reached: the container has no network"));
        }
        if !own && !published.is_empty() {
            let places = rules.published(host, &published);
            return Ok(Places { places, bindings: published });
        }
        let addresses = rules.own(networks, mode, labels.network.as_deref());
        if addresses.is_empty() {
            return Err(format!("the container has no address {}", rules.asked()));
        }
        at(addresses)
    }
}

/// Every place where a port is reached, the preferred one first, and the bindings
/// that they are of, if it is by publishing.
struct Places {
    places: Vec<Place>,
    bindings: Vec<PublishedPort>,
}

/// [`original`] for what registrator does not ignore.
fn original_reach(
    container: &Container,
    host: &Host,
    port: ExposedPort,
    published: Option<&PublishedPort>,
) -> Result<Reach, String> {
    if !host.internal && published.is_none() && !is_open(container) {
        return Err(not_published(port));
    }
    Ok(Reach { place: original(container, host, port, published), tagged: Vec::new() })
}

/// registrator's rule to the letter, which mixes addresses of the container
/// with ports of the host. Source: its recorded behaviour.
fn original(
    container: &Container,
    host: &Host,
    port: ExposedPort,
    published: Option<&PublishedPort>,
) -> (String, u16) {
    let mode = container.network_mode.as_str();
    let in_network = |networks: &[Network], name: &str| {
        let network = networks.iter().find(|network| network.name == name);
        network.and_then(|network| network.ipv4.clone()).unwrap_or_default()
    };
    let mut address = if host.internal {
        // `NetworkSettings.IPAddress`, which older Docker daemons send, is the
        // address in the default network.
        match in_network(&container.networks, "bridge") {
            own if !own.is_empty() => own,
            _ => container.networks.iter().rev().find_map(|n| n.ipv4.clone()).unwrap_or_default(),
        }
    } else if let Some(forced) = &host.forced_address {
        forced.clone()
    } else if matches!(mode, "bridge" | "default" | "host") {
        let published = published.map_or("0.0.0.0", |published| published.host_ip.as_str());
        match published {
            "" | "0.0.0.0" => host.resolved_address.clone().unwrap_or_else(|| "0.0.0.0".into()),
            other => other.to_string(),
        }
    } else {
        in_network(&container.networks, mode)
    };
    if let Some(peer) = &container.network_peer {
        // It looks no further than at the nearest one.
        let networks = if peer.through.is_empty() { peer.networks.as_slice() } else { &[] };
        address = in_network(networks, "bridge");
    }
    let number = match published {
        Some(published) if !host.internal => published.host_port,
        _ => port.port,
    };
    (address, number)
}

/// The address that the container's label gives, without a prefix length.
fn address_from_label(
    container: &Container,
    host: &Host,
    rules: &AddressRules,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let label = host.address_label.as_deref()?;
    let value = container.labels.get(label).filter(|value| !value.is_empty())?;
    let address = value.rsplit_once('/').map_or(value.as_str(), |(address, _)| address);
    if compat(host) {
        return Some(address.to_string());
    }
    let address = address.trim();
    match rules.permits(address) {
        Ok(()) => Some(address.to_string()),
        Err(address::Refused::NoAddress) => {
            warnings.push(format!("label {label}: {value:?} is no IP address; it is not used"));
            None
        }
        Err(refused) => {
            warnings.push(format!("label {label}: {refused}; it is not used"));
            None
        }
    }
}

fn service(
    container: &Container,
    host: &Host,
    port: ExposedPort,
    published: Option<PublishedPort>,
    reach: Reach,
) -> Service {
    let (address, number) = reach.place;
    let tagged = |(tag, place): (&str, Place)| (tag.to_string(), place);
    Service {
        id: format!("{}:{}:{}", host.hostname, container.name, port.port),
        name: container.name.clone(),
        address,
        port: number,
        protocol: port.protocol,
        tags: Vec::new(),
        meta: Default::default(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: reach.tagged.into_iter().map(tagged).collect(),
        origin: Some(Origin { container_port: port.port, protocol: port.protocol, published }),
        further: Default::default(),
        attributes: Default::default(),
    }
}

#[cfg(test)]
mod tests;
