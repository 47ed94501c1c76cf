//! An agent's answer about itself.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;

use super::{Call, Consul, call::json};
use crate::{model::host::Agent, registry::RegistryError};

/// The part of its answer that is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    config: Config,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    datacenter: String,
    #[serde(default)]
    node_name: String,
    #[serde(default)]
    version: String,
}

impl Consul {
    /// The agent's answer about itself; none if the token may not ask for it.
    pub(in crate::registry) async fn about(&self) -> Result<Option<Agent>, RegistryError> {
        let call = Call {
            attempt: "ask the agent for its node",
            subject: "",
            permission: "agent_prefix \"\" { policy = \"read\" }",
        };
        self.known
            .get(async {
                let request = self.request(call, Method::GET, &["v1", "agent", "self"], &[])?;
                let answer: Answer = match self.send(call, request).await {
                    Ok(response) => json(call, response).await?,
                    // A token without the right, or a proxy that lets other calls through only.
                    Err(error) if !error.is_transient() => return Ok(None),
                    Err(error) => return Err(error),
                };
                let Answer { config, meta } = answer;
                Ok(Some(Agent {
                    node: config.node_name,
                    datacenter: config.datacenter,
                    version: config.version,
                    node_meta: meta.unwrap_or_default(),
                }))
            })
            .await
    }
}
