//! A service as a registry has it, and in what that differs from what is wanted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::{
    few::{Few, Pairs},
    service::{Field, FieldValue, Further, Proxy, Service, Weights},
};

/// A service as the registry has it. Checks are not part of what a Consul agent
/// says of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Registered {
    pub id: String,
    pub name: String,
    pub address: String,
    pub port: u16,
    pub tags: Vec<String>,
    pub meta: Pairs,
    pub weights: Weights,
    pub enable_tag_override: bool,
    pub tagged_addresses: Few<(String, u16)>,
    /// Without `definition`, which no registry tells of.
    #[serde(flatten)]
    pub further: Further,
    /// The fields that the registry does not know, so that what it says of them tells nothing.
    /// [`Field::Definition`] stands for further fields within the others.
    #[serde(skip)]
    pub lacks: BTreeSet<Field>,
}

/// The memory that an entry takes beside its fields, roughly.
const ENTRY: usize = 512;

impl From<&Service> for Registered {
    /// The registry's entry once it has registered the service.
    fn from(service: &Service) -> Self {
        let Service {
            id,
            name,
            address,
            port,
            protocol: _,
            tags,
            meta,
            checks: _,
            weights,
            enable_tag_override,
            tagged_addresses,
            origin: _,
            further,
            attributes: _,
        } = service.clone();
        let weights = weights.unwrap_or(Weights::DEFAULT);
        let further = Further { definition: Pairs::default(), ..further };
        Self {
            id,
            name,
            address,
            port,
            tags,
            meta,
            weights,
            enable_tag_override,
            tagged_addresses,
            further,
            lacks: BTreeSet::new(),
        }
    }
}

impl Registered {
    /// All that a registry says of a service, in the order of the record.
    pub fn fields(&self) -> [(Field, FieldValue<'_>); 15] {
        let Self {
            id,
            name,
            address,
            port,
            tags,
            meta,
            weights,
            enable_tag_override,
            tagged_addresses,
            further:
                Further { ports, locality, socket_path, kind, proxy, connect_native, definition: _ },
            lacks: _,
        } = self;
        [
            (Field::Id, FieldValue::Text(id)),
            (Field::Name, FieldValue::Text(name)),
            (Field::Address, FieldValue::Text(address)),
            (Field::Port, FieldValue::Port(*port)),
            (Field::Tags, FieldValue::List(tags)),
            (Field::Meta, FieldValue::Pairs(meta)),
            (Field::Weights, FieldValue::Weights(Some(*weights))),
            (Field::EnableTagOverride, FieldValue::Flag(*enable_tag_override)),
            (Field::TaggedAddresses, FieldValue::Addresses(tagged_addresses)),
            (Field::Ports, FieldValue::Ports(ports)),
            (Field::Locality, FieldValue::Locality(locality.as_deref())),
            (Field::SocketPath, FieldValue::Maybe(socket_path.as_deref())),
            (Field::Kind, FieldValue::Text(kind)),
            (Field::Proxy, FieldValue::Proxy(proxy.as_deref())),
            (Field::ConnectNative, FieldValue::Flag(*connect_native)),
        ]
    }

    /// The fields in which it differs from what is wanted under its ID.
    pub fn differences(&self, wanted: &Service) -> Vec<Field> {
        let wants = wanted.fields();
        let differs = |(field, now): &(Field, FieldValue<'_>)| {
            let Some((_, want)) = wants.iter().find(|(other, _)| other == field) else {
                return false;
            };
            match (field, want, now) {
                (Field::Id, ..) => false,
                (field, ..) if self.lacks.contains(field) => false,
                // With tag override, others may change the tags.
                (Field::Tags, ..) if wanted.enable_tag_override => false,
                (_, FieldValue::Weights(None), now) => {
                    *now != FieldValue::Weights(Some(Weights::DEFAULT))
                }
                // Consul adds tagged addresses of its own.
                (_, FieldValue::Addresses(want), FieldValue::Addresses(now)) => {
                    want.iter().any(|(tag, at)| now.get(tag) != Some(at))
                }
                // Consul adds what was not said: to a gateway without a proxy an empty one.
                (_, FieldValue::Proxy(want), FieldValue::Proxy(now)) => {
                    let nothing = Proxy::default();
                    let (want, now) = (want.unwrap_or(&nothing), now.unwrap_or(&nothing));
                    !now.covers(want, !self.lacks.contains(&Field::Definition))
                }
                (_, want, now) => want != now,
            }
        };
        let fields = self.fields();
        fields.iter().filter(|field| differs(field)).map(|(field, _)| *field).collect()
    }

    /// Whether a service of this name is reached at this very place.
    pub fn is_at_the_place_of(&self, service: &Service) -> bool {
        let Self {
            id: _,
            name,
            address,
            port,
            tags: _,
            meta: _,
            weights: _,
            enable_tag_override: _,
            tagged_addresses: _,
            further: _,
            lacks: _,
        } = self;
        (name, address, port) == (&service.name, &service.address, &service.port)
    }

    /// It in the form of a service; what a registry does not say is as in `like`.
    pub fn to_service(&self, like: &Service) -> Service {
        let Self {
            id,
            name,
            address,
            port,
            tags,
            meta,
            weights,
            enable_tag_override,
            tagged_addresses,
            further,
            lacks,
        } = self.clone();
        let Service {
            protocol,
            checks,
            origin,
            further: unsaid,
            attributes,
            id: _,
            name: _,
            address: _,
            port: _,
            tags: _,
            meta: _,
            weights: _,
            enable_tag_override: _,
            tagged_addresses: _,
        } = like.clone();
        let said = |field| !lacks.contains(&field);
        let further = Further {
            ports: if said(Field::Ports) { further.ports } else { unsaid.ports },
            locality: if said(Field::Locality) { further.locality } else { unsaid.locality },
            socket_path: match said(Field::SocketPath) {
                true => further.socket_path,
                false => unsaid.socket_path,
            },
            definition: unsaid.definition,
            ..further
        };
        Service {
            id,
            name,
            address,
            port,
            protocol,
            tags,
            meta,
            checks,
            weights: Some(weights),
            enable_tag_override,
            tagged_addresses,
            origin,
            further,
            attributes,
        }
    }

    /// Keep once what it has in common with a service.
    pub(crate) fn share(&mut self, service: &Service) {
        self.meta.share(&service.meta);
        self.tagged_addresses.share(&service.tagged_addresses);
    }

    /// The memory that it takes, roughly; its ID is also the key by which it is found.
    pub(crate) fn size(&self) -> usize {
        let fields = self.fields().iter().map(|(_, value)| value.size()).sum::<usize>();
        ENTRY + self.id.len() + fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        container::Protocol,
        service::{Locality, NamedPort},
    };

    fn service() -> Service {
        let text = |text: &str| text.to_string();
        Service {
            id: text("an-id"),
            name: text("a-name"),
            address: text("10.0.0.1"),
            port: 80,
            protocol: Protocol::Tcp,
            tags: vec![text("a")],
            meta: Pairs::from([(text("k"), text("v"))]),
            checks: Vec::new(),
            weights: None,
            enable_tag_override: false,
            tagged_addresses: Few::from([(text("lan"), (text("10.0.0.2"), 81))]),
            origin: None,
            further: Further::default(),
            attributes: Pairs::from([(text("note"), text("1"))]),
        }
    }

    fn differ(change: impl Fn(&mut Service, &mut Registered)) -> Vec<Field> {
        let mut service = service();
        let mut registered = Registered::from(&service);
        change(&mut service, &mut registered);
        registered.differences(&service)
    }

    #[test]
    fn whatever_a_registry_has_in_another_form_differs() {
        assert_eq!(differ(|_, _| {}), []);
        type Change = fn(&mut Registered);
        let fields: [(Field, Change); 14] = [
            (Field::Name, |now| now.name.push('x')),
            (Field::Address, |now| now.address.push('x')),
            (Field::Port, |now| now.port += 1),
            (Field::Tags, |now| now.tags.clear()),
            (Field::Meta, |now| now.meta.clear()),
            (Field::Weights, |now| now.weights.passing = 9),
            (Field::EnableTagOverride, |now| now.enable_tag_override = true),
            (Field::TaggedAddresses, |now| now.tagged_addresses.clear()),
            (Field::Ports, |now| {
                let name = String::from("http");
                now.further.ports.push(NamedPort { name, port: 80, default: true });
            }),
            (Field::Locality, |now| {
                now.further.locality = Some(Box::new(Locality { region: "eu".into(), zone: None }));
            }),
            (Field::SocketPath, |now| now.further.socket_path = Some("/run/x".into())),
            (Field::Kind, |now| now.further.kind = "mesh-gateway".into()),
            (Field::Proxy, |now| {
                let destination_service_name = String::from("web");
                let proxy = Proxy { destination_service_name, ..Proxy::default() };
                now.further.proxy = Some(Box::new(proxy));
            }),
            (Field::ConnectNative, |now| now.further.connect_native = true),
        ];
        let tried: Vec<_> = fields.iter().map(|(field, _)| *field).collect();
        let all = Registered::from(&service());
        let all: Vec<_> = all.fields().map(|(field, _)| field).into_iter().skip(1).collect();
        assert_eq!(tried, all, "each field but the ID is tried");
        for (field, change) in fields {
            assert_eq!(differ(|_, now| change(now)), [field], "{field:?}");
            let unknown = differ(|_, now| {
                change(now);
                now.lacks.insert(field);
            });
            assert_eq!(unknown, [], "{field:?} is one that the registry does not know");
        }
    }

    #[test]
    fn what_a_registry_may_have_of_its_own_is_no_difference() {
        let more = |now: &mut Registered| {
            now.tagged_addresses.insert("wan".into(), ("192.0.2.1".into(), 80));
        };
        assert_eq!(differ(|_, now| more(now)), []);
        let tags = differ(|wanted, now| {
            (wanted.enable_tag_override, now.enable_tag_override) = (true, true);
            now.tags.push("theirs".into());
        });
        assert_eq!(tags, []);
        let proxy = differ(|_, now| {
            let definition = Pairs::from([("MeshGateway".into(), "{}".into())]);
            now.further.proxy = Some(Box::new(Proxy { definition, ..Proxy::default() }));
        });
        assert_eq!(proxy, [], "an empty one, which Consul gives a gateway");
        let weights = differ(|wanted, _| wanted.weights = Some(Weights::DEFAULT));
        assert_eq!(weights, []);
        // Attributes, which are not registered, cannot differ.
        let notes = differ(|wanted, _| wanted.attributes.clear());
        assert_eq!(notes, []);
    }

    #[test]
    fn an_entry_in_the_form_of_a_service_has_what_the_registry_says() {
        let like = Service { name: "other".into(), port: 1, ..service() };
        let registered = Registered::from(&service());
        let back = registered.to_service(&like);
        assert_eq!(Registered::from(&back), registered);
        assert_eq!(back.attributes, like.attributes);
        assert!(registered.is_at_the_place_of(&service()));
        assert!(!registered.is_at_the_place_of(&like));
    }
}
