//! Consul's key-value store: a service is the key `<prefix>/<name>/<id>` with
//! the value `<address>:<port>`.
//!
//! That is all that a key says of a service: no tags, metadata or checks. The
//! daemon's mark is the key's number for the use of applications, its `Flags`:
//! a number that stands for the host's name, and 0 without marks. The container
//! is not in it. A process remembers its own writes in full, so that while it
//! runs a key is as good as an agent's service. After a restart a key with this
//! host's number is known to be this host's, not for which container: it is
//! adopted by the container that wants it, which writes the same value once
//! more, and taken out if none does after all have been looked at.
//!
//! So after a restart a container that ended with a failure keeps nothing, not
//! even with `-deregister on-success`; and of a key with more slashes the last
//! one begins the ID.
//!
//! A key with another number than 0 and this host's is somebody else's and is
//! neither written nor deleted. Keys whose value is no address and port are not
//! looked at.

mod known;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use percent_encoding::percent_decode_str;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::value::RawValue;
use tracing::warn;

use super::{
    Capabilities, Consul, ConsulConfig, ConsulError, Marks, Registry, RegistryError, Sent,
    consul::{Call, list},
};
use crate::model::registered::Registered;
use crate::{
    entries::BadList,
    model::{
        host::Agent,
        service::{Service, addressable, in_path},
    },
    telemetry::event,
    text,
};
use known::{Known, Pair, kept, mark, number, value};

/// A prefix in Consul's key-value store.
#[derive(Debug)]
pub struct ConsulKv {
    consul: Consul,
    prefix: Vec<String>,
    host: String,
    original: bool,
    known: Mutex<Known>,
}

/// Why a URI names no place in Consul's key-value store.
#[derive(Debug, thiserror::Error)]
pub enum ConsulKvError {
    /// There is no path, so that it is not known under which keys to write.
    #[error("{} has no path: name the prefix of the keys, as in {}", text::without_secrets(.0.as_str()), example(.0))]
    NoPrefix(Url),
    /// A segment of the path cannot be a part of a key.
    #[error("{}: {segment:?} cannot be a part of a key", text::without_secrets(.uri.as_str()))]
    Segment {
        /// The URI.
        uri: Url,
        /// The part of its path.
        segment: String,
    },
    /// The agent cannot be reached as the URI and the environment say.
    #[error(transparent)]
    Consul(#[from] ConsulError),
}

fn example(uri: &Url) -> String {
    let colon = if uri.scheme() == UNIX { ":" } else { "" };
    let uri = text::without_secrets(uri.as_str());
    format!("{uri}{colon}/services, or {uri}{colon}/ for none")
}

/// `consulkv://<host>:<port>/<prefix>`.
pub(super) const TCP: &str = "consulkv";
/// `consulkv-unix://<socket>:/<prefix>`: the first colon ends the socket's path.
pub(super) const UNIX: &str = "consulkv-unix";

impl ConsulKv {
    /// The store's capabilities: a key is a name, an ID, an address and a port, with a number for
    /// the host.
    pub const CAPABILITIES: Capabilities = Capabilities {
        marks: Marks::Host,
        maintenance: false,
        checks: false,
        lookups: true,
        may_forget: true,
        neighbours: false,
        key_values: true,
    };

    /// The store of an agent that is reached as the URI
    /// (`consulkv://<host>:<port>/<prefix>` or `consulkv-unix://<socket>:/<prefix>`)
    /// and the environment say, for the daemon of this host. The path `/` stands
    /// for no prefix. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The URI has no path, or the agent's configuration cannot be used.
    pub fn new(
        uri: &Url,
        env: impl Fn(&str) -> Option<String>,
        host: &str,
    ) -> Result<Self, ConsulKvError> {
        let (agent, path) = split(uri)?;
        let consul = Consul::new(ConsulConfig::new(&agent, env)?)?;
        Ok(Self {
            consul,
            prefix: segments(uri, &path)?,
            host: host.to_string(),
            original: false,
            known: Mutex::default(),
        })
    }

    /// Do as registrator did: without a prefix its keys begin with a slash, which
    /// Consul's client refuses, so that nothing is written.
    pub fn mimicking(self) -> Self {
        Self { original: true, ..self }
    }

    fn key(&self, service: &Service) -> String {
        let parts = self.prefix.iter().map(String::as_str);
        let parts: Vec<_> = parts.chain([service.name.as_str(), service.id.as_str()]).collect();
        parts.join("/")
    }

    /// The prefix with the slash that ends it, if there is one at all.
    fn folder(&self) -> String {
        self.prefix.iter().map(|segment| format!("{segment}/")).collect()
    }

    fn request(
        &self,
        call: Call<'_>,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, RegistryError> {
        let path: Vec<_> = ["v1", "kv"].into_iter().chain(key.split('/')).collect();
        self.consul.request(call, method, &path, query)
    }

    async fn put(&self, service: &Service, key: &str) -> Result<(), RegistryError> {
        let permission = self.write_permission();
        let call =
            Call { attempt: "register service", subject: &service.id, permission: &permission };
        // 0 is the number of a key that has none.
        let number = Some(mark(service)).filter(|number| *number > 0);
        let number = number.map(|number| number.to_string());
        let query: Vec<_> = number.iter().map(|number| ("flags", number.as_str())).collect();
        let request = self
            .request(call, Method::PUT, key, &query)?
            .header("Content-Type", "text/plain")
            .body(value(service));
        match self.consul.send(call, request).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explained(key, error).await),
        }
    }

    async fn delete(&self, id: &str, key: &str) -> Result<(), RegistryError> {
        let permission = self.write_permission();
        let call = Call { attempt: "deregister service", subject: id, permission: &permission };
        let request = self.request(call, Method::DELETE, key, &[])?;
        if let Err(error) = self.consul.send(call, request).await {
            return Err(self.explained(key, error).await);
        }
        self.known().keys.remove(key);
        Ok(())
    }

    /// Why a write failed. Some agents refuse keys with a colon, for instance, and say that it is
    /// a fault of their own; whether this is such a one is seen by asking for two keys
    /// that differ in nothing else.
    async fn explained(&self, key: &str, error: RegistryError) -> RegistryError {
        let (attempt, status, message) = match error {
            RegistryError::Refused { attempt, status, message }
            | RegistryError::Unavailable { attempt, status, message }
                if matches!(status, 400 | 500) && !is_plain(key) =>
            {
                (attempt, status, message)
            }
            other => return other,
        };
        let folder = self.folder();
        let plain = self.answers(&format!("{folder}wharfinger")).await;
        if plain && !self.answers(&format!("{folder}wharfinger:")).await {
            let message = format!("{message}: {NOT_PLAIN}");
            return RegistryError::Refused { attempt, status, message };
        }
        match status {
            400 => RegistryError::Refused { attempt, status, message },
            _ => RegistryError::Unavailable { attempt, status, message },
        }
    }

    /// Whether the agent can be asked for a key, whether it is there or not.
    async fn answers(&self, key: &str) -> bool {
        let call = Call { attempt: "look up the key", subject: key, permission: "" };
        let Ok(request) = self.request(call, Method::GET, key, &[]) else { return false };
        match self.consul.send(call, request).await {
            Ok(_) | Err(RegistryError::Refused { status: 404, .. }) => true,
            Err(error) => matches!(error, RegistryError::Forbidden { .. }),
        }
    }

    fn write_permission(&self) -> String {
        format!("key_prefix {:?} {{ policy = \"write\" }}", self.folder())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The agent's URI as [`ConsulConfig`] takes it, of a URI with a path of keys or without.
pub(super) fn agent(uri: &Url) -> Url {
    match uri.scheme() {
        TCP | UNIX => split(uri).map_or_else(|_| uri.clone(), |(agent, _)| agent),
        _ => uri.clone(),
    }
}

/// The agent's URI as [`ConsulConfig`] takes it, and the path of the keys.
fn split(uri: &Url) -> Result<(Url, String), ConsulKvError> {
    let mut agent = uri.clone();
    let path = match uri.path().split_once(':') {
        Some((socket, path)) if uri.scheme() == UNIX => {
            agent.set_path(socket);
            path
        }
        None if uri.scheme() == UNIX => "",
        _ => uri.path(),
    };
    if path.is_empty() {
        return Err(ConsulKvError::NoPrefix(uri.clone()));
    }
    Ok((agent, path.to_string()))
}

fn segments(uri: &Url, path: &str) -> Result<Vec<String>, ConsulKvError> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let decoded = segments.map(|segment| match percent_decode_str(segment).decode_utf8() {
        Ok(text) if is_segment(&text) => Ok(text.into_owned()),
        _ => Err(ConsulKvError::Segment { uri: uri.clone(), segment: segment.into() }),
    });
    decoded.collect()
}

/// Whether Consul takes this between two slashes of a key in a URL.
fn is_segment(text: &str) -> bool {
    !text.contains('/') && addressable(text).is_ok()
}

/// The message about an agent that refuses some keys.
const NOT_PLAIN: &str = "this agent takes only letters, digits and ,_./-?&= in a key, as Consul \
    1.21.5 does unless it is started with disable_http_unprintable_char_filter; later ones take \
    the others again. Give the services other IDs (SERVICE_ID, the stage naming), or let them \
    be registered with the agent itself (consul://)";

/// Whether this can be a key that is asked for. Newer agents decode a path twice, so
/// that a key with a % would be another one.
fn is_key(key: &str) -> Result<(), &'static str> {
    if key.contains('%') {
        return Err("it has a %, which newer agents decode once more");
    }
    in_path(key)
}

/// Whether every agent takes a key.
fn is_plain(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || ",_./-?&=".contains(c))
}

#[async_trait::async_trait]
impl Registry for ConsulKv {
    fn capabilities(&self) -> Capabilities {
        // Of keys that are gone registrator knew nothing.
        Capabilities { may_forget: !self.original, ..Self::CAPABILITIES }
    }

    async fn probe(&self) -> Result<String, RegistryError> {
        let leader = self.consul.leader().await?;
        Ok(format!("consulkv: current leader  {leader}"))
    }

    async fn agent(&self) -> Result<Option<Agent>, RegistryError> {
        self.consul.about().await
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let folder = self.folder();
        let permission = format!("key_prefix {folder:?} {{ policy = \"read\" }}");
        let call =
            Call { attempt: "read the keys below", subject: &folder, permission: &permission };
        let request = self.request(call, Method::GET, &folder, &[("recurse", "true")])?;
        let since = self.known().writes;
        let mut pairs = Vec::new();
        match self.consul.send(call, request).await {
            Ok(response) => {
                list(call, response, |one| {
                    // A value of another form than a pair is no service.
                    let one: Vec<&RawValue> =
                        serde_json::from_slice(one).map_err(|_| BadList::Broken)?;
                    let read = one
                        .iter()
                        .flat_map(|pair| serde_json::from_slice::<Pair>(pair.get().as_bytes()));
                    pairs.extend(read);
                    Ok(())
                })
                .await?;
            }
            // So Consul says that there are none.
            Err(RegistryError::Refused { status: 404, .. }) => {}
            Err(error) => return Err(error),
        };
        let ours = number(&self.host);
        let (pairs, strange): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|pair| is_key(&pair.key).is_ok());
        let mut known = self.known();
        for pair in strange.iter().filter(|pair| pair.flags == ours) {
            if known.strange.insert(pair.key.clone()) {
                warn!(
                    event = event::UNADDRESSABLE,
                    id = pair.key,
                    "a key cannot be asked for, and so stays as it is"
                );
            }
        }
        known.strange.retain(|key| strange.iter().any(|pair| pair.key == *key));
        Ok(known.take(pairs, &folder, &self.host, since))
    }

    async fn ids(&self) -> Result<BTreeSet<String>, RegistryError> {
        let folder = self.folder();
        let permission = format!("key_prefix {folder:?} {{ policy = \"read\" }}");
        let call =
            Call { attempt: "list the keys below", subject: &folder, permission: &permission };
        let request = self.request(call, Method::GET, &folder, &[("keys", "true")])?;
        let response = match self.consul.send(call, request).await {
            Ok(response) => response,
            Err(RegistryError::Refused { status: 404, .. }) => return Ok(BTreeSet::new()),
            Err(error) => return Err(error),
        };
        let mut ids = BTreeSet::new();
        list(call, response, |one| {
            let keys: Vec<String> = serde_json::from_slice(one).map_err(|_| BadList::Broken)?;
            let id = |key: &String| Some(key.strip_prefix(&folder)?.rsplit_once('/')?.1.into());
            ids.extend(keys.iter().filter_map(id));
            Ok(())
        })
        .await?;
        Ok(ids)
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        let keys = self.known().of(id);
        if keys.is_empty() {
            return Ok(self.read().await?.contains_key(id));
        }
        for key in keys {
            let permission = format!("key {key:?} {{ policy = \"read\" }}");
            let call = Call { attempt: "look up the key", subject: &key, permission: &permission };
            let request = self.request(call, Method::GET, &key, &[])?;
            match self.consul.send(call, request).await {
                Ok(_) => return Ok(true),
                Err(RegistryError::Refused { status: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn as_sent(&self, service: &Service) -> Option<Sent> {
        kept(service)
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        let key = self.key(service);
        if self.original && self.prefix.is_empty() {
            return Err(RegistryError::Impossible {
                attempt: format!("register service {}", service.id),
                message: format!("Invalid key. Key must not begin with a '/': /{key}"),
            });
        }
        if let Err(fault) = is_key(&key).and_then(|()| addressable(&service.id)) {
            return Err(RegistryError::Impossible {
                attempt: format!("register service {}", service.id),
                message: format!("{key:?} is no key that Consul can be asked for: {fault}"),
            });
        }
        self.known().begin(&key, &service.id);
        self.put(service, &key).await?;
        let others = {
            let mut known = self.known();
            known.end(&key, service);
            known.of(&service.id).into_iter().filter(|other| *other != key)
        };
        // Only now, so that a service that changes its name is never missing.
        for other in others {
            self.delete(&service.id, &other).await?;
        }
        Ok(())
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        let keys = self.known().of(id);
        for key in keys {
            self.delete(id, &key).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
