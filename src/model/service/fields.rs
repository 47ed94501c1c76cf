//! The fields of a service one after the other, for all that treats them alike: what differs,
//! what is shown, and what they take.
//!
//! A list takes a service apart field by field, so that the compiler names it where one is
//! new; whoever walks the list knows the new one then.

use serde::Serialize;

use crate::model::container::Protocol;
use crate::model::few::{Few, Pairs};
use crate::model::service::{
    Check, CheckKind, Further, Locality, NamedPort, Proxy, Service, Weights,
};

/// A field of a service, in the order of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // They are those of `Service`.
pub enum Field {
    Id,
    Name,
    Address,
    Port,
    Protocol,
    Tags,
    Meta,
    Checks,
    Weights,
    EnableTagOverride,
    TaggedAddresses,
    Ports,
    Locality,
    SocketPath,
    Kind,
    Proxy,
    ConnectNative,
    Definition,
    Attributes,
}

impl Field {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Address => "address",
            Self::Port => "port",
            Self::Protocol => "protocol",
            Self::Tags => "tags",
            Self::Meta => "meta",
            Self::Checks => "checks",
            Self::Weights => "weights",
            Self::EnableTagOverride => "enable_tag_override",
            Self::TaggedAddresses => "tagged_addresses",
            Self::Ports => "ports",
            Self::Locality => "locality",
            Self::SocketPath => "socket_path",
            Self::Kind => "kind",
            Self::Proxy => "proxy",
            Self::ConnectNative => "connect_native",
            Self::Definition => "definition",
            Self::Attributes => "attributes",
        }
    }

    /// Its name in the contract and in the log.
    pub fn key(self) -> &'static str {
        match self {
            Self::EnableTagOverride => "enable-tag-override",
            Self::TaggedAddresses => "tagged-addresses",
            Self::SocketPath => "socket-path",
            Self::ConnectNative => "connect-native",
            other => other.name(),
        }
    }
}

/// The value of a field; in JSON it is what it is in the record.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum FieldValue<'a> {
    Text(&'a str),
    Port(u16),
    Protocol(Protocol),
    List(&'a [String]),
    Pairs(&'a Pairs),
    Checks(&'a [Check]),
    Weights(Option<Weights>),
    Flag(bool),
    Addresses(&'a Few<(String, u16)>),
    Ports(&'a [NamedPort]),
    Locality(Option<&'a Locality>),
    Maybe(Option<&'a str>),
    Proxy(Option<&'a Proxy>),
}

impl FieldValue<'_> {
    /// The memory that a check takes beside its texts, roughly.
    pub const CHECK: usize = 512;
    /// The same of a text in a list.
    pub const TEXT: usize = 48;
    /// The same of a pair, or an address with its tag.
    pub const PAIR: usize = 96;

    /// The memory that it takes, roughly, beside its place in the record.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(texts) => size_of_list(texts),
            Self::Pairs(pairs) => pairs.iter().map(size_of_pair).sum(),
            Self::Checks(checks) => checks.iter().map(size_of_check).sum(),
            Self::Addresses(all) => {
                all.iter().map(|(tag, (address, _))| Self::PAIR + tag.len() + address.len()).sum()
            }
            Self::Ports(ports) => ports.iter().map(|port| Self::TEXT + port.name.len()).sum(),
            Self::Locality(place) => place.map_or(0, |Locality { region, zone }| {
                region.len() + zone.as_ref().map_or(0, String::len)
            }),
            Self::Maybe(text) => text.map_or(0, str::len),
            Self::Proxy(proxy) => proxy.map_or(0, Proxy::size),
            Self::Port(_) | Self::Protocol(_) | Self::Weights(_) | Self::Flag(_) => 0,
        }
    }
}

impl Service {
    /// All fields but the origin, which is the container's and no stage's to change.
    pub fn fields(&self) -> [(Field, FieldValue<'_>); 19] {
        let Self {
            id,
            name,
            address,
            port,
            protocol,
            tags,
            meta,
            checks,
            weights,
            enable_tag_override,
            tagged_addresses,
            origin: _,
            further:
                Further { ports, locality, socket_path, kind, proxy, connect_native, definition },
            attributes,
        } = self;
        [
            (Field::Id, FieldValue::Text(id)),
            (Field::Name, FieldValue::Text(name)),
            (Field::Address, FieldValue::Text(address)),
            (Field::Port, FieldValue::Port(*port)),
            (Field::Protocol, FieldValue::Protocol(*protocol)),
            (Field::Tags, FieldValue::List(tags)),
            (Field::Meta, FieldValue::Pairs(meta)),
            (Field::Checks, FieldValue::Checks(checks)),
            (Field::Weights, FieldValue::Weights(*weights)),
            (Field::EnableTagOverride, FieldValue::Flag(*enable_tag_override)),
            (Field::TaggedAddresses, FieldValue::Addresses(tagged_addresses)),
            (Field::Ports, FieldValue::Ports(ports)),
            (Field::Locality, FieldValue::Locality(locality.as_deref())),
            (Field::SocketPath, FieldValue::Maybe(socket_path.as_deref())),
            (Field::Kind, FieldValue::Text(kind)),
            (Field::Proxy, FieldValue::Proxy(proxy.as_deref())),
            (Field::ConnectNative, FieldValue::Flag(*connect_native)),
            (Field::Definition, FieldValue::Pairs(definition)),
            (Field::Attributes, FieldValue::Pairs(attributes)),
        ]
    }
}

fn size_of_list(texts: &[String]) -> usize {
    texts.iter().map(|text| FieldValue::TEXT + text.len()).sum()
}

fn size_of_pair<'a>((key, value): (&'a String, &'a String)) -> usize {
    FieldValue::PAIR + key.len() + value.len()
}

fn size_of_check(check: &Check) -> usize {
    let Check {
        id,
        name,
        notes,
        kind,
        interval,
        timeout,
        initial_status: _,
        deregister_after,
        success_before_passing: _,
        failures_before_critical: _,
        attributes,
    } = check;
    let texts = [id, name, notes, interval, timeout, deregister_after];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    FieldValue::CHECK
        + texts
        + size_of_kind(kind)
        + attributes.iter().map(size_of_pair).sum::<usize>()
}

fn size_of_kind(kind: &CheckKind) -> usize {
    let some = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match kind {
        CheckKind::Http { url, method, headers, body, tls_skip_verify: _, tls_server_name } => {
            let headers =
                headers.iter().map(|(key, value)| FieldValue::PAIR + key.len() + value.len());
            let texts = url.len() + body.len() + some(method) + some(tls_server_name);
            texts + headers.sum::<usize>()
        }
        CheckKind::Tcp { address }
        | CheckKind::Udp { address }
        | CheckKind::H2Ping { address, use_tls: _, tls_skip_verify: _ } => address.len(),
        CheckKind::Grpc { target, use_tls: _, tls_skip_verify: _, tls_server_name } => {
            target.len() + some(tls_server_name)
        }
        CheckKind::Script { args } => size_of_list(args),
        CheckKind::Docker { container_id, shell, args } => {
            container_id.len() + some(shell) + size_of_list(args)
        }
        CheckKind::Ttl { ttl } => ttl.len(),
        CheckKind::Alias { node, service } => some(node) + some(service),
        CheckKind::OsService { name } => name.len(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// A service in which every field has a value.
    fn full() -> Service {
        let text = |text: &str| text.to_string();
        Service {
            id: text("an-id"),
            name: text("a-name"),
            address: text("10.0.0.1"),
            port: 80,
            protocol: Protocol::Udp,
            tags: vec![text("a"), text("b")],
            meta: Pairs::from([(text("k"), text("v"))]),
            checks: vec![Check {
                id: Some(text("c")),
                name: None,
                notes: Some(text("notes")),
                kind: CheckKind::Tcp { address: text("10.0.0.1:80") },
                interval: Some(text("10s")),
                timeout: None,
                initial_status: None,
                deregister_after: None,
                success_before_passing: None,
                failures_before_critical: None,
                attributes: Default::default(),
            }],
            weights: Some(Weights { passing: 3, warning: 2 }),
            enable_tag_override: true,
            tagged_addresses: Few::from([(text("lan"), (text("10.0.0.2"), 81))]),
            origin: None,
            further: Further {
                ports: vec![NamedPort { name: text("http"), port: 80, default: true }],
                locality: Some(Box::new(Locality { region: text("eu"), zone: None })),
                socket_path: Some(text("/run/a.sock")),
                kind: text("connect-proxy"),
                proxy: Some(Box::new(Proxy {
                    destination_service_name: text("web"),
                    ..Proxy::default()
                })),
                connect_native: true,
                definition: Pairs::from([(text("F"), text("1"))]),
            },
            attributes: Pairs::from([(text("note"), text("1"))]),
        }
    }

    /// The record in JSON is the witness: it has every field there is.
    #[test]
    fn the_list_has_every_field_of_the_record_as_the_record_has_it() {
        let service = full();
        let Value::Object(mut record) = serde_json::to_value(&service).expect("a record") else {
            panic!("it is no object");
        };
        record.remove("origin");
        let listed = service.fields().map(|(field, value)| {
            (field.name().to_string(), serde_json::to_value(value).expect("a value"))
        });
        let all: serde_json::Map<_, _> = listed.into_iter().collect();
        assert_eq!(all, record);
        let keys: BTreeSet<_> = service.fields().map(|(field, _)| field.key()).into();
        assert_eq!(keys.len(), all.len(), "{keys:?}");
        assert!(keys.iter().all(|key| !key.contains('_')), "{keys:?}");
    }

    #[test]
    fn every_text_of_a_service_and_its_checks_is_counted() {
        let size = |service: &Service| -> usize {
            service.fields().iter().map(|(_, value)| value.size()).sum()
        };
        let before = size(&full());
        let long = "x".repeat(1_000);
        let check = |change: fn(&mut Check, String)| {
            let mut service = full();
            change(&mut service.checks[0], long.clone());
            size(&service)
        };
        let kind = |kind: fn(String) -> CheckKind| {
            let mut service = full();
            service.checks[0].kind = kind(long.clone());
            size(&service)
        };
        for (what, after) in [
            ("id", check(|check, text| check.id = Some(text))),
            ("name", check(|check, text| check.name = Some(text))),
            ("notes", check(|check, text| check.notes = Some(text))),
            ("interval", check(|check, text| check.interval = Some(text))),
            ("attributes", check(|check, text| drop(check.attributes.insert("K".into(), text)))),
            ("tcp", kind(|address| CheckKind::Tcp { address })),
            ("udp", kind(|address| CheckKind::Udp { address })),
            ("ttl", kind(|ttl| CheckKind::Ttl { ttl })),
            ("script", kind(|arg| CheckKind::Script { args: vec![arg] })),
            ("os service", kind(|name| CheckKind::OsService { name })),
            ("alias", kind(|node| CheckKind::Alias { node: Some(node), service: None })),
            (
                "h2ping",
                kind(|address| CheckKind::H2Ping { address, use_tls: true, tls_skip_verify: true }),
            ),
            (
                "grpc",
                kind(|name| CheckKind::Grpc {
                    target: String::new(),
                    use_tls: true,
                    tls_skip_verify: false,
                    tls_server_name: Some(name),
                }),
            ),
            (
                "docker",
                kind(|shell| CheckKind::Docker {
                    container_id: String::new(),
                    shell: Some(shell),
                    args: Vec::new(),
                }),
            ),
        ] {
            assert!(after >= before + 900, "{what}: {before}, then {after}");
        }
    }
}
