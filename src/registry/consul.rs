//! Consul's agent API: `PUT /v1/agent/service/register` and
//! `…/deregister/<id>`, and reads of `/v1/agent/services`.

mod about;
mod acl;
pub mod body;
mod call;
mod checks;
mod config;
mod contact;
mod mesh;
mod neighbours;
mod put;
pub mod key;
pub mod member;
pub mod members;
mod reduced;
mod url;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use reqwest::{Method, Url, redirect};

use super::{Capabilities, Marks, Part, Registry, RegistryError, Sent};
use crate::fresh::Fresh;
use crate::model::host::Agent;
use crate::model::service::{CheckStatus, Service};
use crate::model::{marks::META_FURTHER, registered::Registered};

use call::object;
pub(super) use call::{Call, json, list};
use checks::AgentCheck;
pub use config::{ConsulConfig, ConsulError};
pub(super) use contact::Contact;
use mesh::Release;
use reduced::Taken;

/// The time for a whole call; a Consul agent answers within milliseconds
/// unless its cluster is electing a leader.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The time for a call that asks for no work.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// The most memory that an agent's services may take, in bytes.
const MOST_MEMORY: usize = 48 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A Consul agent.
#[derive(Debug, Clone)]
pub struct Consul {
    client: reqwest::Client,
    base: Url,
    config: ConsulConfig,
    original: bool,
    taken: Arc<Taken>,
    /// The agent's answer about itself.
    known: Fresh<Option<Agent>>,
}

impl Consul {
    /// An agent's capabilities.
    pub const CAPABILITIES: Capabilities = Capabilities {
        marks: Marks::Metadata,
        maintenance: true,
        checks: true,
        lookups: true,
        may_forget: true,
        neighbours: true,
        key_values: true,
    };

    /// An agent that is reached as the configuration says. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used: a certificate, key or address is
    /// wrong.
    pub fn new(config: ConsulConfig) -> Result<Self, ConsulError> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // It would take the token, and the call, to a place that nobody has named.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")));
        let (builder, base) = config.apply(builder)?;
        let client = builder.build().map_err(ConsulError::Client)?;
        Ok(Self {
            client,
            base,
            config,
            original: false,
            taken: Arc::default(),
            known: Fresh::default(),
        })
    }

    /// Send what registrator would send, even what the agent will refuse.
    pub fn mimicking(self) -> Self {
        Self { original: true, ..self }
    }

    /// The agent's services, as far as a query wants them.
    async fn services(
        &self,
        call: Call<'_>,
        query: &[(&str, &str)],
    ) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let request = self.request(call, Method::GET, &["v1", "agent", "services"], query)?;
        let response = self.send(call, request).await?;
        let (mut services, mut weight) = (BTreeMap::new(), 0);
        object(call, response, |id, entry: Option<body::AgentService>| {
            let service = body::registered(id.clone(), entry);
            weight += service.size();
            if weight <= MOST_MEMORY {
                services.insert(id, service);
            }
        })
        .await?;
        if weight > MOST_MEMORY {
            return Err(call.too_long(MOST_MEMORY));
        }
        self.note_what_is_unknown(&mut services).await;
        Ok(services)
    }

    /// Note of services which of their fields the agent does not know. It is asked how old it is
    /// only where there is such a service.
    async fn note_what_is_unknown(&self, services: &mut BTreeMap<String, Registered>) {
        let of_ours = |service: &&mut Registered| service.meta.contains_key(META_FURTHER);
        let mut concerned = services.values_mut().filter(of_ours).peekable();
        if self.original || concerned.peek().is_none() {
            return;
        }
        let version = self.release().await;
        for service in concerned {
            service.lacks = self.taken.lacks(&service.id, version);
        }
    }

    /// The agent's release, if it says it.
    async fn release(&self) -> Option<Release> {
        Release::of(&self.about().await.ok().flatten()?.version)
    }

    /// Report a state to a TTL check. The ID of a check does not tell whose it is: one
    /// that may be taken for another is not reported to.
    async fn report(
        &self,
        call: Call<'_>,
        service: &Service,
        check: &str,
        status: CheckStatus,
        output: &str,
    ) -> Result<(), RegistryError> {
        call.about(check)?;
        // That the agent decodes a path once shows in its answer for such a service.
        let proven = service.id.contains('%') && self.has(&service.id).await?;
        if check.contains('%') && !proven {
            return Err(call.impossible("the agent may take it for another check: it has a %"));
        }
        let path = ["v1", "agent", "check", "update", check];
        let request = self.request(call, Method::PUT, &path, &[])?;
        let request = request.json(&checks::update(status, output));
        self.send(call, request).await.map(drop)
    }

    /// The address of the cluster's leader.
    pub(super) async fn leader(&self) -> Result<String, RegistryError> {
        let call =
            Call { attempt: "ask Consul for its leader", subject: "", permission: "any rule" };
        let request = self.request(call, Method::GET, &["v1", "status", "leader"], &[])?;
        let response = self.send(call, request).await?;
        let leader: String = json(call, response).await?;
        if leader.is_empty() {
            let message = "Consul has no leader".to_string();
            return Err(RegistryError::Unavailable {
                attempt: call.attempt(),
                status: 200,
                message,
            });
        }
        Ok(leader)
    }
}

#[async_trait::async_trait]
impl Registry for Consul {
    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    async fn probe(&self) -> Result<String, RegistryError> {
        let leader = self.leader().await?;
        Ok(format!("consul: current leader  {leader}"))
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let call = Call {
            attempt: "read the agent's services",
            subject: "",
            permission: "service_prefix \"\" { policy = \"read\" }",
        };
        self.services(call, &[]).await
    }

    async fn agent(&self) -> Result<Option<Agent>, RegistryError> {
        self.about().await
    }

    async fn ids(&self) -> Result<BTreeSet<String>, RegistryError> {
        self.read_ids().await
    }

    async fn version(&self, of: Part) -> Option<u64> {
        self.index(of).await
    }

    async fn lacking_checks(
        &self,
        services: &[Arc<Service>],
    ) -> Result<BTreeSet<String>, RegistryError> {
        self.without_checks(services).await
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        self.put(service, &[]).await
    }

    async fn replace(&self, service: &Service) -> Result<(), RegistryError> {
        let query: &[_] = if self.original { &[] } else { &[("replace-existing-checks", "true")] };
        self.put(service, query).await
    }

    async fn not_writable(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        Consul::not_writable(self, names).await
    }

    async fn as_sent(&self, service: &Service) -> Option<Sent> {
        self.reduced(service).await
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        let permission = "service:write on the service's name";
        let call = Call { attempt: "deregister service", subject: id, permission };
        if !self.is_meant(call, id).await? {
            return Ok(());
        }
        let mut path = vec!["v1", "agent", "service", "deregister"];
        let segments: Vec<_> = id.split('/').collect();
        // registrator does not escape a slash. An agent reads both, unless it
        // would take away a segment.
        let kept = segments.iter().all(|segment| !matches!(*segment, "" | "." | ".."));
        if self.original && kept {
            path.extend(segments);
        } else {
            path.push(id);
        }
        let request = self.request(call, Method::PUT, &path, &[])?;
        match self.send(call, request).await {
            // Newer agents say so of a service that is not there.
            Err(RegistryError::Refused { status: 404, .. }) => {}
            other => drop(other?),
        }
        self.taken.forget(id);
        Ok(())
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        let permission = "service:read on the service's name";
        let call = Call { attempt: "look up service", subject: id, permission };
        call.about(id)?;
        let request = self
            .request(call, Method::GET, &["v1", "agent", "service", id], &[])?
            .timeout(LOOKUP_TIMEOUT);
        let response = match self.send(call, request).await {
            Ok(response) => response,
            Err(RegistryError::Refused { status: 404, .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        // A service that is there is not gone, whatever the answer looks like.
        match json::<body::Answered>(call, response).await {
            Ok(answered) if answered.id.as_deref().is_some_and(|other| other != id) => {
                Err(call.impossible("the agent answers for another ID"))
            }
            _ => Ok(true),
        }
    }

    async fn neighbours(
        &self,
        host: &str,
        engine: Option<&str>,
    ) -> Result<BTreeMap<String, Registered>, RegistryError> {
        self.read_neighbours(host, engine).await
    }

    async fn set_maintenance(&self, id: &str, reason: Option<&str>) -> Result<(), RegistryError> {
        let permission = "service:write on the service's name";
        let attempt = match reason {
            Some(_) => "put into maintenance service",
            None => "take out of maintenance service",
        };
        let call = Call { attempt, subject: id, permission };
        if !self.is_meant(call, id).await? {
            return Ok(());
        }
        let enable = reason.is_some().to_string();
        let query = [("enable", enable.as_str()), ("reason", reason.unwrap_or_default())];
        let path = ["v1", "agent", "service", "maintenance", id];
        let request = self.request(call, Method::PUT, &path, &query)?;
        match self.send(call, request).await {
            // A service that is gone is in no maintenance.
            Err(RegistryError::Refused { status: 404, .. }) if reason.is_none() => Ok(()),
            other => other.map(drop),
        }
    }

    async fn maintenance(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        let call = Call {
            attempt: "read the agent's checks",
            subject: "",
            permission: "service_prefix \"\" { policy = \"read\" }",
        };
        let request = self.request(call, Method::GET, &["v1", "agent", "checks"], &[])?;
        let response = self.send(call, request).await?;
        let mut maintained = BTreeMap::new();
        object(call, response, |id, check: Option<AgentCheck>| {
            let reason = check.map_or_else(String::new, |check| check.notes);
            maintained.extend(checks::maintained(&id).map(|service| (service.to_string(), reason)));
        })
        .await?;
        Ok(maintained)
    }

    async fn beat(
        &self,
        service: &Service,
        checks: &[usize],
        status: CheckStatus,
        output: &str,
    ) -> Result<(), RegistryError> {
        let permission = format!("service {:?} {{ policy = \"write\" }}", service.name);
        let mut first = Ok(());
        for place in checks {
            let check = checks::id(service, *place);
            let call =
                Call { attempt: "report to check", subject: &check, permission: &permission };
            // One that is gone keeps no other one from its report.
            let reported = self.report(call, service, &check, status, output).await;
            first = first.and(reported);
        }
        first
    }
}
