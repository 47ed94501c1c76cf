//! The fields of a service that this version adds: ports by name, where it runs, and its place in
//! Consul's mesh.

use super::{contract, types};
use crate::model::service as s;

pub(super) fn ports(further: &s::Further) -> Vec<types::NamedPort> {
    let port = |s::NamedPort { name, port, default }: &s::NamedPort| types::NamedPort {
        name: name.clone(),
        port: *port,
        default: *default,
    };
    further.ports.iter().map(port).collect()
}

pub(super) fn locality(further: &s::Further) -> Option<types::Locality> {
    let s::Locality { region, zone } = further.locality.as_deref()?;
    Some(types::Locality { region: region.clone(), zone: zone.clone() })
}

pub(super) fn socket_path(further: &s::Further) -> Option<String> {
    further.socket_path.clone()
}

pub(super) fn kind(further: &s::Further) -> String {
    further.kind.clone()
}

pub(super) fn proxy(further: &s::Further) -> Option<types::Proxy> {
    let s::Proxy {
        destination_service_name,
        destination_service_id,
        local_service_address,
        local_service_port,
        upstreams,
        config,
        definition,
    } = further.proxy.as_deref()?;
    Some(types::Proxy {
        destination_service_name: destination_service_name.clone(),
        destination_service_id: destination_service_id.clone(),
        local_service_address: local_service_address.clone(),
        local_service_port: *local_service_port,
        upstreams: upstreams.iter().map(upstream).collect(),
        config: contract::attributes(config),
        definition: contract::attributes(definition),
    })
}

fn upstream(upstream: &s::Upstream) -> types::Upstream {
    let s::Upstream {
        destination_name,
        datacenter,
        local_bind_address,
        local_bind_port,
        definition,
    } = upstream;
    types::Upstream {
        destination_name: destination_name.clone(),
        datacenter: datacenter.clone(),
        local_bind_address: local_bind_address.clone(),
        local_bind_port: *local_bind_port,
        definition: contract::attributes(definition),
    }
}

pub(super) fn connect_native(further: &s::Further) -> bool {
    further.connect_native
}

pub(super) fn definition(further: &s::Further) -> Vec<types::Attribute> {
    contract::attributes(&further.definition)
}

/// The fields as a stage gives them back.
pub(super) fn back(
    ports: Vec<types::NamedPort>,
    locality: Option<types::Locality>,
    socket_path: Option<String>,
    kind: String,
    proxy: Option<types::Proxy>,
    connect_native: bool,
    definition: Vec<types::Attribute>,
) -> s::Further {
    let port = |types::NamedPort { name, port, default }| s::NamedPort { name, port, default };
    s::Further {
        ports: ports.into_iter().map(port).collect(),
        locality: locality
            .map(|types::Locality { region, zone }| Box::new(s::Locality { region, zone })),
        socket_path,
        kind,
        proxy: proxy.map(proxy_back).map(Box::new),
        connect_native,
        definition: contract::pairs(definition),
    }
}

fn proxy_back(proxy: types::Proxy) -> s::Proxy {
    let types::Proxy {
        destination_service_name,
        destination_service_id,
        local_service_address,
        local_service_port,
        upstreams,
        config,
        definition,
    } = proxy;
    let upstream = |types::Upstream {
                        destination_name,
                        datacenter,
                        local_bind_address,
                        local_bind_port,
                        definition,
                    }| s::Upstream {
        destination_name,
        datacenter,
        local_bind_address,
        local_bind_port,
        definition: contract::pairs(definition),
    };
    s::Proxy {
        destination_service_name,
        destination_service_id,
        local_service_address,
        local_service_port,
        upstreams: upstreams.into_iter().map(upstream).collect(),
        config: contract::pairs(config),
        definition: contract::pairs(definition),
    }
}
