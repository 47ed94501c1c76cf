//! Consul's key-value store: a service is the key `<prefix>/<name>/<id>` with
//! the value `<address>:<port>`.
//!
//! That is all that a key says of a service: no tags, metadata or checks. The
//! daemon's mark is the key's number for the use of applications, its `Flags`:
//! a number that stands for the host's name, and 0 without marks. The container
//! is not in it. What this process wrote it remembers in full, so that while it
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

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use percent_encoding::percent_decode_str;
use reqwest::{Method, RequestBuilder, Url};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Consul, ConsulConfig, ConsulError, Registered, Registry, RegistryError, consul::Call};
use crate::{
    reconcile::META_HOST,
    service::{Service, Weights},
};

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
    #[error("{0} has no path: name the prefix of the keys, as in {example}", example = example(.0))]
    NoPrefix(Url),
    /// A segment of the path cannot be a part of a key.
    #[error("{uri}: {segment:?} cannot be a part of a key")]
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
    format!("{uri}{colon}/services, or {uri}{colon}/ for none")
}

/// `consulkv-unix://<socket>:/<prefix>`: the first colon ends the socket's path.
const UNIX: &str = "consulkv-unix";

impl ConsulKv {
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
    ) -> Result<RequestBuilder, RegistryError> {
        let path: Vec<_> = ["v1", "kv"].into_iter().chain(key.split('/')).collect();
        self.consul.request(method, &path).map_err(|error| call.unreachable(error))
    }

    async fn put(&self, service: &Service, key: &str) -> Result<(), RegistryError> {
        let permission = self.write_permission();
        let call =
            Call { attempt: "register service", subject: &service.id, permission: &permission };
        let mut request = self
            .request(call, Method::PUT, key)?
            .header("Content-Type", "text/plain")
            .body(value(service));
        // 0 is the number of a key that has none.
        if let number @ 1.. = mark(service) {
            request = request.query(&[("flags", number)]);
        }
        self.consul.send(call, request).await.map(drop)
    }

    async fn delete(&self, id: &str, key: &str) -> Result<(), RegistryError> {
        let permission = self.write_permission();
        let call = Call { attempt: "deregister service", subject: id, permission: &permission };
        let request = self.request(call, Method::DELETE, key)?;
        self.consul.send(call, request).await?;
        self.known().keys.remove(key);
        Ok(())
    }

    fn write_permission(&self) -> String {
        format!("key_prefix {:?} {{ policy = \"write\" }}", self.folder())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the keys that this daemon may write to.
#[derive(Debug, Default)]
struct Known {
    keys: HashMap<String, Key>,
    /// The number of the last write, by which a read knows what it cannot have
    /// seen.
    writes: u64,
}

#[derive(Debug)]
struct Key {
    id: String,
    /// What this process wrote.
    written: Option<Service>,
    /// The number of its last write; 0 if there was none.
    write: u64,
}

impl Known {
    /// A key is about to be written; from now on it may be there.
    fn begin(&mut self, key: &str, id: &str) {
        self.writes += 1;
        let known = Key { id: id.to_string(), written: None, write: self.writes };
        self.keys.insert(key.to_string(), known);
    }

    /// A key was written.
    fn end(&mut self, key: &str, service: &Service) {
        if let Some(known) = self.keys.get_mut(key) {
            known.written = Some(service.clone());
        }
    }

    fn of(&self, id: &str) -> Vec<String> {
        let keys = self.keys.iter().filter(|(_, known)| known.id == id);
        keys.map(|(key, _)| key.clone()).collect()
    }

    /// What the keys say of services. `since` is the number of the last write
    /// before they were read.
    fn take(
        &mut self,
        pairs: Vec<Pair>,
        folder: &str,
        host: &str,
        since: u64,
    ) -> BTreeMap<String, Registered> {
        let ours = number(host);
        let mut seen: BTreeMap<String, (Claim, String, Registered)> = BTreeMap::new();
        let mut keys = HashMap::new();
        for pair in pairs {
            let Some((name, id, address, port)) = pair.service(folder) else { continue };
            let mut service = entry(name, id, address, port);
            // As it was written, and nobody has changed it.
            let written = self.keys.get(&pair.key).filter(|known| {
                known.written.as_ref().is_some_and(|written| {
                    pair.flags == mark(written)
                        && (&service.address, service.port) == (&written.address, written.port)
                })
            });
            let written = written.and_then(|known| Some((known.written.clone()?, known.write)));
            let claim = match &written {
                Some((written, _)) => {
                    service = written.into();
                    Claim::Ours
                }
                None if pair.flags == ours => {
                    service.meta.insert(META_HOST.into(), host.into());
                    Claim::Ours
                }
                None if pair.flags == 0 => Claim::Nobody,
                None => {
                    let other = format!("with the flags {}", pair.flags);
                    service.meta.insert(META_HOST.into(), other);
                    Claim::Other
                }
            };
            let id = service.id.clone();
            if claim == Claim::Ours {
                let (written, write) = written.unzip();
                let known = Key { id: id.clone(), written, write: write.unwrap_or_default() };
                keys.insert(pair.key.clone(), known);
            }
            // The same ID may be under several names.
            if seen.get(&id).is_none_or(|(other, ..)| claim < *other) {
                seen.insert(id, (claim, pair.key, service));
            }
        }
        for (id, (claim, key, _)) in &seen {
            if *claim == Claim::Nobody {
                let known = Key { id: id.clone(), written: None, write: 0 };
                keys.insert(key.clone(), known);
            }
        }
        // What was written meanwhile is newer than the read.
        let newer = self.keys.drain().filter(|(_, known)| known.write > since);
        keys.extend(newer);
        self.keys = keys;
        seen.into_iter().map(|(id, (_, _, service))| (id, service)).collect()
    }
}

/// Whose a key is; the first counts where several have an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Ours,
    Nobody,
    Other,
}

/// A key as Consul gives it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    flags: u64,
    /// In base64; null if it is empty.
    value: Option<String>,
}

impl Pair {
    /// Name, ID, address and port; `None` if the pair is no service. Of a key
    /// with more slashes, the last one begins the ID.
    fn service(&self, folder: &str) -> Option<(&str, &str, String, u16)> {
        let (name, id) = self.key.strip_prefix(folder)?.rsplit_once('/')?;
        let value = BASE64.decode(self.value.as_deref()?).ok()?;
        let (address, port) = std::str::from_utf8(&value).ok()?.rsplit_once(':')?;
        let inner = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        let address = inner.unwrap_or(address).to_string();
        (!name.is_empty() && !id.is_empty()).then_some((name, id, address, port.parse().ok()?))
    }
}

/// A service of which no more is known than its key and value.
fn entry(name: &str, id: &str, address: String, port: u16) -> Registered {
    Registered {
        id: id.into(),
        name: name.into(),
        address,
        port,
        tags: Vec::new(),
        meta: BTreeMap::new(),
        weights: Weights { passing: 1, warning: 1 },
        enable_tag_override: false,
        tagged_addresses: BTreeMap::new(),
    }
}

/// Address and port; an IPv6 address stands in brackets.
fn value(service: &Service) -> String {
    let Service { address, port, .. } = service;
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// The flags of a service's key, by the marks in its metadata.
fn mark(service: &Service) -> u64 {
    service.meta.get(META_HOST).map_or(0, |host| number(host))
}

/// The number that stands for a host: the first 53 bits of the SHA-256 of
/// `wharfinger:<host>`. Consul takes 64 bits, but many readers of its JSON do
/// not.
fn number(host: &str) -> u64 {
    let digest = Sha256::digest(format!("wharfinger:{host}"));
    let first = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    // 0 is the number of those who set none.
    (first >> 11).max(1)
}

/// The agent's URI as [`ConsulConfig`] takes it, and the path of the keys.
pub(super) fn split(uri: &Url) -> Result<(Url, String), ConsulKvError> {
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
    !matches!(text, "" | "." | "..")
}

#[async_trait::async_trait]
impl Registry for ConsulKv {
    async fn probe(&self) -> Result<String, RegistryError> {
        let leader = self.consul.leader().await?;
        Ok(format!("consulkv: current leader  {leader}"))
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let folder = self.folder();
        let permission = format!("key_prefix {folder:?} {{ policy = \"read\" }}");
        let call =
            Call { attempt: "read the keys below", subject: &folder, permission: &permission };
        let request = self.request(call, Method::GET, &folder)?.query(&[("recurse", "true")]);
        let since = self.known().writes;
        let pairs: Vec<Pair> = match self.consul.send(call, request).await {
            Ok(response) => response.json().await.map_err(|error| call.unreachable(error))?,
            // So Consul says that there are none.
            Err(RegistryError::Refused { status: 404, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(self.known().take(pairs, &folder, &self.host, since))
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        let key = self.key(service);
        if self.original && self.prefix.is_empty() {
            return Err(RegistryError::Impossible {
                attempt: format!("register service {}", service.id),
                message: format!("Invalid key. Key must not begin with a '/': /{key}"),
            });
        }
        if !key.split('/').all(is_segment) {
            return Err(RegistryError::Impossible {
                attempt: format!("register service {}", service.id),
                message: format!("{key:?} is no key that Consul can be asked for"),
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
