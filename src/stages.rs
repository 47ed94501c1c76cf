//! From a configuration to the stages of a pipeline: those that are linked into the daemon, and
//! components.

pub mod builtin;
pub(crate) mod contract;
pub mod loader;
pub mod plugin;
