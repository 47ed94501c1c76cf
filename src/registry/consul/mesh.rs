//! The fields of a service that not every agent knows: how they are sent and read, and which of them
//! an older one is not sent.
//!
//! Names and releases are those of Consul's documentation and changelog. `Kind`, `Proxy` and
//! `Connect` are older than any agent that this daemon is used with.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    model::few::Pairs,
    model::service::{self, Field, Further, Locality, NamedPort, Proxy, Service, Upstream},
    registry::{Dropped, Sent},
};

/// An agent's release: of `1.20.1`, 1 and 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(u32, u32);

impl Release {
    /// The release that a version belongs to, if it can be told.
    pub(super) fn of(version: &str) -> Option<Self> {
        let mut parts = version.trim_start_matches('v').split(['.', '-', '+', '~']);
        Some(Self(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The fields that came with a later release, and which.
pub(super) const NEWER: [(Field, Release); 3] = [
    (Field::Ports, Release(1, 22)),
    (Field::Locality, Release(1, 17)),
    (Field::SocketPath, Release(1, 10)),
];

/// The fields that an agent of this release does not know; none if it is not known.
pub(super) fn newer_than(release: Option<Release>) -> impl Iterator<Item = Field> {
    let is_newer = move |since| release.is_some_and(|release| release < since);
    NEWER.into_iter().filter(move |(_, since)| is_newer(*since)).map(|(field, _)| field)
}

/// The service without what an agent of this release does not know, if it has any of that.
pub(super) fn without_newer(service: &Service, release: Release) -> Option<Sent> {
    let mut reduced = service.clone();
    let mut dropped = Vec::new();
    for field in newer_than(Some(release)) {
        if remove(&mut reduced.further, field) {
            let why = format!("the agent is of Consul {release} and does not know it");
            dropped.push(Dropped { what: field.key().into(), why });
        }
    }
    (!dropped.is_empty()).then_some(Sent { service: reduced, dropped })
}

/// Take a newer field away; whether there was one.
fn remove(further: &mut Further, field: Field) -> bool {
    match field {
        Field::Ports => !std::mem::take(&mut further.ports).is_empty(),
        Field::Locality => further.locality.take().is_some(),
        Field::SocketPath => further.socket_path.take().is_some(),
        _ => false,
    }
}

/// Take away what an agent may not know, and name each. Of one that is `dated` the fields that
/// it is too old for are gone already.
pub(super) fn strip(further: &mut Further, dated: bool, mut drop_it: impl FnMut(String)) {
    for (field, _) in NEWER {
        if !dated && remove(further, field) {
            drop_it(field.key().into());
        }
    }
    for field in std::mem::take(&mut further.definition).into_iter().map(first) {
        drop_it(field);
    }
    let Some(proxy) = &mut further.proxy else { return };
    for field in std::mem::take(&mut proxy.definition).into_iter().map(first) {
        drop_it(format!("{field} of its proxy"));
    }
    for upstream in &mut proxy.upstreams {
        for field in std::mem::take(&mut upstream.definition).into_iter().map(first) {
            drop_it(format!("{field} of upstream {}", upstream.destination_name));
        }
    }
}

/// The part of a registration's body.
pub(super) fn body(further: &Further) -> Map<String, Value> {
    let Further { ports, locality, socket_path, kind, proxy, connect_native, definition } = further;
    let mut body = values(definition);
    let mut put = |name: &str, value: Value| drop(body.insert(name.into(), value));
    if !ports.is_empty() {
        let port = |NamedPort { name, port, default }: &NamedPort| match default {
            true => json!({ "Name": name, "Port": port, "Default": true }),
            false => json!({ "Name": name, "Port": port }),
        };
        put("Ports", ports.iter().map(port).collect());
    }
    if let Some(Locality { region, zone }) = locality.as_deref() {
        put(
            "Locality",
            match zone {
                Some(zone) => json!({ "Region": region, "Zone": zone }),
                None => json!({ "Region": region }),
            },
        );
    }
    if let Some(path) = socket_path {
        put("SocketPath", json!(path));
    }
    if !kind.is_empty() {
        put("Kind", json!(kind));
    }
    if let Some(proxy) = proxy {
        put("Proxy", of_proxy(proxy).into());
    }
    if *connect_native {
        put("Connect", json!({ "Native": true }));
    }
    body
}

fn values(pairs: &Pairs) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| (key.clone(), service::json(value))).collect()
}

fn of_proxy(proxy: &Proxy) -> Map<String, Value> {
    let Proxy {
        destination_service_name,
        destination_service_id,
        local_service_address,
        local_service_port,
        upstreams,
        config,
        definition,
    } = proxy;
    let mut body = values(definition);
    let mut put = |name: &str, value: Option<Value>| {
        body.extend(value.map(|value| (name.to_string(), value)));
    };
    let name = Some(destination_service_name).filter(|name| !name.is_empty());
    put("DestinationServiceName", name.map(|name| json!(name)));
    put("DestinationServiceID", destination_service_id.as_ref().map(|id| json!(id)));
    put("LocalServiceAddress", local_service_address.as_ref().map(|at| json!(at)));
    put("LocalServicePort", local_service_port.map(|port| json!(port)));
    put("Config", (!config.is_empty()).then(|| values(config).into()));
    let all: Value = upstreams.iter().map(of_upstream).collect();
    put("Upstreams", (!upstreams.is_empty()).then_some(all));
    body
}

fn of_upstream(upstream: &Upstream) -> Value {
    let Upstream { destination_name, datacenter, local_bind_address, local_bind_port, definition } =
        upstream;
    let mut body = values(definition);
    body.insert("DestinationName".into(), json!(destination_name));
    body.extend(datacenter.as_ref().map(|it| ("Datacenter".into(), json!(it))));
    body.extend(local_bind_address.as_ref().map(|it| ("LocalBindAddress".into(), json!(it))));
    if *local_bind_port != 0 {
        body.insert("LocalBindPort".into(), json!(local_bind_port));
    }
    body.into()
}

/// The part of an entry of `GET /v1/agent/services`. Others write to the same agent, so that
/// what is not in the form of the documentation costs itself and not the entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AgentFurther {
    ports: Value,
    locality: Value,
    socket_path: Value,
    kind: Value,
    proxy: Value,
    connect: Value,
}

impl From<AgentFurther> for Further {
    fn from(agent: AgentFurther) -> Self {
        let AgentFurther { ports, locality, socket_path, kind, proxy, connect } = agent;
        let port = |port: &Value| {
            Some(NamedPort {
                name: text(port, "Name")?,
                port: u16::try_from(port["Port"].as_u64()?).ok()?,
                default: port["Default"].as_bool().unwrap_or_default(),
            })
        };
        let place = |region| Box::new(Locality { region, zone: text(&locality, "Zone") });
        Self {
            ports: ports.as_array().into_iter().flatten().filter_map(port).collect(),
            locality: text(&locality, "Region").map(place),
            socket_path: socket_path.as_str().filter(|path| !path.is_empty()).map(String::from),
            kind: kind.as_str().unwrap_or_default().into(),
            proxy: match proxy {
                Value::Object(proxy) => Some(Box::new(read_proxy(proxy))),
                _ => None,
            },
            connect_native: connect["Native"].as_bool().unwrap_or_default(),
            definition: Pairs::default(),
        }
    }
}

/// A text that is not empty.
fn text(of: &Value, name: &str) -> Option<String> {
    of.get(name)?.as_str().filter(|text| !text.is_empty()).map(String::from)
}

fn taken(of: &mut Map<String, Value>, name: &str) -> Option<String> {
    match of.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn taken_port(of: &mut Map<String, Value>, name: &str) -> Option<u16> {
    u16::try_from(of.remove(name)?.as_u64()?).ok().filter(|port| *port != 0)
}

fn texts(values: Map<String, Value>) -> Pairs {
    values.into_iter().map(|(key, value)| (key, value.to_string())).collect()
}

fn read_proxy(mut of: Map<String, Value>) -> Proxy {
    let upstream = |value: Value| match value {
        Value::Object(mut of) => Upstream {
            destination_name: taken(&mut of, "DestinationName").unwrap_or_default(),
            datacenter: taken(&mut of, "Datacenter"),
            local_bind_address: taken(&mut of, "LocalBindAddress"),
            local_bind_port: taken_port(&mut of, "LocalBindPort").unwrap_or_default(),
            definition: texts(of),
        },
        _ => Upstream::default(),
    };
    Proxy {
        destination_service_name: taken(&mut of, "DestinationServiceName").unwrap_or_default(),
        destination_service_id: taken(&mut of, "DestinationServiceID"),
        local_service_address: taken(&mut of, "LocalServiceAddress"),
        local_service_port: taken_port(&mut of, "LocalServicePort"),
        upstreams: match of.remove("Upstreams") {
            Some(Value::Array(list)) => list.into_iter().map(upstream).collect(),
            _ => Vec::new(),
        },
        config: match of.remove("Config") {
            Some(Value::Object(config)) => texts(config),
            _ => Pairs::default(),
        },
        definition: texts(of),
    }
}

fn first((key, _): (String, String)) -> String {
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Further {
        let pairs = |key: &str, value: &str| Pairs::from([(key.to_string(), value.to_string())]);
        Further {
            ports: vec![
                NamedPort { name: "http".into(), port: 80, default: true },
                NamedPort { name: "admin".into(), port: 81, default: false },
            ],
            locality: Some(Box::new(Locality { region: "eu".into(), zone: Some("eu-1".into()) })),
            socket_path: Some("/run/web.sock".into()),
            kind: "connect-proxy".into(),
            proxy: Some(Box::new(Proxy {
                destination_service_name: "web".into(),
                destination_service_id: Some("h:web:80".into()),
                local_service_address: Some("10.0.0.1".into()),
                local_service_port: Some(80),
                upstreams: vec![Upstream {
                    destination_name: "db".into(),
                    datacenter: Some("dc2".into()),
                    local_bind_address: Some("127.0.0.2".into()),
                    local_bind_port: 5432,
                    definition: pairs("MeshGateway", "{\"Mode\":\"local\"}"),
                }],
                config: pairs("protocol", "\"http\""),
                definition: pairs("Mode", "\"transparent\""),
            })),
            connect_native: true,
            definition: pairs("New", "[1]"),
        }
    }

    #[test]
    fn what_is_sent_is_read_back() {
        let body = body(&full());
        assert_eq!(body["New"], json!([1]));
        assert_eq!(
            body["Ports"],
            json!([
                { "Name": "http", "Port": 80, "Default": true }, { "Name": "admin", "Port": 81 },
            ])
        );
        let read: AgentFurther = serde_json::from_value(body.into()).expect("an entry");
        assert_eq!(Further::from(read), Further { definition: Pairs::default(), ..full() });
        let nothing: AgentFurther = serde_json::from_str("{}").expect("an entry");
        assert!(Further::from(nothing).is_empty());
        let odd = json!({ "Ports": 7, "Locality": "eu", "Proxy": [], "Connect": null, "Kind": 1 });
        let odd: AgentFurther = serde_json::from_value(odd).expect("an entry");
        assert!(Further::from(odd).is_empty(), "what others write in another form");
    }

    #[test]
    fn an_older_agent_is_not_sent_what_came_later() {
        for (version, left_out) in [
            ("1.8.7+dfsg1", &["ports", "locality", "socket-path"][..]),
            ("1.10.0", &["ports", "locality"]),
            ("1.17.0-beta1", &["ports"]),
            ("v1.21.5", &["ports"]),
            ("1.22.0", &[]),
            ("2.0.0", &[]),
        ] {
            let release = Release::of(version).expect("a version");
            let service = Service { further: full(), ..Service::blank("a") };
            let sent = without_newer(&service, release);
            let what = sent.iter().flat_map(|sent| &sent.dropped).map(|it| it.what.as_str());
            assert_eq!(what.collect::<Vec<_>>(), left_out, "{version}");
            if let Some(Sent { service, dropped }) = sent {
                assert!(without_newer(&service, release).is_none(), "it is all left out");
                assert!(dropped[0].to_string().contains(&release.to_string()), "{}", dropped[0]);
            }
        }
        for version in ["", "unknown", "1", "a.b"] {
            assert_eq!(Release::of(version), None, "{version:?}");
        }
    }

    #[test]
    fn what_an_agent_may_not_know_is_named_one_by_one() {
        let strip = |dated| {
            let (mut further, mut names) = (full(), Vec::new());
            strip(&mut further, dated, |name| names.push(name));
            names
        };
        let rest = ["New", "Mode of its proxy", "MeshGateway of upstream db"];
        assert_eq!(strip(true), rest);
        assert_eq!(strip(false)[..3], ["ports", "locality", "socket-path"]);
        assert_eq!(strip(false)[3..], rest);
    }
}
