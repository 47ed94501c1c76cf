//! The state that belongs to one call into a guest, and its limits.

use std::{sync::Arc, time::Instant};

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::pipeline::{Level, Message, StageError};
use crate::stages::plugin::{
    Limits,
    allowance::Allowance,
    engine::MAX_MEMORIES,
    exceeded::{DeadlineExceeded, MemoryExceeded, TableExceeded},
    said::Voice,
    stats::Figures,
    wasi::System,
};

/// The bytes that a table element takes in the host.
const TABLE_ELEMENT_BYTES: usize = 8;
/// Handles of resources that a guest may hold at once.
const MAX_HANDLES: usize = 1000;

/// The host's side of one instance.
pub(super) struct Guest {
    pub(super) allowance: Arc<Allowance>,
    usage: Usage,
    /// Where it says something.
    pub(super) voice: Voice,
    /// It has asked to be woken when a time has passed.
    pub(super) waited: bool,
    /// There if the component imports WASI.
    pub(super) system: Option<System>,
}

impl Guest {
    /// A store for one call, with the stage's limits.
    pub(super) fn store(engine: &wasmtime::Engine, allowance: &Arc<Allowance>) -> Store<Guest> {
        let limits = allowance.limits;
        let voice = Voice::new(limits.log_lines);
        let guest = Guest {
            usage: Usage::new(&limits),
            system: allowance.imports.wasi.then(|| System::new(allowance, &voice)),
            voice,
            waited: false,
            allowance: allowance.clone(),
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.usage);
        // A list may name the same bytes again and again: without this, what
        // the host copies would not be bounded by the guest's memory.
        store.set_hostcall_fuel(usize::try_from(limits.output.as_u64()).unwrap_or(usize::MAX));
        store.set_max_component_handles(MAX_HANDLES);
        let deadline = Instant::now() + limits.timeout;
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if Instant::now() >= deadline {
                return Err(DeadlineExceeded.into());
            }
            // Others who wait for this thread get their turn.
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }

    /// The memory that the instance has had.
    pub(super) fn memory(&self) -> usize {
        self.usage.bytes
    }

    /// The messages that may be written, with further ones that say how many
    /// may not and why.
    pub(super) fn into_messages(self, figures: &Figures) -> Vec<Message> {
        self.voice.into_messages(self.allowance.limits.log_rate, figures)
    }

    /// The stage's error for a call whose time was over while the host did something for it.
    pub(super) fn late(&self) -> StageError {
        if self.waited && !self.allowance.grants.clock {
            self.voice.log(
                Level::Error,
                "it waited for a time to pass (a sleep, a timer), and the clock of a stage stands still: \
                 a plugin has nothing to wait for, unless the stage has grant.clock = true",
            );
        }
        StageError::Timeout(self.allowance.limits.timeout)
    }
}

/// Counts what a store has: memories and tables together, and the elements of
/// tables.
struct Usage {
    bytes: usize,
    max_bytes: usize,
    elements: usize,
    max_elements: usize,
    max_instances: usize,
}

impl Usage {
    fn new(limits: &Limits) -> Self {
        Self {
            bytes: 0,
            max_bytes: usize::try_from(limits.memory.as_u64()).unwrap_or(usize::MAX),
            elements: 0,
            max_elements: limits.table_elements as usize,
            max_instances: limits.instances as usize,
        }
    }

    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        let used = self.bytes.saturating_add(bytes);
        if used > self.max_bytes {
            // Not just a refusal: a guest's allocator would turn it into a trap
            // that says nothing of memory.
            return Err(MemoryExceeded.into());
        }
        self.bytes = used;
        Ok(true)
    }
}

impl ResourceLimiter for Usage {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let elements = self.elements.saturating_add(more);
        if elements > self.max_elements {
            return Err(TableExceeded.into());
        }
        self.elements = elements;
        self.grow(more.saturating_mul(TABLE_ELEMENT_BYTES))
    }

    fn instances(&self) -> usize {
        self.max_instances
    }

    fn tables(&self) -> usize {
        self.max_instances
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}
