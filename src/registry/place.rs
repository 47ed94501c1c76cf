//! From a URI to a registry. This is the one place that knows the URIs' schemes; what is behind
//! one says of itself what it can do.

use std::{net::Ipv4Addr, sync::Arc};

use reqwest::Url;

use super::{
    Capabilities, Consul, ConsulConfig, ConsulError, ConsulKv, ConsulKvError, ConsulReader, Memory,
    Registry, consul_kv,
};
use crate::text;

/// The place of a registry, by its URI.
#[derive(Debug, Clone)]
pub struct Place {
    url: Url,
    adapter: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Consul,
    ConsulKv,
    Memory,
}

/// The schemes, which are the names of the adapters, too.
const SCHEMES: [(&str, Kind); 6] = [
    ("consul", Kind::Consul),
    ("consul-tls", Kind::Consul),
    ("consul-unix", Kind::Consul),
    (consul_kv::TCP, Kind::ConsulKv),
    (consul_kv::UNIX, Kind::ConsulKv),
    ("memory", Kind::Memory),
];

/// Why a URI leads to no registry. The words of the first two are registrator's.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It is no URI.
    #[error("bad adapter uri: {shown}")]
    Bad {
        /// The URI without its secrets.
        shown: String,
        /// The fault in it, if it looks like one.
        #[source]
        source: Option<url::ParseError>,
    },
    /// Its host ends in a number and is no address, which some take for one that nobody has
    /// written.
    #[error("bad adapter uri: {shown}: {host:?} is no IP address")]
    Address {
        /// The URI without its secrets.
        shown: String,
        /// The host.
        host: String,
    },
    /// It is to name a socket.
    #[error("bad adapter uri: {0} names no socket, as consul-unix:///run/consul/http.sock does")]
    NoSocket(String),
    /// It is that of nothing that is known here.
    #[error("unrecognized adapter: {shown}{}", .meant.map(|meant| format!("; was {meant}:// meant?")).unwrap_or_default())]
    Unrecognized {
        /// The URI without its secrets.
        shown: String,
        /// The scheme that it is nearest to.
        meant: Option<&'static str>,
    },
    /// It names no place in a key-value store.
    #[error(transparent)]
    Kv(#[from] ConsulKvError),
    /// The agent cannot be reached as it and the environment say.
    #[error(transparent)]
    Consul(#[from] ConsulError),
}

impl Place {
    /// Read a URI.
    ///
    /// # Errors
    ///
    /// [`PlaceError::Bad`], [`PlaceError::Address`] or [`PlaceError::Unrecognized`].
    pub fn parse(uri: &str) -> Result<Self, PlaceError> {
        let bad = |source| PlaceError::Bad { shown: text::without_secrets(uri), source };
        if !uri.contains("://") {
            return Err(bad(None));
        }
        let url = Url::parse(uri).map_err(|error| bad(Some(error)))?;
        let known = SCHEMES.iter().find(|(scheme, _)| *scheme == url.scheme());
        let (adapter, kind) = *known.ok_or_else(|| PlaceError::Unrecognized {
            shown: text::without_secrets(uri),
            meant: text::nearest(url.scheme(), SCHEMES.map(|(scheme, _)| scheme)),
        })?;
        if let Some(host) = url.host_str().filter(|host| is_broken_number(host)) {
            let (shown, host) = (text::without_secrets(uri), host.to_string());
            return Err(PlaceError::Address { shown, host });
        }
        let to_socket = adapter == "consul-unix";
        if to_socket && url.path().is_empty() && url.host_str().is_none() {
            return Err(PlaceError::NoSocket(text::without_secrets(uri)));
        }
        Ok(Self { url, adapter, kind })
    }

    /// The name of the adapter, for people.
    pub fn adapter(&self) -> &'static str {
        self.adapter
    }

    /// The registry's capabilities, without a word with it.
    pub fn capabilities(&self) -> Capabilities {
        match self.kind {
            Kind::Consul => Consul::CAPABILITIES,
            Kind::ConsulKv => ConsulKv::CAPABILITIES,
            Kind::Memory => Memory::CAPABILITIES,
        }
    }

    /// The registry for the daemon of this host; `original` does as registrator did. Nothing is
    /// sent yet.
    ///
    /// # Errors
    ///
    /// It cannot be reached as the URI and the environment say.
    pub fn open(
        &self,
        env: impl Fn(&str) -> Option<String>,
        host: &str,
        original: bool,
    ) -> Result<Arc<dyn Registry>, PlaceError> {
        Ok(match self.kind {
            Kind::Consul => {
                let consul = Consul::new(ConsulConfig::new(&self.url, env)?)?;
                Arc::new(if original { consul.mimicking() } else { consul })
            }
            Kind::ConsulKv => {
                let store = ConsulKv::new(&self.url, env, host)?;
                Arc::new(if original { store.mimicking() } else { store })
            }
            Kind::Memory => Arc::new(Memory::default()),
        })
    }

    /// The Consul agent through which the registry is reached; none if it is no Consul. Nothing is
    /// sent yet.
    ///
    /// # Errors
    ///
    /// It cannot be reached as the URI and the environment say.
    pub fn agent(
        &self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Consul>, PlaceError> {
        match self.kind {
            Kind::Memory => Ok(None),
            Kind::Consul | Kind::ConsulKv => {
                let agent = consul_kv::agent(&self.url);
                Ok(Some(Consul::new(ConsulConfig::new(&agent, env)?)?))
            }
        }
    }

    /// The store of keys and values beside the registry, to read for stages; none if there is
    /// none. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// It cannot be reached as the URI and the environment say.
    pub fn key_values(
        &self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<ConsulReader>, PlaceError> {
        if !self.capabilities().key_values {
            return Ok(None);
        }
        Ok(Some(ConsulReader::new(&self.url, env)?))
    }
}

/// Whether a host ends in a number and is no IPv4 address: Go asks a name server for it, and
/// others take it for an address that nobody has written.
fn is_broken_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    is_number && host.parse::<Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Marks;

    fn place(uri: &str) -> Place {
        Place::parse(uri).expect(uri)
    }

    #[test]
    fn what_is_opened_says_of_itself_what_its_place_says() {
        for (uri, maintenance, marks) in [
            ("consul://127.0.0.1:8500", true, Marks::Metadata),
            ("consul-tls://127.0.0.1:8501", true, Marks::Metadata),
            ("consul-unix:///run/consul.sock", true, Marks::Metadata),
            ("consulkv://127.0.0.1:8500/services", false, Marks::Host),
            ("consulkv-unix:///run/consul.sock:/services", false, Marks::Host),
            ("memory://", false, Marks::Metadata),
        ] {
            let place = place(uri);
            let registry = place.open(|_| None, "h", false).expect(uri);
            let can = registry.capabilities();
            assert_eq!(can, place.capabilities(), "{uri}");
            assert_eq!((can.maintenance, can.marks), (maintenance, marks), "{uri}");
            assert!(uri.starts_with(&format!("{}://", place.adapter())), "{uri}");
            let store = place.key_values(|_| None).expect(uri);
            assert_eq!(store.is_some(), can.key_values, "{uri}");
        }
    }

    #[test]
    fn a_uri_that_leads_nowhere_is_named_without_its_secrets() {
        for (uri, expected) in [
            ("consul", "bad adapter uri: consul"),
            ("", "bad adapter uri: "),
            ("consul://[", "bad adapter uri: consul://["),
            ("etcd://u:p@h", "unrecognized adapter: etcd://***@h"),
            ("consulx://h", "unrecognized adapter: consulx://h; was consul:// meant?"),
            ("memory-2://", "unrecognized adapter: memory-2://; was memory:// meant?"),
            (
                "consul://10.0.0:8500",
                "bad adapter uri: consul://10.0.0:8500: \"10.0.0\" is no IP address",
            ),
        ] {
            let error = Place::parse(uri).expect_err(uri);
            assert_eq!(error.to_string(), expected);
        }
    }
}
