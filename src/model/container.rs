//! The facts of a container: a value without I/O, filled by the source and
//! handed to every stage of the pipeline.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::setup::{ImageFacts, Setup};

/// The full identifier of a container, 64 hexadecimal digits. The text is shared by all copies, as a dozen
/// tables have one for each container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub Arc<str>);

impl ContainerId {
    /// The first twelve digits, as Docker shows them to people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// A port that the image or the container's configuration declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExposedPort {
    /// The port inside the container.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// A container port that is reachable through an address of the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The port inside the container.
    pub container_port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address as Docker says it; `0.0.0.0` or `::` for all.
    pub host_ip: String,
    /// The port on the host.
    pub host_port: u16,
}

/// A network that a container is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Network {
    /// The network's name.
    pub name: String,
    /// Docker's identifier of the network.
    pub id: String,
    /// The container's IPv4 address in it.
    pub ipv4: Option<String>,
    /// The container's global IPv6 address in it.
    pub ipv6: Option<String>,
    /// The names that resolve to the container in it.
    pub aliases: Vec<String>,
}

impl Network {
    /// The container's address in this network, IPv4 before IPv6.
    pub fn address(&self) -> Option<&str> {
        self.ipv4.as_deref().or(self.ipv6.as_deref())
    }
}

/// The state of Docker's `HEALTHCHECK`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Health {
    /// The container has no health check.
    None,
    Starting,
    Healthy,
    Unhealthy,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
    Other,
}

impl State {
    /// Whether the container's processes exist, so that it offers services.
    pub fn is_running(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }
}

/// The container whose network another one shares
/// (`--network container:<name>`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NetworkPeer {
    /// The full identifier of the owner of the network.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Its own network mode.
    pub network_mode: String,
    /// The networks it is attached to, sorted by name.
    pub networks: Vec<Network>,
    /// The ports it publishes.
    pub published_ports: Vec<PublishedPort>,
    /// Whether it runs. The network of one that does not is gone.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub running: bool,
    /// When it was started last, as the engine says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// The containers between, the nearest first, where it is another one's network
    /// that the nearest one shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<ContainerId>,
}

/// The default of `running` in a record: an older one that lacks it is of a container that ran.
fn yes() -> bool {
    true
}

/// A container as it was seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// The full identifier.
    pub id: ContainerId,
    /// The name without the leading slash.
    pub name: String,
    /// The image reference as it was given.
    pub image: String,
    /// The image's identifier.
    pub image_id: String,
    /// The host name inside the container.
    pub hostname: String,
    /// The environment in the container's own order.
    pub env: Vec<(String, String)>,
    /// All labels, those of Compose and Swarm among them.
    pub labels: BTreeMap<String, String>,
    /// Sorted by port, then protocol.
    pub exposed_ports: Vec<ExposedPort>,
    /// Sorted by container port, then protocol; the host addresses of one port
    /// are in Docker's order.
    pub published_ports: Vec<PublishedPort>,
    /// The ports that it is configured to publish, while it runs, and that
    /// Docker does not show as published: a moment after the start they may be
    /// among `published_ports`. Sorted. In networks that publish nothing, such
    /// as those of the driver macvlan, they stay here.
    pub pending_ports: Vec<ExposedPort>,
    /// Sorted by name.
    pub networks: Vec<Network>,
    /// `bridge`, `default`, `host`, `none`, `container:<id>` or a network.
    pub network_mode: String,
    /// The owner of the network if the mode is `container:<id>`.
    pub network_peer: Option<NetworkPeer>,
    /// Where it is in its life.
    pub state: State,
    /// The exit code of its last run; 0 while it runs.
    pub exit_code: i64,
    /// The state of its health check.
    pub health: Health,
    /// The number of the signal that asks it to end; see signal(7).
    pub stop_signal: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; none if it was never started.
    pub started_at: Option<String>,
    /// Further facts for the stages, by their documented keys.
    pub attributes: BTreeMap<String, String>,
    /// Its setup; none if that is not known, or not all of it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// The facts of its image; none if nobody has asked, or the engine does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_facts: Option<ImageFacts>,
}

impl Container {
    /// A container that has ended, as an event tells: that, and nothing else of it.
    pub fn ended(id: ContainerId, name: String, exit_code: i64) -> Self {
        Self {
            id,
            name,
            image: String::new(),
            image_id: String::new(),
            hostname: String::new(),
            env: Vec::new(),
            labels: BTreeMap::new(),
            exposed_ports: Vec::new(),
            published_ports: Vec::new(),
            pending_ports: Vec::new(),
            networks: Vec::new(),
            network_mode: String::new(),
            network_peer: None,
            state: State::Exited,
            exit_code,
            health: Health::None,
            stop_signal: 0,
            created_at: String::new(),
            started_at: None,
            attributes: Default::default(),
            setup: None,
            image_facts: None,
        }
    }

    /// When it was last started, as the time since 1970; none if that cannot be told.
    pub fn started(&self) -> Option<Duration> {
        since_1970(self.started_at.as_deref()?)
    }

    /// The container whose network it shares, as the engine names it: by identifier or
    /// by name.
    pub fn network_owner(&self) -> Option<&str> {
        self.network_mode.strip_prefix("container:")
    }

    /// Why it may be out of reach, if the container whose network it shares was started after it:
    /// then it is in a network that nothing leads to any more, until it is started again itself. It is
    /// no more than a doubt, since the machine's clock may have been set back between the two.
    pub fn left_behind(&self) -> Option<String> {
        let peer = self.network_peer.as_ref().filter(|peer| peer.running)?;
        let owner = since_1970(peer.started_at.as_deref()?)?;
        let shares_hosts = peer.network_mode == "host";
        (!shares_hosts && self.started()? < owner).then(|| {
            format!(
                "container {} ({}), whose network it shares, was started after it: it is out of \
                 reach until it is started again",
                peer.id.short(),
                peer.name
            )
        })
    }

    /// Why nothing of it is in reach, if it shares the network of another container and
    /// that network is gone. The host's own outlives whoever shares it.
    pub fn cut_off(&self) -> Option<String> {
        let owner = self.network_owner()?;
        match &self.network_peer {
            Some(peer) if peer.running || peer.network_mode == "host" => None,
            Some(NetworkPeer { id, name, .. }) => {
                let id = id.short();
                Some(format!(
                    "it shares the network of container {id} ({name}), which does not run"
                ))
            }
            // Podman shows the owner's network as its own.
            None if !self.networks.is_empty() || !self.published_ports.is_empty() => None,
            None => {
                let id = owner.len() == 64 && owner.bytes().all(|byte| byte.is_ascii_hexdigit());
                let owner = if id { &owner[..12] } else { owner };
                Some(format!("it shares the network of container {owner}, which is not there"))
            }
        }
    }
}

/// The time since 1970 of a moment in RFC 3339, which an engine may give in its own time zone.
fn since_1970(moment: &str) -> Option<Duration> {
    let since = |utc: &str| humantime::parse_rfc3339(utc).ok()?.duration_since(UNIX_EPOCH).ok();
    if moment.ends_with('Z') {
        return since(moment);
    }
    let (local, offset) = moment.split_at_checked(moment.len().checked_sub(6)?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let (local, offset) =
        (since(&format!("{local}Z"))?, Duration::from_secs(hours * 3600 + minutes * 60));
    match moment.as_bytes()[moment.len() - 6] {
        b'+' => local.checked_sub(offset),
        b'-' => local.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_told_in_any_time_zone() {
        let at = |seconds, nanos| Some(Duration::new(seconds, nanos));
        for (moment, expected) in [
            ("2026-01-02T03:04:05Z", at(1_767_323_045, 0)),
            ("2026-01-02T03:04:05.123456789Z", at(1_767_323_045, 123_456_789)),
            ("2026-01-02T03:04:05.12Z", at(1_767_323_045, 120_000_000)),
            ("2026-01-02T05:04:05.5+02:00", at(1_767_323_045, 500_000_000)),
            ("2026-01-01T21:34:05-05:30", at(1_767_323_045, 0)),
            ("1970-01-01T00:00:00+01:00", None),
            ("2026-01-02T03:04:05", None),
            ("2026-01-02 03:04", None),
            ("2026-01-02T03:04:05+0x:00", None),
            ("2026-01-02T03:04:05 02:00", None),
            ("Z", None),
            ("é+02:00", None),
            ("", None),
        ] {
            assert_eq!(since_1970(moment), expected, "{moment:?}");
        }
    }
}
