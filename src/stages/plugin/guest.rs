//! The state that belongs to one call into a guest, and its limits.

use std::{sync::Arc, time::Instant};

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::pipeline::{Level, Message};
use crate::stages::plugin::{
    Limits,
    allowance::Allowance,
    engine::MAX_MEMORIES,
    exceeded::{DeadlineExceeded, MemoryExceeded, TableExceeded},
    one_line,
    stats::Figures,
    wasi::System,
};

/// What a table element takes in the host.
const TABLE_ELEMENT_BYTES: usize = 8;
/// Handles of resources that a guest may hold at once.
const MAX_HANDLES: usize = 1000;

/// The host's side of one instance.
pub(super) struct Guest {
    pub(super) allowance: Arc<Allowance>,
    usage: Usage,
    messages: Vec<Message>,
    dropped: usize,
    /// There if the component imports WASI.
    pub(super) system: Option<System>,
}

impl Guest {
    /// A store for one call, with the stage's limits.
    pub(super) fn store(engine: &wasmtime::Engine, allowance: &Arc<Allowance>) -> Store<Guest> {
        let limits = allowance.limits;
        let guest = Guest {
            usage: Usage::new(&limits),
            messages: Vec::new(),
            dropped: 0,
            system: allowance.imports.wasi.then(|| System::new(allowance)),
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

    /// Keep a message of the guest.
    pub(super) fn log(&mut self, level: Level, text: &str) {
        if self.messages.len() >= self.allowance.limits.log_lines as usize {
            self.dropped += 1;
            return;
        }
        self.messages.push(Message { level, text: one_line(text) });
    }

    /// The messages so far.
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The memory that the instance has had.
    pub(super) fn memory(&self) -> usize {
        self.usage.bytes
    }

    /// The messages that may be written, with further ones that say how many
    /// may not and why.
    pub(super) fn into_messages(mut self, figures: &Figures) -> Vec<Message> {
        let Limits { log_lines, log_rate, .. } = self.allowance.limits;
        let mut warnings = Vec::new();
        if self.dropped > 0 {
            figures.drop_messages(self.dropped);
            warnings.push(format!(
                "{} more messages of this call are dropped: limits.log-lines is {log_lines}",
                self.dropped
            ));
        }
        if !self.messages.is_empty() {
            let (admitted, first) = figures.admit_messages(self.messages.len(), log_rate);
            let excess = self.messages.len() - admitted;
            self.messages.truncate(admitted);
            figures.drop_messages(excess);
            if first {
                warnings.push(format!(
                    "{excess} messages of this call, and more to come in this second, are \
                     dropped: limits.log-rate is {log_rate}"
                ));
            }
        }
        let message = |text| Message { level: Level::Warn, text };
        self.messages.extend(warnings.into_iter().map(message));
        self.messages
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
