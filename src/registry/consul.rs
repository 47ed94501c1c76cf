//! Consul's agent API: `PUT /v1/agent/service/register` and
//! `…/deregister/<id>`, and reads of `/v1/agent/services`.

mod acl;
pub mod body;
mod checks;
mod config;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use tracing::warn;

use super::{Registered, Registry, RegistryError};
use crate::service::{Check, CheckKind, CheckStatus, Service};

use checks::AgentCheck;
pub use config::{ConsulConfig, ConsulError};

/// The time for a whole call; a Consul agent answers within milliseconds
/// unless its cluster is electing a leader.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The time for a call that asks for no work.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
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
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")));
        let (builder, base) = config.apply(builder)?;
        let client = builder.build().map_err(ConsulError::Client)?;
        Ok(Self { client, base, config, original: false })
    }

    /// Send what registrator would send, even what the agent will refuse.
    pub fn mimicking(self) -> Self {
        Self { original: true, ..self }
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &[&str],
    ) -> Result<RequestBuilder, ConsulError> {
        let mut url = self.base.clone();
        // Segment by segment, so that an ID with a slash stays one segment.
        url.path_segments_mut()
            .map_err(|()| ConsulError::Address(self.base.to_string()))?
            .extend(path);
        let mut request = self.client.request(method, url);
        if let Some((user, password)) = &self.config.auth {
            request = request.basic_auth(user, password.as_ref());
        }
        if let Some(token) = self.config.token()? {
            request = request.header("X-Consul-Token", token);
        }
        for (name, value) in [("ns", &self.config.namespace), ("partition", &self.config.partition)]
        {
            if let Some(value) = value {
                request = request.query(&[(name, value)]);
            }
        }
        Ok(request)
    }

    /// Register, with these parameters of the query.
    async fn put(&self, service: &Service, query: &[(&str, &str)]) -> Result<(), RegistryError> {
        let permission = format!("service {:?} {{ policy = \"write\" }}", service.name);
        let call =
            Call { attempt: "register service", subject: &service.id, permission: &permission };
        let reduced = self.without_refused_checks(service).await;
        let request = self
            .request(Method::PUT, &["v1", "agent", "service", "register"])
            .map_err(|e| call.unreachable(e))?
            .query(query)
            .json(&body::register(reduced.as_ref().unwrap_or(service)));
        match self.send(call, request).await {
            // So answers an agent that allows no scripts; it has registered nothing.
            Err(RegistryError::Unavailable { attempt, status: 500, message })
                if self.original && service.checks.iter().any(is_script) =>
            {
                Err(RegistryError::Refused { attempt, status: 500, message })
            }
            result => result.map(drop),
        }
    }

    /// The service without the checks that the agent is known to refuse, if it
    /// has any: it would refuse the whole service.
    async fn without_refused_checks(&self, service: &Service) -> Option<Service> {
        let affected = !self.original && service.checks.iter().any(is_script);
        if !affected || self.allows_scripts().await != Some(false) {
            return None;
        }
        warn!(
            service = service.id,
            "registered without its script check: the agent does not allow any \
             (enable_script_checks)"
        );
        let mut reduced = service.clone();
        reduced.checks.retain(|check| !is_script(check));
        Some(reduced)
    }

    /// Whether the agent runs scripts of services that are registered over its
    /// API, if it says so.
    async fn allows_scripts(&self) -> Option<bool> {
        let request = self.request(Method::GET, &["v1", "agent", "self"]).ok()?;
        let agent: serde_json::Value =
            request.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
        agent.pointer("/DebugConfig/EnableRemoteScriptChecks")?.as_bool()
    }

    pub(super) async fn send(
        &self,
        call: Call<'_>,
        request: RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let response = request.send().await.map_err(|error| call.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let message = response.text().await.map_err(|error| call.unreachable(error))?;
        Err(call.refused(status, message.trim().to_string()))
    }

    /// The address of the cluster's leader.
    pub(super) async fn leader(&self) -> Result<String, RegistryError> {
        let call =
            Call { attempt: "ask Consul for its leader", subject: "", permission: "any rule" };
        let request = self
            .request(Method::GET, &["v1", "status", "leader"])
            .map_err(|e| call.unreachable(e))?;
        let response = self.send(call, request).await?;
        let leader: String = response.json().await.map_err(|error| call.unreachable(error))?;
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

/// Whether a check is one that an agent may be told not to run.
fn is_script(check: &Check) -> bool {
    matches!(check.kind, CheckKind::Script { .. } | CheckKind::Docker { .. })
}

/// What is attempted, for errors, and the permission that it takes.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) attempt: &'a str,
    pub(super) subject: &'a str,
    pub(super) permission: &'a str,
}

impl Call<'_> {
    fn attempt(self) -> String {
        let Call { attempt, subject, .. } = self;
        if subject.is_empty() { attempt.to_string() } else { format!("{attempt} {subject}") }
    }

    pub(super) fn unreachable(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> RegistryError {
        RegistryError::Unreachable { attempt: self.attempt(), source: source.into() }
    }

    fn refused(self, status: StatusCode, message: String) -> RegistryError {
        let (attempt, code) = (self.attempt(), status.as_u16());
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                RegistryError::Forbidden { attempt, permission: self.permission.into(), message }
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                RegistryError::Unavailable { attempt, status: code, message }
            }
            status if status.is_client_error() => {
                RegistryError::Refused { attempt, status: code, message }
            }
            _ => RegistryError::Unavailable { attempt, status: code, message },
        }
    }
}

#[async_trait::async_trait]
impl Registry for Consul {
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
        let request = self
            .request(Method::GET, &["v1", "agent", "services"])
            .map_err(|e| call.unreachable(e))?;
        let response = self.send(call, request).await?;
        let services: BTreeMap<String, body::AgentService> =
            response.json().await.map_err(|error| call.unreachable(error))?;
        Ok(services.into_iter().map(|(id, entry)| (id, entry.into())).collect())
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

    async fn as_sent(&self, service: &Service) -> Option<Service> {
        self.without_refused_checks(service).await
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        let permission = "service:write on the service's name";
        let call = Call { attempt: "deregister service", subject: id, permission };
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
        let request = self.request(Method::PUT, &path).map_err(|e| call.unreachable(e))?;
        match self.send(call, request).await {
            // Newer agents say so of a service that is not there.
            Err(RegistryError::Refused { status: 404, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        let permission = "service:read on the service's name";
        let call = Call { attempt: "look up service", subject: id, permission };
        let request = self
            .request(Method::GET, &["v1", "agent", "service", id])
            .map_err(|e| call.unreachable(e))?
            .timeout(LOOKUP_TIMEOUT);
        match self.send(call, request).await {
            Ok(_) => Ok(true),
            Err(RegistryError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn may_forget(&self) -> bool {
        true
    }

    async fn set_maintenance(&self, id: &str, reason: Option<&str>) -> Result<(), RegistryError> {
        let permission = "service:write on the service's name";
        let attempt = match reason {
            Some(_) => "put into maintenance service",
            None => "take out of maintenance service",
        };
        let call = Call { attempt, subject: id, permission };
        let enable = reason.is_some().to_string();
        let request = self
            .request(Method::PUT, &["v1", "agent", "service", "maintenance", id])
            .map_err(|e| call.unreachable(e))?
            .query(&[("enable", enable.as_str()), ("reason", reason.unwrap_or_default())]);
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
        let request = self
            .request(Method::GET, &["v1", "agent", "checks"])
            .map_err(|e| call.unreachable(e))?;
        let response = self.send(call, request).await?;
        let read: BTreeMap<String, AgentCheck> =
            response.json().await.map_err(|error| call.unreachable(error))?;
        Ok(checks::maintenance(read))
    }

    async fn beat(
        &self,
        service: &Service,
        checks: &[usize],
        status: CheckStatus,
        output: &str,
    ) -> Result<(), RegistryError> {
        let permission = format!("service {:?} {{ policy = \"write\" }}", service.name);
        for place in checks {
            let check = checks::id(service, *place);
            let call =
                Call { attempt: "report to check", subject: &check, permission: &permission };
            let request = self
                .request(Method::PUT, &["v1", "agent", "check", "update", &check])
                .map_err(|e| call.unreachable(e))?
                .json(&checks::update(status, output));
            self.send(call, request).await?;
        }
        Ok(())
    }
}
