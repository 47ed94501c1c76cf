//! The marks by which the daemon knows its own services again.

use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::model::{container::ContainerId, registered::Registered, service::Service};

/// Meta key: the host name of the daemon that registered the service.
pub const META_HOST: &str = "wharfinger-host";
/// Meta key: the full identifier of the container that offers it.
pub const META_CONTAINER: &str = "wharfinger-container";
/// Meta key: a digest of everything that was registered. It tells a change of
/// the checks, which an agent does not say of its services.
pub const META_DIGEST: &str = "wharfinger-digest";
/// Meta key: a digest of the container engine's identity. A container that is
/// not here may still run on the engine that it was registered for.
pub const META_ENGINE: &str = "wharfinger-engine";

/// Meta key: the names of the fields that not every agent knows, of a service that has any. By
/// them a read knows that it has to ask how old the agent is.
pub const META_FURTHER: &str = "wharfinger-further";

/// Meta key: until when a service is kept beside the one that has taken its place,
/// in RFC 3339.
pub const META_RETIRE: &str = "wharfinger-retire-at";

/// Meta key: the name of the host whose daemon has registered itself. A service that has it belongs
/// to no container.
pub const META_MEMBER: &str = "wharfinger-member";

/// The owner of a registered service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This host's, for a container.
    Ours(ContainerId),
    /// This host's; the registry could not note for which container.
    Host,
    /// For this container, by a daemon of this host's name for another engine.
    OtherEngine(ContainerId),
    /// That of another host's daemon.
    OtherHost(String),
    /// It is the daemon of this host itself.
    Member(String),
    /// It carries no mark.
    Unmarked,
}

/// The meta keys that no service of a container has but from the daemon.
const FORGEABLE: [&str; 7] =
    [META_HOST, META_CONTAINER, META_DIGEST, META_ENGINE, META_FURTHER, META_RETIRE, META_MEMBER];

/// The marks of the services of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// This host's name.
    pub host: String,
    /// A digest of the container engine's identity, if it has one.
    pub engine: Option<String>,
    /// Whether marks are written.
    pub enabled: bool,
}

impl Provenance {
    /// The marks of a host whose engine is not known.
    pub fn new(host: &str, enabled: bool) -> Self {
        Self { host: host.to_string(), engine: None, enabled }
    }

    /// Note the container engine's identity.
    pub fn set_engine(&mut self, identity: Option<&str>) {
        self.engine = identity.map(|identity| short_digest(identity.as_bytes()));
    }

    /// The service with the marks, as it is to be registered. A forged mark would say
    /// that the service is somebody else's.
    pub fn stamp(&self, container: &ContainerId, mut service: Service) -> Service {
        for forged in FORGEABLE {
            service.meta.remove(forged);
        }
        if self.enabled {
            let digest = digest(&service);
            service.meta.insert(META_HOST.into(), self.host.clone());
            service.meta.insert(META_CONTAINER.into(), container.to_string());
            service.meta.insert(META_DIGEST.into(), digest);
            if !service.further.is_empty() {
                service.meta.insert(META_FURTHER.into(), service.further.names().join(" "));
            }
            if let Some(engine) = &self.engine {
                service.meta.insert(META_ENGINE.into(), engine.clone());
            }
        }
        // It is kept for as long as its container runs.
        service.tags.shrink_to_fit();
        service.checks.shrink_to_fit();
        service.meta.shrink();
        service.attributes.shrink();
        service
    }

    /// The service with the marks; if it is only kept until some time since 1970, with that, too.
    pub(crate) fn stamp_until(
        &self,
        container: &ContainerId,
        service: Service,
        until: Option<Duration>,
    ) -> Service {
        let mut service = self.stamp(container, service);
        let until = until.map(|until| {
            humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + until).to_string()
        });
        service.meta.extend(until.map(|until| (META_RETIRE.to_string(), until)));
        service
    }

    /// A service that has marks already, with these.
    pub(crate) fn stamp_again(&self, container: &ContainerId, service: &Service) -> Service {
        let until = service.meta.get(META_RETIRE).cloned();
        let mut service = self.stamp(container, service.clone());
        service.meta.extend(until.map(|until| (META_RETIRE.to_string(), until)));
        service
    }

    pub(crate) fn owner(&self, registered: &Registered) -> Owner {
        if let Some(host) = registered.meta.get(META_MEMBER) {
            return Owner::Member(host.clone());
        }
        match (registered.meta.get(META_HOST), registered.meta.get(META_CONTAINER)) {
            (Some(host), Some(container)) if *host == self.host => {
                Owner::Ours(ContainerId(container.as_str().into()))
            }
            (Some(host), None) if *host == self.host => Owner::Host,
            (Some(host), _) => Owner::OtherHost(host.clone()),
            (None, _) => Owner::Unmarked,
        }
    }
}

fn digest(service: &Service) -> String {
    short_digest(&serde_json::to_vec(service).expect("a service has only string keys"))
}

fn short_digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
