//! The rules by which one of a container's addresses is chosen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use globset::GlobMatcher;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::{
    container::{Network, PublishedPort},
    host::{self, Host},
};

/// Of which family an address must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
    /// Both: the service's address is the IPv4 one where there is one, and
    /// Consul's tagged addresses hold each.
    Dual,
}

/// Which address counts for a port that is bound to one of the host's addresses,
/// and `-ip` names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// That of `-ip`, as in registrator.
    #[default]
    Host,
    /// That which the port is bound to.
    Binding,
}

/// Why a container's label may not choose an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("that is no IP address")]
    NoAddress,
    #[error("{0} is {1}")]
    Secluded(IpAddr, &'static str),
    #[error("{0} is in no subnet of address.label-subnets")]
    Subnet(IpAddr),
}

/// The certainty that a published port is reached at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Surely,
    /// It is bound to another address, from which something may lead to it.
    Perhaps,
    /// It is bound to addresses of the other family.
    OtherFamily,
    /// Only this machine reaches it.
    HereOnly,
}

/// The rules by which one of a container's addresses is chosen. Those without
/// any are: the network that the container was started in, then Docker's
/// default one, then the first by name; IPv4 before IPv6.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    /// The networks whose addresses count, the preferred one first.
    pub networks: Vec<GlobMatcher>,
    /// The subnets whose addresses count, the preferred one first.
    pub subnets: Vec<IpNet>,
    /// The networks in which a container is reached from outside.
    pub direct: Vec<GlobMatcher>,
    /// Of which family an address must be.
    pub family: Option<Family>,
    /// The host's IPv4 address.
    pub host_ipv4: Option<Ipv4Addr>,
    /// The host's IPv6 address.
    pub host_ipv6: Option<Ipv6Addr>,
    /// The address that counts for a port that is bound to one.
    pub bound: Bound,
    /// The subnets that a container's label may choose an address of.
    pub label_subnets: Vec<IpNet>,
}

/// An address and a port.
pub(super) type Place = (String, u16);

/// Where a service is reached, and under which further addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) place: Place,
    /// By Consul's names of them.
    pub(super) tagged: Vec<(&'static str, Place)>,
}

impl Reach {
    /// The same port at another address.
    pub(super) fn at(self, address: &str) -> Self {
        Self { place: (address.to_string(), self.place.1), tagged: Vec::new() }
    }
}

/// The network of Swarm's routing mesh. Nobody reaches a container in it but
/// the mesh itself, so that nothing means it but its very name.
const MESH: &str = "ingress";

impl AddressRules {
    /// The container's own addresses by preference. `label` is the network that
    /// it names itself.
    pub(super) fn own(&self, networks: &[Network], mode: &str, label: Option<&str>) -> Vec<String> {
        if let Some(label) = label {
            let own = addresses(networks.iter().filter(|network| is(network, label)));
            return own.into_iter().filter(|own| self.permits(own).is_ok()).collect();
        }
        if self.networks.is_empty() && self.subnets.is_empty() {
            let first = usual(networks, mode).find(|network| network.address().is_some());
            return addresses(first.into_iter());
        }
        let found: Vec<_> = if self.networks.is_empty() {
            usual(networks, mode).collect()
        } else {
            by_patterns(&self.networks, networks)
        };
        let found = addresses(found.into_iter());
        if self.subnets.is_empty() {
            return found;
        }
        let within = |subnet: &IpNet, address: &str| {
            address.parse::<IpAddr>().is_ok_and(|address| subnet.contains(&address))
        };
        if self.networks.is_empty() {
            let of = |subnet| found.iter().filter(move |address| within(subnet, address));
            return self.subnets.iter().flat_map(of).cloned().collect();
        }
        let counts = |address: &String| self.subnets.iter().any(|subnet| within(subnet, address));
        found.into_iter().filter(counts).collect()
    }

    /// The container's addresses that are reached from outside.
    pub(super) fn direct(&self, networks: &[Network]) -> Vec<String> {
        addresses(by_patterns(&self.direct, networks).into_iter())
    }

    /// Whether a container's label may choose an address.
    ///
    /// # Errors
    ///
    /// It may not.
    pub(super) fn permits(&self, address: &str) -> Result<(), Refused> {
        let ip = address.parse::<IpAddr>().map_err(|_| Refused::NoAddress)?.to_canonical();
        if let Some(kind) = host::seclusion(ip) {
            return Err(Refused::Secluded(ip, kind));
        }
        let within = |subnet: &IpNet| subnet.contains(&ip);
        if !self.label_subnets.is_empty() && !self.label_subnets.iter().any(within) {
            return Err(Refused::Subnet(ip));
        }
        Ok(())
    }

    /// The rules for an own address in words, for a reason why there is none.
    pub(super) fn asked(&self) -> &'static str {
        match (self.networks.is_empty(), self.subnets.is_empty()) {
            (true, true) => "in any network",
            (false, true) => "in a network of address.networks",
            (true, false) => "in a subnet of address.subnets",
            (false, false) => "in a network of address.networks and a subnet of address.subnets",
        }
    }

    /// The host's own addresses.
    pub(super) fn host(&self, host: &Host) -> Vec<String> {
        let advertised = host.address().unwrap_or_default();
        let family = family(advertised);
        let mut addresses = Vec::new();
        match self.family {
            None => addresses.push(advertised.to_string()),
            Some(_) => {
                let advertised = |wanted| {
                    // A name, or none at all, may stand for either.
                    let fits = family.is_none_or(|family| family == wanted);
                    fits.then(|| advertised.to_string())
                };
                let ipv4 = self.host_ipv4.map(|address| address.to_string());
                let ipv6 = self.host_ipv6.map(|address| address.to_string());
                addresses.extend(ipv4.or_else(|| advertised(Family::Ipv4)));
                addresses.extend(ipv6.or_else(|| advertised(Family::Ipv6)));
            }
        }
        addresses
    }

    /// Where a port is reached that is published by these bindings, the surest
    /// place first; of equal ones IPv4 before IPv6, and then in Docker's order.
    /// Address and port of a place come from one binding.
    pub(super) fn published(&self, host: &Host, bindings: &[PublishedPort]) -> Vec<Place> {
        let mut places = Vec::new();
        for binding in bindings {
            for address in self.of_binding(host, binding) {
                let reached = reached(host, &address, &binding.host_ip);
                let family = family(&address).or_else(|| family_of_binding(binding));
                let later = (reached, family == Some(Family::Ipv6));
                places.push((later, (address, binding.host_port)));
            }
        }
        places.sort_by_key(|(later, _)| *later);
        places.into_iter().map(|(_, place)| place).collect()
    }

    /// The addresses that stand for a binding.
    fn of_binding(&self, host: &Host, binding: &PublishedPort) -> Vec<String> {
        let bound = binding.host_ip.as_str();
        let ip = bound.parse::<IpAddr>().ok();
        let all = bound.is_empty() || ip.is_some_and(|ip| ip.is_unspecified());
        let same = |address: &str| {
            let both = family(address).zip(ip.map(of_ip)).filter(|_| self.family.is_some());
            both.is_none_or(|(one, other)| one == other)
        };
        if all {
            return self.host(host).into_iter().filter(|address| same(address)).collect();
        }
        // An address that is forced counts for what is bound to another one.
        let forced = host.forced_address.as_deref().filter(|_| self.bound == Bound::Host);
        vec![forced.filter(|forced| same(forced)).unwrap_or(bound).to_string()]
    }

    /// Why others may not reach a published port at this place, as words that
    /// follow its name.
    pub(super) fn doubt(host: &Host, place: &Place, bindings: &[PublishedPort]) -> Option<String> {
        let (address, port) = place;
        let of_port = bindings.iter().filter(|binding| binding.host_port == *port);
        let (doubt, bound) = of_port
            .map(|binding| (reached(host, address, &binding.host_ip), &binding.host_ip))
            .min_by_key(|(reached, _)| *reached)?;
        let at = if address.is_empty() { "the address of Consul's node" } else { address };
        match doubt {
            Reached::Surely | Reached::Perhaps => None,
            Reached::HereOnly if bound == address => {
                Some(format!("is published on {bound} only, which only this machine reaches"))
            }
            Reached::HereOnly => Some(format!(
                "is published on {bound} only, which only this machine reaches; at {at} nothing \
                 listens"
            )),
            Reached::OtherFamily => Some(format!(
                "is published on {bound} only, which is of the other family than {at}"
            )),
        }
    }

    /// Of all places by preference those that count.
    ///
    /// # Errors
    ///
    /// The family that none of them is of, as a phrase.
    pub(super) fn choose(&self, places: Vec<Place>) -> Result<Reach, &'static str> {
        let of = |wanted: Family| {
            let fits =
                |(address, _): &&Place| family(address).is_none_or(|family| family == wanted);
            places.iter().find(fits).cloned()
        };
        let (ipv4, ipv6) = (of(Family::Ipv4), of(Family::Ipv6));
        let alone = |place| Reach { place, tagged: Vec::new() };
        match self.family {
            None => places.into_iter().next().map(alone).ok_or("IP"),
            Some(Family::Ipv4) => ipv4.map(alone).ok_or("IPv4"),
            Some(Family::Ipv6) => ipv6.map(alone).ok_or("IPv6"),
            Some(Family::Dual) => {
                let place = ipv4.clone().or(ipv6.clone()).ok_or("IP")?;
                let tagged = [("lan_ipv4", ipv4), ("lan_ipv6", ipv6)]
                    .into_iter()
                    .filter_map(|(tag, place)| Some((tag, place?)))
                    .filter(|(_, (address, _))| family(address).is_some())
                    .collect();
                Ok(Reach { place, tagged })
            }
        }
    }
}

/// Whether a network is meant by a name or an identifier.
pub(super) fn is(network: &Network, name: &str) -> bool {
    network.name == name || (network.id == name && !name.is_empty())
}

fn family(address: &str) -> Option<Family> {
    address.parse().ok().map(of_ip)
}

/// The family of the addresses that a port is bound to; none if they are of both.
fn family_of_binding(binding: &PublishedPort) -> Option<Family> {
    family(&binding.host_ip)
}

/// The certainty that a port bound to an address, or to all, is reached at
/// another.
fn reached(host: &Host, address: &str, bound: &str) -> Reached {
    let (Ok(bound), at) = (bound.parse::<IpAddr>(), address.parse::<IpAddr>().ok()) else {
        return Reached::Surely;
    };
    let itself = at == Some(bound);
    // Who gives a loopback address to the host means this machine.
    if bound.is_loopback() && !(itself && host.forced_address.as_deref() == Some(address)) {
        return Reached::HereOnly;
    }
    match at {
        Some(at) if at.is_ipv4() != bound.is_ipv4() => Reached::OtherFamily,
        _ if itself || bound.is_unspecified() => Reached::Surely,
        _ => Reached::Perhaps,
    }
}

fn of_ip(ip: IpAddr) -> Family {
    if ip.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
}

fn addresses<'a>(networks: impl Iterator<Item = &'a Network>) -> Vec<String> {
    networks.flat_map(|network| [network.ipv4.clone(), network.ipv6.clone()]).flatten().collect()
}

/// The network that the container was started in, Docker's default one, and
/// the others by name; never the mesh.
fn usual<'a>(networks: &'a [Network], mode: &str) -> impl Iterator<Item = &'a Network> {
    let by_name = |name: &str| networks.iter().find(|network| is(network, name));
    let all = [by_name(mode), by_name("bridge")].into_iter().flatten().chain(networks);
    all.filter(|network| network.name != MESH)
}

fn by_patterns<'a>(patterns: &[GlobMatcher], networks: &'a [Network]) -> Vec<&'a Network> {
    let meant = |pattern: &GlobMatcher, network: &Network| {
        pattern.is_match(&network.name) && (network.name != MESH || pattern.glob().glob() == MESH)
    };
    let of = |pattern| networks.iter().filter(move |network| meant(pattern, network));
    patterns.iter().flat_map(of).collect()
}
