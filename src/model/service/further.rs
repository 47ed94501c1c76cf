//! The fields of a service that not every registry and every version of the contract knows:
//! named ports, a locality, a socket, and its place in Consul's mesh. Values without I/O.
//!
//! In JSON its fields stand among the service's own, and those without a value nowhere, so that
//! a service that has none of them is written, and has the digest, as before there were any.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Field, Service};
use crate::model::few::Pairs;

/// The fields of a service that a stage of the contract's first version is not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Further {
    /// Several ports by their names; one is the default, and the same as the service's port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<NamedPort>,
    /// Where the service runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<Box<Locality>>,
    /// The path of the Unix socket at which it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    /// One of [`KINDS`]; empty for an ordinary service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its destination and upstreams, if it is a proxy or gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Box<Proxy>>,
    /// It speaks the protocol of Consul's mesh itself.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_native: bool,
    /// Further fields of Consul's definition by their names, with values in JSON.
    #[serde(skip_serializing_if = "is_none")]
    pub definition: Pairs,
}

/// A kind of service that is a proxy for one other service.
pub const CONNECT_PROXY: &str = "connect-proxy";

/// The kinds beside ordinary services, as Consul names them.
pub const KINDS: [&str; 5] =
    [CONNECT_PROXY, "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"];

/// One of several ports of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct NamedPort {
    pub name: String,
    pub port: u16,
    pub default: bool,
}

/// Where a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Locality {
    pub region: String,
    pub zone: Option<String>,
}

/// The destination and upstreams of a proxy or gateway. The meaning of the fields is that of the contract.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Proxy {
    pub destination_service_name: String,
    pub destination_service_id: Option<String>,
    pub local_service_address: Option<String>,
    pub local_service_port: Option<u16>,
    pub upstreams: Vec<Upstream>,
    pub config: Pairs,
    pub definition: Pairs,
}

/// A service that a proxy reaches for the one that it stands before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Upstream {
    pub destination_name: String,
    pub datacenter: Option<String>,
    pub local_bind_address: Option<String>,
    pub local_bind_port: u16,
    pub definition: Pairs,
}

impl Further {
    /// Whether it has no value at all, as services mostly have not.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names in the contract of the fields that have a value.
    pub fn names(&self) -> Vec<&'static str> {
        let Self { ports, locality, socket_path, kind, proxy, connect_native, definition } = self;
        let given = [
            (Field::Ports, !ports.is_empty()),
            (Field::Locality, locality.is_some()),
            (Field::SocketPath, socket_path.is_some()),
            (Field::Kind, !kind.is_empty()),
            (Field::Proxy, proxy.is_some()),
            (Field::ConnectNative, *connect_native),
            (Field::Definition, !definition.is_empty()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(field, _)| field.key()).collect()
    }

    /// The port that is meant where none is named.
    pub fn default_port(&self) -> Option<u16> {
        self.ports.iter().find(|port| port.default).map(|port| port.port)
    }
}

/// The part of a service that a stage is not shown, for it to have after the stage as before.
#[derive(Debug, Clone)]
pub struct Unseen {
    port: u16,
    further: Further,
}

impl Service {
    /// The part of it that a stage of the contract's first version is not shown.
    pub fn unseen(&self) -> Unseen {
        Unseen { port: self.port, further: self.further.clone() }
    }

    /// It with what the stage that made it was not shown. The port that has a name follows
    /// the one that the stage has seen.
    #[must_use]
    pub fn with_unseen(mut self, Unseen { port, further }: Unseen) -> Self {
        self.further = further;
        let ports = self.further.ports.iter_mut();
        for named in ports.filter(|named| named.default && named.port == port) {
            named.port = self.port;
        }
        self
    }
}

impl Proxy {
    /// Whether it has all that is wanted. A registry may say more of it: what was not said was
    /// given Consul's defaults. `with_definition` is whether further fields count.
    pub fn covers(&self, wanted: &Self, with_definition: bool) -> bool {
        let Self {
            destination_service_name,
            destination_service_id,
            local_service_address,
            local_service_port,
            upstreams,
            config,
            definition,
        } = wanted;
        self.destination_service_name == *destination_service_name
            && has(&self.destination_service_id, destination_service_id)
            && has(&self.local_service_address, local_service_address)
            && has(&self.local_service_port, local_service_port)
            && all_in(config, &self.config)
            && (!with_definition || all_in(definition, &self.definition))
            && self.upstreams.len() == upstreams.len()
            && self
                .upstreams
                .iter()
                .zip(upstreams)
                .all(|(now, wanted)| now.covers(wanted, with_definition))
    }

    /// The memory that its texts take, roughly.
    pub(super) fn size(&self) -> usize {
        let upstreams = self.upstreams.iter().map(|upstream| {
            FIXED
                + upstream.destination_name.len()
                + upstream.datacenter.as_ref().map_or(0, String::len)
                + upstream.local_bind_address.as_ref().map_or(0, String::len)
                + size_of(&upstream.definition)
        });
        FIXED
            + self.destination_service_name.len()
            + self.destination_service_id.as_ref().map_or(0, String::len)
            + self.local_service_address.as_ref().map_or(0, String::len)
            + upstreams.sum::<usize>()
            + size_of(&self.config)
            + size_of(&self.definition)
    }
}

/// The memory of a record beside its texts, roughly.
const FIXED: usize = 128;

impl Upstream {
    fn covers(&self, wanted: &Self, with_definition: bool) -> bool {
        let Self { destination_name, datacenter, local_bind_address, local_bind_port, definition } =
            wanted;
        self.destination_name == *destination_name
            && has(&self.datacenter, datacenter)
            && has(&self.local_bind_address, local_bind_address)
            && self.local_bind_port == *local_bind_port
            && (!with_definition || all_in(definition, &self.definition))
    }
}

fn size_of(pairs: &Pairs) -> usize {
    pairs.iter().map(|(key, value)| 96 + key.len() + value.len()).sum()
}

fn has<T: PartialEq>(now: &Option<T>, wanted: &Option<T>) -> bool {
    wanted.is_none() || now == wanted
}

/// The value that a text stands for: JSON, or the text itself where it is none.
pub fn json(text: &str) -> Value {
    serde_json::from_slice(text.as_bytes()).unwrap_or_else(|_| Value::from(text))
}

fn all_in(wanted: &Pairs, now: &Pairs) -> bool {
    let same = |(key, value): (&String, &String)| match now.get(key) {
        Some(now) => now == value || part_of(&json(value), &json(now)),
        // Nothing, false, 0 and the like are not always told.
        None => is_nothing(&json(value)),
    };
    wanted.iter().all(same)
}

/// Whether a value has all of another one, which may have more fields.
fn part_of(wanted: &Value, now: &Value) -> bool {
    match (wanted, now) {
        (Value::Object(wanted), Value::Object(now)) => {
            wanted.iter().all(|(key, value)| match now.get(key) {
                Some(now) => part_of(value, now),
                None => is_nothing(value),
            })
        }
        (Value::Array(wanted), Value::Array(now)) => {
            wanted.len() == now.len() && wanted.iter().zip(now).all(|(a, b)| part_of(a, b))
        }
        // Through Consul a whole number comes as it was, but a fraction may be written anew.
        (Value::Number(wanted), Value::Number(now)) => {
            wanted == now || wanted.as_f64() == now.as_f64()
        }
        (wanted, now) => wanted == now,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_none(pairs: &Pairs) -> bool {
    pairs.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(config: &str) -> Proxy {
        Proxy {
            destination_service_name: "web".into(),
            config: Pairs::from([("protocol".into(), config.into())]),
            upstreams: vec![Upstream {
                destination_name: "db".into(),
                local_bind_port: 5432,
                ..Upstream::default()
            }],
            ..Proxy::default()
        }
    }

    #[test]
    fn what_a_registry_adds_is_no_difference_and_what_it_lacks_is_one() {
        let wanted = proxy("\"http\"");
        assert!(wanted.covers(&wanted, true));
        let mut now = proxy("\"http\"");
        now.local_service_address = Some("127.0.0.1".into());
        now.definition.insert("MeshGateway".into(), "{}".into());
        now.upstreams[0].definition.insert("DestinationType".into(), "\"service\"".into());
        assert!(now.covers(&wanted, true));
        type Change = fn(&mut Proxy);
        let changes: [Change; 5] = [
            |now| now.destination_service_name.push('x'),
            |now| now.config.clear(),
            |now| now.upstreams.clear(),
            |now| now.upstreams[0].local_bind_port += 1,
            |now| drop(now.config.insert("protocol".into(), "\"tcp\"".into())),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut other = now.clone();
            change(&mut other);
            assert!(!other.covers(&wanted, true), "change {n}");
        }
        let mut more = wanted.clone();
        more.definition.insert("Mode".into(), "\"transparent\"".into());
        assert!(!now.covers(&more, true));
        assert!(now.covers(&more, false));
        more.definition.insert("Mode".into(), "\"\"".into());
        assert!(now.covers(&more, true), "an empty value is not told");
    }

    #[test]
    fn the_named_port_follows_the_port_that_a_stage_has_seen() {
        let ports = [("http", 8080, true), ("admin", 8081, false)]
            .map(|(name, port, default)| NamedPort { name: name.into(), port, default });
        let unseen =
            Unseen { port: 8080, further: Further { ports: ports.into(), ..Further::default() } };
        for port in [8080, 9090] {
            let after = Service { port, ..Service::blank("a") }.with_unseen(unseen.clone());
            assert_eq!(after.further.default_port(), Some(port));
            assert_eq!(after.further.ports[1].port, 8081);
        }
    }
}
