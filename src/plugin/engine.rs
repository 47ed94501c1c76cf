//! The engine that compiles and runs guests, and the clock that interrupts
//! them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytesize::ByteSize;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// The time between two moments at which a guest can be interrupted. It must be
/// much finer than the shortest deadline that a stage can have.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// Core instances, memories and tables that a component may have. A component
/// made by a language's toolchain has two or three of each.
pub(super) const MAX_PARTS: usize = 12;

/// Entries of one table; the largest known, of a Python interpreter, has 12,000.
const MAX_TABLE_ELEMENTS: usize = 50_000;

pub(super) struct Engine {
    wasmtime: wasmtime::Engine,
    stopped: Arc<AtomicBool>,
}

impl Engine {
    /// An engine for `concurrency` calls at once with up to `largest` memory.
    pub(super) fn new(concurrency: usize, largest: ByteSize) -> Result<Self, String> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.concurrency_support(false);
        config.allocation_strategy(pool(concurrency, largest));
        let wasmtime = wasmtime::Engine::new(&config)
            .or_else(|_| {
                // The pool reserves address space, of which a small machine or
                // a strict limit may not have enough.
                config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
                wasmtime::Engine::new(&config)
            })
            .map_err(|error| format!("cannot start the WebAssembly engine: {error:#}"))?;
        let stopped = Arc::new(AtomicBool::new(false));
        tick(wasmtime.clone(), stopped.clone())?;
        Ok(Self { wasmtime, stopped })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn pool(concurrency: usize, largest: ByteSize) -> InstanceAllocationStrategy {
    let count = |each: usize| u32::try_from(concurrency * each).unwrap_or(u32::MAX);
    let bytes = usize::try_from(largest.as_u64()).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count(1))
        .total_core_instances(count(MAX_PARTS))
        .total_memories(count(2))
        .total_tables(count(MAX_PARTS))
        .total_stacks(count(1))
        .max_core_instances_per_component(MAX_PARTS as u32)
        .max_memories_per_component(2)
        .max_tables_per_component(MAX_PARTS as u32)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_memory_size(bytes)
        // Clearing a few pages is cheaper than giving them back to the kernel
        // and faulting them in again at the next call.
        .linear_memory_keep_resident(256 * 1024)
        .table_keep_resident(16 * 1024);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Move the engine's clock on for as long as the engine is used. The thread is
/// not joined: it ends by itself within a tick.
fn tick(engine: wasmtime::Engine, stopped: Arc<AtomicBool>) -> Result<(), String> {
    std::thread::Builder::new()
        .name("guest-clock".into())
        .spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        })
        .map(drop)
        .map_err(|error| format!("cannot start the guests' clock: {error}"))
}
