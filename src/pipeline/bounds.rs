//! The bounds of what one container may ask for, and all of them together. Pure.
//!
//! A few labels multiply: each port of a container gets every tag and every check
//! that the container names. So what that would come to is counted before any of
//! it is made, and what was made is counted once more. A container that asks for
//! too much keeps what it has, and is in nobody's way: the bound for all of them
//! leaves a small one its part, however much the others take.

mod tally;

use std::fmt;

use bytesize::ByteSize;
use serde::{
    Deserializer as _,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use super::{AddressRules, StageError, labels};
use crate::model::{
    container::{Container, ExposedPort},
    host::{Compat, Host},
    service::{FieldValue, Service},
};

pub(super) use tally::Tally;

/// The bytes that a service, a check, a tag and a pair of metadata take beside their
/// texts, roughly.
const SERVICE: usize = 512;
const CHECK: usize = FieldValue::CHECK;
const TAG: usize = FieldValue::TEXT;
const PAIR: usize = FieldValue::PAIR;
/// The bytes that a value of JSON takes beside its text, however short.
const VALUE: usize = 32;

/// Hand the list of what containers may ask for to a macro, behind what else it is to get. Of each:
/// what it bounds, its field, its type and key in the configuration, what it is where nothing is
/// said, the least and the most. The services and tags of a container are among the limits of a
/// call, since a stage may be given more of them.
macro_rules! every_bound {
    ($then:ident $($before:tt)*) => {
        $then! {
            $($before)*
            => bounds
            /// The ports that one container may offer.
            ports: usize, "ports", 1_000, 1, 65_535;
            /// The checks that one service may have.
            checks: usize, "checks", 64, 1, 1_000;
            /// The bytes of one container's labels and variables, and of its services.
            bytes: ByteSize, "bytes", 2 << 20, 64 << 10, 1 << 30;
            /// The services of all containers.
            all_services: usize, "all-services", 50_000, 1, 1_000_000;
            /// The bytes of the services of all containers.
            all_bytes: ByteSize, "all-bytes", 32 << 20, 1 << 20, 16 << 30;
        }
    };
}
pub(crate) use every_bound;

macro_rules! bounds_of_containers {
    (
        => bounds
        $($(#[$doc:meta])* $field:ident: $type:ty, $key:literal, $default:expr, $least:expr,
            $most:expr;)*
    ) => {
        /// The bounds of what one container may ask for, and all of them together; each is
        /// the key of `[limits]` of its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Bounds {
            /// The services of one container.
            pub services: usize,
            /// The tags of a service.
            pub tags: usize,
            $($(#[$doc])* pub $field: usize,)*
        }

        impl Bounds {
            /// The bounds where none are configured.
            pub const DEFAULT: Self = Self { services: 1_000, tags: 256, $($field: $default,)* };
        }
    };
}
every_bound!(bounds_of_containers);

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The number of services, and the bytes that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) services: usize,
    pub(super) bytes: usize,
}

/// The fault of asking for more than is allowed.
fn bound<T>(asked: String, most: String, key: &'static str) -> Result<T, StageError> {
    Err(StageError::Bound { asked, most, key })
}

fn counted(count: usize, most: usize, what: &str, key: &'static str) -> Result<(), StageError> {
    if count <= most { Ok(()) } else { bound(format!("{count} {what}"), most.to_string(), key) }
}

fn weighed(bytes: usize, most: usize, what: &str, key: &'static str) -> Result<(), StageError> {
    let size = |bytes: usize| ByteSize::b(bytes as u64).to_string();
    if bytes <= most {
        Ok(())
    } else {
        bound(format!("{} of {what}", size(bytes)), size(most), key)
    }
}

impl Bounds {
    /// Hold against the bounds what a container says, before it is read.
    pub(super) fn said(
        &self,
        container: &Container,
        host: &Host,
        address: &AddressRules,
    ) -> Result<(), StageError> {
        let labels = container.labels.iter().map(|(key, value)| key.len() + value.len());
        let env = container.env.iter().map(|(key, value)| key.len() + value.len());
        let bytes = labels.chain(env).fold(0, usize::saturating_add);
        weighed(bytes, self.bytes, "labels and variables", "bytes")?;
        counted(offered(container, host, address), self.ports, "ports", "ports")
    }

    /// Hold against the bounds what a stage that reads `SERVICE_*` would make of these
    /// candidates, before it does.
    pub(super) fn product(
        &self,
        container: &Container,
        host: &Host,
        candidates: usize,
    ) -> Result<(), StageError> {
        counted(candidates, self.services, "services", "services")?;
        // Of each service, and once.
        let (mut common, mut once) = (SERVICE, 0_usize);
        let env = container.env.iter().map(|(key, value)| (key, value));
        for (key, value) in container.labels.iter().chain(env) {
            let Some(key) = key.strip_prefix("SERVICE_") else { continue };
            let mut bytes = PAIR + key.len() + value.len();
            if value.trim_start().starts_with(['[', '{']) {
                bytes += VALUE * value.matches([',', '[', '{', ':']).count();
            }
            let field = key.rsplit('_').next().unwrap_or(key);
            if field.eq_ignore_ascii_case("tags") {
                let tags = tags(value);
                counted(tags, self.tags, "tags for a service", "tags")?;
                bytes += tags * TAG;
            } else if field.eq_ignore_ascii_case("checks") && host.compat == Compat::None {
                let checks = elements(value);
                counted(checks, self.checks, "checks for a service", "checks")?;
                bytes += checks * CHECK;
            }
            if is_of_one_port(key) {
                once = once.saturating_add(bytes);
            } else {
                common = common.saturating_add(bytes);
            }
        }
        if let Some(all) = container.attributes.get("tags") {
            let tags = tags(all);
            counted(tags, self.tags, "tags for a service by -tags", "tags")?;
            common = common.saturating_add(all.len() + tags * TAG);
        }
        let bytes = candidates.saturating_mul(common).saturating_add(once);
        weighed(bytes, self.bytes, "services", "bytes")
    }

    /// Hold against the bounds what the stages made of a container.
    pub(super) fn made(&self, services: &[Service]) -> Result<Size, StageError> {
        counted(services.len(), self.services, "services", "services")?;
        let mut size = Size { services: services.len(), bytes: 0 };
        for service in services {
            counted(service.tags.len(), self.tags, "tags for a service", "tags")?;
            counted(service.checks.len(), self.checks, "checks for a service", "checks")?;
            size.bytes = size.bytes.saturating_add(weight(service));
        }
        weighed(size.bytes, self.bytes, "services", "bytes")?;
        Ok(size)
    }
}

/// The most ports that a container can offer, without making a list of them.
fn offered(container: &Container, host: &Host, address: &AddressRules) -> usize {
    let mode = container.network_mode.as_str();
    let open = matches!(mode, "host" | "none") || mode.starts_with("container:");
    let compat = host.compat == Compat::Registrator;
    let named = container.labels.get(labels::PORT).filter(|_| !compat);
    let own =
        !compat && (container.labels.contains_key(labels::NETWORK) || !address.direct.is_empty());
    // What is exposed is offered only where it is reached without being published.
    let exposed = if open || own || host.internal { container.exposed_ports.len() } else { 0 };
    let mut published: Vec<_> = container
        .published_ports
        .iter()
        .map(|one| ExposedPort { port: one.container_port, protocol: one.protocol })
        .filter(|port| exposed == 0 || container.exposed_ports.binary_search(port).is_err())
        .collect();
    published.dedup();
    exposed + published.len() + named.map_or(0, |named| 1 + named.matches(',').count())
}

/// Whether a key without its prefix names one port, such as `80_TAGS`.
fn is_of_one_port(key: &str) -> bool {
    key.split_once('_').is_some_and(|(number, _)| number.parse::<u16>().is_ok())
}

/// The tags of a list, of which an escaped comma separates none.
fn tags(list: &str) -> usize {
    let parts = list.split(',').filter(|part| !part.trim().is_empty() && !part.ends_with('\\'));
    parts.count()
}

/// The elements of a JSON array up to its end or its first fault. They are skipped and not
/// kept.
fn elements(text: &str) -> usize {
    struct Count<'a>(&'a mut usize);
    impl<'de> Visitor<'de> for Count<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
            while elements.next_element::<IgnoredAny>()?.is_some() {
                *self.0 += 1;
            }
            Ok(())
        }
    }
    let mut count = 0;
    // The stage says what is wrong with it.
    let _ =
        serde_json::Deserializer::from_slice(text.as_bytes()).deserialize_seq(Count(&mut count));
    count
}

/// The memory that a service takes, roughly.
fn weight(service: &Service) -> usize {
    SERVICE + service.fields().iter().map(|(_, value)| value.size()).sum::<usize>()
}

#[cfg(test)]
mod tests;
