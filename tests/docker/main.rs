//! Guarantees that are shown on a real container engine and, mostly, a real Consul agent.
//!
//! One file for each guarantee. One of them alone: `cargo test --release --test docker adapters::`.

#[path = "../common/mod.rs"]
mod common;

mod adapters;
mod addresses;
mod e2e;
mod explain;
mod facts;
mod faults;
mod image;
mod lifecycle;
mod live;
mod migration;
mod plan_live;
mod podman;
mod resync;
mod shipped;
mod takeover;
