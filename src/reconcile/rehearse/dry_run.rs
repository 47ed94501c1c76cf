//! A registry that notes what would be written to another one and writes nothing.
//!
//! A read gives what the other one had when it was first read, with the writes
//! since as if they had been made.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use crate::{
    model::{
        host::Agent,
        registered::Registered,
        service::{Field, Service},
    },
    pipeline::{FieldChange, diff},
    reconcile::cycle::lock,
    registry::{Capabilities, Registry, RegistryError, Sent},
};

/// A write that was not made.
#[derive(Debug, Clone)]
pub(in crate::reconcile) enum Write {
    Register {
        /// As it was to be registered.
        service: Box<Service>,
        /// As it would be sent.
        sent: Box<Service>,
        /// The parts that `sent` lacks, and why.
        dropped: Vec<String>,
        changes: Vec<FieldChange>,
    },
    Deregister {
        was: Box<Registered>,
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
    /// The services that would have been written; only of these the checks are known.
    written: BTreeMap<String, Service>,
    writes: Vec<Write>,
}

impl DryRun {
    /// Writes to this registry are only noted; without one, it counts as empty.
    pub(in crate::reconcile) fn of(inner: Option<Arc<dyn Registry>>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// The services that are really registered.
    pub(in crate::reconcile) fn real(&self) -> BTreeMap<String, Registered> {
        lock(&self.state).real.clone().unwrap_or_default()
    }

    /// The writes since the last time.
    pub(in crate::reconcile) fn take(&self) -> Vec<Write> {
        std::mem::take(&mut lock(&self.state).writes)
    }
}

/// The fields that a registration would change. Checks are known only of a service that was
/// `written` here.
fn changes(old: &Registered, written: Option<&Service>, new: &Service) -> Vec<FieldChange> {
    let mut before = old.to_service(new);
    if let Some(written) = written {
        before.checks.clone_from(&written.checks);
    }
    let mut differ = old.differences(new);
    differ.push(Field::Checks);
    let mut changes = diff(&before, new);
    changes.retain(|change| differ.iter().any(|field| field.name() == change.field));
    changes
}

#[async_trait::async_trait]
impl Registry for DryRun {
    fn capabilities(&self) -> Capabilities {
        self.inner.as_ref().map_or(Capabilities::LEAST, |inner| inner.capabilities())
    }

    async fn probe(&self) -> Result<String, RegistryError> {
        Ok("nothing is written".into())
    }

    async fn agent(&self) -> Result<Option<Agent>, RegistryError> {
        match &self.inner {
            Some(inner) => inner.agent().await,
            None => Ok(None),
        }
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
        let dropped = sent.iter().flat_map(|sent| &sent.dropped).map(ToString::to_string).collect();
        let sent = Box::new(sent.map_or_else(|| service.clone(), |sent| sent.service));
        let service = Box::new(service.clone());
        state.writes.push(Write::Register { service, sent, dropped, changes });
        Ok(())
    }

    async fn not_writable(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        match &self.inner {
            Some(inner) => inner.not_writable(names).await,
            None => BTreeSet::new(),
        }
    }

    async fn as_sent(&self, service: &Service) -> Option<Sent> {
        match &self.inner {
            Some(inner) => inner.as_sent(service).await,
            None => None,
        }
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        let mut state = lock(&self.state);
        state.written.remove(id);
        if let Some(was) = state.now.remove(id) {
            state.writes.push(Write::Deregister { was: Box::new(was) });
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
