//! One key of Consul's KV store: read with the number of its last change, and written only if
//! nobody else has written it since.

use reqwest::{Method, StatusCode};

use super::{Call, Consul, json, list};
use crate::{entries::BadList, registry::RegistryError};

/// The most bytes that Consul takes for a value.
pub const MOST: usize = 512 << 10;

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The number of its last change; 0 for a key that is not there.
    pub index: u64,
}

impl Consul {
    /// A key's value, as the leader knows it.
    ///
    /// # Errors
    ///
    /// It could not be read.
    pub async fn value(&self, key: &str) -> Result<Option<Value>, RegistryError> {
        let permission = format!("key {key:?} {{ policy = \"read\" }}");
        let call = Call { attempt: "read the key", subject: key, permission: &permission };
        let path: Vec<_> = ["v1", "kv"].into_iter().chain(key.split('/')).collect();
        let request = self.request(call, Method::GET, &path, &[("consistent", "")])?;
        let response = match self.send(call, request).await {
            Ok(response) => response,
            Err(RegistryError::Refused { status, .. }) if status == StatusCode::NOT_FOUND => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut found = None;
        list(call, response, |one| {
            let one: Vec<Entry> = serde_json::from_slice(one).map_err(|_| BadList::Broken)?;
            found = one.into_iter().next();
            Ok(())
        })
        .await?;
        let Some(entry) = found else { return Ok(None) };
        let bytes = entry.value.unwrap_or_default();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bytes);
        let bytes = bytes.map_err(|error| call.unreachable(error))?;
        Ok(Some(Value { bytes, index: entry.modify_index }))
    }

    /// Write a key that nobody has written since it had this number; 0 for one that was not
    /// there. False if somebody has.
    ///
    /// # Errors
    ///
    /// It was refused, or it is not known whether it was done.
    pub async fn replace_value(
        &self,
        key: &str,
        bytes: Vec<u8>,
        index: u64,
    ) -> Result<bool, RegistryError> {
        let permission = format!("key {key:?} {{ policy = \"write\" }}");
        let call = Call { attempt: "write the key", subject: key, permission: &permission };
        let path: Vec<_> = ["v1", "kv"].into_iter().chain(key.split('/')).collect();
        let index = index.to_string();
        let request = self.request(call, Method::PUT, &path, &[("cas", &index)])?.body(bytes);
        json(call, self.send(call, request).await?).await
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    modify_index: u64,
    value: Option<String>,
}
