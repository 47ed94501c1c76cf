//! The interface `wharfinger:host/kv`: a part of a key-value store, to read.

use tokio::time::timeout;
use wasmtime::component::{HasSelf, Linker};

use super::guest::Guest;

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/host-v0.1.0",
        world: "granted",
        imports: { default: async },
    });
}

/// Reads a key-value store on behalf of guests.
#[async_trait::async_trait]
pub trait KvReader: Send + Sync {
    /// The value of a key, none if there is no such key. Cancelling the call
    /// has no effect.
    ///
    /// # Errors
    ///
    /// A sentence that the guest may see: the store cannot be read, or the
    /// value has more than `most` bytes.
    async fn get(&self, key: &str, most: usize) -> Result<Option<Vec<u8>>, String>;
}

impl bindings::wharfinger::host::kv::Host for Guest {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, String> {
        let allowance = &self.allowance;
        let Some(prefix) = &allowance.grants.kv else {
            return Err("the KV store is not granted".into());
        };
        let Some(reader) = &allowance.kv else {
            return Err("the registry has no KV store".into());
        };
        let key = prefix.key(&key)?;
        let most = usize::try_from(allowance.limits.output.as_u64()).unwrap_or(usize::MAX);
        match timeout(allowance.limits.request_timeout, reader.get(&key, most)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!(
                "no answer within {} (limits.request-timeout)",
                humantime::format_duration(allowance.limits.request_timeout)
            )),
        }
    }
}

/// Link the interface.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    bindings::Granted::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
}
