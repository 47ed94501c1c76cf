//! Consul's key-value store, to read on behalf of stages that are granted it.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url};

use super::{
    Consul, ConsulConfig, ConsulError, RegistryError, consul::Call, consul::Contact, consul_kv,
};
use crate::stages::plugin::KvReader;

/// The time for an answer beyond the one that it was asked to wait.
const ANSWERS: Duration = Duration::from_secs(10);

/// Reads single keys with the daemon's own access rights.
#[derive(Debug, Clone)]
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

/// A key's value, and the servers' count of its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The index that a later read is to be compared with.
    pub index: u64,
    /// The value; none if there is no such key.
    pub bytes: Option<Vec<u8>>,
}

impl ConsulReader {
    /// A key's value, from any server that knows its leader. With an index, the answer comes
    /// when it is another one, or after that time.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the value has more bytes than `most`.
    pub async fn value(
        &self,
        key: &str,
        since: Option<(u64, Duration)>,
        most: usize,
    ) -> Result<KeyValue, RegistryError> {
        let permission = format!("key {key:?} {{ policy = \"read\" }}");
        let call = Call { attempt: "read the key", subject: key, permission: &permission };
        let path: Vec<_> = ["v1", "kv"].into_iter().chain(key.split('/')).collect();
        let (index, wait) = since.unwrap_or_default();
        let (index, seconds) = (index.to_string(), format!("{}s", wait.as_secs()));
        // Any server will do, so that hosts do not all ask the leader.
        let mut query = vec![("raw", ""), ("stale", "")];
        if since.is_some() {
            query.extend([("index", index.as_str()), ("wait", seconds.as_str())]);
        }
        let request = self.consul.request(call, Method::GET, &path, &query)?;
        // Consul adds up to a sixteenth of the time.
        let response = request.timeout(wait + wait / 16 + ANSWERS).send().await;
        let response = response.map_err(|error| call.unreachable(error))?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let index = header("X-Consul-Index").and_then(|index| index.parse().ok()).unwrap_or(0);
        let led = Contact::of(&response).is_led(u64::MAX);
        let status = response.status();
        if (status.is_success() || status == StatusCode::NOT_FOUND) && !led {
            return Err(call.unreachable("the server knows no leader"));
        }
        if status == StatusCode::NOT_FOUND {
            return Ok(KeyValue { index, bytes: None });
        }
        let response = self.consul.answered(call, response).await?;
        let bytes = content(response, most).await.map_err(|error| match error {
            Content::Lost(error) => call.unreachable(error),
            Content::Long => call.impossible(format!("the value has more than {most} bytes")),
        })?;
        Ok(KeyValue { index, bytes: Some(bytes) })
    }
}

/// Why a value did not come.
enum Content {
    Lost(reqwest::Error),
    Long,
}

/// The bytes of an answer, at most so many.
async fn content(mut answer: Response, most: usize) -> Result<Vec<u8>, Content> {
    let mut value = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Content::Lost)? {
        if value.len() + chunk.len() > most {
            return Err(Content::Long);
        }
        value.extend_from_slice(&chunk);
    }
    Ok(value)
}

#[async_trait::async_trait]
impl KvReader for ConsulReader {
    async fn get(&self, key: &str, most: usize) -> Result<Option<Vec<u8>>, String> {
        // A stage is told no more of Consul than that it does not answer.
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
        let answer = request.send().await.map_err(|_| failed())?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("Consul says {status}")),
        }
        content(answer, most).await.map(Some).map_err(|error| match error {
            Content::Lost(_) => failed(),
            Content::Long => format!("the value has more than {most} bytes (limits.output)"),
        })
    }
}
