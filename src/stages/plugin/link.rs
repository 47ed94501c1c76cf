//! The imports of components, as the type of the store gives them.

use tokio::time::timeout;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::{
    WasiCtxView, WasiView,
    clocks::WasiClocksView as _,
    p2::{DynPollable, bindings::clocks::monotonic_clock},
};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::stages::plugin::guest::Guest;

/// The interface `wharfinger:host/kv`.
#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/host-v0.1.0",
        world: "granted",
        imports: { default: async },
    });
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let system = self.system.as_mut().expect("WASI is linked only where the store has it");
        WasiCtxView { ctx: &mut system.ctx, table: &mut system.table }
    }
}

/// Link WASI.
pub(super) fn wasi(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    // Of the clock a stage is told by the host why it has waited in vain.
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        monotonic_clock::Host::now(&mut self.clocks())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        monotonic_clock::Host::resolution(&mut self.clocks())
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.waited = true;
        monotonic_clock::Host::subscribe_instant(&mut self.clocks(), when)
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.waited |= when > 0;
        monotonic_clock::Host::subscribe_duration(&mut self.clocks(), when)
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let system = self.system.as_mut().expect("WASI is linked only where the store has it");
        let sender = system.sender.as_mut().expect("HTTP is linked only where the store has it");
        WasiHttpCtxView { ctx: &mut sender.ctx, table: &mut system.table, hooks: &mut sender.hooks }
    }
}

/// Link the interfaces of HTTP.
pub(super) fn http(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
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

/// Link the interface of the KV store.
pub(super) fn kv(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    bindings::Granted::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
}
