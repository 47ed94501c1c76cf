//! The stages of the simulated pipeline: two that decide by labels and health,
//! one that has its moods, and one that tells the judge what was decided.

use futures_util::FutureExt as _;

use super::{Ground, world};
use crate::{
    model::{
        container::{Container, Health},
        host::{Compat, Host},
        service::{Check, CheckKind, Service},
    },
    pipeline::{Called, Decision, Pipeline, Stage, StageError, Verdict},
};

/// The host of this name that the containers run on.
pub(super) fn host(name: &str, internal: bool) -> Host {
    Host {
        hostname: name.into(),
        forced_address: Some(world::ADDRESS.into()),
        resolved_address: None,
        internal,
        explicit: false,
        address_label: None,
        compat: Compat::None,
        flags: Default::default(),
        agent: None,
        engine: None,
    }
}

/// The services that a container offers, as the stages that decide say.
pub(super) fn offered(container: &Container, host: &Host, rules: u8) -> Vec<Service> {
    let namer = std::sync::Arc::new(Namer { rules });
    let rules = Pipeline::new(vec![namer, std::sync::Arc::new(Policy)]);
    let outcome = rules.evaluate(container, host).now_or_never();
    outcome.expect("these stages never wait").expect("these stages never fail").services
}

/// The pipeline of a daemon, by these rules.
pub(super) fn pipeline(ground: &Ground, incarnation: u32, rules: u8) -> Pipeline {
    let on = |name| Watcher { name, ground: ground.clone(), incarnation };
    Pipeline::new(vec![
        std::sync::Arc::new(Namer { rules }),
        std::sync::Arc::new(Moody(on("moody"))),
        std::sync::Arc::new(Policy),
        std::sync::Arc::new(Recorder(on("recorder"))),
    ])
}

fn called(verdicts: Vec<Verdict>) -> Called {
    Called {
        result: Ok(Decision { verdicts, added: Vec::new(), remarks: Vec::new() }),
        messages: Vec::new(),
    }
}

/// How many sets of rules there are.
pub(super) const RULES: u8 = 3;

/// Gives the first service the ID, and all of them the name, tag and check, that
/// the labels say; by the second set of rules all have other names, and by the third
/// other IDs.
#[derive(Debug)]
struct Namer {
    rules: u8,
}

#[async_trait::async_trait]
impl Stage for Namer {
    fn name(&self) -> &str {
        "namer"
    }

    /// So that it may give IDs that are others'.
    fn is_builtin(&self) -> bool {
        true
    }

    async fn process(&self, container: &Container, _: &Host, services: &[Service]) -> Called {
        let label = |key| container.labels.get(key).cloned();
        let named = |(at, service): (usize, &Service)| {
            let mut service = service.clone();
            if let (0, Some(id)) = (at, label("id")) {
                service.id = id;
            }
            if let Some(name) = label("name") {
                service.name = name;
            }
            match self.rules {
                0 => {}
                1 => service.name.push_str("-anew"),
                _ => service.id.push_str(":anew"),
            }
            service.tags.extend(label("tag"));
            service.checks.extend(label("check").map(check));
            Verdict::Replace(Box::new(service))
        };
        called(services.iter().enumerate().map(named).collect())
    }
}

fn check(path: String) -> Check {
    let kind = CheckKind::Http {
        url: format!("http://10.0.0.1{path}"),
        method: None,
        headers: Vec::new(),
        body: String::new(),
        tls_skip_verify: false,
        tls_server_name: None,
    };
    Check {
        id: Some(path),
        name: None,
        notes: None,
        kind,
        interval: Some("10s".into()),
        timeout: None,
        initial_status: None,
        deregister_after: None,
        success_before_passing: None,
        failures_before_critical: None,
        attributes: Default::default(),
    }
}

/// Vetoes by a label and by health.
#[derive(Debug)]
struct Policy;

/// Whether the policy forbids this service of this container.
pub(super) fn vetoes(container: &Container, service: &Service) -> bool {
    let port = service.origin.as_ref().map(|origin| origin.container_port.to_string());
    let named = match container.labels.get("veto").map(String::as_str) {
        Some("all") => true,
        other => other.is_some() && other == port.as_deref(),
    };
    named || (container.labels.contains_key("ready") && container.health != Health::Healthy)
}

#[async_trait::async_trait]
impl Stage for Policy {
    fn name(&self) -> &str {
        "policy"
    }

    async fn process(&self, container: &Container, _: &Host, services: &[Service]) -> Called {
        let verdict = |service| match vetoes(container, service) {
            true => Verdict::Veto("by policy".into()),
            false => Verdict::Keep,
        };
        called(services.iter().map(verdict).collect())
    }
}

struct Watcher {
    name: &'static str,
    ground: Ground,
    incarnation: u32,
}

/// Takes its time, and fails.
struct Moody(Watcher);

#[async_trait::async_trait]
impl Stage for Moody {
    fn name(&self) -> &str {
        self.0.name
    }

    async fn process(&self, container: &Container, _: &Host, services: &[Service]) -> Called {
        let (pause, fails) = {
            let mut sim = self.0.ground.lock();
            let (slow, fails) = (sim.profile.faults.slow_stage, sim.profile.faults.stage);
            let pause = if sim.fault(slow) { Some(sim.latency()) } else { None };
            (pause, sim.fault(fails))
        };
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        if fails {
            self.0.ground.lock().note(format_args!("a stage fails on {}", container.id.short()));
            let error = StageError::Guest("in a bad mood".into());
            return Called { result: Err(error), messages: Vec::new() };
        }
        called(vec![Verdict::Keep; services.len()])
    }
}

/// Leaves everything as it is and tells the judge.
struct Recorder(Watcher);

#[async_trait::async_trait]
impl Stage for Recorder {
    fn name(&self) -> &str {
        self.0.name
    }

    async fn process(&self, container: &Container, _: &Host, services: &[Service]) -> Called {
        let mut sim = self.0.ground.lock();
        if sim.is_alive(self.0.incarnation) {
            sim.claimed(container, services.to_vec());
        }
        called(vec![Verdict::Keep; services.len()])
    }
}
