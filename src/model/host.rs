//! The facts of the host that the containers run on: a value without I/O.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whose rules hold where registrator's behaviour is a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Compat {
    /// The sound behaviour.
    #[default]
    None,
    /// registrator's, to the letter.
    Registrator,
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compat::None => "none",
            Compat::Registrator => "registrator",
        })
    }
}

impl FromStr for Compat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Compat::None),
            "registrator" => Ok(Compat::Registrator),
            other => Err(format!("{other:?} is neither none nor registrator")),
        }
    }
}

/// The host's facts and the flags of the run that decide what is offered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Host {
    /// The name that service IDs begin with.
    pub hostname: String,
    /// The address given by `-ip`.
    pub forced_address: Option<String>,
    /// The address that the host name resolves to.
    pub resolved_address: Option<String>,
    /// Offer the containers' own addresses and ports (`-internal`).
    pub internal: bool,
    /// Offer only what is named (`-explicit`).
    pub explicit: bool,
    /// The label that holds the address (`-useIpFromLabel`).
    pub address_label: Option<String>,
    /// Whose rules hold.
    pub compat: Compat,
    /// The flags that have a value, by their long names, for the stages.
    pub flags: BTreeMap<String, String>,
    /// The agent of the registry; none if there is none, or nobody has asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// The container engine; none if nobody has asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
}

/// The facts that a Consul agent tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Agent {
    /// The name of its node.
    pub node: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Its version.
    pub version: String,
    /// The metadata of its node.
    pub node_meta: BTreeMap<String, String>,
}

/// The facts that a container engine tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Engine {
    /// `docker`, `podman` or another name in small letters.
    pub kind: String,
    /// Its version.
    pub version: String,
}

impl Host {
    /// The address that the host advertises.
    pub fn address(&self) -> Option<&str> {
        self.forced_address.as_deref().or(self.resolved_address.as_deref())
    }
}

/// Why nobody but the machine itself, or its link, reaches an address; none if
/// others may.
pub fn seclusion(ip: IpAddr) -> Option<&'static str> {
    let ip = ip.to_canonical();
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    match ip {
        _ if ip.is_loopback() => Some("a loopback address"),
        _ if ip.is_unspecified() => Some("the unspecified address"),
        _ if ip.is_multicast() || broadcast => Some("a multicast address"),
        _ if link_local => Some("a link-local address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_do_not_reach_is_told() {
        for (ip, expected) in [
            ("127.0.0.1", "a loopback address"),
            ("127.0.1.1", "a loopback address"),
            ("::1", "a loopback address"),
            ("::ffff:127.0.0.1", "a loopback address"),
            ("0.0.0.0", "the unspecified address"),
            ("::", "the unspecified address"),
            ("224.0.0.1", "a multicast address"),
            ("ff02::1", "a multicast address"),
            ("255.255.255.255", "a multicast address"),
            ("169.254.169.254", "a link-local address"),
            ("::ffff:169.254.0.1", "a link-local address"),
            ("fe80::1", "a link-local address"),
        ] {
            assert_eq!(seclusion(ip.parse().expect("an address")), Some(expected), "{ip}");
        }
        for ip in ["10.0.0.1", "192.0.2.1", "172.17.0.2", "fd00::1", "2001:db8::1", "100.64.0.1"] {
            assert_eq!(seclusion(ip.parse().expect("an address")), None, "{ip}");
        }
    }
}
