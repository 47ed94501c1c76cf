//! Addresses of services and of checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Fault, shown};

/// The longest name of a host in DNS.
const MAX_HOST: usize = 253;

/// An IP address, or the name of a host.
pub(in crate::pipeline) fn address(address: &str) -> Fault {
    let fault = |what: &str| Err(format!("{:?}: {what}", shown(address)));
    match address.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        // Consul refuses it.
        Ok(ip) if ip.is_unspecified() => fault("it stands for any address"),
        Ok(ip) if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) => {
            fault("it stands for many hosts")
        }
        Ok(_) => Ok(()),
        Err(_) if is_host_name(address) => Ok(()),
        Err(_) => fault("it is neither an IP address nor a host's name"),
    }
}

fn is_host_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(legal);
    // Digits alone are an address that is none.
    let number = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    name.len() <= MAX_HOST && !number && name.split('.').all(label)
}

/// `host:port`, with an IPv6 address in brackets.
pub(super) fn host_and_port(target: &str) -> Fault {
    let fault = |what: &str| Err(format!("{:?}: {what}", shown(target)));
    let Some((host, port)) = target.rsplit_once(':') else {
        return fault("it is not <host>:<port>");
    };
    if !port.chars().all(|c| c.is_ascii_digit()) || !port.parse().is_ok_and(|port: u16| port > 0) {
        return fault("its port is not from 1 to 65535");
    }
    let host = match host.strip_prefix('[') {
        Some(inner) => match inner.strip_suffix(']').map(str::parse::<Ipv6Addr>) {
            Some(Ok(_)) => return Ok(()),
            _ => return fault("there is no IPv6 address in its brackets"),
        },
        None => host,
    };
    // A check may well ask the agent's own host, so that any address will do.
    if host.parse::<Ipv4Addr>().is_ok() || is_host_name(host) {
        Ok(())
    } else {
        fault("its host is neither a name, an IPv4 address nor an IPv6 address in brackets")
    }
}
