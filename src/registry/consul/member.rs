//! The daemon's own service in its agent: registered, kept alive, looked at. Taking it out is
//! [`Registry::deregister`](crate::registry::Registry::deregister).
//!
//! Each call has a bound of its own, since nothing that is done for services waits for these.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde_json::json;

use super::{Call, Consul, LOOKUP_TIMEOUT, body, checks, json};
use crate::{
    model::{registered::Registered, service::CheckStatus},
    registry::RegistryError,
};

/// The time after which a daemon counts as lost that does not tell of itself, and the one after
/// which Consul takes it out.
pub const TTL: Duration = Duration::from_secs(30);
const GONE_AFTER: &str = "72h";

/// A daemon as its agent knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The service's ID.
    pub id: String,
    /// Its name, the same on all hosts.
    pub service: String,
    /// Where the daemon answers HTTP; empty for wherever the agent is.
    pub address: String,
    /// The port there; 0 if it answers nowhere.
    pub port: u16,
    /// The facts that it tells of itself.
    pub meta: BTreeMap<String, String>,
}

impl Consul {
    /// Register a daemon, in the place of the service that has its ID.
    ///
    /// # Errors
    ///
    /// The agent refused, or it is not known whether it did it.
    pub async fn join(&self, member: &Membership) -> Result<(), RegistryError> {
        let Membership { id, service, address, port, meta } = member;
        let permission = format!("service {service:?} {{ policy = \"write\" }}");
        let call =
            Call { attempt: "register the daemon itself as", subject: id, permission: &permission };
        call.about(id)?;
        let body = json!({
            "ID": id,
            "Name": service,
            "Address": address,
            "Port": port,
            "Meta": meta,
            "Check": {
                "CheckID": check(id),
                "Name": "the daemon's loop answers",
                "TTL": format!("{}s", TTL.as_secs()),
                "Status": checks::word(CheckStatus::Passing),
                "DeregisterCriticalServiceAfter": GONE_AFTER,
            },
        });
        let path = ["v1", "agent", "service", "register"];
        let request = self.request(call, Method::PUT, &path, &[])?.timeout(LOOKUP_TIMEOUT);
        self.send(call, request.json(&body)).await.map(drop)
    }

    /// Tell the agent that a daemon is well. The same words each time: an agent keeps to itself
    /// what does not change.
    ///
    /// # Errors
    ///
    /// The agent refused, as one does that has lost the daemon's check; or it does not answer.
    pub async fn keep_alive(&self, id: &str) -> Result<(), RegistryError> {
        let permission = "service:write on the daemon's own service";
        let call = Call { attempt: "tell that the daemon is well as", subject: id, permission };
        call.about(id)?;
        let check = check(id);
        let path = ["v1", "agent", "check", "update", &check];
        let request = self.request(call, Method::PUT, &path, &[])?.timeout(LOOKUP_TIMEOUT);
        let request = request.json(&checks::update(CheckStatus::Passing, ""));
        self.send(call, request).await.map(drop)
    }

    /// The service that the agent has under an ID.
    ///
    /// # Errors
    ///
    /// It does not say.
    pub async fn under(&self, id: &str) -> Result<Option<Registered>, RegistryError> {
        let permission = "service:read on the daemon's own service";
        let call = Call { attempt: "look up the daemon itself as", subject: id, permission };
        call.about(id)?;
        let path = ["v1", "agent", "service", id];
        let request = self.request(call, Method::GET, &path, &[])?.timeout(LOOKUP_TIMEOUT);
        let response = match self.send(call, request).await {
            Ok(response) => response,
            Err(RegistryError::Refused { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let entry = json::<body::AgentService>(call, response).await?;
        Ok(Some(body::registered(id.to_string(), Some(entry))))
    }
}

/// The ID of a daemon's check.
fn check(id: &str) -> String {
    format!("service:{id}")
}
