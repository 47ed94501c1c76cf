//! The schema of the configuration file, for editors and for whoever makes such files.
//!
//! It is derived from the very types that are read, by a test that holds the committed file against them. So the
//! program carries a text and nothing that makes one.

#[cfg(test)]
mod shape;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use shape::{Measured, Size};

/// The schema: JSON Schema, draft 7, which is what editors read for TOML.
pub const SCHEMA: &str = include_str!("../../docs/wharfinger.schema.json");
