//! Consul's agent API: `PUT /v1/agent/service/register` and
//! `…/deregister/<id>`, and reads of `/v1/agent/services`.

mod acl;
pub mod body;
mod call;
mod checks;
mod config;
mod reduced;
mod url;
mod watch;
mod neighbours;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use reqwest::{Method, Response, Url, redirect};
use tracing::warn;

use super::{Capabilities, Marks, Part, Registry, RegistryError, Sent};
use crate::model::registered::Registered;
use crate::model::service::{CheckStatus, Service};
use crate::telemetry::event;

use call::object;
pub(super) use call::{Call, json, list};
use checks::AgentCheck;
pub use config::{ConsulConfig, ConsulError};
use reduced::{is_script, without_further_fields, without_scripts};

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
}

impl Consul {
    /// What an agent can do.
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
        Ok(Self { client, base, config, original: false })
    }

    /// Send what registrator would send, even what the agent will refuse.
    pub fn mimicking(self) -> Self {
        Self { original: true, ..self }
    }

    /// Register, with these parameters of the query.
    async fn put(&self, service: &Service, query: &[(&str, &str)]) -> Result<(), RegistryError> {
        let permission = format!("service {:?} {{ policy = \"write\" }}", service.name);
        let call =
            Call { attempt: "register service", subject: &service.id, permission: &permission };
        self.can_be_removed(call, &service.id).await?;
        let reduced = self.without_refused_checks(service).await;
        if reduced.is_some() {
            warn!(
                event = event::REDUCED,
                service = service.name,
                id = service.id,
                dropped = "script checks",
                "registered without its script check: the agent does not allow any \
                 (enable_script_checks)"
            );
        }
        let sent = reduced.as_ref().map_or(service, |reduced| &reduced.service);
        match self.send_service(call, sent, query).await {
            // So answers an agent that allows no scripts; it has registered nothing.
            Err(RegistryError::Unavailable { attempt, status: 500, message })
                if self.original && service.checks.iter().any(is_script) =>
            {
                Err(RegistryError::Refused { attempt, status: 500, message })
            }
            Err(RegistryError::Refused { status: 400, attempt, message }) if !self.original => {
                let Some(Sent { service: plain, dropped }) = without_further_fields(sent) else {
                    return Err(RegistryError::Refused { status: 400, attempt, message });
                };
                self.send_service(call, &plain, query).await?;
                let dropped: Vec<_> = dropped.into_iter().map(|dropped| dropped.what).collect();
                warn!(
                    event = event::REDUCED,
                    service = service.name,
                    id = service.id,
                    reason = message,
                    dropped = dropped.join(", "),
                    "registered without the fields of its checks that the agent may not know"
                );
                Ok(())
            }
            result => result.map(drop),
        }
    }

    /// Whether what is about to be registered under an ID could be removed again. What is
    /// beyond ASCII depends on the Unicode that the agent knows, and a `%` on
    /// how often it decodes a path: it is asked.
    async fn can_be_removed(&self, call: Call<'_>, id: &str) -> Result<(), RegistryError> {
        call.about(id)?;
        if !needs_proof(id) {
            return Ok(());
        }
        match self.has(id).await {
            Err(RegistryError::Refused { status, .. }) => Err(call.impossible(format!(
                "the agent cannot be asked for {id:?} (status {status}), so that it could not be \
                 removed again"
            ))),
            Err(error @ RegistryError::Impossible { .. }) => Err(error),
            // The registration itself will say what is wrong.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether a write under this ID concerns it and nothing else: an agent that decodes
    /// a path twice takes it for another one. False if there is nothing.
    async fn is_meant(&self, call: Call<'_>, id: &str) -> Result<bool, RegistryError> {
        call.about(id)?;
        if needs_proof(id) { self.has(id).await } else { Ok(true) }
    }

    async fn send_service(
        &self,
        call: Call<'_>,
        service: &Service,
        query: &[(&str, &str)],
    ) -> Result<Response, RegistryError> {
        let request = self
            .request(call, Method::PUT, &["v1", "agent", "service", "register"], query)?
            .json(&body::register(service));
        self.send(call, request).await
    }

    /// The service without the checks that the agent is known to refuse, if it
    /// has any: it would refuse the whole service.
    async fn without_refused_checks(&self, service: &Service) -> Option<Sent> {
        let affected = !self.original && service.checks.iter().any(is_script);
        if !affected || self.allows_scripts().await != Some(false) {
            return None;
        }
        without_scripts(service)
    }

    /// Whether the agent runs scripts of services that are registered over its
    /// API, if it says so.
    async fn allows_scripts(&self) -> Option<bool> {
        let call = Call { attempt: "ask the agent for its settings", subject: "", permission: "" };
        let request = self.request(call, Method::GET, &["v1", "agent", "self"], &[]).ok()?;
        let response = self.send(call, request).await.ok()?;
        let agent: serde_json::Value = json(call, response).await.ok()?;
        agent.pointer("/DebugConfig/EnableRemoteScriptChecks")?.as_bool()
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
        Ok(services)
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

/// Whether only the agent can tell if it can be asked for this ID.
fn needs_proof(id: &str) -> bool {
    !id.is_ascii() || id.contains('%')
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
        self.without_refused_checks(service).await
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
            Err(RegistryError::Refused { status: 404, .. }) => Ok(()),
            other => other.map(drop),
        }
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
        // What is there is not gone, whatever the answer looks like.
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
            // What is gone is in no maintenance.
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
