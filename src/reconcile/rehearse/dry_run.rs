//! A registry that notes what would be written to another one and writes nothing.
//!
//! What is read is what the other one had when it was first read, and what would
//! have been written since.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use crate::{
    pipeline::{FieldChange, diff},
    reconcile::{cycle::lock, difference::differences},
    registry::{Registered, Registry, RegistryError},
    service::Service,
};

/// A write that was not made.
#[derive(Debug, Clone)]
pub(in crate::reconcile) enum Write {
    Register {
        /// As it was to be registered.
        service: Box<Service>,
        /// As it would be sent.
        sent: Box<Service>,
        changes: Vec<FieldChange>,
    },
    Deregister {
        was: Registered,
    },
    Maintenance {
        id: String,
        enable: bool,
    },
}

#[derive(Default)]
pub(in crate::reconcile) struct DryRun {
    inner: Option<Arc<dyn Registry>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    real: Option<BTreeMap<String, Registered>>,
    now: BTreeMap<String, Registered>,
    /// What would have been written; only of this the checks are known.
    written: BTreeMap<String, Service>,
    writes: Vec<Write>,
}

impl DryRun {
    /// Writes to this registry are only noted; without one, it counts as empty.
    pub(in crate::reconcile) fn of(inner: Option<Arc<dyn Registry>>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// What is really registered.
    pub(in crate::reconcile) fn real(&self) -> BTreeMap<String, Registered> {
        lock(&self.state).real.clone().unwrap_or_default()
    }

    /// The writes since the last time.
    pub(in crate::reconcile) fn take(&self) -> Vec<Write> {
        std::mem::take(&mut lock(&self.state).writes)
    }
}

/// What a registration would change; nothing if the service is new.
fn changes(old: &Registered, written: Option<&Service>, new: &Service) -> Vec<FieldChange> {
    let mut before = service_of(old, new);
    // An agent adds tagged addresses of its own, and with tag override the tags are
    // not the daemon's.
    let fields = differences(new, old);
    if !fields.contains(&"tagged-addresses") {
        before.tagged_addresses.clone_from(&new.tagged_addresses);
    }
    if !fields.contains(&"tags") {
        before.tags.clone_from(&new.tags);
    }
    match written {
        Some(written) => before.checks.clone_from(&written.checks),
        None => before.checks.clone_from(&new.checks),
    }
    diff(&before, new)
}

/// What a registry has, in the form of a service; the rest as in `like`.
fn service_of(old: &Registered, like: &Service) -> Service {
    let weights = Some(old.weights);
    let default = like.weights.is_none() && Registered::from(like).weights == old.weights;
    Service {
        id: old.id.clone(),
        name: old.name.clone(),
        address: old.address.clone(),
        port: old.port,
        tags: old.tags.clone(),
        meta: old.meta.clone(),
        weights: if default { None } else { weights },
        enable_tag_override: old.enable_tag_override,
        tagged_addresses: old.tagged_addresses.clone(),
        ..like.clone()
    }
}

#[async_trait::async_trait]
impl Registry for DryRun {
    async fn probe(&self) -> Result<String, RegistryError> {
        Ok("nothing is written".into())
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        if lock(&self.state).real.is_none() {
            let read = match &self.inner {
                Some(inner) => inner.read().await?,
                None => BTreeMap::new(),
            };
            let mut state = lock(&self.state);
            state.now.clone_from(&read);
            state.real = Some(read);
        }
        Ok(lock(&self.state).now.clone())
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        let sent = self.as_sent(service).await;
        let mut state = lock(&self.state);
        let old = state.now.insert(service.id.clone(), service.into());
        let written = state.written.insert(service.id.clone(), service.clone());
        let changes = old.map(|old| changes(&old, written.as_ref(), service)).unwrap_or_default();
        let sent = Box::new(sent.unwrap_or_else(|| service.clone()));
        let service = Box::new(service.clone());
        state.writes.push(Write::Register { service, sent, changes });
        Ok(())
    }

    async fn not_writable(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        match &self.inner {
            Some(inner) => inner.not_writable(names).await,
            None => BTreeSet::new(),
        }
    }

    async fn as_sent(&self, service: &Service) -> Option<Service> {
        match &self.inner {
            Some(inner) => inner.as_sent(service).await,
            None => None,
        }
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        let mut state = lock(&self.state);
        state.written.remove(id);
        if let Some(was) = state.now.remove(id) {
            state.writes.push(Write::Deregister { was });
        }
        Ok(())
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        Ok(lock(&self.state).now.contains_key(id))
    }

    async fn set_maintenance(&self, id: &str, reason: Option<&str>) -> Result<(), RegistryError> {
        let write = Write::Maintenance { id: id.to_string(), enable: reason.is_some() };
        lock(&self.state).writes.push(write);
        Ok(())
    }

    async fn maintenance(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        match &self.inner {
            Some(inner) => inner.maintenance().await,
            None => Ok(BTreeMap::new()),
        }
    }
}
