//! A service as it is to be registered, and its checks: values without I/O.

mod addressable;
mod fields;
mod further;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::{
    container::{Protocol, PublishedPort},
    few::{Few, Pairs},
};

pub use addressable::{LONGEST_ID, addressable, in_path};
pub use fields::{Field, FieldValue};
pub use further::{
    CONNECT_PROXY, Further, KINDS, Locality, NamedPort, Proxy, Unseen, Upstream, json,
};

/// A service as it is to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Service {
    /// Unique on the Consul agent.
    pub id: String,
    /// Shared by the service's instances.
    pub name: String,
    /// An IP address or a host name; empty for that of Consul's node.
    pub address: String,
    /// 0 if the service has none.
    pub port: u16,
    /// The protocol that the port speaks.
    pub protocol: Protocol,
    /// In the order in which they are registered.
    pub tags: Vec<String>,
    /// The metadata.
    pub meta: Pairs,
    /// The health checks.
    pub checks: Vec<Check>,
    /// Consul's default, 1 and 1, if none.
    pub weights: Option<Weights>,
    /// Others may change the tags in the catalog.
    pub enable_tag_override: bool,
    /// Further addresses by their tags.
    pub tagged_addresses: Few<(String, u16)>,
    /// The container's port that the service stands for.
    pub origin: Option<Origin>,
    /// The fields that not every registry and not every version of the contract knows.
    #[serde(flatten)]
    pub further: Further,
    /// Notes from stage to stage; they are not registered.
    pub attributes: Pairs,
}

impl Service {
    /// A service of this ID and name that has nothing else.
    #[cfg(test)]
    pub(crate) fn blank(id: &str) -> Self {
        Self {
            id: id.into(),
            name: id.into(),
            address: String::new(),
            port: 0,
            protocol: Protocol::Tcp,
            tags: Vec::new(),
            meta: Pairs::default(),
            checks: Vec::new(),
            weights: None,
            enable_tag_override: false,
            tagged_addresses: Few::default(),
            origin: None,
            further: Further::default(),
            attributes: Pairs::default(),
        }
    }
}

/// The container's port that a service stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The port inside the container.
    pub container_port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address and port if it is published.
    pub published: Option<PublishedPort>,
}

/// A duration in Consul's syntax, which is Go's; none if it is none, or below zero.
pub fn duration(text: &str) -> Option<Duration> {
    wharfinger_plugin::duration::parse(text)
}

/// The shares of the traffic that a service gets by its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Weights {
    pub passing: u32,
    pub warning: u32,
}

impl Weights {
    /// Consul's weights for a service that states none.
    pub const DEFAULT: Self = Self { passing: 1, warning: 1 };
}

/// A health check, as the Consul agent runs it. Durations are in Consul's
/// syntax (`10s`, `1h30m`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Check {
    /// The check's ID; Consul makes one if none.
    pub id: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// A remark for people.
    pub notes: Option<String>,
    /// The check's kind.
    pub kind: CheckKind,
    /// The time between two runs.
    pub interval: Option<String>,
    /// The time that a run may take.
    pub timeout: Option<String>,
    /// The state before the first run.
    pub initial_status: Option<CheckStatus>,
    /// Consul deregisters a service that was critical for this long.
    pub deregister_after: Option<String>,
    /// Successes in a row that make the check passing.
    pub success_before_passing: Option<u32>,
    /// Failures in a row that make the check critical.
    pub failures_before_critical: Option<u32>,
    /// Further fields of Consul's definition, with values in JSON.
    pub attributes: BTreeMap<String, String>,
}

/// A check's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum CheckStatus {
    Passing,
    Warning,
    Critical,
}

/// A check's kind. The meaning of the fields is that of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum CheckKind {
    Http {
        url: String,
        method: Option<String>,
        headers: Vec<(String, String)>,
        body: String,
        tls_skip_verify: bool,
        tls_server_name: Option<String>,
    },
    Tcp {
        address: String,
    },
    Udp {
        address: String,
    },
    Grpc {
        target: String,
        use_tls: bool,
        tls_skip_verify: bool,
        tls_server_name: Option<String>,
    },
    H2Ping {
        address: String,
        use_tls: bool,
        tls_skip_verify: bool,
    },
    Script {
        args: Vec<String>,
    },
    Docker {
        container_id: String,
        shell: Option<String>,
        args: Vec<String>,
    },
    Ttl {
        ttl: String,
    },
    Alias {
        node: Option<String>,
        service: Option<String>,
    },
    OsService {
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parser that it stands on panics on letters that no unit has.
    #[test]
    fn what_is_no_duration_is_none() {
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        let long = "9".repeat(100);
        let odd = ["", "s", "10", "10x", "1e9s", "é", "1é", "-1s", "µ", ".s", "1 s", "1d", "x1s"];
        for text in odd.into_iter().chain([&*long]) {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
