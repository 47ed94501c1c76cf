//! The changes of a stage to a service. Pure.

use serde::{Deserialize, Serialize};

use crate::model::{
    container::Protocol,
    few::{Few, Pairs},
    service::{Check, Service, Weights},
};

/// The fields that differ, with their new values; none is as it was. The origin is left out, since no
/// stage has a say in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Patch {
    id: Option<String>,
    name: Option<String>,
    address: Option<String>,
    port: Option<u16>,
    protocol: Option<Protocol>,
    tags: Option<Vec<String>>,
    meta: Option<Pairs>,
    checks: Option<Vec<Check>>,
    weights: Option<Option<Weights>>,
    enable_tag_override: Option<bool>,
    tagged_addresses: Option<Few<(String, u16)>>,
    /// In JSON, as its form depends on what it has.
    further: Option<String>,
    attributes: Option<Pairs>,
}

impl Patch {
    /// The patch that makes `after` of `before`.
    pub(super) fn between(before: &Service, after: &Service) -> Self {
        fn differing<T: PartialEq + Clone>(before: &T, after: &T) -> Option<T> {
            (before != after).then(|| after.clone())
        }
        let Service {
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
            further,
            attributes,
        } = after;
        Self {
            id: differing(&before.id, id),
            name: differing(&before.name, name),
            address: differing(&before.address, address),
            port: differing(&before.port, port),
            protocol: differing(&before.protocol, protocol),
            tags: differing(&before.tags, tags),
            meta: differing(&before.meta, meta),
            checks: differing(&before.checks, checks),
            weights: differing(&before.weights, weights),
            enable_tag_override: differing(&before.enable_tag_override, enable_tag_override),
            tagged_addresses: differing(&before.tagged_addresses, tagged_addresses),
            further: differing(&before.further, further)
                .map(|further| serde_json::to_string(&further).expect("it has only string keys")),
            attributes: differing(&before.attributes, attributes),
        }
    }

    /// The service that it makes of the one that it was made from.
    pub(super) fn applied_to(self, before: &Service) -> Service {
        fn or<T: Clone>(after: Option<T>, before: &T) -> T {
            after.unwrap_or_else(|| before.clone())
        }
        Service {
            id: or(self.id, &before.id),
            name: or(self.name, &before.name),
            address: or(self.address, &before.address),
            port: or(self.port, &before.port),
            protocol: or(self.protocol, &before.protocol),
            tags: or(self.tags, &before.tags),
            meta: or(self.meta, &before.meta),
            checks: or(self.checks, &before.checks),
            weights: or(self.weights, &before.weights),
            enable_tag_override: or(self.enable_tag_override, &before.enable_tag_override),
            tagged_addresses: or(self.tagged_addresses, &before.tagged_addresses),
            origin: None,
            further: match self.further {
                Some(further) => serde_json::from_slice(further.as_bytes())
                    .expect("it was written by the same program"),
                None => before.further.clone(),
            },
            attributes: or(self.attributes, &before.attributes),
        }
    }
}
