//! From an error of the engine to what it means for the stage.

use bytesize::ByteSize;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::pipeline::StageError;
use crate::stages::plugin::{
    exceeded::{DeadlineExceeded, MAX_FRAMES, MemoryExceeded, TableExceeded},
    fault,
    guest::Guest,
    one_line,
};

/// Where a call was when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its instance was being made.
    Instantiate,
    /// The function ran, or its result was being read.
    Call,
}

impl Guest {
    /// The stage's error for a call that failed in the engine.
    pub(super) fn explain(
        &self,
        error: &wasmtime::Error,
        phase: Phase,
        stack: ByteSize,
    ) -> StageError {
        let limits = &self.allowance.limits;
        if error.is::<DeadlineExceeded>() {
            return self.late();
        }
        if error.is::<MemoryExceeded>() {
            return StageError::Memory(limits.memory);
        }
        if error.is::<TableExceeded>() {
            return StageError::Table(limits.table_elements);
        }
        if is_transfer_limit(error) {
            return StageError::Output {
                what: "in one answer or host call",
                limit: limits.output.to_string(),
                key: "output",
            };
        }
        if let Some(I32Exit(status)) = error.downcast_ref() {
            let text = format!("it ended itself with exit status {status}");
            return StageError::Trap(self.trap(&text, phase));
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => StageError::Stack(format!("{stack} (limits.stack)")),
            Some(Trap::MemoryOutOfBounds) if is_deep(error) => StageError::Stack(
                "the one that it keeps in its own memory, of the size that its author chose".into(),
            ),
            Some(trap) if breaks_the_contract(*trap) => StageError::Invalid(without_prefix(*trap)),
            Some(trap) => StageError::Trap(self.trap(&without_prefix(*trap), phase)),
            None if phase == Phase::Instantiate => StageError::Instantiate(format!("{error:#}")),
            // Apart from traps, what fails in a call is the reading of its
            // result.
            None => StageError::Invalid(format!("{error:#}")),
        }
    }

    fn trap(&self, trap: &str, phase: Phase) -> String {
        let place = if phase == Phase::Instantiate { " while it was instantiated" } else { "" };
        // A panic or an uncaught exception writes its message before it traps.
        match fault::told(&self.voice.last_words()) {
            Some(told) => format!("{trap}{place}: {}", one_line(&told)),
            None => format!("{trap}{place}"),
        }
    }
}

fn without_prefix(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_string()
}

/// Whether the calls were nested that deep that an access out of bounds is an
/// overflow of the stack that compilers keep in linear memory, for what does
/// not fit into registers: it grows down to address 0, and then beyond it.
fn is_deep(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<WasmBacktrace>().is_some_and(|trace| trace.frames().len() >= MAX_FRAMES)
}

/// Traps of the engine itself while it reads what a guest hands to the host.
fn breaks_the_contract(trap: Trap) -> bool {
    matches!(
        trap,
        Trap::InvalidChar
            | Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::UnalignedPointer
    )
}

/// Whether the guest handed more to the host than `set_hostcall_fuel` allows.
/// The engine's error has a type of its own, but a private one, of which only
/// the name can be seen. A test fails if it changes.
fn is_transfer_limit(error: &wasmtime::Error) -> bool {
    format!("{:?}", error.root_cause()) == "HostcallFuelExhausted"
}
