//! The knowledge of keys: whose they are, which services they stand for, and what
//! this process wrote.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{
    model::{
        few::{Few, Pairs},
        marks::META_HOST,
        registered::Registered,
        service::{Further, Service, Weights},
    },
    registry::{Dropped, Sent},
};

/// The knowledge of the keys that this daemon may write to.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) keys: HashMap<String, Key>,
    /// Keys of this host's that cannot be asked for, and were spoken of.
    pub(super) strange: BTreeSet<String>,
    /// The number of the last write, by which a read knows what it cannot have
    /// seen.
    pub(super) writes: u64,
}

#[derive(Debug)]
pub(super) struct Key {
    id: String,
    /// The service as this process wrote it.
    written: Option<Service>,
    /// The number of its last write; 0 if there was none.
    write: u64,
}

impl Known {
    /// A key is about to be written; from now on it may be there.
    pub(super) fn begin(&mut self, key: &str, id: &str) {
        self.writes += 1;
        let known = Key { id: id.to_string(), written: None, write: self.writes };
        self.keys.insert(key.to_string(), known);
    }

    /// A key was written.
    pub(super) fn end(&mut self, key: &str, service: &Service) {
        if let Some(known) = self.keys.get_mut(key) {
            known.written = Some(service.clone());
        }
    }

    pub(super) fn of(&self, id: &str) -> Vec<String> {
        let keys = self.keys.iter().filter(|(_, known)| known.id == id);
        keys.map(|(key, _)| key.clone()).collect()
    }

    /// Take over the pairs that were read, and give their services by ID. `since` is the number
    /// of the last write before they were read.
    pub(super) fn take(
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
        // Keys that were written meanwhile are newer than the read.
        let newer = self.keys.drain().filter(|(_, known)| known.write > since);
        keys.extend(newer);
        self.keys = keys;
        seen.into_iter().map(|(id, (_, _, service))| (id, service)).collect()
    }
}

/// The owner of a key; the first counts where several have an ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Ours,
    Nobody,
    Other,
}

/// A key as Consul gives it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) flags: u64,
    /// In base64; null if it is empty.
    pub(super) value: Option<String>,
}

impl Pair {
    /// Name, ID, address and port; `None` if the pair is no service. Of a key
    /// with more slashes, the last one begins the ID.
    pub(super) fn service(&self, folder: &str) -> Option<(&str, &str, String, u16)> {
        let (name, id) = self.key.strip_prefix(folder)?.rsplit_once('/')?;
        let value = BASE64.decode(self.value.as_deref()?).ok()?;
        let (address, port) = std::str::from_utf8(&value).ok()?.rsplit_once(':')?;
        let inner = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        let address = inner.unwrap_or(address).to_string();
        (!name.is_empty() && !id.is_empty()).then_some((name, id, address, port.parse().ok()?))
    }
}

/// A service of which no more is known than its key and value.
pub(super) fn entry(name: &str, id: &str, address: String, port: u16) -> Registered {
    Registered {
        id: id.into(),
        name: name.into(),
        address,
        port,
        tags: Vec::new(),
        meta: Pairs::default(),
        weights: Weights::DEFAULT,
        enable_tag_override: false,
        tagged_addresses: Few::default(),
        further: Further::default(),
        lacks: BTreeSet::new(),
    }
}

/// The part of a service that a key and its value can hold, if that is less than all. The marks
/// are in its number.
pub(super) fn kept(service: &Service) -> Option<Sent> {
    let plain = Service {
        id: service.id.clone(),
        name: service.name.clone(),
        address: service.address.clone(),
        port: service.port,
        protocol: service.protocol,
        tags: Vec::new(),
        meta: service.meta.iter().filter(|(key, _)| key.starts_with(MARK)).map(owned).collect(),
        checks: Vec::new(),
        weights: None,
        enable_tag_override: false,
        tagged_addresses: Few::default(),
        origin: service.origin.clone(),
        further: Further::default(),
        attributes: service.attributes.clone(),
    };
    let (kept, all) = (plain.fields(), service.fields());
    let lost = kept.iter().zip(&all).filter(|((_, kept), (_, all))| kept != all);
    let lost: Vec<_> = lost.map(|((field, _), _)| field.key()).collect();
    if lost.is_empty() {
        return None;
    }
    let why = "Consul's KV store has no place for more than an address and a port".to_string();
    let dropped = Dropped { what: format!("its {}", lost.join(", ")), why };
    Some(Sent { service: plain, dropped: vec![dropped] })
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// The daemon's own keys of the metadata begin so.
const MARK: &str = "wharfinger-";

/// Address and port; an IPv6 address stands in brackets.
pub(super) fn value(service: &Service) -> String {
    let Service { address, port, .. } = service;
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// The flags of a service's key, by the marks in its metadata.
pub(super) fn mark(service: &Service) -> u64 {
    service.meta.get(META_HOST).map_or(0, |host| number(host))
}

/// The number that stands for a host: the first 53 bits of the SHA-256 of
/// `wharfinger:<host>`. Consul takes 64 bits, but many readers of its JSON do
/// not.
pub(super) fn number(host: &str) -> u64 {
    let digest = Sha256::digest(format!("wharfinger:{host}"));
    let first = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    // 0 is the number of those who set none.
    (first >> 11).max(1)
}
