//! Version 0.1.0 of the contract: the generated bindings, and the adapter to
//! the daemon's own types.

use wasmtime::component::{HasSelf, Linker};

use crate::stages::plugin::guest::Guest;

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/v0.1.0",
        world: "stage-component",
        exports: { default: async },
    });
}

use bindings::StageComponent;
pub(super) use bindings::{
    StageComponentPre, exports::wharfinger::pipeline::stage::Guest as Exports,
};

/// The generated types under one roof, as the adapter wants them.
mod types {
    pub(super) use super::bindings::{
        exports::wharfinger::pipeline::stage::Outcome,
        wharfinger::pipeline::{logging, types::*},
    };
}

crate::stages::contract::adapter!(contract, super::types);

pub(super) use contract::{container, decision, host, service};

impl bindings::wharfinger::pipeline::logging::Host for Guest {
    fn log(&mut self, level: types::logging::Level, message: String) {
        self.voice.log(contract::level(level), &message);
    }
}

impl bindings::wharfinger::pipeline::types::Host for Guest {}

/// Link what the contract lets a stage import.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    StageComponent::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
}
