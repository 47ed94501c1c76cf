//! Version 0.1.0 of the contract: the generated bindings, and the adapter to
//! the daemon's own types.

use std::sync::Arc;

use wasmtime::component::{Component, ComponentExportIndex, HasSelf, Linker, TypedFunc};

use crate::stages::plugin::{
    adapter::{Adapter, Description, Run, STAGE, Sight, linked},
    failure::Phase,
    guest::Guest,
    version::Version,
};
use crate::{
    model::{container::Container, host::Host, service::Service},
    pipeline::{Decision, StageError, Wants},
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
linked!(Version::V0_1_0, wants: nothing, unknown: never, hide: hide);

/// A stage of this version is shown none of what has to be wanted.
fn nothing(_: &types::Description) -> Wants {
    Wants::default()
}

/// All that is shown to it is known of every container.
fn never(_: &Container, _: Wants) -> Result<(), StageError> {
    Ok(())
}

/// There is nothing to hide.
fn hide(_: &mut types::Container, _: &mut types::HostFacts, _: Wants) {}
