//! The state that belongs to one call into a guest, and its limits.

use std::time::{Duration, Instant};

use bytesize::ByteSize;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use super::{Limits, engine::MAX_PARTS, wasi::Inert};
use crate::pipeline::{Level, Message, StageError};

/// Messages that one call may write; the rest is counted and dropped.
const MAX_MESSAGES: usize = 100;
/// Bytes of one message; the rest is cut off.
const MAX_MESSAGE_BYTES: usize = 4096;
/// What a table entry takes in the host.
const TABLE_ENTRY_BYTES: usize = 8;

/// The host's side of one instance.
pub(super) struct Guest {
    memory: MemoryLimiter,
    messages: Vec<Message>,
    dropped: usize,
    /// There if the component imports WASI.
    pub(super) wasi: Option<Inert>,
}

impl Guest {
    /// A store for one call, with the stage's limits.
    pub(super) fn store(engine: &wasmtime::Engine, limits: Limits, wasi: bool) -> Store<Guest> {
        let bytes = usize::try_from(limits.memory.as_u64()).unwrap_or(usize::MAX);
        let guest = Guest {
            memory: MemoryLimiter { used: 0, limit: bytes },
            messages: Vec::new(),
            dropped: 0,
            wasi: wasi.then(Inert::new),
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
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
    pub(super) fn log(&mut self, level: Level, mut text: String) {
        if self.messages.len() >= MAX_MESSAGES {
            self.dropped += 1;
            return;
        }
        text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
        // A line break would let a guest forge lines of the log.
        let text = text.replace(char::is_control, " ");
        self.messages.push(Message { level, text });
    }

    /// The messages, with a last one that says how many were dropped.
    pub(super) fn into_messages(mut self) -> Vec<Message> {
        if self.dropped > 0 {
            let text = format!("{} more messages of this call are dropped", self.dropped);
            self.messages.push(Message { level: Level::Warn, text });
        }
        self.messages
    }

    /// What became of a call that failed in the engine.
    pub(super) fn explain(&self, error: &wasmtime::Error, limits: Limits) -> StageError {
        if error.downcast_ref::<DeadlineExceeded>().is_some() {
            return StageError::Timeout(limits.timeout);
        }
        if error.downcast_ref::<MemoryExceeded>().is_some() {
            return StageError::Memory(limits.memory);
        }
        if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
            // A panic writes its message before it traps.
            let panic = self.messages.iter().rev().find(|message| message.level == Level::Error);
            let trap = trap.to_string();
            let trap = trap.strip_prefix("wasm trap: ").unwrap_or(&trap);
            return StageError::Trap(match panic {
                Some(message) => format!("{trap}: {}", message.text),
                None => trap.to_string(),
            });
        }
        // Apart from traps, what fails in a call is the reading of its result.
        StageError::Invalid(format!("{error:#}"))
    }
}

/// Counts the memories and tables of a store together.
struct MemoryLimiter {
    used: usize,
    limit: usize,
}

impl MemoryLimiter {
    fn grow(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(bytes);
        if used > self.limit {
            // Not just a refusal: a guest's allocator would turn it into a trap
            // that says nothing of memory.
            return Err(MemoryExceeded.into());
        }
        self.used = used;
        Ok(true)
    }
}

impl ResourceLimiter for MemoryLimiter {
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
        self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ENTRY_BYTES))
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the call exceeded its deadline")]
struct DeadlineExceeded;

#[derive(Debug, thiserror::Error)]
#[error("the call exceeded its memory limit")]
struct MemoryExceeded;

/// The bounds within which a stage's limits make sense.
impl Limits {
    /// The shortest deadline: several ticks of the clock that enforces it.
    pub const MIN_TIMEOUT: Duration = Duration::from_millis(10);
    /// The longest deadline.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);
    /// The least memory: what the runtime of a small guest needs.
    pub const MIN_MEMORY: ByteSize = ByteSize::mib(1);
    /// The most memory that a guest can address.
    pub const MAX_MEMORY: ByteSize = ByteSize::gib(4);
}
