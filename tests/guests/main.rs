//! Guarantees for authors of plugins, shown with the toolchains of all the languages.
//!
//! One file for each guarantee. One of them alone: `cargo test --release --test guests author::`.

#[path = "../common/mod.rs"]
mod common;

mod author;
mod examples;
mod languages;
mod mistakes;
mod tutorial;
