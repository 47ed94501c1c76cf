//! A registry in the daemon's own memory (`memory://`): to try things out, and
//! for tests. It forgets everything when the daemon ends, and what it is told is
//! seen in the log.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::info;

use super::{Capabilities, Marks, Registry, RegistryError};
use crate::model::registered::Registered;
use crate::model::service::Service;
use crate::telemetry::event;

/// A registry in memory.
#[derive(Debug, Default)]
pub struct Memory {
    services: Mutex<BTreeMap<String, Registered>>,
}

impl Memory {
    /// Its capabilities: it keeps all of a service for as long as the daemon runs.
    pub const CAPABILITIES: Capabilities =
        Capabilities { marks: Marks::Metadata, lookups: true, ..Capabilities::LEAST };

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Registered>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Registry for Memory {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    async fn probe(&self) -> Result<String, RegistryError> {
        Ok("memory: nothing leaves this process".into())
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        Ok(self.lock().clone())
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        let Service { id, name, address, port, tags, .. } = service;
        info!(
            event = event::STORED,
            service = name,
            id,
            address,
            port,
            ?tags,
            "memory: {id} is {name} at {address}:{port}, tags {tags:?}"
        );
        self.lock().insert(id.clone(), service.into());
        Ok(())
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        if self.lock().remove(id).is_some() {
            info!(event = event::DROPPED, id, "memory: {id} is gone");
        }
        Ok(())
    }
}
