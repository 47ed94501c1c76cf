//! Guarantees that are shown with programs of other languages: for authors of plugins, with the toolchains; of
//! the page, with Node.js and a browser; of the configuration's schema, with what editors read it by.
//!
//! One file for each guarantee. One of them alone: `cargo test --release --test guests author::`.

#[path = "../common/mod.rs"]
mod common;

mod author;
mod editors;
mod examples;
mod languages;
mod mistakes;
mod packages;
mod page;
mod projects;
mod tutorial;
