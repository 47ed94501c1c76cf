//! Under which address others find this host, by its name.

use std::{net::IpAddr, path::Path};

use tracing::warn;

use crate::model::host;
use crate::telemetry::event;

/// The addresses of a name, IPv4 before IPv6; none if it does not resolve.
pub(super) async fn resolve(name: &str) -> Vec<String> {
    let found = tokio::net::lookup_host((name, 0)).await.into_iter().flatten();
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    // The sort is stable: the resolver's order holds within a family.
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    addresses.iter().map(ToString::to_string).collect()
}

/// Of the addresses of the host's name the one that others can find it at. Doubts
/// about it are said, unless `-ip` has decided (`forced`).
pub(super) fn of_host(name: &str, addresses: Vec<String>, forced: bool) -> Option<String> {
    let judged = judge(addresses);
    if forced {
        return judged.ok();
    }
    match &judged {
        Err(None) => {
            warn!(
                event = event::HOST_ADDRESS,
                host = name,
                reason = "it does not resolve",
                "the host's name {name} does not resolve; without -ip its address is not known"
            );
        }
        Err(Some((address, kind))) => warn!(
            event = event::HOST_ADDRESS,
            host = name,
            address,
            reason = kind,
            "the host's name {name} resolves to {address}, {kind}, which is none for others; services \
             get the address of Consul's node, unless -ip names one"
        ),
        Ok(address) if in_bridged_container(Path::new("/")) && is_own(address) => warn!(
            event = event::HOST_ADDRESS,
            host = name,
            address,
            reason = "the address of the daemon's own container",
            "the daemon runs in a container whose name resolves to {address}, its own address: \
             published ports are not reached there; -ip names the host's"
        ),
        Ok(_) => {}
    }
    judged.ok()
}

/// The first address that others may reach; else the first, and what it is. A text
/// that is no IP address is a name that somebody gave.
fn judge(addresses: Vec<String>) -> Result<String, Option<(String, &'static str)>> {
    let mut first = None;
    for address in addresses {
        match address.parse().ok().and_then(host::seclusion) {
            None => return Ok(address),
            Some(kind) => {
                first.get_or_insert((address, kind));
            }
        }
    }
    Err(first)
}

/// Whether an address is one of the network that this process is in.
fn is_own(address: &str) -> bool {
    let ip = address.parse::<IpAddr>();
    ip.is_ok_and(|ip| std::net::UdpSocket::bind((ip, 0)).is_ok())
}

/// Whether this process is in a container with a network of its own: one in the
/// host's network sees the host's devices or bridges, and one of its own has but
/// ends of pairs, whose other ends are elsewhere.
fn in_bridged_container(root: &Path) -> bool {
    let marked = [".dockerenv", "run/.containerenv"].iter().any(|mark| root.join(mark).exists());
    let Ok(devices) = root.join("sys/class/net").read_dir() else { return false };
    let number = |folder: &Path, file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.trim().parse::<u32>().unwrap_or_default()
    };
    let (mut ends, mut hosts) = (0, 0);
    for device in devices.flatten().map(|entry| entry.path()) {
        let (own, other) = (number(&device, "ifindex"), number(&device, "iflink"));
        if device.join("device").exists() || device.join("bridge").exists() {
            hosts += 1;
        } else if other != 0 && own != other {
            ends += 1;
        }
    }
    marked && ends > 0 && hosts == 0
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[track_caller]
    fn check(addresses: &[&str], expected: Result<&str, Option<(&str, &str)>>) {
        let found = judge(addresses.iter().map(ToString::to_string).collect());
        let found = match &found {
            Ok(address) => Ok(address.as_str()),
            Err(secluded) => Err(secluded.as_ref().map(|(ip, kind)| (ip.as_str(), *kind))),
        };
        assert_eq!(found, expected, "{addresses:?}");
    }

    #[test]
    fn an_address_that_others_do_not_reach_is_none() {
        let loopback = "a loopback address";
        check(&[], Err(None));
        check(&["192.0.2.10"], Ok("192.0.2.10"));
        check(&["127.0.1.1"], Err(Some(("127.0.1.1", loopback))));
        check(&["127.0.0.1", "::1"], Err(Some(("127.0.0.1", loopback))));
        check(&["::ffff:127.0.0.1"], Err(Some(("::ffff:127.0.0.1", loopback))));
        check(&["127.0.1.1", "192.0.2.10"], Ok("192.0.2.10"));
        check(&["127.0.1.1", "fe80::1", "2001:db8::1"], Ok("2001:db8::1"));
        check(&["0.0.0.0"], Err(Some(("0.0.0.0", "the unspecified address"))));
        check(&["169.254.3.4"], Err(Some(("169.254.3.4", "a link-local address"))));
        check(&["host.example"], Ok("host.example"));
    }

    #[test]
    fn a_bridged_container_is_told_from_one_in_the_hosts_network() {
        let check = |mark: &str, devices: &[(&str, &str, &str, &str)], expected: bool| {
            let root = tempfile::tempdir().expect("a folder");
            let mark = root.path().join(mark);
            fs::create_dir_all(mark.parent().expect("a parent")).expect("a folder");
            fs::write(&mark, "").expect("a file");
            for (name, index, link, below) in devices {
                let folder = root.path().join("sys/class/net").join(name);
                fs::create_dir_all(folder.join(below)).expect("a folder");
                fs::write(folder.join("ifindex"), format!("{index}\n")).expect("a file");
                fs::write(folder.join("iflink"), format!("{link}\n")).expect("a file");
            }
            assert_eq!(in_bridged_container(root.path()), expected, "{mark:?} {devices:?}");
        };
        let lo = ("lo", "1", "1", "");
        let end = ("eth0", "7", "8", "");
        let tunnel = ("tunl0", "2", "0", "");
        check(".dockerenv", &[lo, tunnel, end], true);
        check("run/.containerenv", &[lo, end], true);
        check("etc/hosts", &[lo, end], false);
        let (real, bridge) = (("ens3", "2", "2", "device"), ("docker0", "3", "3", "bridge"));
        check(".dockerenv", &[lo, real, bridge, ("veth1", "9", "8", "")], false);
        check(".dockerenv", &[lo], false);
        check(".dockerenv", &[], false);
    }
}
