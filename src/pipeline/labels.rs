//! The labels by which a container chooses its own address and ports.

use crate::model::container::{Container, ExposedPort, Protocol};

use super::address::{self, AddressRules};

/// The network whose address is offered, in the place of the rules' choice.
pub(super) const NETWORK: &str = "wharfinger.network";
/// Ports that are offered as if the image exposed them.
pub(super) const PORT: &str = "wharfinger.port";
/// Whether the container offers one service that has no port.
const PORTLESS: &str = "wharfinger.portless";

/// A label that makes no sense. Its container's registrations stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("label {label}: {fault}")]
pub struct LabelFault {
    /// The label's key.
    pub label: &'static str,
    /// The fault of its value.
    pub fault: String,
}

/// A container's choices by labels.
#[derive(Debug, Default)]
pub(super) struct Labels {
    pub(super) network: Option<String>,
    pub(super) ports: Vec<ExposedPort>,
    pub(super) portless: bool,
}

impl Labels {
    /// Read the labels of a container.
    ///
    /// # Errors
    ///
    /// One of them makes no sense.
    pub(super) fn read(container: &Container, rules: &AddressRules) -> Result<Self, LabelFault> {
        // One that is empty, as of a variable that is not set, says nothing.
        let value = |label| {
            let value = container.labels.get(label).map(|value| value.trim());
            value.filter(|value| !value.is_empty())
        };
        let fails = |label| move |fault| LabelFault { label, fault };
        let network = value(NETWORK).map(|name| network(container, name, rules)).transpose();
        let labels = Self {
            network: network.map_err(fails(NETWORK))?,
            ports: value(PORT).map_or(Ok(Vec::new()), ports).map_err(fails(PORT))?,
            portless: value(PORTLESS).map_or(Ok(false), portless).map_err(fails(PORTLESS))?,
        };
        if labels.portless && !labels.ports.is_empty() {
            return Err(fails(PORTLESS)(format!("the label {PORT} names a port")));
        }
        if labels.portless && !is_named(container) {
            // The image's name says nothing of a service that has no port.
            return Err(fails(PORTLESS)("it needs SERVICE_NAME".into()));
        }
        Ok(labels)
    }
}

fn network(container: &Container, name: &str, rules: &AddressRules) -> Result<String, String> {
    let networks =
        container.network_peer.as_ref().map_or(&container.networks, |peer| &peer.networks);
    let chosen = networks.iter().find(|network| address::is(network, name));
    match chosen {
        Some(network) if network.address().is_some() => {
            let own = [&network.ipv4, &network.ipv6].into_iter().flatten();
            let judged: Vec<_> = own.map(|own| rules.permits(own)).collect();
            match judged.into_iter().reduce(|one, other| other.or(one)) {
                Some(Err(fault)) => Err(format!("in the network {name:?}, {fault}")),
                _ => Ok(name.to_string()),
            }
        }
        Some(_) => Err(format!("the container has no address in the network {name:?}")),
        None => {
            let names: Vec<_> = networks.iter().map(|network| network.name.as_str()).collect();
            let attached = if names.is_empty() { "none".into() } else { names.join(", ") };
            Err(format!("the container is not attached to a network {name:?}, but to {attached}"))
        }
    }
}

fn ports(text: &str) -> Result<Vec<ExposedPort>, String> {
    let port = |text: &str| {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            "sctp" => Some(Protocol::Sctp),
            _ => None,
        };
        let number = number.parse().ok().filter(|number| *number != 0);
        let both = number.zip(protocol);
        let port = both.map(|(port, protocol)| ExposedPort { port, protocol });
        port.ok_or_else(|| format!("{text:?} is no port such as 8080 or 53/udp"))
    };
    text.split(',').map(|text| port(text.trim())).collect()
}

fn portless(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// Whether the container says its service's name; labels win over the
/// environment, and the last variable over those before it.
fn is_named(container: &Container) -> bool {
    let variable = container.env.iter().rev().find(|(key, _)| key == "SERVICE_NAME");
    let label = container.labels.get("SERVICE_NAME");
    label.or(variable.map(|(_, value)| value)).is_some_and(|name| !name.is_empty())
}
