//! Consul's key-value store, to read on behalf of stages that are granted it.

use reqwest::{Method, StatusCode, Url};

use super::{Consul, ConsulConfig, ConsulError, RegistryError, consul::Call, consul_kv};
use crate::stages::plugin::KvReader;

/// Reads single keys with the daemon's own access rights.
#[derive(Debug)]
pub struct ConsulReader {
    consul: Consul,
}

impl ConsulReader {
    /// The store of the agent that a registry's URI names, of any form.
    /// Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The agent's configuration cannot be used.
    pub fn new(uri: &Url, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConsulError> {
        // The prefix under which services are written has no bearing here.
        let agent = consul_kv::agent(uri);
        Ok(Self { consul: Consul::new(ConsulConfig::new(&agent, env)?)? })
    }
}

#[async_trait::async_trait]
impl KvReader for ConsulReader {
    async fn get(&self, key: &str, most: usize) -> Result<Option<Vec<u8>>, String> {
        // What a stage is told of Consul is that it does not answer.
        let failed = || "Consul does not answer".to_string();
        let call = Call { attempt: "read the key", subject: key, permission: "" };
        let path: Vec<_> = ["v1", "kv"].into_iter().chain(key.split('/')).collect();
        let request = match self.consul.request(call, Method::GET, &path, &[("raw", "")]) {
            Ok(request) => request,
            Err(RegistryError::Impossible { message, .. }) => {
                return Err(format!("{key:?} is no key that Consul can be asked for: {message}"));
            }
            Err(_) => return Err(failed()),
        };
        let mut answer = request.send().await.map_err(|_| failed())?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("Consul says {status}")),
        }
        let mut value = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| failed())? {
            if value.len() + chunk.len() > most {
                return Err(format!("the value has more than {most} bytes (limits.output)"));
            }
            value.extend_from_slice(&chunk);
        }
        Ok(Some(value))
    }
}
