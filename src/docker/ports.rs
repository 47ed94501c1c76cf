//! The ports that a container declares and where they are published, from an
//! engine's answer.
//!
//! A key may name a range (`33060-33061/tcp`): images that were not built by
//! Docker declare such, and engines hand them on.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    inspected::Inspected,
    life::{life, network_mode},
};
use crate::model::container::{ExposedPort, Protocol, PublishedPort};

/// Ports that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    protocol: Protocol,
    first: u16,
    last: u16,
}

impl Range {
    /// The ports of a key such as `80/tcp`, `53/udp`, `80` or `33060-33061/tcp`.
    fn of(key: &str) -> Option<Self> {
        let (numbers, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
        let protocol = match protocol.trim().to_ascii_lowercase().as_str() {
            "tcp" | "" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return None,
        };
        let (first, last) = numbers_of(numbers)?;
        Some(Self { protocol, first, last })
    }

    fn port(self, port: u16) -> ExposedPort {
        ExposedPort { port, protocol: self.protocol }
    }
}

/// The first and the last of `80` or `33060-33061`. 0 is no port.
fn numbers_of(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|number| *number != 0);
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// The ports of these keys, sorted, each once.
pub(super) fn exposed<'a>(keys: impl Iterator<Item = &'a String>) -> Vec<ExposedPort> {
    // Many ranges over the same ports must not take longer than the ports.
    let mut ranges: Vec<Range> = keys.filter_map(|key| Range::of(key)).collect();
    ranges.sort_unstable();
    let mut apart: Vec<Range> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if last.protocol == range.protocol && range.first <= last.last => {
                last.last = last.last.max(range.last);
            }
            _ => apart.push(range),
        }
    }
    let ports = |range: &Range| {
        let range = *range;
        (range.first..=range.last).map(move |port| range.port(port))
    };
    let mut ports: Vec<_> = apart.iter().flat_map(ports).collect();
    ports.sort_unstable();
    ports
}

/// Where the container's ports are published at this moment.
pub(super) fn published(response: &Inspected) -> Vec<PublishedPort> {
    let settings = response.network_settings.as_ref();
    let ports = settings.and_then(|settings| settings.ports.as_ref());
    let mut published = Vec::new();
    for (key, bindings) in ports.into_iter().flatten() {
        let Some(range) = Range::of(key) else { continue };
        let more = range.last - range.first;
        for binding in bindings.iter().flatten() {
            // What is to be published and is not yet has no port on the host, or 0.
            let host = binding.host_port.as_deref().and_then(numbers_of);
            let Some((first, last)) = host else { continue };
            // Which port of a wider range it is, is not known.
            if last != first && last - first != more {
                continue;
            }
            let host_ip = host_ip(binding.host_ip.as_deref().unwrap_or_default());
            // Both sides count up from their first port, as in Podman's mappings
            // (libnetwork/types, PortMapping).
            for offset in 0..=more {
                let Some(host_port) = first.checked_add(offset) else { break };
                published.push(PublishedPort {
                    container_port: range.first + offset,
                    protocol: range.protocol,
                    host_ip: host_ip.clone(),
                    host_port,
                });
            }
        }
    }
    // The sort is stable: the addresses of one port stay in Docker's order.
    published.sort_by_key(|published| (published.container_port, published.protocol));
    published
}

/// The address of a binding; what is none counts as all addresses.
pub(super) fn host_ip(text: &str) -> String {
    let ip = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default()
}

/// The ports that a running container is to publish and does not yet.
pub(super) fn pending(response: &Inspected) -> Vec<ExposedPort> {
    let running = response.state.as_ref().is_some_and(|state| life(state).is_running());
    let mode = network_mode(response);
    if !running || matches!(mode, "host" | "none") || mode.starts_with("container:") {
        return Vec::new();
    }
    let config = response.host_config.as_ref();
    let bound = config.and_then(|config| config.port_bindings.as_ref()).into_iter().flatten();
    let bound = bound.filter(|(_, bindings)| bindings.iter().flatten().next().is_some());
    let all = config.is_some_and(|config| config.publish_all_ports == Some(true));
    let declared = response.config.as_ref().and_then(|config| config.exposed_ports.as_ref());
    let declared = declared.filter(|_| all).into_iter().flatten();
    let mut wanted = exposed(bound.map(|(key, _)| key).chain(declared));
    let there: BTreeSet<_> = published(response)
        .into_iter()
        .map(|one| ExposedPort { port: one.container_port, protocol: one.protocol })
        .collect();
    wanted.retain(|port| !there.contains(port));
    wanted
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Check which ports keys of `ExposedPorts` declare.
    fn check_exposed(keys: &[&str], expected: &[&str]) {
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        let found: Vec<_> = exposed(keys.iter())
            .iter()
            .map(|one| format!("{}/{:?}", one.port, one.protocol).to_lowercase())
            .collect();
        assert_eq!(found, expected, "{keys:?}");
    }

    #[test]
    fn a_key_names_a_port_or_a_range() {
        check_exposed(&["80/tcp", "53/udp", "80"], &["53/udp", "80/tcp"]);
        check_exposed(&["33060-33061/tcp"], &["33060/tcp", "33061/tcp"]);
        check_exposed(&["7000-7001"], &["7000/tcp", "7001/tcp"]);
        check_exposed(&["9-9/SCTP", "9/UDP"], &["9/udp", "9/sctp"]);
        check_exposed(&["1-3/udp", "2-4/udp", "2/udp"], &["1/udp", "2/udp", "3/udp", "4/udp"]);
        check_exposed(&["65535/tcp", "65534-65535/tcp"], &["65534/tcp", "65535/tcp"]);
        for none in ["0/tcp", "0-1/tcp", "2-1/tcp", "70000", "1-70000", "-/tcp", "/tcp", "a", ""] {
            check_exposed(&[none], &[]);
        }
        check_exposed(&["80/dccp"], &[]);
    }

    #[test]
    fn many_wide_ranges_take_no_longer_than_all_ports() {
        let keys: Vec<_> = (1..=5000).map(|first| format!("{first}-65535/udp")).collect();
        assert_eq!(exposed(keys.iter()).len(), 65535);
    }

    /// Check where ports are published by what `NetworkSettings.Ports` says.
    fn check_published(ports: Value, expected: &[&str]) {
        let answer = json!({ "NetworkSettings": { "Ports": ports } });
        let response = serde_json::from_value(answer.clone()).expect("as Docker prints it");
        let found: Vec<_> = published(&response)
            .iter()
            .map(|one| format!("{} {}:{}", one.container_port, one.host_ip, one.host_port))
            .collect();
        assert_eq!(found, expected, "{answer}");
    }

    #[test]
    fn a_range_is_published_on_a_range() {
        let to = |ip: &str, port: &str| json!({ "HostIp": ip, "HostPort": port });
        let both = ["33060 0.0.0.0:33060", "33061 0.0.0.0:33061"];
        let range = "33060-33061/tcp";
        check_published(json!({ range: [to("0.0.0.0", "33060-33061")] }), &both);
        check_published(json!({ range: [to("0.0.0.0", "33060")] }), &both);
        check_published(
            json!({ range: [to("0.0.0.0", "4000-4001"), to("::", "5000-5001")] }),
            &["33060 0.0.0.0:4000", "33060 :::5000", "33061 0.0.0.0:4001", "33061 :::5001"],
        );
        // It is not known which of them the engine has taken.
        check_published(json!({ "80/tcp": [to("", "8000-8010")] }), &[]);
        check_published(json!({ range: [to("", "8000-8010")] }), &[]);
        check_published(json!({ range: [to("", "65535")] }), &["33060 :65535"]);
    }

    #[test]
    fn a_binding_without_a_port_is_none_yet() {
        for none in ["", "0", "-1", "70000", "http", "0-1"] {
            check_published(json!({ "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": none }] }), &[]);
        }
        check_published(json!({ "80/tcp": [{ "HostIp": "0.0.0.0" }] }), &[]);
        check_published(json!({ "80/tcp": null, "81/tcp": [] }), &[]);
        check_published(json!({ "0/tcp": [{ "HostPort": "80" }] }), &[]);
        check_published(Value::Null, &[]);
    }

    #[test]
    fn an_address_has_one_way_to_be_written() {
        for (said, expected) in [
            ("::", "80 :::1"),
            ("[::1]", "80 ::1:1"),
            ("::ffff:127.0.0.1", "80 127.0.0.1:1"),
            ("2001:DB8:0::7", "80 2001:db8::7:1"),
            ("", "80 :1"),
            ("invalid IP", "80 :1"),
        ] {
            let ports = json!({ "80/tcp": [{ "HostIp": said, "HostPort": "1" }] });
            check_published(ports, &[expected]);
        }
        check_published(json!({ "80/tcp": [{ "HostPort": "1" }] }), &["80 :1"]);
    }
}
