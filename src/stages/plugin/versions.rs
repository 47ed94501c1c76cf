//! From a version of the contract to its adapter: the one place that knows them all.

use wasmtime::component::{Component, Linker};

use crate::stages::plugin::{adapter::Adapter, guest::Guest, v0_1_0, v0_2_0, version::Version};

/// Link what a version lets a stage import.
pub(super) fn link(version: Version, linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    match version {
        Version::V0_1_0 => v0_1_0::link(linker),
        Version::V0_2_0 => v0_2_0::link(linker),
    }
}

/// A component of a version, ready to be called.
pub(super) fn adapter(
    version: Version,
    linker: &Linker<Guest>,
    component: &Component,
) -> wasmtime::Result<Box<dyn Adapter>> {
    Ok(match version {
        Version::V0_1_0 => Box::new(v0_1_0::Linked::new(linker, component)?),
        Version::V0_2_0 => Box::new(v0_2_0::Linked::new(linker, component)?),
    })
}
