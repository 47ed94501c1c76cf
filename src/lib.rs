//! Wharfinger keeps Consul's catalog true to the containers that run on a
//! host.
//!
//! The modules stand in the order in which the data flows; ARCHITECTURE.md has
//! the map and the invariants.

// The command line and the file say what is wanted, and the parts are built.
pub mod program;
pub mod cli;
pub mod config;
pub mod daemon;
// What all of them use.
mod entries;
pub mod error;
mod json;
mod tables;
pub mod proxy;
pub mod files;
mod fresh;
pub mod secrets;
pub mod text;
// The values that all of it is about.
pub mod model;
// The source says which containers there are and what they look like.
pub mod privileges;
pub mod docker;
pub mod select;
// The pipeline decides what each of them offers on this host.
pub mod pipeline;
pub mod stages;
// One policy for every host: a bundle of stages, which travels, is signed, and is taken over.
pub mod policy;
// The control loop compares that with what is registered.
pub mod reconcile;
// The registry takes the difference.
pub mod registry;
// What is said about it.
pub mod telemetry;
// What would be done, and why, for people and for files.
pub mod fleet;
pub mod render;

// The shape of the code and of the documents is tested with the library, so that it is seen in the working loop.
#[cfg(test)]
#[path = "../tests/unit/allocated.rs"]
mod allocated;
#[cfg(test)]
#[allow(missing_docs, unreachable_pub)]
#[path = "../tests/common/counting.rs"]
mod counting;
#[cfg(test)]
#[path = "../tests/unit/documents.rs"]
mod documents;
#[cfg(test)]
#[path = "../tests/unit/tidy.rs"]
mod tidy;
