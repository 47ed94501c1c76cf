//! Guarantees that are shown with the program, the plugins and recorded data alone: Docker and the
//! registry are stood in for by the tests' own. A registry of images is a program that a test runs.
//!
//! One file for each guarantee. One of them alone: `cargo test --release --test alone check::`.

#[path = "../common/mod.rs"]
mod common;

mod allocations;
mod check;
mod code_cache;
mod collected;
mod corpus;
mod decisions;
mod field;
mod fleet;
mod gate;
mod hosted;
mod hostile;
mod ignored;
mod least;
mod listen;
mod mesh;
mod oci;
mod oci_hostile;
mod pipeline;
mod plan;
mod plugins;
mod podman_removals;
mod policies;
mod policy;
mod proxies;
mod reference;
mod reload;
mod replay;
mod rivals;
mod secrets;
mod slow_clients;
mod stories;
mod strangers;
mod supervisor;
mod traces;
mod versions;
mod wants;
mod words;
mod work;
