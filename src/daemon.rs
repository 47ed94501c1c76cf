//! The daemon: built from its parts, run, changed while it runs, and asked by other commands.

pub mod app;
mod beside;
pub mod collector;
pub mod control;
pub mod decisions;
pub mod hosting;
pub mod listen;
pub mod means;
pub mod peers;
pub mod policy;
pub mod member;
pub mod reload;
pub mod supervisor;
pub mod traces;

#[cfg(test)]
mod idle;
