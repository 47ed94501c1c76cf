//! From what Docker says of a container to a [`Container`].

use std::collections::BTreeMap;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, EndpointSettings,
    HealthStatusEnum,
};

use super::{
    signal::{self, SIGTERM},
    template::{HttpGet, Template, TemplateError},
};
use crate::container::{
    Container, ContainerId, ExposedPort, Health, Network, NetworkPeer, Protocol, PublishedPort,
    State,
};

/// What is missing or makes no sense in Docker's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectFault {
    /// A field that every container has.
    #[error("Docker's answer has no {0}")]
    Missing(&'static str),
    /// The template of `-tags` failed on this container.
    #[error("the template of -tags failed")]
    Tags(#[source] TemplateError),
}

/// The run's `-tags`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    template: Template,
    http_get: HttpGet,
}

impl Tags {
    /// Read the value of the flag. `http_get` says whether its template may
    /// make the daemon call out.
    ///
    /// # Errors
    ///
    /// It is a template, and the template is wrong.
    pub fn parse(text: &str, http_get: HttpGet) -> Result<Self, TemplateError> {
        let template = Template::parse(text, http_get)?;
        Ok(Self { template, http_get })
    }

    /// Whether making the tags of a container may take long.
    pub(super) fn may_block(&self) -> bool {
        self.http_get != HttpGet::Forbidden && self.template.plain().is_none()
    }

    /// The tags of a container. Blocks while the template calls out.
    fn of(&self, response: &ContainerInspectResponse) -> Result<String, TemplateError> {
        if let Some(text) = self.template.plain() {
            return Ok(text.to_string());
        }
        let json = serde_json::to_value(response).expect("Docker's answer is JSON");
        self.template.render(&json)
    }
}

/// The identifier of the container whose network a container shares.
pub(super) fn peer(response: &ContainerInspectResponse) -> Option<&str> {
    network_mode(response).strip_prefix("container:")
}

/// Read a container. `peer` is the container whose network it shares.
///
/// # Errors
///
/// A field that every container has is missing, or the template of the tags
/// fails on it.
pub fn container(
    response: &ContainerInspectResponse,
    peer: Option<&ContainerInspectResponse>,
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
        health: match state.health.as_ref().and_then(|health| health.status) {
            Some(HealthStatusEnum::STARTING) => Health::Starting,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
            _ => Health::None,
        },
        stop_signal: config.stop_signal.as_deref().and_then(signal::number).unwrap_or(SIGTERM),
        created_at: response.created.clone().unwrap_or_default(),
        // Docker says the year 1 for never.
        started_at: state.started_at.clone().filter(|time| !time.starts_with("0001-")),
        attributes,
    })
}

/// Where a container is in its life.
fn life(state: &ContainerState) -> State {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => State::Created,
        // Podman says of a container that is being stopped what Docker does not:
        // its processes are still there.
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => {
            State::Running
        }
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => State::Removing,
        Some(ContainerStateStatusEnum::EXITED) => State::Exited,
        Some(ContainerStateStatusEnum::DEAD) => State::Dead,
        _ if state.running == Some(true) => State::Running,
        _ => State::Other,
    }
}

fn id(response: &ContainerInspectResponse) -> Result<ContainerId, InspectFault> {
    response.id.clone().map(ContainerId).ok_or(InspectFault::Missing("Id"))
}

fn name(response: &ContainerInspectResponse) -> Result<String, InspectFault> {
    let name = response.name.as_deref().ok_or(InspectFault::Missing("Name"))?;
    Ok(name.strip_prefix('/').unwrap_or(name).to_string())
}

fn network_mode(response: &ContainerInspectResponse) -> &str {
    let config = response.host_config.as_ref();
    config.and_then(|config| config.network_mode.as_deref()).unwrap_or_default()
}

fn network_peer(response: &ContainerInspectResponse) -> Result<NetworkPeer, InspectFault> {
    Ok(NetworkPeer {
        id: id(response)?,
        name: name(response)?,
        network_mode: network_mode(response).to_string(),
        networks: networks(response),
        published_ports: published(response),
    })
}

fn variable(entry: &str) -> (String, String) {
    let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
    (key.to_string(), value.to_string())
}

/// A port as Docker writes it, such as `80/tcp`.
fn port(text: &str) -> Option<ExposedPort> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return None,
    };
    Some(ExposedPort { port: number.parse().ok()?, protocol })
}

fn exposed<'a>(ports: impl Iterator<Item = &'a String>) -> Vec<ExposedPort> {
    let mut ports: Vec<_> = ports.filter_map(|text| port(text)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Where the container's ports are published at this moment.
fn published(response: &ContainerInspectResponse) -> Vec<PublishedPort> {
    let settings = response.network_settings.as_ref();
    let ports = settings.and_then(|settings| settings.ports.as_ref());
    let mut published = Vec::new();
    for (text, bindings) in ports.into_iter().flatten() {
        let Some(ExposedPort { port, protocol }) = port(text) else { continue };
        for binding in bindings.iter().flatten() {
            let host_port = binding.host_port.as_deref().and_then(|port| port.parse().ok());
            let Some(host_port) = host_port else { continue };
            let host_ip = binding.host_ip.clone().unwrap_or_default();
            published.push(PublishedPort { container_port: port, protocol, host_ip, host_port });
        }
    }
    // The sort is stable: the addresses of one port stay in Docker's order.
    published.sort_by_key(|published| (published.container_port, published.protocol));
    published
}

/// What a running container is to publish and does not yet.
fn pending(response: &ContainerInspectResponse) -> Vec<ExposedPort> {
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
    let mut wanted = exposed(bound.map(|(text, _)| text).chain(declared));
    let there = published(response);
    wanted.retain(|port| {
        !there.iter().any(|one| (one.container_port, one.protocol) == (port.port, port.protocol))
    });
    wanted
}

fn networks(response: &ContainerInspectResponse) -> Vec<Network> {
    let settings = response.network_settings.as_ref();
    let networks = settings.and_then(|settings| settings.networks.as_ref());
    let mut networks: Vec<_> =
        networks.into_iter().flatten().map(|(name, endpoint)| network(name, endpoint)).collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    networks
}

fn network(name: &str, endpoint: &EndpointSettings) -> Network {
    let address = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Network {
        name: name.to_string(),
        id: endpoint.network_id.clone().unwrap_or_default(),
        ipv4: address(&endpoint.ip_address),
        ipv6: address(&endpoint.global_ipv6_address),
        aliases: endpoint.aliases.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
}
