//! The services that a container could offer, one per port, before any stage
//! has seen them.
//!
//! A candidate has the address and port under which it can be reached, a plain
//! name and an ID. What cannot be reached is no candidate, and the reason is
//! said.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    address::{AddressRules, Place, Reach},
    labels::{LabelFault, Labels},
};
use crate::{
    container::{Container, ExposedPort, Network, Protocol, PublishedPort},
    host::{Compat, Host},
    service::{Origin, Service},
};

/// The candidates of a container, sorted by port and protocol, and the reasons
/// why others are none.
#[derive(Debug, Default)]
pub struct Candidates {
    /// What can be reached.
    pub services: Vec<Service>,
    /// Why something is not offered, a phrase each.
    pub ignored: Vec<String>,
    /// What was mended, a sentence each.
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
    let labels = if compat(host) { Labels::default() } else { Labels::read(container)? };
    let ports = ports(container, &labels);
    if ports.is_empty() {
        found.ignored.push("no published ports".into());
        return Ok(found);
    }
    let labelled = address_from_label(container, host, &mut found.warnings);
    for (port, published) in ports {
        let reached = if compat(host) {
            original_reach(container, host, port, published.first())
        } else {
            Offer { container, host, rules, labels: &labels }.reach(port, &published)
        };
        match reached {
            Ok(mut reach) => {
                // Sharing another container's network wins over the label.
                if let Some(label) = &labelled
                    && !(compat(host) && is_shared(container))
                {
                    reach.place.0.clone_from(label);
                    reach.tagged.clear();
                }
                let published = published.into_iter().next();
                found.services.push(service(container, host, port, published, reach));
            }
            Err(reason) => found.ignored.push(reason),
        }
    }
    Ok(found)
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

/// What decides under which address a container's ports are reached.
struct Offer<'a> {
    container: &'a Container,
    host: &'a Host,
    rules: &'a AddressRules,
    labels: &'a Labels,
}

impl Offer<'_> {
    /// Where a container's port is reached, or why it is not.
    fn reach(&self, port: ExposedPort, published: &[PublishedPort]) -> Result<Reach, String> {
        let places = self.places(port, published)?;
        self.rules.choose(places).map_err(|family| match family {
            "IP" => format!("port {} has no address", port.port),
            family => format!("port {} has no {family} address (address.family)", port.port),
        })
    }

    /// Every place where the port is reached, the preferred one first.
    fn places(&self, port: ExposedPort, published: &[PublishedPort]) -> Result<Vec<Place>, String> {
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
        let at =
            |addresses: Vec<_>| Ok(addresses.into_iter().map(|own| (own, port.port)).collect());
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
            let at = |published| rules.published(host, published);
            return Ok(published.iter().flat_map(at).collect());
        }
        let addresses = rules.own(networks, mode, labels.network.as_deref());
        if addresses.is_empty() {
            return Err(format!("the container has no address {}", rules.asked()));
        }
        at(addresses)
    }
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
        address = in_network(&peer.networks, "bridge");
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
    warnings: &mut Vec<String>,
) -> Option<String> {
    let label = host.address_label.as_deref()?;
    let value = container.labels.get(label).filter(|value| !value.is_empty())?;
    let address = value.rsplit_once('/').map_or(value.as_str(), |(address, _)| address);
    if !compat(host) && address.parse::<IpAddr>().is_err() {
        warnings.push(format!("label {label}: {value:?} is no IP address; it is not used"));
        return None;
    }
    Some(address.to_string())
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
        meta: BTreeMap::new(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: reach.tagged.into_iter().map(tagged).collect(),
        origin: Some(Origin { container_port: port.port, protocol: port.protocol, published }),
        attributes: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
