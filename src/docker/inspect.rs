//! From what Docker says of a container to a [`Container`].

use std::{collections::BTreeMap, net::IpAddr};

use bollard::models::HealthStatusEnum;

use super::{
    inspected::{ContainerConfig, ContainerState, EndpointSettings, Inspected},
    life::{life, network_mode},
    ports::{exposed, pending, published},
    setup,
    signal::{self, SIGTERM},
    template::{self, HttpGet, Template, TemplateError},
};
use crate::model::container::{Container, ContainerId, Health, Network, NetworkPeer};

/// A fault of Docker's answer, or of the template of `-tags` on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectFault {
    /// A field that every container has.
    #[error("Docker's answer has no {0}")]
    Missing(&'static str),
    /// A field without which nothing is known of what the container offers.
    #[error("{0} in Docker's answer cannot be read")]
    Unreadable(&'static str),
    /// The template of `-tags` failed on this container.
    #[error("the template of -tags failed")]
    Tags(#[source] TemplateError),
}

/// The run's `-tags`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    template: Template,
}

impl Tags {
    /// Read the value of the flag. `http_get` says whether its template may
    /// make the daemon call out.
    ///
    /// # Errors
    ///
    /// It is a template, and the template is wrong.
    pub fn parse(text: &str, http_get: HttpGet) -> Result<Self, TemplateError> {
        Ok(Self { template: Template::parse(text, http_get)? })
    }

    /// Whether making the tags of a container may take long.
    pub(super) fn may_block(&self) -> bool {
        self.template.plain().is_none()
    }

    /// The tags of a container. Blocks while the template calls out.
    fn of(&self, response: &Inspected) -> Result<String, TemplateError> {
        if let Some(text) = self.template.plain() {
            return Ok(text.to_string());
        }
        let whole = response.whole.as_deref().unwrap_or("null");
        self.template.render(&template::values(whole)?)
    }
}

/// The identifier of the container whose network a container shares.
pub(super) fn peer(response: &Inspected) -> Option<&str> {
    network_mode(response).strip_prefix("container:")
}

/// The most containers by way of which one shares the network of another.
pub(super) const LONGEST_WAY: usize = 16;

/// A step on the way to the owner of a shared network: what is found under the name
/// that the last one gives, unless the way is a circle or too long.
pub(super) fn is_on_the_way(from: &Inspected, through: &[ContainerId], found: &Inspected) -> bool {
    let known = |id: &str| through.iter().any(|other| *other.0 == *id);
    through.len() < LONGEST_WAY
        && found.id != from.id
        && found.id.as_deref().is_some_and(|id| !known(id))
}

/// The container whose network one shares, and those by way of which it does, where all
/// are known beforehand.
pub(super) fn owner<'a>(
    from: &Inspected,
    all: &'a [Inspected],
) -> Option<(&'a Inspected, Vec<ContainerId>)> {
    let named = |one: &&Inspected, what: &str| {
        let name = one.name.as_deref().map(|name| name.strip_prefix('/').unwrap_or(name));
        one.id.as_deref() == Some(what) || name == Some(what)
    };
    let (mut through, mut what) = (Vec::new(), peer(from)?);
    loop {
        let found = all.iter().find(|one| named(one, what))?;
        if !is_on_the_way(from, &through, found) {
            return None;
        }
        match peer(found) {
            Some(next) => what = next,
            None => return Some((found, through)),
        }
        through.push(ContainerId(found.id.as_deref()?.into()));
    }
}

/// Read a container. `peer` is the container whose network it shares.
///
/// # Errors
///
/// A field that every container has is missing, or the template of the tags
/// fails on it.
pub fn container(
    response: &Inspected,
    peer: Option<&Inspected>,
    tags: &Tags,
) -> Result<Container, InspectFault> {
    let config = response.config.as_ref().ok_or(InspectFault::Missing("Config"))?;
    let state = response.state.as_ref().ok_or(InspectFault::Missing("State"))?;
    let mut attributes = BTreeMap::new();
    let tags = tags.of(response).map_err(InspectFault::Tags)?;
    if !tags.is_empty() {
        attributes.insert("tags".into(), tags);
    }
    Ok(Container {
        id: id(response)?,
        name: name(response)?,
        image: config.image.clone().unwrap_or_default(),
        image_id: response.image.clone().unwrap_or_default(),
        hostname: config.hostname.clone().unwrap_or_default(),
        env: config.env.iter().flatten().map(|entry| variable(entry)).collect(),
        labels: config.labels.clone().unwrap_or_default().into_iter().collect(),
        exposed_ports: exposed(config.exposed_ports.iter().flatten()),
        pending_ports: pending(response),
        published_ports: published(response),
        networks: networks(response),
        network_mode: network_mode(response).to_string(),
        network_peer: peer.map(network_peer).transpose()?,
        state: life(state),
        exit_code: state.exit_code.unwrap_or_default(),
        health: health(config, state),
        stop_signal: config.stop_signal.as_deref().and_then(signal::number).unwrap_or(SIGTERM),
        created_at: response.created.clone().unwrap_or_default(),
        started_at: started_at(state),
        attributes,
        setup: (!response.obscure).then(|| setup::of(response)),
        image_facts: None,
    })
}

/// When it was started. Docker says the year 1 for never.
fn started_at(state: &ContainerState) -> Option<String> {
    state.started_at.clone().filter(|time| !time.starts_with("0001-"))
}

/// The result of the health check. A state without a check that makes it means
/// nothing: Podman may say `starting` for ever, and a check may be taken away by
/// `HEALTHCHECK NONE`.
fn health(config: &ContainerConfig, state: &ContainerState) -> Health {
    let check = config.healthcheck.as_ref().and_then(|check| check.test.as_deref());
    let check = check.unwrap_or_default();
    let none = check.iter().all(|word| word.trim().is_empty());
    if none || check.first().is_some_and(|kind| kind.eq_ignore_ascii_case("none")) {
        return Health::None;
    }
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::None,
    }
}

fn id(response: &Inspected) -> Result<ContainerId, InspectFault> {
    response.id.as_deref().map(|id| ContainerId(id.into())).ok_or(InspectFault::Missing("Id"))
}

fn name(response: &Inspected) -> Result<String, InspectFault> {
    let name = response.name.as_deref().ok_or(InspectFault::Missing("Name"))?;
    Ok(name.strip_prefix('/').unwrap_or(name).to_string())
}

fn network_peer(response: &Inspected) -> Result<NetworkPeer, InspectFault> {
    Ok(NetworkPeer {
        id: id(response)?,
        name: name(response)?,
        network_mode: network_mode(response).to_string(),
        networks: networks(response),
        published_ports: published(response),
        running: response.state.as_ref().is_some_and(|state| life(state).is_running()),
        started_at: response.state.as_ref().and_then(started_at),
        through: Vec::new(),
    })
}

fn variable(entry: &str) -> (String, String) {
    let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
    (key.to_string(), value.to_string())
}

fn networks(response: &Inspected) -> Vec<Network> {
    let settings = response.network_settings.as_ref();
    let networks = settings.and_then(|settings| settings.networks.as_ref());
    let mut networks: Vec<_> =
        networks.into_iter().flatten().map(|(name, endpoint)| network(name, endpoint)).collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    networks
}

fn network(name: &str, endpoint: &EndpointSettings) -> Network {
    Network {
        name: name.to_string(),
        id: endpoint.network_id.clone().unwrap_or_default(),
        ipv4: address(endpoint.ip_address.as_deref(), IpAddr::is_ipv4),
        ipv6: address(endpoint.global_ipv6_address.as_deref(), IpAddr::is_ipv6),
        aliases: endpoint.aliases.clone().unwrap_or_default(),
    }
}

/// The address that a text is, with or without the length of a prefix. Of a
/// container that has none, engines say nothing, the unspecified address, or
/// `invalid IP`.
pub(super) fn address(text: Option<&str>, of_family: impl Fn(&IpAddr) -> bool) -> Option<String> {
    let text = text?;
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    let ip = text.parse::<IpAddr>().ok()?;
    (of_family(&ip) && !ip.is_unspecified()).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::container::Protocol;

    /// Check the pending ports of a container by what differs from one that
    /// runs with `-P`, exposes 80 and binds 53/udp, and shows neither.
    fn check_pending(change: Value, expected: &[(u16, Protocol)]) {
        let mut inspected = json!({
            "Id": "c".repeat(64),
            "Name": "/web",
            "State": { "Status": "running" },
            "Config": { "ExposedPorts": { "80/tcp": {}, "53/udp": {} } },
            "HostConfig": {
                "NetworkMode": "default",
                "PublishAllPorts": true,
                "PortBindings": { "53/udp": [{ "HostIp": "", "HostPort": "53" }], "70/tcp": [] }
            },
            "NetworkSettings": { "Ports": {} }
        });
        for (pointer, value) in change.as_object().expect("an object of pointers") {
            *inspected.pointer_mut(pointer).expect("a place") = value.clone();
        }
        let response = serde_json::from_value(inspected).expect("as Docker prints it");
        let container = container(&response, None, &Tags::default()).expect("a container");
        let pending: Vec<_> =
            container.pending_ports.iter().map(|port| (port.port, port.protocol)).collect();
        assert_eq!(pending, expected, "{change}");
    }

    #[test]
    fn a_port_is_pending_until_docker_shows_where_it_is_published() {
        let (dns, web) = ((53, Protocol::Udp), (80, Protocol::Tcp));
        check_pending(json!({}), &[dns, web]);
        check_pending(json!({ "/HostConfig/PublishAllPorts": false }), &[dns]);
        check_pending(json!({ "/NetworkSettings/Ports": { "80/tcp": null } }), &[dns, web]);
        let binding = json!([{ "HostIp": "0.0.0.0", "HostPort": "32768" }]);
        check_pending(json!({ "/NetworkSettings/Ports": { "80/tcp": binding } }), &[dns]);
        let both = json!({ "80/tcp": binding, "53/udp": binding });
        check_pending(json!({ "/NetworkSettings/Ports": both }), &[]);
        check_pending(json!({ "/State/Status": "paused" }), &[dns, web]);
        for over in ["created", "exited", "restarting"] {
            check_pending(json!({ "/State/Status": over }), &[]);
        }
        for mode in ["host", "none", "container:abc"] {
            check_pending(json!({ "/HostConfig/NetworkMode": mode }), &[]);
        }
    }

    /// Check what counts as the state of health by the check that the container
    /// has and the state that the engine says.
    fn check_health(check: Value, said: Value, expected: Health) {
        let inspected = json!({
            "Id": "c".repeat(64),
            "Name": "/web",
            "State": { "Status": "running", "Health": said },
            "Config": { "Healthcheck": check },
        });
        let response = serde_json::from_value(inspected.clone()).expect("as Docker prints it");
        let container = container(&response, None, &Tags::default()).expect("a container");
        assert_eq!(container.health, expected, "{inspected}");
    }

    #[test]
    fn a_state_of_health_without_a_check_means_nothing() {
        let said = [
            ("starting", Health::Starting),
            ("healthy", Health::Healthy),
            ("unhealthy", Health::Unhealthy),
            ("none", Health::None),
            ("", Health::None),
        ];
        for (status, expected) in said {
            let state = json!({ "Status": status, "FailingStreak": 0, "Log": null });
            for test in [json!(["CMD", "true"]), json!(["CMD-SHELL", "true"]), json!(["true"])] {
                check_health(json!({ "Test": test }), state.clone(), expected);
            }
            for test in [json!(null), json!([]), json!([""]), json!(["NONE"]), json!(["none"])] {
                check_health(json!({ "Test": test }), state.clone(), Health::None);
            }
            check_health(json!({ "Interval": 5 }), state.clone(), Health::None);
            check_health(json!(null), state, Health::None);
        }
        check_health(json!({ "Test": ["CMD", "true"] }), json!(null), Health::None);
    }

    #[test]
    fn the_owner_of_a_shared_network_is_found_by_way_of_others() {
        let response = |id: &str, name: &str, mode: &str| -> Inspected {
            let host = json!({ "NetworkMode": mode });
            let inspected = json!({ "Id": id, "Name": format!("/{name}"), "HostConfig": host });
            serde_json::from_value(inspected).expect("as Docker prints it")
        };
        let all = [
            response("1", "vpn", "bridge"),
            response("2", "web", "container:1"),
            response("3", "by-name", "container:web"),
            response("4", "own", "container:4"),
            response("5", "round", "container:6"),
            response("6", "and-round", "container:5"),
            response("7", "astray", "container:none"),
        ];
        let found = |at: usize| {
            let (owner, through) = owner(&all[at], &all)?;
            let through: Vec<_> = through.into_iter().map(|id| id.0).collect();
            Some((owner.id.clone()?, through.concat()))
        };
        let vpn = |through: &str| Some(("1".to_string(), through.to_string()));
        let expected = [None, vpn(""), vpn("2"), None, None, None, None];
        assert_eq!((0..7).map(found).collect::<Vec<_>>(), expected);
    }
}
