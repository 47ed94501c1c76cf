//! WASI that gives nothing away and touches nothing, for components whose
//! toolchain imports it without need: no environment, arguments, files or
//! network, output that goes nowhere, clocks that stand still and random
//! numbers that are the same in each call. So a stage stays a pure function.

use std::time::Duration;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    random::Deterministic,
};

use super::guest::Guest;

pub(super) struct Inert {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl Inert {
    pub(super) fn new() -> Self {
        let seed = || Deterministic::new(b"wharfinger".to_vec());
        let ctx = WasiCtxBuilder::new()
            .wall_clock(Still)
            .monotonic_clock(Still)
            .secure_random(seed())
            .insecure_random(seed())
            .insecure_random_seed(0)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        Self { ctx, table: ResourceTable::new() }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let inert = self.wasi.as_mut().expect("WASI is linked only where the store has it");
        WasiCtxView { ctx: &mut inert.ctx, table: &mut inert.table }
    }
}

/// Link the inert implementations.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

/// A clock that stands still.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}
