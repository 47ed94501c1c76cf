//! Version 0.2.0 of the contract: the generated bindings, and the adapter to
//! the daemon's own types. Beyond the first version it shows how a container was set up, its image,
//! the agent and the engine to a stage that wants to see them, and takes a veto's code and notes.

mod mesh;

use std::sync::Arc;

use wasmtime::component::{Component, ComponentExportIndex, HasSelf, Linker, TypedFunc};

use crate::stages::plugin::{
    adapter::{Adapter, Description, Run, STAGE, Sight, linked},
    failure::Phase,
    guest::Guest,
    version::Version,
};
use crate::{
    model::{
        container::Container,
        host::Host,
        service::{Service, Unseen},
        setup,
    },
    pipeline::{Decision, StageError, Wants},
};

#[allow(missing_docs, unreachable_pub)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/v0.2.0",
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

crate::stages::contract::adapter!(
    contract,
    [super::types],
    container {
        image_facts: super::image_facts,
        setup: super::setup,
    },
    host { agent: super::agent, engine: super::engine },
    service {
        ports: super::mesh::ports,
        locality: super::mesh::locality,
        socket_path: super::mesh::socket_path,
        kind: super::mesh::kind,
        proxy: super::mesh::proxy,
        connect_native: super::mesh::connect_native,
        definition: super::mesh::definition,
    } by super::mesh::back
);
crate::stages::contract::remarked_decision!(contract, [types], shown_whole);
linked!(Version::V0_2_0, wants: wants, unknown: unknown, hide: hide);

/// A stage of this version is shown all of a service.
fn shown_whole(service: Service, _: Option<Unseen>) -> Service {
    service
}

fn wants(description: &types::Description) -> Wants {
    let wanted = |fact| description.wants.contains(fact);
    Wants {
        image: wanted(types::Facts::IMAGE),
        setup: wanted(types::Facts::SETUP),
        agent: wanted(types::Facts::AGENT),
        engine: wanted(types::Facts::ENGINE),
    }
}

/// A stage that wants to see how a container was set up is not shown one as harmless of which
/// nobody knows what it may do.
fn unknown(container: &Container, wants: Wants) -> Result<(), StageError> {
    match container.setup {
        None if wants.setup => Err(StageError::Host(
            "it is not known how the container was set up: it was recorded without that, or the \
             engine said something of it in a form that cannot be read"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Hide the facts that a stage does not want, also where they are known because another one wants
/// them.
fn hide(container: &mut types::Container, host: &mut types::HostFacts, wants: Wants) {
    let Wants { image, setup, agent, engine } = wants;
    container.image_facts.take_if(|_| !image);
    container.setup.take_if(|_| !setup);
    host.agent.take_if(|_| !agent);
    host.engine.take_if(|_| !engine);
}

fn image_facts(container: &Container) -> Option<types::ImageFacts> {
    let setup::ImageFacts { digests, labels } = container.image_facts.as_ref()?;
    let labels = contract::attributes(labels);
    Some(types::ImageFacts { digests: digests.clone(), labels })
}

fn setup(container: &Container) -> Option<types::Setup> {
    let setup::Setup {
        user,
        privileged,
        added_capabilities,
        dropped_capabilities,
        read_only_root,
        mounts,
        restart_policy: setup::RestartPolicy { name, retries },
        limits: setup::ResourceLimits { memory, processors, processes },
        health_check,
    } = container.setup.as_ref()?;
    let mount = |setup::Mount { kind, source, target, writable }: &setup::Mount| types::Mount {
        kind: kind.clone(),
        source: source.clone(),
        target: target.clone(),
        writable: *writable,
    };
    Some(types::Setup {
        user: user.clone(),
        privileged: *privileged,
        added_capabilities: added_capabilities.clone(),
        dropped_capabilities: dropped_capabilities.clone(),
        read_only_root: *read_only_root,
        mounts: mounts.iter().map(mount).collect(),
        restart_policy: types::RestartPolicy { name: name.clone(), retries: *retries },
        limits: types::ResourceLimits {
            memory: *memory,
            processors: *processors,
            processes: *processes,
        },
        health_check: health_check.as_ref().map(checked),
    })
}

fn checked(check: &setup::HealthCheck) -> types::HealthCheck {
    let setup::HealthCheck { test, interval, timeout, start_period, retries } = check;
    types::HealthCheck {
        test: test.clone(),
        interval: interval.map(setup::duration),
        timeout: timeout.map(setup::duration),
        start_period: start_period.map(setup::duration),
        retries: *retries,
    }
}

fn agent(host: &Host) -> Option<types::AgentFacts> {
    let crate::model::host::Agent { node, datacenter, version, node_meta } = host.agent.as_ref()?;
    Some(types::AgentFacts {
        node: node.clone(),
        datacenter: datacenter.clone(),
        version: version.clone(),
        node_meta: contract::attributes(node_meta),
    })
}

fn engine(host: &Host) -> Option<types::EngineFacts> {
    let crate::model::host::Engine { kind, version } = host.engine.as_ref()?;
    Some(types::EngineFacts { kind: kind.clone(), version: version.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            host::{Agent, Engine},
            setup::{ImageFacts, Setup},
        },
        pipeline::tests::{container, host},
    };

    #[test]
    fn a_stage_is_shown_what_it_wants_and_nothing_else() {
        let mut known = container();
        known.image_facts = Some(ImageFacts::default());
        known.setup = Some(Setup::default());
        let mut here = host();
        here.agent = Some(Agent::default());
        here.engine = Some(Engine::default());
        for bits in 0..16_u8 {
            let bit = |n: u8| bits >> n & 1 == 1;
            let wants = Wants { image: bit(0), setup: bit(1), agent: bit(2), engine: bit(3) };
            let mut container = contract::container(&known, |_| true);
            let mut host = contract::host(&here);
            hide(&mut container, &mut host, wants);
            let shown = Wants {
                image: container.image_facts.is_some(),
                setup: container.setup.is_some(),
                agent: host.agent.is_some(),
                engine: host.engine.is_some(),
            };
            assert_eq!(shown, wants);
            let unset = Container { setup: None, ..known.clone() };
            assert_eq!(unknown(&unset, wants).is_err(), wants.setup, "{wants:?}");
        }
    }
}
