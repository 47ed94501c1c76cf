//! The rules for what a service has beyond the contract's first version: Consul's own where
//! breaking one would cost the service its registration, and ours where a field would say what
//! another one is held against its rule for.

use std::collections::BTreeSet;

use super::{Fault, line, named_in, shown, text};
use crate::json;
use crate::model::few::Pairs;
use crate::model::service::{CONNECT_PROXY, Field, Further, KINDS, NamedPort, Proxy, Service};

/// Ports, upstreams and further fields that there may be of each.
const MOST: usize = 64;
/// The bytes that a value in JSON may have.
const LONGEST: usize = 16 << 10;
const LONGEST_LABEL: usize = 63;

/// The keys that a definition of a service may not have: those with a field and a rule of their
/// own, those that name another place than the one that is read and cleared away by this daemon,
/// and those that bring another service or a token with them. Consul takes each in any case, with
/// and without `_`.
const OF_SERVICE: [&str; 27] = [
    "id",
    "name",
    "service",
    "tags",
    "address",
    "taggedaddresses",
    "port",
    "ports",
    "socketpath",
    "meta",
    "check",
    "checks",
    "weights",
    "token",
    "enabletagoverride",
    "kind",
    "proxy",
    "connect",
    "sidecarservice",
    "namespace",
    "partition",
    "locality",
    "node",
    "nodeid",
    "peername",
    "datacenter",
    "entmeta",
];
const OF_PROXY: [&str; 6] = [
    "destinationservicename",
    "destinationserviceid",
    "localserviceaddress",
    "localserviceport",
    "upstreams",
    "config",
];
const OF_UPSTREAM: [&str; 4] =
    ["destinationname", "datacenter", "localbindaddress", "localbindport"];

/// Hold the fields against their rules. The fault names the field.
pub(super) fn further(service: &Service) -> Result<(), (Field, String)> {
    let Further { ports, locality, socket_path, kind, proxy, connect_native, definition } =
        &service.further;
    let of = |field: Field| move |fault: String| (field, fault);
    named_ports(ports, service.port).map_err(of(Field::Ports))?;
    if let Some(place) = locality {
        text(&place.region).map_err(of(Field::Locality))?;
        place.zone.as_deref().map_or(Ok(()), text).map_err(of(Field::Locality))?;
    }
    if let Some(path) = socket_path {
        socket(path).map_err(of(Field::SocketPath))?;
    }
    if !kind.is_empty() && !KINDS.contains(&kind.as_str()) {
        let fault = format!("{:?} is none of {}", shown(kind), KINDS.join(", "));
        return Err((Field::Kind, fault));
    }
    mesh(service, proxy.as_deref()).map_err(of(Field::Proxy))?;
    if *connect_native && !kind.is_empty() {
        return Err((Field::ConnectNative, format!("it is a {kind}")));
    }
    fields(definition, &OF_SERVICE).map_err(of(Field::Definition))
}

fn named_ports(ports: &[NamedPort], port: u16) -> Fault {
    if ports.len() > MOST {
        return Err(format!("{} ports; {MOST} are allowed", ports.len()));
    }
    let mut names = BTreeSet::new();
    for NamedPort { name, port, default: _ } in ports {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let legal = name.chars().all(|c| edge(c) || c == '-');
        if !legal || name.len() > LONGEST_LABEL || !name.starts_with(edge) || !name.ends_with(edge)
        {
            return Err(format!(
                "{:?}: a name has 1 to {LONGEST_LABEL} small letters, digits and -",
                shown(name)
            ));
        }
        if *port == 0 {
            return Err(format!("{name:?}: its number is 0"));
        }
        if !names.insert(name) {
            return Err(format!("two of them have the name {name:?}"));
        }
    }
    let defaults: Vec<_> = ports.iter().filter(|port| port.default).collect();
    match (ports, defaults.as_slice()) {
        ([], _) => Ok(()),
        (_, [default]) if default.port == port => Ok(()),
        (_, [default]) => {
            Err(format!("{:?}, the default, is {}, and port is {port}", default.name, default.port))
        }
        (_, defaults) => {
            Err(format!("{} of them are the default, and one is needed", defaults.len()))
        }
    }
}

fn socket(path: &str) -> Fault {
    text(path)?;
    match path.starts_with('/') {
        true => Ok(()),
        false => Err(format!("{:?} is no path from the root", shown(path))),
    }
}

/// Consul's rules for a proxy and a gateway.
fn mesh(service: &Service, proxy: Option<&Proxy>) -> Fault {
    let kind = service.further.kind.as_str();
    if !kind.is_empty() && service.port == 0 && service.further.socket_path.is_none() {
        return Err(format!("a {kind} needs a port or a socket"));
    }
    let Some(proxy) = proxy else {
        return match kind {
            CONNECT_PROXY => Err(format!("a {kind} needs one")),
            _ => Ok(()),
        };
    };
    let Proxy {
        destination_service_name,
        destination_service_id,
        local_service_address,
        local_service_port: _,
        upstreams,
        config,
        definition,
    } = proxy;
    match kind {
        "" => return Err("an ordinary service has none".into()),
        CONNECT_PROXY => {
            text(destination_service_name)
                .map_err(|fault| format!("destination-service-name: {fault}"))?;
        }
        _ if destination_service_name.is_empty()
            && destination_service_id.is_none()
            && upstreams.is_empty() => {}
        _ => return Err(format!("a {kind} stands before no one service and has no upstreams")),
    }
    for (name, value) in [
        ("destination-service-id", destination_service_id),
        ("local-service-address", local_service_address),
    ] {
        value.as_deref().map_or(Ok(()), text).map_err(|fault| format!("{name}: {fault}"))?;
    }
    if upstreams.len() > MOST {
        return Err(format!("{} upstreams; {MOST} are allowed", upstreams.len()));
    }
    for (n, upstream) in upstreams.iter().enumerate() {
        let named = |fault: String| format!("upstream {}: {fault}", n + 1);
        text(&upstream.destination_name).map_err(named)?;
        for value in [&upstream.datacenter, &upstream.local_bind_address] {
            value.as_deref().map_or(Ok(()), text).map_err(named)?;
        }
        let socket = upstream.definition.keys().any(|key| folded(key) == "localbindsocketpath");
        if upstream.local_bind_port == 0 && !socket {
            return Err(named("it has no port".into()));
        }
        fields(&upstream.definition, &OF_UPSTREAM).map_err(named)?;
    }
    fields(config, &[]).map_err(|fault| format!("config: {fault}"))?;
    fields(definition, &OF_PROXY).map_err(|fault| format!("definition: {fault}"))
}

/// Fields by name with values in JSON, none of which is one of these.
fn fields(all: &Pairs, taken: &[&str]) -> Fault {
    if all.len() > MOST {
        return Err(format!("{} fields; {MOST} are allowed", all.len()));
    }
    for (key, value) in all {
        let fault = match line(key) {
            _ if key.trim().is_empty() => Err("it has no name".into()),
            Ok(()) if taken.contains(&folded(key).as_str()) => {
                Err("it is not for a definition to say".to_string())
            }
            Ok(()) if value.len() > LONGEST => Err(format!("a value longer than {LONGEST} bytes")),
            Ok(()) => json::check(value).map_err(|fault| format!("the value {fault}")),
            fault => fault,
        };
        fault.map_err(|fault| named_in(key, &fault))?;
    }
    Ok(())
}

/// A name as Consul compares it: in any case, with and without `_`.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{Locality, Upstream};

    fn check(change: impl FnOnce(&mut Service), expected: &str) {
        let mut service = Service { port: 80, ..Service::blank("a") };
        change(&mut service);
        let said = match further(&service) {
            Ok(()) => String::new(),
            Err((field, fault)) => format!("{}: {fault}", field.key()),
        };
        match expected {
            "" => assert_eq!(said, ""),
            words => assert!(said.contains(words), "{said:?}, and not {words:?}"),
        }
    }

    fn port(name: &str, port: u16, default: bool) -> NamedPort {
        NamedPort { name: name.into(), port, default }
    }

    #[test]
    fn one_of_several_ports_is_the_default_and_the_services_own() {
        let ports = |ports: Vec<NamedPort>, expected: &str| {
            check(|service| service.further.ports = ports, expected);
        };
        ports(vec![], "");
        ports(vec![port("http", 80, true), port("admin", 81, false)], "");
        ports(vec![port("http", 80, false)], "ports: 0 of them are the default");
        ports(vec![port("a", 80, true), port("b", 80, true)], "2 of them are the default");
        ports(vec![port("http", 81, true)], "is 81, and port is 80");
        ports(vec![port("a", 80, true), port("a", 81, false)], "two of them have the name");
        ports(vec![port("a", 80, true), port("b", 0, false)], "its number is 0");
        for name in ["", "A", "a_b", "-a", "a-", "é", &"a".repeat(64)] {
            ports(vec![port(name, 80, true)], "a name has 1 to 63");
        }
        ports((0..65).map(|n| port(&format!("p{n}"), 80, n == 0)).collect(), "64 are allowed");
    }

    #[test]
    fn a_proxy_stands_before_a_service_and_a_gateway_before_none() {
        let before = |name: &str| {
            Some(Box::new(Proxy { destination_service_name: name.into(), ..Proxy::default() }))
        };
        let of = |kind: &'static str, proxy: Option<Box<Proxy>>, expected: &str| {
            let change = |service: &mut Service| {
                service.further.kind = kind.into();
                service.further.proxy = proxy;
            };
            check(change, expected);
        };
        of("connect-proxy", before("web"), "");
        of("connect-proxy", before(""), "destination-service-name: it is empty");
        of("connect-proxy", None, "proxy: a connect-proxy needs one");
        of("", before("web"), "an ordinary service has none");
        of("mesh-gateway", None, "");
        of("mesh-gateway", before(""), "");
        of("mesh-gateway", before("web"), "stands before no one service");
        of("sidecar", None, "kind: \"sidecar\" is none of");
        let upstream = |upstream: Upstream, expected: &str| {
            let proxy = Proxy { upstreams: vec![upstream], ..*before("web").expect("one") };
            of("connect-proxy", Some(Box::new(proxy)), expected);
        };
        let db = |port| Upstream {
            destination_name: "db".into(),
            local_bind_port: port,
            ..Upstream::default()
        };
        upstream(db(5432), "");
        upstream(db(0), "upstream 1: it has no port");
        let path = Pairs::from([("LocalBindSocketPath".into(), "\"/run/db\"".into())]);
        upstream(Upstream { definition: path, ..db(0) }, "");
        let twice = Pairs::from([("destination_name".into(), "\"x\"".into())]);
        upstream(Upstream { definition: twice, ..db(1) }, "not for a definition");
        let native = |service: &mut Service| {
            service.further.connect_native = true;
            service.further.kind = "mesh-gateway".into();
        };
        check(native, "connect-native: it is a mesh-gateway");
        let portless = |service: &mut Service| {
            service.port = 0;
            service.further.kind = "mesh-gateway".into();
        };
        check(portless, "needs a port or a socket");
    }

    #[test]
    fn a_definition_says_nothing_that_is_held_against_a_rule_elsewhere() {
        let field = |key: &str, value: &str, expected: &str| {
            let all = Pairs::from([(key.to_string(), value.to_string())]);
            check(|service| service.further.definition = all, expected);
        };
        field("NewThing", "{\"a\":1}", "");
        field("NewThing", "{a}", "the value is no JSON");
        field("NewThing", &("[".repeat(64) + &"]".repeat(64)), "");
        field("NewThing", &("[".repeat(65) + &"]".repeat(65)), "the value is 65 deep");
        field("", "1", "it has no name");
        field("Long", &format!("\"{}\"", "x".repeat(17 << 10)), "longer than");
        for key in OF_SERVICE {
            field(key, "1", "not for a definition");
            field(&key.to_uppercase(), "1", "not for a definition");
            let parted: Vec<_> = key.chars().map(String::from).collect();
            field(&parted.join("_"), "1", "not for a definition");
        }
        let in_proxy = |service: &mut Service| {
            service.further.kind = CONNECT_PROXY.into();
            service.further.proxy = Some(Box::new(Proxy {
                destination_service_name: "web".into(),
                definition: Pairs::from([("Upstreams".into(), "[]".into())]),
                ..Proxy::default()
            }));
        };
        check(in_proxy, "definition: key \"Upstreams\"");
    }

    #[test]
    fn a_place_and_a_socket_are_texts_of_one_line() {
        let zone = |region: &str, zone: Option<&str>, expected: &str| {
            let place = Locality { region: region.into(), zone: zone.map(String::from) };
            check(|service| service.further.locality = Some(Box::new(place)), expected);
        };
        zone("eu", Some("eu-1"), "");
        zone("", None, "locality: it is empty");
        zone("eu", Some("a\nb"), "locality: it has a control character");
        let socket = |path: &str, expected: &str| {
            check(|service| service.further.socket_path = Some(path.into()), expected);
        };
        socket("/run/a.sock", "");
        socket("run/a.sock", "socket-path: \"run/a.sock\" is no path from the root");
        socket("", "it is empty");
    }
}
