//! Version 0.1.0 of the contract: the generated bindings, and the adapter to
//! the daemon's own types.

use std::sync::Arc;

use wasmtime::component::{Component, HasSelf, Linker};

use crate::stages::plugin::{
    adapter::{Adapter, Description, Run, linked},
    failure::Phase,
    guest::Guest,
};
use crate::{
    model::{container::Container, host::Host, service::Service},
    pipeline::{Decision, StageError},
};

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/v0.1.0",
        world: "stage-component",
        exports: { default: async },
    });
}

use bindings::{StageComponent, StageComponentPre};

/// The generated types under one roof, as the adapter wants them.
mod types {
    pub(super) use super::bindings::{
        exports::wharfinger::pipeline::stage::Outcome,
        wharfinger::pipeline::{logging, types::*},
    };
}

crate::stages::contract::adapter!(contract, [super::types]);
crate::stages::contract::plain_decision!(contract, [types]);
linked!(wants_facts: false, unknown: nothing);

/// All that is shown to a stage of this version is known of every container.
fn nothing(_: &Container) -> Result<(), StageError> {
    Ok(())
}
