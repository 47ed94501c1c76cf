//! Consul's agent API: `PUT /v1/agent/service/register` and
//! `…/deregister/<id>`, and reads of `/v1/agent/services`.

pub mod body;
mod config;

use std::{collections::BTreeMap, time::Duration};

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::{Registered, Registry, RegistryError};
use crate::service::Service;

pub use config::{ConsulConfig, ConsulError};

/// The time for a whole call; a Consul agent answers within milliseconds
/// unless its cluster is electing a leader.
const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A Consul agent.
#[derive(Debug, Clone)]
pub struct Consul {
    client: reqwest::Client,
    base: Url,
    config: ConsulConfig,
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
        Ok(Self { client, base, config })
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, ConsulError> {
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

    async fn send(
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
}

/// What is attempted, for errors, and the permission that it takes.
#[derive(Clone, Copy)]
struct Call<'a> {
    attempt: &'a str,
    subject: &'a str,
    permission: &'a str,
}

impl Call<'_> {
    fn attempt(self) -> String {
        let Call { attempt, subject, .. } = self;
        if subject.is_empty() { attempt.to_string() } else { format!("{attempt} {subject}") }
    }

    fn unreachable(
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
        let permission = format!("service {:?} {{ policy = \"write\" }}", service.name);
        let call =
            Call { attempt: "register service", subject: &service.id, permission: &permission };
        let request = self
            .request(Method::PUT, &["v1", "agent", "service", "register"])
            .map_err(|e| call.unreachable(e))?
            .json(&body::register(service));
        self.send(call, request).await.map(drop)
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        let permission = "service:write on the service's name";
        let call = Call { attempt: "deregister service", subject: id, permission };
        let request = self
            .request(Method::PUT, &["v1", "agent", "service", "deregister", id])
            .map_err(|e| call.unreachable(e))?;
        match self.send(call, request).await {
            // Newer agents say so of a service that is not there.
            Err(RegistryError::Refused { status: 404, .. }) => Ok(()),
            other => other.map(drop),
        }
    }
}
