//! The sink: a registry of services, and what is registered in it.

mod capabilities;
pub mod consul;
mod consul_kv;
mod consul_reader;
mod memory;
mod place;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::model::{
    host::Agent,
    service::{CheckStatus, Service},
};

pub use crate::model::registered::Registered;
pub use capabilities::{Capabilities, Marks};
pub use consul::{Consul, ConsulConfig, ConsulError, body};
pub use consul_kv::{ConsulKv, ConsulKvError};
pub use consul_reader::{ConsulReader, KeyValue};
pub use memory::Memory;
pub use place::{Place, PlaceError};

/// Where services are registered. A seam: tests put their own in its place.
///
/// Registering is idempotent and replaces what has the same ID. A call that is
/// cancelled or fails may have been carried out.
#[async_trait::async_trait]
pub trait Registry: Send + Sync {
    /// Its capabilities beyond being written to and read. It is asked for no others.
    fn capabilities(&self) -> Capabilities;

    /// Whether the registry is there; the words are for people.
    ///
    /// # Errors
    ///
    /// It is not, or is not ready.
    async fn probe(&self) -> Result<String, RegistryError>;

    /// Everything that is registered, by ID, whoever registered it. Fields that the registry has no
    /// place for are as this process wrote them last, so that they do not differ from that.
    ///
    /// # Errors
    ///
    /// It could not be read whole; a failed read is never taken as empty.
    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError>;

    /// The agent behind it; none if there is none, or it may not be asked. The answer may be a
    /// minute old.
    ///
    /// # Errors
    ///
    /// It could not be asked, and never was.
    async fn agent(&self) -> Result<Option<Agent>, RegistryError> {
        Ok(None)
    }

    /// Register a service, in the place of what has its ID.
    ///
    /// # Errors
    ///
    /// The registry refused, or it is not known whether it did it.
    async fn register(&self, service: &Service) -> Result<(), RegistryError>;

    /// Register a service in the place of one whose checks may differ: those
    /// that the new one does not have go.
    ///
    /// # Errors
    ///
    /// As for [`Registry::register`].
    async fn replace(&self, service: &Service) -> Result<(), RegistryError> {
        self.register(service).await
    }

    /// Those of these services' names that may not be written, as far as that is
    /// known beforehand.
    async fn not_writable(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let _ = names;
        BTreeSet::new()
    }

    /// The service in the form in which it would be sent, where that is another one, and what
    /// it lacks then: what this registry is known to refuse or has no place for.
    async fn as_sent(&self, service: &Service) -> Option<Sent> {
        let _ = service;
        None
    }

    /// Take a service out. One that is not there is as good as taken out.
    ///
    /// # Errors
    ///
    /// As for [`Registry::register`].
    async fn deregister(&self, id: &str) -> Result<(), RegistryError>;

    /// Whether a service is registered under an ID. Unlike a read of everything,
    /// which leaves out what the token may not see, this tells what is not there
    /// from what may not be seen.
    ///
    /// # Errors
    ///
    /// It is not known, [`RegistryError::Forbidden`] among the reasons.
    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        Ok(self.read().await?.contains_key(id))
    }

    /// The IDs of everything that is registered.
    ///
    /// # Errors
    ///
    /// As for [`Registry::read`].
    async fn ids(&self) -> Result<BTreeSet<String>, RegistryError> {
        Ok(self.read().await?.into_keys().collect())
    }

    /// A number that stays the same for as long as nothing of this part has changed, by
    /// a small read; none if the registry cannot tell.
    async fn version(&self, of: Part) -> Option<u64> {
        let _ = of;
        None
    }

    /// The IDs of those of these services that do not have all their checks. A service that is not
    /// there at all, or may not be read, has none.
    ///
    /// # Errors
    ///
    /// The checks could not be read whole.
    async fn lacking_checks(
        &self,
        services: &[Arc<Service>],
    ) -> Result<BTreeSet<String>, RegistryError> {
        let _ = services;
        Ok(BTreeSet::new())
    }

    /// The services marked with this host's name and another engine, or with another name and
    /// this engine, by ID: at little cost, and so far as the token may read them.
    ///
    /// # Errors
    ///
    /// It could not be read.
    async fn neighbours(
        &self,
        host: &str,
        engine: Option<&str>,
    ) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let _ = (host, engine);
        Ok(BTreeMap::new())
    }

    /// Put a service into maintenance for a reason, or with none take it out.
    /// While it is in maintenance nobody is sent to it.
    ///
    /// # Errors
    ///
    /// As for [`Registry::register`]; [`RegistryError::Impossible`] if the
    /// registry knows no such thing ([`Capabilities::maintenance`]).
    async fn set_maintenance(&self, id: &str, reason: Option<&str>) -> Result<(), RegistryError> {
        let _ = reason;
        Err(RegistryError::Impossible {
            attempt: format!("put service {id} into maintenance"),
            message: "the registry knows no maintenance".into(),
        })
    }

    /// The services that are in maintenance, by ID, with the reasons.
    ///
    /// # Errors
    ///
    /// It could not be read whole.
    async fn maintenance(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        Ok(BTreeMap::new())
    }

    /// Report a state to some of the TTL checks of a service, given by their
    /// places among its checks.
    ///
    /// # Errors
    ///
    /// As for [`Registry::register`].
    async fn beat(
        &self,
        service: &Service,
        checks: &[usize],
        status: CheckStatus,
        output: &str,
    ) -> Result<(), RegistryError> {
        let _ = (service, checks, status, output);
        Ok(())
    }
}

/// A service as it is sent, where that is less than was wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The service that is sent.
    pub service: Service,
    /// The parts that it lacks.
    pub dropped: Vec<Dropped>,
}

/// A part of a service that is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The part, such as `its script check`.
    pub what: String,
    /// Why the registry does not get it.
    pub why: String,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: it is registered without {}", self.why, self.what)
    }
}

/// A part of a registry of which changes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The services.
    Services,
    /// Their checks, and how they fare.
    Checks,
}

/// A failed attempt at a registry, and the reason.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There was no answer, or only a part of it.
    #[error("cannot {attempt}: no answer")]
    Unreachable {
        /// The attempt that failed, in words.
        attempt: String,
        /// The error of the connection.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The token does not have the permission.
    #[error("cannot {attempt}: the token lacks {permission}: {message}")]
    Forbidden {
        /// The attempt that failed, in words.
        attempt: String,
        /// The rule of an ACL policy that would allow it.
        permission: String,
        /// The registry's words.
        message: String,
    },
    /// The registry refused what was sent; the same will be refused again.
    #[error("cannot {attempt}: refused with status {status}: {message}")]
    Refused {
        /// The attempt that failed, in words.
        attempt: String,
        /// The status of the answer.
        status: u16,
        /// The registry's words.
        message: String,
    },
    /// The registry has no form for what was to be written; nothing was sent.
    #[error("cannot {attempt}: {message}")]
    Impossible {
        /// The attempt that failed, in words.
        attempt: String,
        /// Why not.
        message: String,
    },
    /// The answer is longer than any should be.
    #[error("cannot {attempt}: the answer has more than {most} bytes")]
    Overlong {
        /// The attempt that failed, in words.
        attempt: String,
        /// The most bytes that are read of such an answer.
        most: usize,
    },
    /// The registry is there but could not do it now.
    #[error("cannot {attempt}: status {status}: {message}")]
    Unavailable {
        /// The attempt that failed, in words.
        attempt: String,
        /// The status of the answer.
        status: u16,
        /// The registry's words.
        message: String,
    },
}

impl RegistryError {
    /// Whether the same call may succeed soon without anyone doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. })
    }
}
