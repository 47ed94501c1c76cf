//! `[address]`: under which address a container is offered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use globset::{Glob, GlobMatcher};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::pipeline::{AddressRules, Bound, Family, host_address};

/// Under which address a container is offered.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Address {
    /// Patterns of the networks whose addresses count, the preferred one first;
    /// all networks if there are none.
    pub networks: Vec<String>,
    /// The subnets whose addresses count, the preferred one first; all if there
    /// are none.
    pub subnets: Vec<String>,
    /// Patterns of the networks in which a container is reached from outside,
    /// without a published port.
    pub direct_networks: Vec<String>,
    /// Of which family an address must be.
    pub family: Option<Family>,
    /// The host's IPv4 address, for ports that are published on all addresses.
    pub host_ipv4: Option<Ipv4Addr>,
    /// The host's IPv6 address, likewise.
    pub host_ipv6: Option<Ipv6Addr>,
    /// Which address counts for a port that is bound to one, and `-ip` names
    /// another.
    pub bound: Bound,
    /// The subnets that a container's label may choose an address of; all if
    /// there are none.
    pub label_subnets: Vec<String>,
}

impl Address {
    /// The rules, ready to be used.
    ///
    /// # Errors
    ///
    /// Every fault with its key.
    pub fn rules(&self) -> Result<AddressRules, Vec<String>> {
        let mut faults = Vec::new();
        let rules = AddressRules {
            networks: patterns("address.networks", &self.networks, &mut faults),
            subnets: subnets("address.subnets", &self.subnets, &mut faults),
            direct: patterns("address.direct-networks", &self.direct_networks, &mut faults),
            family: self.family,
            host_ipv4: self.host_ipv4,
            host_ipv6: self.host_ipv6,
            bound: self.bound,
            label_subnets: subnets("address.label-subnets", &self.label_subnets, &mut faults),
        };
        let lacks = |family, key: &str| {
            (self.family == Some(family))
                .then(|| format!("address.{key}: address.family excludes it"))
        };
        if self.host_ipv6.is_some() {
            faults.extend(lacks(Family::Ipv4, "host-ipv6"));
        }
        if self.host_ipv4.is_some() {
            faults.extend(lacks(Family::Ipv6, "host-ipv4"));
        }
        if (self.host_ipv4.is_some() || self.host_ipv6.is_some()) && self.family.is_none() {
            faults.push("address.family: the host's addresses have no meaning without it".into());
        }
        let own = [
            ("host-ipv4", self.host_ipv4.map(IpAddr::from)),
            ("host-ipv6", self.host_ipv6.map(IpAddr::from)),
        ];
        for (key, address) in own {
            let judged = address.map(|address| host_address(&address.to_string()));
            let fault = judged.and_then(Result::err);
            faults.extend(fault.map(|fault| format!("address.{key}: {fault}")));
        }
        if faults.is_empty() { Ok(rules) } else { Err(faults) }
    }
}

fn patterns(key: &str, texts: &[String], faults: &mut Vec<String>) -> Vec<GlobMatcher> {
    let mut patterns = Vec::new();
    for text in texts {
        match Glob::new(text) {
            Ok(_) if text.is_empty() => faults.push(format!("{key}: a pattern is empty")),
            Ok(glob) => patterns.push(glob.compile_matcher()),
            Err(error) => faults.push(format!("{key}: {error}")),
        }
    }
    patterns
}

fn subnets(key: &str, texts: &[String], faults: &mut Vec<String>) -> Vec<IpNet> {
    let mut subnets = Vec::new();
    for text in texts {
        match text.parse::<IpNet>() {
            // A typing error in one of the two numbers is likely.
            Ok(subnet) if subnet.trunc() != subnet => {
                faults.push(format!("{key}: {text:?} is no subnet; {} is", subnet.trunc()));
            }
            Ok(subnet) => subnets.push(subnet),
            Err(_) => faults.push(format!("{key}: {text:?} is no subnet such as 10.20.0.0/16")),
        }
    }
    subnets
}
