//! Version 0.2.0 of the contract, a draft: the generated bindings, and the adapter to
//! the daemon's own types. Beyond the first version it shows how a container was set up, its image,
//! the agent and the engine, and takes a veto's code and notes.

mod mesh;

use std::sync::Arc;

use wasmtime::component::{Component, HasSelf, Linker};

use crate::stages::plugin::{
    adapter::{Adapter, Description, Run, linked},
    failure::Phase,
    guest::Guest,
};
use crate::{
    model::{
        container::Container,
        host::Host,
        service::{Service, Unseen},
        setup,
    },
    pipeline::{Decision, Remark, StageError, Verdict, veto_code, veto_reason},
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
        user: super::user,
        privileged: super::privileged,
        added_capabilities: super::added_capabilities,
        dropped_capabilities: super::dropped_capabilities,
        read_only_root: super::read_only_root,
        mounts: super::mounts,
        restart_policy: super::restart_policy,
        limits: super::limits,
        health_check: super::health_check,
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
linked!(wants_facts: true, unknown: unknown);

/// A stage of this version is not shown a container as harmless of which nobody knows what it
/// may do.
fn unknown(container: &Container) -> Result<(), StageError> {
    match container.setup {
        Some(_) => Ok(()),
        None => Err(StageError::Host(
            "it is not known how the container was set up: it was recorded without that, or the \
             engine said something of it in a form that cannot be read"
                .into(),
        )),
    }
}

/// How the container was set up, which is known where it is shown.
fn setup<T>(container: &Container, part: impl FnOnce(&setup::Setup) -> T) -> T {
    match &container.setup {
        Some(setup) => part(setup),
        None => part(&setup::Setup::default()),
    }
}

fn image_facts(container: &Container) -> Option<types::ImageFacts> {
    let setup::ImageFacts { digests, labels } = container.image_facts.as_ref()?;
    let labels = contract::attributes(labels);
    Some(types::ImageFacts { digests: digests.clone(), labels })
}

fn user(container: &Container) -> String {
    setup(container, |setup| setup.user.clone())
}

fn privileged(container: &Container) -> bool {
    setup(container, |setup| setup.privileged)
}

fn added_capabilities(container: &Container) -> Vec<String> {
    setup(container, |setup| setup.added_capabilities.clone())
}

fn dropped_capabilities(container: &Container) -> Vec<String> {
    setup(container, |setup| setup.dropped_capabilities.clone())
}

fn read_only_root(container: &Container) -> bool {
    setup(container, |setup| setup.read_only_root)
}

fn mounts(container: &Container) -> Vec<types::Mount> {
    let mount = |setup::Mount { kind, source, target, writable }: &setup::Mount| types::Mount {
        kind: kind.clone(),
        source: source.clone(),
        target: target.clone(),
        writable: *writable,
    };
    setup(container, |setup| setup.mounts.iter().map(mount).collect())
}

fn restart_policy(container: &Container) -> types::RestartPolicy {
    setup(container, |setup| {
        let setup::RestartPolicy { name, retries } = &setup.restart_policy;
        types::RestartPolicy { name: name.clone(), retries: *retries }
    })
}

fn limits(container: &Container) -> types::ResourceLimits {
    setup(container, |setup| {
        let setup::ResourceLimits { memory, processors, processes } = setup.limits;
        types::ResourceLimits { memory, processors, processes }
    })
}

fn health_check(container: &Container) -> Option<types::HealthCheck> {
    let check = container.setup.as_ref()?.health_check.as_ref()?;
    let setup::HealthCheck { test, interval, timeout, start_period, retries } = check;
    Some(types::HealthCheck {
        test: test.clone(),
        interval: interval.map(setup::duration),
        timeout: timeout.map(setup::duration),
        start_period: start_period.map(setup::duration),
        retries: *retries,
    })
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

/// It was shown all of the services.
fn decision(outcome: types::Outcome, _: Vec<Unseen>) -> Decision {
    let (mut verdicts, mut remarks) = (Vec::new(), Vec::new());
    for types::Verdict { decision, notes } in outcome.verdicts {
        let (verdict, code) = match decision {
            types::Decision::Keep => (Verdict::Keep, None),
            types::Decision::Replace(service) => {
                (Verdict::Replace(Box::new(contract::service_back(service))), None)
            }
            types::Decision::Veto(types::Veto { reason, code }) => {
                (Verdict::Veto(veto_reason(&reason)), code.and_then(|code| veto_code(&code)))
            }
        };
        verdicts.push(verdict);
        remarks.push(Remark::new(code, notes));
    }
    let added = outcome.added.into_iter().map(contract::service_back).collect();
    Decision { verdicts, added, remarks }
}
