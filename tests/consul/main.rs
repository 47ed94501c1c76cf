//! Guarantees that are shown on a real Consul agent, without Docker.
//!
//! One file for each guarantee. One of them alone: `cargo test --release --test consul grants::`.

#[path = "../common/mod.rs"]
mod common;

mod asked;
mod death;
mod fleet;
mod foretold;
mod gate;
mod gone;
mod grants;
mod held;
mod hosted;
mod idle;
mod kept;
mod keys;
mod lab;
mod log;
mod member;
mod mesh;
mod moved;
mod paths;
mod prometheus;
mod rollout;
mod strangers;
mod targets;
mod told;
