//! The services that a container could offer, one per port, before any stage
//! has seen them.
//!
//! A candidate has the address and port under which it can be reached, a plain
//! name and an ID. What cannot be reached is no candidate, and the reason is
//! said.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    container::{Container, ExposedPort, Network, PublishedPort},
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
pub fn candidates(container: &Container, host: &Host) -> Candidates {
    let mut found = Candidates::default();
    let ports = ports(container);
    if ports.is_empty() {
        found.ignored.push("no published ports".into());
        return found;
    }
    let labelled = address_from_label(container, host, &mut found.warnings);
    for (port, published) in ports {
        match reach(container, host, port, published.as_ref()) {
            Ok((address, number)) => {
                let address = match &labelled {
                    // Sharing another container's network wins over the label.
                    Some(label) if !(compat(host) && is_shared(container)) => label.clone(),
                    _ => address,
                };
                found.services.push(service(container, host, port, published, address, number));
            }
            Err(reason) => found.ignored.push(reason),
        }
    }
    found
}

fn compat(host: &Host) -> bool {
    host.compat == Compat::Registrator
}

fn is_shared(container: &Container) -> bool {
    container.network_mode.starts_with("container:")
}

/// Every port that is exposed or published, with where it is published first.
fn ports(container: &Container) -> Vec<(ExposedPort, Option<PublishedPort>)> {
    let mut ports: BTreeMap<ExposedPort, Option<PublishedPort>> =
        container.exposed_ports.iter().map(|port| (*port, None)).collect();
    for published in &container.published_ports {
        let port = ExposedPort { port: published.container_port, protocol: published.protocol };
        ports.entry(port).or_default().get_or_insert_with(|| published.clone());
    }
    ports.into_iter().collect()
}

/// The address and port under which a container's port is reached, or why it
/// is not.
fn reach(
    container: &Container,
    host: &Host,
    port: ExposedPort,
    published: Option<&PublishedPort>,
) -> Result<(String, u16), String> {
    // Docker keeps no map of ports for a container without a network of its
    // own: whatever it listens on is open where that network is.
    let direct = is_shared(container) || matches!(container.network_mode.as_str(), "host" | "none");
    if !host.internal && published.is_none() && !direct {
        return Err(format!("port {} not published on host", port.port));
    }
    if compat(host) {
        return Ok(original(container, host, port, published));
    }
    let advertised = || host.address().unwrap_or_default().to_string();
    if container.network_mode == "host" {
        return Ok((advertised(), port.port));
    }
    if container.network_mode == "none" {
        return Err(format!("port {} cannot be reached: the container has no network", port.port));
    }
    if let Some(peer) = &container.network_peer {
        if peer.network_mode == "host" {
            return Ok((advertised(), port.port));
        }
        let through = peer.published_ports.iter().find(|candidate| {
            (candidate.container_port, candidate.protocol) == (port.port, port.protocol)
        });
        return match through {
            Some(published) if !host.internal => {
                Ok((host_side(host, &published.host_ip), published.host_port))
            }
            _ => Ok((own_address(&peer.networks, &peer.network_mode)?, port.port)),
        };
    }
    match published {
        Some(published) if !host.internal => {
            Ok((host_side(host, &published.host_ip), published.host_port))
        }
        _ => Ok((own_address(&container.networks, &container.network_mode)?, port.port)),
    }
}

/// The host's address for a port that is published on `host_ip`.
fn host_side(host: &Host, host_ip: &str) -> String {
    let all = host_ip.is_empty() || host_ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if all || host.forced_address.is_some() {
        host.address().unwrap_or_default().to_string()
    } else {
        host_ip.to_string()
    }
}

/// The container's address in the network it was started in, else in Docker's
/// default one, else in the first by name.
fn own_address(networks: &[Network], mode: &str) -> Result<String, String> {
    let by_name =
        |name: &str| networks.iter().find(|network| network.name == name || network.id == name);
    [by_name(mode), by_name("bridge")]
        .into_iter()
        .flatten()
        .chain(networks)
        .find_map(Network::address)
        .map(String::from)
        .ok_or_else(|| "the container has no address in any network".into())
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
    address: String,
    number: u16,
) -> Service {
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
        tagged_addresses: BTreeMap::new(),
        origin: Some(Origin { container_port: port.port, protocol: port.protocol, published }),
        attributes: BTreeMap::new(),
    }
}
