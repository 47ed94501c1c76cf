//! The limits of a call that the engine is told to end it at.

#[derive(Debug, thiserror::Error)]
#[error("the call exceeded its deadline")]
pub(super) struct DeadlineExceeded;

#[derive(Debug, thiserror::Error)]
#[error("the call exceeded its memory limit")]
pub(super) struct MemoryExceeded;

#[derive(Debug, thiserror::Error)]
#[error("the call exceeded its limit of table elements")]
pub(super) struct TableExceeded;

/// Frames of a backtrace that are kept.
pub(super) const MAX_FRAMES: usize = 64;
