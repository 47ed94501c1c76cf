//! The engine that compiles and runs guests.

use std::num::NonZeroUsize;

use bytesize::ByteSize;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::stages::plugin::{
    Limits,
    clock::{Clock, Ticking},
    exceeded::MAX_FRAMES,
};

/// Memories of one component: its own, and those of adapters. One of JavaScript
/// has three.
pub(super) const MAX_MEMORIES: usize = 4;

/// The bytes of a guest's stack that the host's functions may use beyond the
/// guest's own part; the engine's default.
const HOST_STACK: usize = 1536 * 1024;

pub(super) struct Engine {
    wasmtime: wasmtime::Engine,
    clock: Clock,
}

impl Engine {
    /// An engine for `concurrency` calls at once, none of which exceeds
    /// `largest`.
    pub(super) fn new(
        concurrency: usize,
        largest: &Limits,
        stack: ByteSize,
    ) -> Result<Self, String> {
        let mut config = config();
        let stack = usize::try_from(stack.as_u64()).map_err(|error| error.to_string())?;
        config.max_wasm_stack(stack).async_stack_size(stack + HOST_STACK);
        config.allocation_strategy(pool(concurrency, largest));
        let wasmtime = wasmtime::Engine::new(&config)
            .or_else(|_| {
                // The pool reserves address space, of which a small machine or
                // a strict limit may not have enough.
                config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
                wasmtime::Engine::new(&config)
            })
            .map_err(|error| format!("cannot start the WebAssembly engine: {error:#}"))?;
        let clock = Clock::start(wasmtime.clone())?;
        Ok(Self { wasmtime, clock })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// Keep the clock going that interrupts guests.
    pub(super) fn run(&self) -> Ticking {
        self.clock.run()
    }
}

/// The settings that bear on compiled code, which must be the same wherever it is
/// made and used. Those that compile in half the time make code that needs several
/// times the stack, so that a test on it would say nothing of a daemon.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.concurrency_support(false);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(MAX_FRAMES));
    config
}

fn pool(concurrency: usize, largest: &Limits) -> InstanceAllocationStrategy {
    let instances = largest.instances as usize;
    let count = |each: usize| u32::try_from(concurrency * each).unwrap_or(u32::MAX);
    let bytes = usize::try_from(largest.memory.as_u64()).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count(1))
        .total_core_instances(count(instances))
        .total_memories(count(MAX_MEMORIES))
        .total_tables(count(instances))
        .total_stacks(count(1))
        .max_core_instances_per_component(largest.instances)
        .max_memories_per_component(MAX_MEMORIES as u32)
        .max_memories_per_module(MAX_MEMORIES as u32)
        .max_tables_per_module(largest.instances)
        .max_tables_per_component(largest.instances)
        .table_elements(largest.table_elements as usize)
        .max_memory_size(bytes)
        // Clearing a few pages is cheaper than giving them back to the kernel
        // and faulting them in again at the next call.
        .linear_memory_keep_resident(256 * 1024)
        .table_keep_resident(16 * 1024);
    InstanceAllocationStrategy::Pooling(pool)
}
